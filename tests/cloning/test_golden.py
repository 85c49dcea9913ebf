"""What the long stages make at a tiny size is what is recorded beside their version.

Who changes what they make has to raise the version, for then products of earlier code are made
again; who only renames or moves code need not.  After raising a version,
``python tests/cloning/test_golden.py`` records what is made now.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
import torch

from paper_utils import Profile
from paper_utils.cloning.agents import AGENT, Agent, Condition
from paper_utils.cloning.evaluation import EVALUATION, FIRST_VISITS
from paper_utils.cloning.policy import CELL_KINDS
from paper_utils.data.demonstrations import Demonstrations

RECORDED = Path(__file__).with_name("golden.json")
CHANGED = "what this stage makes has changed: raise its version and record the new values"
TOLERANCE = 1e-4  # other processors add numbers in another order
TEXTS = ["go to the red ball", "put the red ball next to the blue key", "open the grey door"]

# Every value of the profile that these stages read, so that other sizes of smoke change nothing.
SIZES = {
    "data.demonstrations": {"GoToLocal": 100, "OpenDoor": 60},
    "data.validation": 12,
    "cloning.width": 16,
    "cloning.heads": 2,
    "cloning.instruction_layers": 1,
    "cloning.queries": 2,
    "cloning.history_layers": 1,
    "cloning.epochs": 3,
    "cloning.batch_episodes": 4,
    "cloning.learning_rate": 0.003,
    "cloning.weight_decay": 0.01,
    "cloning.held_out": ["red ball", "grey door"],
    "cloning.blind_share": 0.5,
    "cloning.evaluation_episodes": 12,
    "cloning.baseline_episodes": 8,
}


def made_up(count: int, texts: list[str], number: int) -> Demonstrations:
    """Episodes of no level: what an agent makes of them depends on this room alone."""
    rng = np.random.default_rng(number)
    lengths = rng.integers(1, 9, size=count).astype(np.int32)
    seen = [kind for kind in CELL_KINDS if kind[1] < 6]  # nothing is hidden yet
    cells = rng.integers(len(seen), size=(lengths.sum(), 7, 7))
    return Demonstrations(
        observations=np.array(seen, dtype=np.uint8)[cells],
        actions=rng.integers(6, size=lengths.sum()).astype(np.uint8),
        lengths=lengths,
        seeds=np.arange(count, dtype=np.int64),
        instructions=np.array([texts[i] for i in rng.integers(len(texts), size=count)]),
        skipped=np.empty(0, dtype=np.int64),
    )


class Fickle(torch.nn.Module):
    """A policy of whole numbers alone, so that it plays the same episodes on every machine."""

    def embed(self, texts):
        return np.array([[len(text) + ord(text[-1])] for text in texts])

    def forward(self, sentences, cells, previous, kv_cache):
        steps = kv_cache[0][0] + 1 if kv_cache else torch.ones(len(cells), dtype=torch.long)
        mixed = (cells[:, 0] * torch.arange(1, 50)).sum(1) + sentences[:, 0].long() + steps
        action = torch.tensor([2, 0, 2, 3, 1, 2, 5])[mixed % 7]  # forward more often than not
        logits = torch.nn.functional.one_hot(action, 7).unsqueeze(1)
        return logits, [steps.unsqueeze(0)], None


def make(stage, folder: Path, *inputs, **parameters):
    folder.mkdir()
    stage.make(Profile.load("smoke", SIZES), folder, *inputs, **parameters)
    return stage.load(folder)


def rounded(array: np.ndarray) -> list:
    return array.astype(np.float64).round(6).tolist()


def agents_made(folder: Path) -> dict:
    """Condition -> sentence embeddings, and the curve of losses."""
    torch.set_num_threads(1)
    local = [f"go to the {colour} {kind}" for colour in ("red", "blue") for kind in ("ball", "key")]
    doors = ["open the grey door", "open a red door"]
    inputs = [made_up(100, local, 0), made_up(60, doors, 1)]
    inputs += [made_up(12, local, 2), made_up(12, doors, 3)]
    found = {}
    for condition in Condition:
        acts = condition != Condition.NEVER_ACTED
        agent = make(
            AGENT,
            folder / condition,
            *(inputs if acts else []),
            world=3,
            condition=str(condition),
            rooms="babyai",
            draw=1,
        )
        found[str(condition)] = {"embeddings": rounded(agent.policy.embed(TEXTS))}
        if acts:
            losses = agent.curve[["step", "train_loss", "validation_loss"]]
            found[str(condition)]["losses"] = rounded(losses.to_numpy())
    return found


def hash_of(table) -> str:
    return hashlib.sha256(table.to_csv(index=False).encode()).hexdigest()


def evaluations_made(folder: Path) -> dict:
    """Who plays what -> a hash of the table of episodes."""
    agent = Agent(Fickle(), None)
    found = {}
    for player in ("acted", "exchanged", "blind", "expert", "random"):
        for level, rooms in (
            ("GoToLocal", "babyai"),
            ("PutNextLocal", "babyai"),
            ("PickupLoc", "kinds"),
        ):
            name = f"{player} {level} {rooms}"
            which = {"world": 3, "player": player, "level": level, "rooms": rooms}
            inputs = [] if player in ("expert", "random") else [agent]
            found[name] = hash_of(make(EVALUATION, folder / name, *inputs, **which))
    return found


def visits_made(folder: Path) -> dict:
    which = {"world": 3, "condition": "blind", "rooms": "kinds"}
    return {"blind": hash_of(make(FIRST_VISITS, folder / "visits", Agent(Fickle(), None), **which))}


STAGES = {
    "agent": (AGENT, agents_made),
    "evaluation": (EVALUATION, evaluations_made),
    "first_visits": (FIRST_VISITS, visits_made),
}


def assert_same(found, recorded, where: str) -> None:
    """Equal texts, and equal numbers to a tolerance."""
    if isinstance(recorded, dict):
        assert list(found) == list(recorded), f"{where}: {CHANGED}"
        for name in recorded:
            assert_same(found[name], recorded[name], f"{where}, {name}")
    elif isinstance(recorded, str):
        assert found == recorded, f"{where}: {CHANGED}"
    else:
        np.testing.assert_allclose(found, recorded, atol=TOLERANCE, err_msg=f"{where}: {CHANGED}")


@pytest.mark.parametrize("name", STAGES)
def test_what_a_stage_makes_is_what_its_version_says(name, tmp_path):
    stage, makes = STAGES[name]
    recorded = json.loads(RECORDED.read_text())[name]
    assert recorded["version"] == stage.version, f"{name}: record what this version makes"
    assert_same(makes(tmp_path), recorded["values"], name)


def record() -> None:
    """Writes down what each stage makes whose version is not the recorded one."""
    recorded = json.loads(RECORDED.read_text()) if RECORDED.exists() else {}
    for name, (stage, makes) in STAGES.items():
        if recorded.get(name, {}).get("version") != stage.version:
            with TemporaryDirectory() as folder:
                recorded[name] = {"version": stage.version, "values": makes(Path(folder))}
    RECORDED.write_text(json.dumps(recorded, indent=1) + "\n")


if __name__ == "__main__":
    record()
