"""Keeps what a benchmark found, a sentence for each, in figures/speed.json."""

from __future__ import annotations

import json
from pathlib import Path

SPEED = Path(__file__).parents[2] / "figures" / "speed.json"


def record(name: str, sentence: str) -> None:
    """Prints the sentence, and puts it in the place of an earlier one of this name."""
    known = json.loads(SPEED.read_text()) if SPEED.exists() else {}
    SPEED.write_text(json.dumps(known | {name: sentence}, indent=1, sort_keys=True) + "\n")
    print(sentence)
