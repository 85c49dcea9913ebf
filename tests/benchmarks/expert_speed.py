"""Demonstrations per second: Minigrid's own loop against ours, in one process, same episodes.

python tests/benchmarks/expert_speed.py
"""

from __future__ import annotations

import contextlib
import io
import os
import tempfile
import time
import warnings
from pathlib import Path

os.environ["OMP_NUM_THREADS"] = "1"
warnings.filterwarnings("ignore")

import gymnasium  # noqa: E402
import numpy as np  # noqa: E402
from minigrid.utils.baby_ai_bot import BabyAIBot  # noqa: E402
from record import record  # noqa: E402

from paper_utils.config import Profile  # noqa: E402
from paper_utils.data import expert, levels  # noqa: E402
from paper_utils.data.corpus import PICTURES, STORIES  # noqa: E402
from paper_utils.data.demonstrations import DEMONSTRATIONS  # noqa: E402

EPISODES = {
    "GoToLocal": 60,
    "PickupLoc": 50,
    "OpenDoor": 40,
    "PutNextLocal": 30,
    "SynthLoc": 10,
    "BossLevel": 4,
}
ROUNDS = 9  # short and alternating, so that whatever else runs here slows both loops alike


def plain(level: str, seeds: range) -> list[np.ndarray]:
    """The loop of Minigrid's documentation."""
    env = gymnasium.make(levels.registered()[level])
    actions = []
    for seed in seeds:
        with contextlib.redirect_stdout(io.StringIO()):
            env.reset(seed=seed)
        bot = BabyAIBot(env)
        taken = []
        ended = False
        while not ended:
            action = bot.replan()
            if action == env.unwrapped.actions.done:
                break
            taken.append(int(action))
            _, _, terminated, truncated, _ = env.step(action)
            ended = terminated or truncated
        actions.append(np.array(taken))
    return actions


def seconds(function, *arguments, **options) -> tuple[float, object]:
    """Processor time, and what was computed in it."""
    started = time.process_time()
    result = function(*arguments, **options)
    return time.process_time() - started, result


def compare_loops() -> None:
    print(f"{'level':14}{'plain /s':>10}{'ours /s':>10}{'ratio':>8}   (medians of {ROUNDS})")
    medians = []
    for level, count in EPISODES.items():
        expert.rollouts(level, range(count))  # what is looked up once for all
        times = []
        for number in range(ROUNDS):
            seeds = range(number * count, (number + 1) * count)
            slow, actions = seconds(plain, level, seeds)
            fast, episodes = seconds(expert.rollouts, level, seeds)
            assert all(np.array_equal(a, e.actions) for a, e in zip(actions, episodes))
            times.append((slow, fast))
        slow, fast = np.median(times, axis=0)
        ratio = np.median([one / other for one, other in times])
        print(f"{level:14}{count / slow:10.1f}{count / fast:10.1f}{ratio:8.2f}", flush=True)
        medians.append(ratio)
    record(
        "expert",
        f"the expert plays {min(medians):.1f} to {max(medians):.1f} times as many "
        f"episodes a second as Minigrid's own loop ({len(medians)} levels)",
    )


def measure_stages() -> None:
    """What the stages take, beside what they say that they cost."""
    profile = Profile.load("laptop")
    tasks = []
    for rooms, chosen in (("babyai", profile), ("kinds", profile.of_kinds())):
        for level in chosen.data.levels:
            parameters = {"world": 0, "level": level, "split": "train", "rooms": rooms}
            tasks.append((DEMONSTRATIONS, chosen, parameters))
        tasks.append((STORIES, chosen, {"world": 0, "rooms": rooms}))
        pictures = {"world": 0, "rooms": rooms, "coloured": rooms == "babyai"}
        tasks.append((PICTURES, chosen, pictures))
    for stage, chosen, parameters in tasks:
        with tempfile.TemporaryDirectory() as folder:
            taken, _ = seconds(stage.make, chosen, Path(folder), **parameters)
            size = sum(path.stat().st_size for path in Path(folder).iterdir())
        predicted = stage.cost(chosen, **parameters)
        print(f"{taken:7.1f} s ({predicted:.1f} predicted), {size / 1e6:6.2f} MB: ", end="")
        print(stage.name, parameters, flush=True)


if __name__ == "__main__":
    compare_loops()
    measure_stages()
