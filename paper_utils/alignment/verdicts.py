"""Each claim of the paper judged by code."""

from __future__ import annotations

from collections.abc import Iterable

import pandas as pd

from paper_utils.alignment.reading import DECODERS

SUPPORTED, NOT_SUPPORTED = "supported here", "not supported here"
NOT_TESTABLE = "not testable here"


def judge(headline: pd.DataFrame, contrasts: pd.DataFrame, bounds: pd.DataFrame) -> pd.DataFrame:
    """Each claim of the paper judged by a rule, with its numbers.

    Alignment is supported if the agents score higher than the best of all lexical controls and the
    untrained agents, for each model named: the 95 % interval of the paired difference is above
    zero.  "Less" is supported if the interval of the paired difference is below zero for every
    model compared with.  "Approaching" is supported if the mean reaches nine tenths of the other.
    The claims are judged for models from scratch and for public checkpoints apart.  The last row
    of each judges decoders with each other by the first rule (against lexical controls): what the
    rule says of models that nobody doubts.

    Arguments: tables of ``reading.headline``, ``contrasts.table`` and ``reading.ceilings``.
    """
    rows = headline.set_index("reference")
    table = []
    for models, suffix in (("from scratch", ""), ("public", "-hub")):
        mine = rows[rows.index.str.endswith("-hub") == bool(suffix)]
        decoders = [name + suffix for name in DECODERS if name + suffix in mine.index]
        read = [*decoders, *mine.index.intersection([f"bert{suffix}"])]
        blip = mine.index.intersection([f"blip{suffix}"])
        strong = [*decoders, *blip]
        agents = contrasts[contrasts["rival"] == "any control"].assign(who="agents")
        alike = contrasts[(contrasts["kind"] == "models") & contrasts["rival"].isin(decoders)]
        alike = alike.assign(who=alike["rival"])
        judged = [
            _aligned("action aligns with decoder-only language models", agents, decoders),
            _aligned("action aligns with BLIP", agents, blip),
            _weaker("CLIP aligns less with action", contrasts, f"clip{suffix}", strong, mine),
            _weaker("BERT aligns less with action", contrasts, f"bert{suffix}", strong, mine),
            _approaching(mine.loc[read], bounds[bounds["models"] == models]),
            _aligned(
                "for comparison: decoder-only language models align with each other",
                alike, decoders,
            ),
        ]  # fmt: skip
        table += [(claim, models, verdict, because) for claim, verdict, because in judged]
    return pd.DataFrame(table, columns=["claim", "models", "verdict", "because"])


NOT_HERE = "the models are not part of this run"


def _aligned(
    claim: str, contrasts: pd.DataFrame, references: Iterable[str]
) -> tuple[str, str, str]:
    rows = contrasts[contrasts["reference"].isin(references)]
    if rows.empty:
        return claim, NOT_TESTABLE, NOT_HERE
    reasons = [
        f"{row['who']} with {row['reference']} {row['value']:.2f}, {row['difference']:+.2f} "
        f"({row['low']:+.2f} to {row['high']:+.2f}) from the best control"
        for _, row in rows.iterrows()
    ]
    holds = bool((rows["low"] > 0).all())
    return claim, SUPPORTED if holds else NOT_SUPPORTED, "; ".join(reasons)


def _weaker(
    claim: str, contrasts: pd.DataFrame, name: str, strong: list[str], rows: pd.DataFrame
) -> tuple[str, str, str]:
    if name not in rows.index or not strong:
        return claim, NOT_TESTABLE, NOT_HERE
    reasons, holds = [], True
    for other in strong:
        low, difference, high = _difference(contrasts, name, other)
        reasons.append(f"{difference:+.2f} ({low:+.2f} to {high:+.2f}) from {other}")
        holds = holds and high < 0
    because = f"{name} {rows.loc[name, 'value']:.2f}: " + ", ".join(reasons)
    return claim, SUPPORTED if holds else NOT_SUPPORTED, because


def _difference(contrasts: pd.DataFrame, one: str, other: str) -> tuple[float, float, float]:
    """low, difference, high of (agents ~ one) - (agents ~ other), in whichever order it stands."""
    rows = contrasts[contrasts["kind"] == "reference"].set_index(["reference", "rival"])
    if (one, other) in rows.index:
        row = rows.loc[(one, other)]
        return row["low"], row["difference"], row["high"]
    row = rows.loc[(other, one)]
    return -row["high"], -row["difference"], -row["low"]


def _approaching(rows: pd.DataFrame, bounds: pd.DataFrame) -> tuple[str, str, str]:
    claim = "action ~ language approaches language ~ language"
    bound = bounds[bounds["pair"] == "language model ~ language model"]
    if rows.empty or bound.empty:
        return claim, NOT_TESTABLE, NOT_HERE
    value, bound = rows["value"].mean(), bound["value"].item()
    reason = f"agents with language models {value:.2f}, these with each other {bound:.2f}"
    return claim, SUPPORTED if value >= 0.9 * bound else NOT_SUPPORTED, reason
