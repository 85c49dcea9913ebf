"""What a report says in words is what the results say, whatever they are."""

from __future__ import annotations

import json
from html import unescape

import pytest


@pytest.mark.xdist_group("smoke")
def test_every_answer_stands_on_the_page_and_on_the_terminal(smoke):
    folder, _, said = smoke
    results = json.loads((folder / "results.json").read_text())
    page = unescape((folder / "index.html").read_text())
    printed = " ".join(said.split())
    for row in results["claims"]:
        assert row["answer"] in page
        assert " ".join(f"{row['claim']}: {row['answer']}".split()) in printed
    assert page.index("<h2>Answers") < page.index("<h2>Figures") < page.index("<h2>Files")
    for name, caption in results["captions"].items():
        assert caption in page or f"figures/{name}" not in page
