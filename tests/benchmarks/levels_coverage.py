"""Does the expert solve every level on offer, and does the grammar know every mission?

Plays 30 episodes of each level, and draws 4,000 missions of each level that has a grammar.

    python tests/benchmarks/levels_coverage.py
"""

from __future__ import annotations

import os
from concurrent.futures import ProcessPoolExecutor

from paper_utils.data import expert, grammar, kinds, levels

EPISODES = 30
MISSIONS = 4000


def solved(level: str, rooms: str) -> int:
    """How many episodes the expert solves."""
    seeds = levels.seeds("evaluation", EPISODES, rooms=rooms)
    return sum(episode.success for episode in expert.rollouts(level, seeds, rooms))


def missions(level: str, rooms: str) -> tuple[int, set[str]]:
    """How many distinct missions were met, and those that the grammar does not list."""
    known = set(grammar.instructions([level], rooms)["text"])
    env = levels.make(level, rooms)
    met = set()
    for seed in range(MISSIONS):
        env.reset(seed=seed)
        met.add(grammar.canonical(env.mission))
    return len(met), met - known


def main() -> None:
    of_kinds = [(level, rooms) for level in kinds.LEVELS for rooms in kinds.ROOMS]
    with ProcessPoolExecutor(os.cpu_count()) as pool:
        played = [
            (level, "babyai") for level in levels.registered() if level not in levels.REFUSED
        ] + of_kinds
        for (level, rooms), count in zip(played, pool.map(solved, *zip(*played))):
            remark = "" if count == EPISODES else "   <--"
            print(f"{level:24} {rooms:13} solved {count}/{EPISODES}{remark}", flush=True)
        listed = [(level, "babyai") for level in grammar.GRAMMARS] + of_kinds
        for (level, rooms), (met, strange) in zip(listed, pool.map(missions, *zip(*listed))):
            print(
                f"{level:24} {rooms:13} {met:5} distinct missions in {MISSIONS}, "
                f"{len(strange)} not in the grammar",
                flush=True,
            )
            assert not strange, strange


if __name__ == "__main__":
    main()
