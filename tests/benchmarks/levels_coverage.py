"""Does the expert solve every level on offer, and does the grammar know every mission?

Plays 30 episodes of each level, and draws 4,000 missions of each level that has a grammar.

    python tests/benchmarks/levels_coverage.py
"""

from __future__ import annotations

from paper_utils import parallel
from paper_utils.data import expert, grammar, levels

EPISODES, MISSIONS = 30, 4000


def solved(level: str) -> tuple[str, int]:
    seeds = levels.seeds("evaluation", EPISODES)
    return level, sum(episode.success for episode in expert.rollouts(level, seeds))


def unknown(level: str) -> tuple[str, int, set[str]]:
    known = set(grammar.instructions([level], articles=True)["text"])
    env, met = levels.make(level), set()
    for seed in range(MISSIONS):
        env.reset(seed=seed)
        met.add(env.mission)
    return level, len(met), met - known


def main() -> None:
    for level, count in parallel.map(solved, levels.offered(), describe="levels"):
        print(f"{level:24} solved {count}/{EPISODES}" + ("" if count == EPISODES else "   <--"))
    for level, met, strange in parallel.map(unknown, grammar.GRAMMARS, describe="missions"):
        print(f"{level:24} {met:5} distinct missions in {MISSIONS}, {len(strange)} not in grammar")
        assert not strange, strange


if __name__ == "__main__":
    main()
