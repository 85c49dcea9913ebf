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

from paper_utils import Profile  # noqa: E402
from paper_utils.config import Compute  # noqa: E402
from paper_utils.data import corpus, expert, levels  # noqa: E402
from paper_utils.data.demonstrations import play  # noqa: E402

EPISODES = {"GoToLocal": 300, "PickupLoc": 200, "OpenDoor": 100, "PutNextLocal": 150,
            "SynthLoc": 30, "BossLevel": 10}  # fmt: skip
ROUNDS = 3


def plain(level: str, seeds: range) -> list[np.ndarray]:
    env, actions = gymnasium.make(levels.offered()[level]), []
    for seed in seeds:
        with contextlib.redirect_stdout(io.StringIO()):
            env.reset(seed=seed)
        bot, taken, ended = BabyAIBot(env), [], False
        while not ended:
            action = bot.replan()
            if action == env.unwrapped.actions.done:
                break
            taken.append(int(action))
            _, _, terminated, truncated, _ = env.step(action)
            ended = terminated or truncated
        actions.append(np.array(taken))
    return actions


def seconds(function, *arguments) -> tuple[float, object]:
    started = time.process_time()
    result = function(*arguments)
    return time.process_time() - started, result


def main() -> None:
    print(f"{'level':14}{'plain /s':>10}{'ours /s':>10}{'ratio':>8}   (median of {ROUNDS})")
    medians = []
    for level, count in EPISODES.items():
        expert.rollouts(level, range(3))
        ratios, rates = [], []
        for number in range(ROUNDS):
            seeds = range(number * count, (number + 1) * count)
            slow, actions = seconds(plain, level, seeds)
            fast, episodes = seconds(expert.rollouts, level, seeds)
            assert all(np.array_equal(a, e.actions) for a, e in zip(actions, episodes))
            ratios.append(slow / fast)
            rates.append((count / slow, count / fast))
        middle = np.argsort(ratios)[ROUNDS // 2]
        print(f"{level:14}{rates[middle][0]:10.1f}{rates[middle][1]:10.1f}{ratios[middle]:8.2f}")
        medians.append(ratios[middle])
    record("expert", f"the expert plays {min(medians):.1f} to {max(medians):.1f} times as many "
           f"episodes a second as Minigrid's own loop ({len(medians)} levels)")  # fmt: skip

    for workers in (1, 2):
        compute = Compute(workers=workers, progress="off")
        play({"PutNextLocal": range(500)}, compute)  # starts the workers
        started = time.perf_counter()
        play({"PutNextLocal": range(6000)}, compute)
        print(f"{workers} worker(s): {6000 / (time.perf_counter() - started):.0f} PutNextLocal /s")

    wanted = Profile.load("laptop").data.demonstrations
    started = time.perf_counter()
    played = play({name: levels.seeds("train", n) for name, n in wanted.items()})
    print(f"{sum(wanted.values()):,} demonstrations: {time.perf_counter() - started:.1f} s")
    with tempfile.TemporaryDirectory() as folder:
        for level, demonstrations in played.items():
            path = Path(folder, f"{level}.npz")
            demonstrations.save(path)
            print(f"  {level:14}{path.stat().st_size / len(demonstrations):7.1f} bytes each")

    started = time.perf_counter()
    corpus.record(corpus.document, list(wanted), levels.seeds("text", 20_000))
    print(f"stories of 20,000 scenes: {time.perf_counter() - started:.1f} s")


if __name__ == "__main__":
    main()
