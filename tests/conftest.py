"""Shared by all tests: a store of their own, one smoke run, and nothing from the network."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import yaml
from commands import command, settings
from filelock import FileLock

from paper_utils.config import PROFILES
from paper_utils.store import write_atomically

for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ[name] = "1"  # as in a worker: two tests run side by side
os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["MPLBACKEND"] = "agg"


# Groups of tests, longest first.  The tests of a room share what its fixtures make, which a second
# worker would have to make again.
ROOMS = ("alignment", "cloning", "encoders", "study")
LONG = ("smoke", "release", *ROOMS, "pool", "cluster")


@pytest.fixture(scope="session")
def shared(tmp_path_factory) -> Path:
    """One folder for the whole session, whichever process asks."""
    base = tmp_path_factory.getbasetemp()
    folder = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "shared"
    folder.mkdir(exist_ok=True)
    return folder


def local_checkpoint(folder: Path) -> None:
    """A BERT with random weights in the Hub's format, whose words are first names only."""
    from transformers import BertConfig, BertForMaskedLM

    from paper_utils.data import grammar
    from paper_utils.encoders import scratch
    from paper_utils.encoders.families import FAMILIES

    texts = grammar.instructions(["GoToLocal", "PickupLoc", "OpenDoor", "PutNextLocal"])["text"]
    tokenizer = scratch.train_tokenizer(texts.tolist(), FAMILIES["bert"].template)
    tokenizer.save_pretrained(folder)
    size = {"hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2}
    config = BertConfig(vocab_size=len(tokenizer), intermediate_size=64, **size)
    BertForMaskedLM(config).save_pretrained(folder)


@pytest.fixture(scope="session")
def smoke_profile(shared) -> str:
    """The path of the smoke profile with two checkpoints: a folder, and one that is nowhere."""
    path, given = shared / "smoke.yaml", {"bert": str(shared / "bert"), "llama": "nobody/nothing"}
    with FileLock(shared / "profile.lock"):
        if not path.exists():
            local_checkpoint(shared / "bert")
            text = yaml.safe_dump({"extends": "smoke", "encoders": {"checkpoints": given}})
            write_atomically(path, text.encode())
    return str(path)


@pytest.fixture(scope="session")
def smoke(shared, smoke_profile) -> tuple[Path, Path, str]:
    """(folder, store, what was printed) of one complete smoke run through the command line."""
    folder, store, log = shared / "smoke", shared / "store", shared / "smoke.txt"
    with FileLock(shared / "smoke.lock"):
        if not log.exists():
            words = ("paper_utils", "run", "--profile", smoke_profile, "--out", str(folder))
            # With workers, as readers run it: what they print is what readers see.
            done = command(*words, *settings(store, workers=2))
            assert done.returncode == 0, done.stdout + done.stderr
            log.write_text(done.stdout + done.stderr)
    return folder, store, log.read_text()


@pytest.fixture(scope="session")
def smallest(shared) -> str:
    """The path of a profile of one world, one level and one family: a run in seconds."""
    profile = yaml.safe_load((PROFILES / "smoke.yaml").read_text())
    profile["worlds"] = 1
    profile["encoders"]["families"] = ["bert"]
    profile["data"]["demonstrations"] = {"GoToLocal": 60}
    path = shared / "smallest.yaml"
    if not path.exists():
        write_atomically(path, yaml.safe_dump(profile).encode())
    return str(path)


def pytest_configure(config: pytest.Config) -> None:
    # By themselves groups begin in the order of how many tests they have, whatever these take.
    if hasattr(config.option, "loadscopereorder"):
        config.option.loadscopereorder = False


@pytest.hookimpl(tryfirst=True)  # before groups are read
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Long tests, which have groups, begin first, so that no worker ends up waiting for them;
    those that only need the store of the smoke run come last, when it is there."""

    def place(item: pytest.Item) -> int:
        mark = item.get_closest_marker("xdist_group")
        if mark and mark.args[0] in LONG:
            return LONG.index(mark.args[0])
        return len(LONG) + ("smoke" in item.fixturenames)

    for item in items:
        if item.path.parent.name in ROOMS and item.path.parents[1] == Path(__file__).parent:
            item.add_marker(pytest.mark.xdist_group(item.path.parent.name))
    items.sort(key=place)
