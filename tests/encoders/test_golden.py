"""What the versioned stages make at a tiny size is what is recorded beside their version.

Who changes what they make has to raise the version, for then products of earlier code are made
again; who only renames or moves code need not.  After raising a version,
``python -m tests.encoders.test_golden`` records what is made now.
"""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file

from paper_utils import Profile
from paper_utils.encoders.embedding import EMBEDDING, UNTRAINED
from paper_utils.encoders.records import Encoder, Source
from paper_utils.encoders.scratch import MODEL_SCORES, REFERENCE
from tests.encoders.conftest import toy_corpus

RECORDED = Path(__file__).with_name("golden.json")
CHANGED = "what this stage makes has changed: raise its version and record the new values"
TOLERANCE = 1e-3  # other processors add numbers in another order
FAMILIES = ("llama", "qwen", "deepseek", "bert", "clip", "blip")

# Every value of the profile that these stages read, so that other sizes of smoke change nothing.
SIZES = {
    "data.demonstrations": {"GoToLocal": 100, "OpenDoor": 60},
    "encoders.families": list(FAMILIES),
    "encoders.width": 16,
    "encoders.layers": 2,
    "encoders.heads": 2,
    "encoders.steps": 12,
    "encoders.batch_size": 4,
    "encoders.learning_rate": 0.003,
    "alignment.untrained": 2,
}


def make(stage, folder: Path, *inputs, **parameters):
    folder.mkdir()
    stage.make(Profile.load("smoke", SIZES), folder, *inputs, **parameters)
    return stage.load(folder)


def summary(array: np.ndarray) -> list[float]:
    """A few numbers that any change of an array changes."""
    flat = np.asarray(array, np.float64).ravel()
    weights = np.cos(np.arange(len(flat)))
    return [float(flat.std()), float(flat @ weights / len(flat) ** 0.5), float(flat[-1])]


def made(folder: Path) -> dict:
    """Stage -> its version, and what it makes."""
    torch.set_num_threads(1)
    corpus = toy_corpus()
    found = {stage.name: {"version": stage.version} for stage in
             (REFERENCE, EMBEDDING, UNTRAINED, MODEL_SCORES)}  # fmt: skip
    references = []
    for family in FAMILIES:
        which = {"world": 3, "family": family, "rooms": "babyai", "coloured": True}
        reference = make(REFERENCE, folder / family, *corpus, **which)
        weights = load_file(reference.folder / "model.safetensors")
        found["reference"][family] = [summary(weights[name]) for name in sorted(weights)[:8]]
        references.append(reference)
        encoder = asdict(Encoder(Source.SCRATCH, family))
        which = {"world": 3, "names": "both", "layer": None, "rooms": "babyai"}
        frame = make(EMBEDDING, folder / f"{family} read", reference, encoder=encoder, **which)
        found["embedding"][f"{family} True"] = summary(frame.to_numpy()[:, :4])
        draws = make(UNTRAINED, folder / f"{family} draws", *corpus, world=3, family=family)
        found["untrained"][family] = summary(draws[..., :4])
    scores = make(MODEL_SCORES, folder / "scores", *references, world=3)
    found["model-scores"]["values"] = summary(scores[["value", "baseline value"]].to_numpy())
    found["model-scores"]["columns"] = list(scores)
    return found


@pytest.fixture(scope="module")
def now(tmp_path_factory) -> dict:
    return made(tmp_path_factory.mktemp("golden"))


@pytest.mark.parametrize("name", ("reference", "embedding", "untrained", "model-scores"))
def test_what_is_made_is_what_is_recorded(now, name):
    recorded = json.loads(RECORDED.read_text())[name]
    assert now[name].keys() == recorded.keys(), CHANGED
    for key, value in recorded.items():
        if key in ("version", "columns"):
            assert now[name][key] == value, CHANGED
        else:
            np.testing.assert_allclose(now[name][key], value, atol=TOLERANCE, err_msg=CHANGED)


if __name__ == "__main__":
    with TemporaryDirectory() as folder:
        RECORDED.write_text(json.dumps(made(Path(folder)), indent=1) + "\n")
