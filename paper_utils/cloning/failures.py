"""What went wrong in the episodes that an agent failed."""

from __future__ import annotations

import pandas as pd

from paper_utils.data import grammar

KINDS = (
    "succeeded",
    "handled a thing not named",
    "handled a named thing, not as told",
    "ended facing a thing not named",
    "ended facing a named thing",
    "ended facing nothing",
)
"""By name, that is by colour and type: "the ball on your left" also names the ball behind you.
Where two things are named, either counts."""


def classify(episodes: pd.DataFrame, factors: pd.DataFrame) -> pd.Series:
    """One of KINDS per episode, the first that fits.

    Arguments:
        episodes: as ``rollout.play`` gives them.
        factors: ``grammar.instructions`` of their levels.
    """
    said = factors.set_index("text")
    return pd.Series(
        [_kind(row, said.loc[grammar.canonical(row.instruction)]) for row in episodes.itertuples()],
        index=episodes.index,
        dtype=pd.CategoricalDtype(KINDS, ordered=True),
    )


def _kind(episode, said: pd.Series) -> str:
    if episode.success:
        return KINDS[0]
    handled = [name for name in episode.handled.split(",") if name]
    if handled:
        return KINDS[2] if all(_fits(name, said) for name in handled) else KINDS[1]
    if not episode.facing:
        return KINDS[5]
    return KINDS[4] if _fits(episode.facing, said) else KINDS[3]


def _fits(name: str, said: pd.Series) -> bool:
    colour, kind = name.split(" ")
    return any(
        said[f"{which}type"] and said[f"{which}colour"] in ("", colour)
        and said[f"{which}type"] in ("object", kind)
        for which in ("", "second_")
    )  # fmt: skip
