"""Reading the comparison: the tables that notebook 04 shows.

Where there are several agents or two directions, ``value`` is their mean.  In the headline its
interval is a bootstrap over instructions and agents; in the other tables ``low`` to ``high`` is
the widest of their intervals, so that no agent or direction is chosen by its score.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

import numpy as np
import pandas as pd

from paper_utils.alignment.splits import SPLITS
from paper_utils.cloning.training import SNAPSHOTS
from paper_utils.encoders.embeddings import encoder_of
from paper_utils.encoders.families import ENCODERS, FAMILIES

HEADLINE = ("precision_at_k", "random")
LEXICAL = [name for name, encoder in ENCODERS.items() if encoder.source == "control"]
DECODERS = [name for name, family in FAMILIES.items() if family.objective == "next token"]


PLAYERS = {"trained": "action", "untrained": "action-untrained", "shuffled": "action-shuffled"}


def agents(comparison: pd.DataFrame, player: str = "trained") -> list[str]:
    """Names of all agents of a kind (of PLAYERS): ``action-0``, ``action-1``…"""
    names = dict.fromkeys([*comparison["first"], *comparison["second"]])
    return [name for name in names if re.fullmatch(rf"{PLAYERS[player]}-\d+", name)]


def _label(name: str) -> str:
    """What an encoder is called where seeds are averaged: ``action-1`` is an "agent"."""
    return encoder_of(name).label


def rows_of(
    comparison: pd.DataFrame,
    ones: Iterable[str],
    others: Iterable[str],
    metric: str,
    split: str = "",
    null: str = "rows",
) -> pd.DataFrame:
    """Rows between any of ``ones`` and any of ``others``, in either order and both directions."""
    ones, others = set(ones), set(others)
    first, second = comparison["first"], comparison["second"]
    between = (first.isin(ones) & second.isin(others)) | (first.isin(others) & second.isin(ones))
    chosen = between & (comparison["metric"] == metric) & (comparison["null"] == null)
    return comparison[chosen & (comparison["split"] == split)] if split else comparison[chosen]


def _means(comparison: pd.DataFrame, reference: str, metric: str, split: str = "") -> dict:
    """Mean value by kind of agent, and by lexical control; NaN: not asked."""
    ones = {player: agents(comparison, player) for player in PLAYERS} | {n: [n] for n in LEXICAL}
    return {
        name: rows_of(comparison, who, [reference], metric, split)["value"].mean()
        for name, who in ones.items()
    }


def _by_direction(
    comparison: pd.DataFrame, ones: Sequence[str], reference: str, metric: str, split: str
) -> dict[str, float]:
    """Mean of ``forward``, which maps ``ones`` and searches the reference, and of ``backward``."""
    rows = rows_of(comparison, ones, [reference], metric, split)
    forward = (rows["direction"] == "forward") == rows["first"].isin(ones)
    means = rows["value"].groupby(forward).mean()
    return {"forward": means[True], "backward": means[False]}


def symmetric(
    comparison: pd.DataFrame, metric: str, split: str, order: Sequence[str]
) -> pd.DataFrame:
    """Square table of a metric by kind of encoder (names of ENCODERS, in the order of ``order``).

    Means over seeds and both directions; the diagonal is between seeds; NaN: not asked.
    """
    rows = comparison[(comparison["metric"] == metric) & (comparison["split"] == split)]
    ends = [rows[end].map(lambda name: encoder_of(name).name) for end in ("first", "second")]
    means = rows.groupby([ends[0], ends[1]])["value"].mean()
    kinds = list(dict.fromkeys(encoder_of(name).name for name in order))
    square = pd.DataFrame(np.nan, index=kinds, columns=kinds)
    for (one, other), value in means.items():
        square.loc[one, other] = square.loc[other, one] = value
    return square


def summary(
    comparison: pd.DataFrame,
    reference: str,
    metric: str,
    split: str = "",
    player: str = "trained",
    null: str = "rows",
) -> dict | None:
    """One row for a kind of agent (trained, shuffled, untrained) and a reference model."""
    rows = rows_of(comparison, agents(comparison, player), [reference], metric, split, null)
    if rows.empty:
        return None
    return {
        "pair": f"agent ~ {_label(reference)}",
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


def headline(
    comparison: pd.DataFrame, contrasts: pd.DataFrame, references: Sequence[str]
) -> pd.DataFrame:
    """Held-out precision@k of the trained agents with each reference, beside every control.

    ``gap`` is its distance from the best of all lexical controls and the untrained agents, with
    gap_low, gap_high and gap_p (adjusted) from the paired bootstrap of ``contrasts.table``.
    ``forward`` maps the agents, or the best lexical control, and searches the reference.
    """
    metric, split = HEADLINE
    table = []
    for reference in references:
        row = summary(comparison, reference, metric, split)
        means = _means(comparison, reference, metric, split)
        best = max((n for n in LEXICAL if means[n] == means[n]), key=means.__getitem__)  # not NaN
        rows = contrasts[(contrasts["reference"] == reference) & (contrasts["kind"] == "control")]
        paired = rows.set_index("rival").loc["any control"]
        trained = agents(comparison)
        found = rows_of(comparison, trained, [reference], metric, split)
        ways = _by_direction(comparison, trained, reference, metric, split)
        others = _by_direction(comparison, [best], reference, metric, split)
        twins = rows_of(comparison, trained, [f"{reference}-untrained"], metric, split)
        table.append(
            row
            | {
                "low": paired["value_low"],
                "high": paired["value_high"],
                "bag_of_words": means["bag_of_words"],
                "lexical": means[best],
                "lexical_name": best,
                **ways,
                **{f"lexical_{way}": value for way, value in others.items()},
                "gap": paired["difference"],
                "gap_low": paired["low"],
                "gap_high": paired["high"],
                "gap_p": paired["p_adjusted"],
                "ceiling": found["ceiling"].mean(),
                "normalised": found["normalised"].mean(),
                "untrained_agent": means["untrained"],
                "shuffled_agent": means["shuffled"],
                "untrained_reference": twins["value"].mean(),
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
            if row is None:  # these levels do not allow the split
                continue
            means = _means(comparison, reference, metric, split)
            row |= {"bag_of_words": means["bag_of_words"], "untrained_agent": means["untrained"]}
            table.append(row)
    return pd.DataFrame(table)


def against_null(
    comparison: pd.DataFrame,
    references: Sequence[str],
    metrics: Sequence[str] = ("mutual_knn", "linear_cka", "rsa"),
) -> pd.DataFrame:
    """Map-free similarities of the trained agents with each reference, beside null and controls.

    p and calibrated are the least favourable over agents.
    """
    rows = []
    for metric in metrics:
        for reference in references:
            row = summary(comparison, reference, metric)
            rows.append(row | _means(comparison, reference, metric))
    columns = ["metric", "pair", "value", "low", "high", "null_q95", "p", "calibrated"]
    table = pd.DataFrame(rows)[[*columns, "untrained", "shuffled", "bag_of_words"]]
    return table.rename(columns={"bag_of_words": "bag of words"})


def stricter_nulls(comparison: pd.DataFrame, references: Sequence[str]) -> pd.DataFrame:
    """The trained agents' scores against nulls that permute all rows, or within verb or template.

    Columns: metric, pair, null, value, null_mean, p (the largest over agents and directions).
    """
    rows = []
    for metric in ("precision_at_k", "rsa"):
        for null in ("rows", "rows within verb", "rows within template"):
            for reference in references:
                split = HEADLINE[1] if metric == "precision_at_k" else "all"
                found = summary(comparison, reference, metric, split, null=null)
                rows.append({"null": null, **found})
    return pd.DataFrame(rows)[["metric", "pair", "null", "value", "null_mean", "p"]]


def other_ways(comparison: pd.DataFrame, references: Sequence[str]) -> pd.DataFrame:
    """Other scores of the same maps and subspaces: agents by kind and bag of words, a row each."""
    rows = []
    for metric in ("precision_at_k", "precision_at_k_csls", "mean_reciprocal_rank", "svcca",
                   "angular_procrustes_distance"):  # fmt: skip
        split = "all" if metric in ("svcca", "angular_procrustes_distance") else HEADLINE[1]
        for reference in references:
            row = {"metric": metric, "pair": f"agent ~ {_label(reference)}"}
            rows.append(row | _means(comparison, reference, metric, split))
    columns = ["metric", "pair", *PLAYERS, "bag_of_words"]
    return pd.DataFrame(rows)[columns].rename(columns={"bag_of_words": "bag of words"})


def what_lays_out(variance: pd.DataFrame) -> pd.DataFrame:
    """Share of each encoder's distances that each factor explains alone: mean over seeds.

    A row per kind of encoder, a column per factor, and ``all`` of them together (the shares of
    related factors overlap).  Argument order is left out: `word_order` asks for it directly.
    """
    named = variance.assign(encoder=variance["encoder"].map(_label))
    order = list(dict.fromkeys(named["encoder"])), list(dict.fromkeys(named["factor"]))
    square = named.pivot_table(index="encoder", columns="factor", values="alone")
    square = square.loc[order[0], [name for name in order[1] if name != "argument_order"]]
    return square.assign(all=named.groupby("encoder")["total"].mean())


def what_is_shared(shared: pd.DataFrame) -> pd.DataFrame:
    """RSA of the trained agents with each reference, and how far it falls without each factor.

    A row per reference, columns rsa and one per factor (``all`` of them together): mean over seeds.
    """
    named = shared.assign(pair=shared["second"].map(lambda name: f"agent ~ {_label(name)}"))
    order = list(dict.fromkeys(named["pair"])), list(dict.fromkeys(named["factor"]))
    drops = named.pivot_table(index="pair", columns="factor", values="drop")
    drops.insert(0, "rsa", named.groupby("pair")["rsa"].mean())
    return drops.loc[order[0], ["rsa", *order[1]]].rename_axis(columns=None)


def word_order(order: pd.DataFrame) -> pd.DataFrame:
    """Accuracy on minimal pairs by kind of encoder and reference; chance is 0.5.

    Mean over seeds, and the widest of their intervals.
    """
    named = order.assign(encoder=order["first"].map(_label), reference=order["second"].map(_label))
    rows = named.groupby(["encoder", "reference"], sort=False)
    return rows.agg(
        accuracy=("accuracy", "mean"), low=("low", "min"), high=("high", "max")
    ).reset_index()


def along_training(progress: pd.DataFrame) -> pd.DataFrame:
    """Scores by share of the training done: mean, least and most over agents, both directions.

    Columns: metric, pair, share, value, least, most.
    """
    shares = {f"action-{{}}@{part}": part / 64 for part in SNAPSHOTS}
    shares |= {"action-untrained-{}": 0.0, "action-{}": 1.0}
    named = progress.assign(
        share=progress["first"].map(lambda n: shares.get(re.sub(r"-\d+", "-{}", n))),
        pair=progress["second"].map(lambda name: f"agent ~ {_label(name)}"),
    ).dropna(subset="share")
    each = named.groupby(["metric", "pair", "share", "first"], sort=False)["value"].mean()
    rows = each.groupby(["metric", "pair", "share"], sort=False).agg(["mean", "min", "max"])
    rows.columns = ["value", "least", "most"]
    return rows.reset_index().sort_values("share", kind="stable", ignore_index=True)


def beyond_words(comparison: pd.DataFrame, references: Sequence[str]) -> pd.DataFrame:
    """What remains without the bag of words: for trained, shuffled and untrained agents, and for
    the best of the other lexical controls."""
    rows = []
    for metric in ("partial_rsa", "partial_rsa_given_verb", "precision_at_k_residual"):
        split = HEADLINE[1] if metric.startswith("precision") else ""
        for reference in references:
            for player in ("trained", "shuffled", "untrained"):
                row = summary(comparison, reference, metric, split, player)
                rows.append({"player": player, **row})
            means = _means(comparison, reference, metric, split)
            best = np.nanmax([means[name] for name in LEXICAL])
            same = {name: row[name] for name in ("pair", "reference", "metric", "split", "chance")}
            rows.append({"player": "lexical", "value": best, "low": best, "high": best, **same})
    return pd.DataFrame(rows)


def ceilings(comparison: pd.DataFrame) -> pd.DataFrame:
    """Held-out precision@k between agents of different seeds, and between reference models.

    Columns: pair, models (from scratch or public), value, low, high, pairs.
    """
    metric, split = HEADLINE
    names = set(comparison["first"]) | set(comparison["second"])
    groups = [("agent ~ agent (other seed)", "from scratch", agents(comparison))]
    for models, suffix in (("from scratch", ""), ("public", "-hub")):
        for pair, modality in (
            ("language model ~ language model", "language"),
            ("vision-language ~ vision-language", "vision-language"),
        ):
            alike = [n + suffix for n, family in FAMILIES.items() if family.modality == modality]
            groups.append((pair, models, [name for name in alike if name in names]))
    rows = []
    for pair, models, ones in groups:
        found = rows_of(comparison, ones, ones, metric, split)
        if len(found):
            rows.append(
                {
                    "pair": pair,
                    "models": models,
                    "value": found["value"].mean(),
                    "low": found["low"].min(),
                    "high": found["high"].max(),
                    "pairs": len(found.drop_duplicates(["first", "second"])),
                }
            )
    return pd.DataFrame(rows, columns=["pair", "models", "value", "low", "high", "pairs"])
