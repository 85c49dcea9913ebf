"""A few demonstrations and agents, made once for all tests of this room."""

from __future__ import annotations

import pytest
import torch

from paper_utils import Profile
from paper_utils.cloning.agents import AGENT, Condition, agent_parameters
from paper_utils.cloning.policy import Policy, Sizes
from paper_utils.data.demonstrations import DEMONSTRATIONS, Demonstrations
from paper_utils.store import Store


@pytest.fixture(scope="session")
def world() -> int:
    return 7


@pytest.fixture(autouse=True)
def one_thread():
    """As in a worker: only then are results the same to the bit."""
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def profile() -> Profile:
    sizes = {
        "data.demonstrations": {"GoToLocal": 120, "OpenDoor": 60},
        "data.validation": 30,
        "cloning.batch_episodes": 16,
        "cloning.epochs": 2,
    }
    return Profile.load("smoke", sizes)


@pytest.fixture(scope="session")
def store(tmp_path_factory) -> Store:
    return Store(tmp_path_factory.mktemp("cloning"))


@pytest.fixture(scope="session")
def demonstrations(store, profile, world) -> dict[str, list[Demonstrations]]:
    """Split -> the demonstrations of each level, GoToLocal and OpenDoor."""
    found = {}
    for split in ("train", "validation"):
        wanted = []
        for level in profile.data.levels:
            wanted.append({"world": world, "level": level, "split": split, "rooms": "babyai"})
        found[split] = [store.get(DEMONSTRATIONS, profile, **one) for one in wanted]
    return found


@pytest.fixture(scope="session")
def taught(store, profile, world) -> Policy:
    """A policy that can play: it goes to things in the rooms of kinds, with or without colours."""
    changed = {
        "data.demonstrations": {"GoToLocal": 250},
        "cloning.epochs": 12,
        "cloning.batch_episodes": 16,
        "cloning.blind_share": 0.5,
    }
    sizes = Profile.load("smoke", changed)
    return store.get(AGENT, sizes, **agent_parameters(world, Condition.BLIND, "kinds")).policy


@pytest.fixture
def tiny() -> Policy:
    """The smallest policy, for what does not depend on its size."""
    torch.manual_seed(0)
    return Policy(Sizes(width=8, heads=1, instruction_layers=1, queries=1, history_layers=1)).eval()
