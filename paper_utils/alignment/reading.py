"""Reading the comparison: the tables that notebook 04 shows, and its verdicts by rule.

Where there are several trained agents or two directions, ``value`` is their mean, and ``low`` to
``high`` is the widest of their intervals, so that no agent or direction is chosen by its score.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

import numpy as np
import pandas as pd

from paper_utils.alignment.splits import SPLITS
from paper_utils.encoders.embeddings import encoder_of
from paper_utils.encoders.families import ENCODERS, FAMILIES

HEADLINE = ("precision_at_k", "random")
CONTROLS = [name for name, encoder in ENCODERS.items() if encoder.source == "control"]
DECODERS = ("llama", "qwen", "deepseek")


def agents(comparison: pd.DataFrame, kind: str = "action") -> list[str]:
    """Names of all agents of a kind: ``action-0``, ``action-1``…"""
    names = dict.fromkeys([*comparison["first"], *comparison["second"]])
    return [name for name in names if re.fullmatch(rf"{kind}-\d+", name)]


def rows_of(
    comparison: pd.DataFrame,
    ones: Iterable[str],
    others: Iterable[str],
    metric: str,
    split: str = "",
) -> pd.DataFrame:
    """Rows between any of ``ones`` and any of ``others``, in either order and both directions."""
    ones, others = set(ones), set(others)
    first, second = comparison["first"], comparison["second"]
    between = (first.isin(ones) & second.isin(others)) | (first.isin(others) & second.isin(ones))
    chosen = between & (comparison["metric"] == metric)
    return comparison[chosen & (comparison["split"] == split)] if split else comparison[chosen]


def _mean(*where, **which) -> float:
    rows = rows_of(*where, **which)
    return float(rows["value"].mean()) if len(rows) else float("nan")


def symmetric(
    comparison: pd.DataFrame, metric: str, split: str, order: Sequence[str]
) -> pd.DataFrame:
    """Square table of a metric, encoder by encoder, the mean of both directions; NaN: not asked."""
    rows = comparison[(comparison["metric"] == metric) & (comparison["split"] == split)]
    means = rows.groupby(["first", "second"])["value"].mean()
    square = pd.DataFrame(np.nan, index=list(order), columns=list(order))
    for (one, other), value in means.items():
        square.loc[one, other] = square.loc[other, one] = value
    return square


def summary(
    comparison: pd.DataFrame, reference: str, metric: str, split: str = "", player: str = "trained"
) -> dict | None:
    """One row for a kind of agent (trained, shuffled, untrained) and a reference model."""
    ones = agents(comparison, "action" if player == "trained" else f"action-{player}")
    rows = rows_of(comparison, ones, [reference], metric, split)
    if rows.empty:
        return None
    return {
        "pair": f"agent ~ {encoder_of(reference).label}",
        "reference": reference,
        "metric": metric,
        "split": rows["split"].iloc[0],
        "value": rows["value"].mean(),
        "low": rows["low"].min(),
        "high": rows["high"].max(),
        "null_mean": rows["null_mean"].mean(),
        "null_q95": rows["null_q95"].max(),
        "p": rows["p"].max(),
        "calibrated": rows["calibrated"].min(),
        "chance": rows["chance"].iloc[0],
        "N": int(rows["N"].iloc[0]),
        "k": int(rows["k"].iloc[0]),
    }


def headline(comparison: pd.DataFrame, references: Sequence[str]) -> pd.DataFrame:
    """Held-out precision@k of the trained agents with each reference, beside every control."""
    metric, split = HEADLINE
    table = []
    for reference in references:
        row = summary(comparison, reference, metric, split)
        controls = {
            name: _mean(comparison, [name], [reference], metric, split=split) for name in CONTROLS
        }
        best = max(controls, key=lambda name: controls[name])
        other = f"{reference}-untrained"
        table.append(
            row
            | {
                "bag_of_words": controls["bag_of_words"],
                "lexical": controls[best],
                "lexical_name": best,
                "untrained_agent": _mean(
                    comparison,
                    agents(comparison, "action-untrained"),
                    [reference],
                    metric,
                    split=split,
                ),
                "shuffled_agent": _mean(
                    comparison,
                    agents(comparison, "action-shuffled"),
                    [reference],
                    metric,
                    split=split,
                ),
                "untrained_reference": _mean(
                    comparison, agents(comparison), [other], metric, split=split
                ),
            }
        )
    return pd.DataFrame(table)


def by_split(comparison: pd.DataFrame, references: Sequence[str]) -> pd.DataFrame:
    """The headline's metric under every split, with bag of words and untrained agent beside it."""
    metric = HEADLINE[0]
    table = []
    for reference in references:
        for split in SPLITS:
            row = summary(comparison, reference, metric, split)
            row["bag_of_words"] = _mean(
                comparison, ["bag_of_words"], [reference], metric, split=split
            )
            row["untrained_agent"] = _mean(
                comparison, agents(comparison, "action-untrained"), [reference], metric, split=split
            )
            table.append(row)
    return pd.DataFrame(table)


def against_null(
    comparison: pd.DataFrame,
    references: Sequence[str],
    metrics: Sequence[str] = ("mutual_knn", "linear_cka", "rsa"),
) -> pd.DataFrame:
    """Map-free similarities of the trained agents with each reference, beside the null."""
    rows = [
        summary(comparison, reference, metric) for metric in metrics for reference in references
    ]
    columns = ["metric", "pair", "value", "low", "high", "null_mean", "null_q95", "p", "calibrated"]
    return pd.DataFrame(rows)[columns]


def beyond_words(comparison: pd.DataFrame, references: Sequence[str]) -> pd.DataFrame:
    """What remains without the bag of words, for trained, shuffled and untrained agents."""
    rows = []
    for metric in ("partial_rsa", "precision_at_k_residual"):
        split = HEADLINE[1] if metric.startswith("precision") else ""
        for reference in references:
            for player in ("trained", "shuffled", "untrained"):
                row = summary(comparison, reference, metric, split, player)
                rows.append({"player": player, **row})
    return pd.DataFrame(rows)


def ceilings(comparison: pd.DataFrame) -> pd.DataFrame:
    """Held-out precision@k between agents of different seeds, and between reference models."""
    metric, split = HEADLINE
    names = set(comparison["first"]) | set(comparison["second"])
    texts = [n for n, f in FAMILIES.items() if f.modality == "language" and n in names]
    images = [n for n, f in FAMILIES.items() if f.modality == "vision-language" and n in names]
    rows = []
    for pair, ones in (
        ("agent ~ agent (other seed)", agents(comparison)),
        ("language model ~ language model", texts),
        ("vision-language ~ vision-language", images),
    ):
        found = rows_of(comparison, ones, ones, metric, split)
        if len(found):
            rows.append(
                {
                    "pair": pair,
                    "value": found["value"].mean(),
                    "low": found["low"].min(),
                    "high": found["high"].max(),
                    "pairs": len(found.drop_duplicates(["first", "second"])),
                }
            )
    return pd.DataFrame(rows, columns=["pair", "value", "low", "high", "pairs"])


SUPPORTED, NOT_SUPPORTED = "supported here", "not supported here"
NOT_TESTABLE = "not testable here"


def verdicts(comparison: pd.DataFrame, references: Sequence[str]) -> pd.DataFrame:
    """Each claim of the paper judged from the table, by a rule fixed beforehand, with its numbers.

    Alignment is supported if the interval lies above both the best lexical control and the
    untrained agent.  "Weaker" is supported if the interval lies below those of the models that it
    is compared with.  "Approaching" is supported if it reaches nine tenths of the other mean.
    """
    rows = headline(comparison, references).set_index("reference")
    bounds = ceilings(comparison).set_index("pair")
    decoders = [name for name in DECODERS if name in rows.index]
    strong = [*decoders, *(["blip"] if "blip" in rows.index else [])]
    table = [
        _aligned("action aligns with decoder-only language models", rows.loc[decoders]),
        _aligned("action aligns with BLIP", rows.loc[rows.index.isin(["blip"])]),
        _weaker("CLIP aligns less with action", rows, "clip", strong),
        _weaker("BERT aligns less with action", rows, "bert", strong),
        _approaching(rows.loc[decoders], bounds),
    ]
    return pd.DataFrame(table, columns=["claim", "verdict", "because"])


def _aligned(claim: str, rows: pd.DataFrame) -> tuple[str, str, str]:
    if rows.empty:
        return claim, NOT_TESTABLE, "the model is not part of this profile"
    rival = rows[["lexical", "untrained_agent"]].max(axis=1)
    reasons = [
        f"{name} {row['value']:.2f} ({row['low']:.2f} to {row['high']:.2f}) against "
        f"{row['lexical']:.2f} ({row['lexical_name']}) and {row['untrained_agent']:.2f} (untrained)"
        for name, row in rows.iterrows()
    ]
    holds = bool((rows["low"] > rival).all())
    return claim, SUPPORTED if holds else NOT_SUPPORTED, "; ".join(reasons)


def _weaker(claim: str, rows: pd.DataFrame, name: str, strong: list[str]) -> tuple[str, str, str]:
    if name not in rows.index or not strong:
        return claim, NOT_TESTABLE, "the models are not part of this profile"
    row, others = rows.loc[name], rows.loc[strong]
    reason = f"{row['value']:.2f} ({row['low']:.2f} to {row['high']:.2f}) against " + ", ".join(
        f"{other} {o['value']:.2f} ({o['low']:.2f} to {o['high']:.2f})"
        for other, o in others.iterrows()
    )
    holds = bool((row["high"] < others["low"]).all())
    return claim, SUPPORTED if holds else NOT_SUPPORTED, reason


def _approaching(rows: pd.DataFrame, bounds: pd.DataFrame) -> tuple[str, str, str]:
    claim = "action ~ language approaches language ~ language"
    pair = "language model ~ language model"
    if rows.empty or pair not in bounds.index:
        return claim, NOT_TESTABLE, "it takes two language models"
    value, bound = rows["value"].mean(), bounds.loc[pair]
    reason = (
        f"agent with decoders {value:.2f} ({rows['low'].min():.2f} to {rows['high'].max():.2f}); "
        f"language models with each other {bound['value']:.2f} "
        f"({bound['low']:.2f} to {bound['high']:.2f})"
    )
    return claim, SUPPORTED if value >= 0.9 * bound["value"] else NOT_SUPPORTED, reason
