"""Each claim of the paper judged by rule, from the test of second names and from transfer.

The rules came after prototypes and before the run that they judge.  A verdict is *supported*,
*opposite found*, *not supported*, or *no power here*: the last wherever the instrument's own
controls fail, or differences between seeds are not known.  Units are words and seeds, not rows.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from paper_utils.alignment.inference import holm
from paper_utils.config import generator
from paper_utils.encoders.families import FAMILIES

SUPPORTED, OPPOSITE = "supported", "opposite found"
NOT_SUPPORTED, NO_POWER = "not supported", "no power here"
DECODERS = [f.label for f in FAMILIES.values() if f.objective == "next token"]
AGENTS = "agent, bilingual"
ALPHA, NEAR, SHARE = 0.01, 0.05, 0.9
RANDOM = "random tokens, ordered"
TOLD = ("bag of concepts",)  # was told the dictionary: no negative control
MEASURE = "colour"  # the forced choice with most words, so with the finest exact null


def judge(second: pd.DataFrame, transfer: pd.DataFrame) -> pd.DataFrame:
    """Claims, verdicts, and the controls that they rest on.

    Arguments:
        second: ``second_names`` of ``study.SECOND_NAMES``.
        transfer: as `transfer.summarize` gives it.

    Columns: claim, verdict, positive_control, negative_controls, because.

    - The instrument is valid if the forced choice of colour has p <= .01 in every pair of agents
      and in every pair of decoders, and every meaning-free control lies within .05 of chance.
    - *Aligns*: p <= .01 (Holm over references) in every pair of agent and reference seeds, and
      above all random draws.
    - *Less*: the 95 % interval of the difference over seeds lies below zero.
    - *Approaches*: (value - chance) over the same between language models; the interval over seeds
      reaches .9.
    - *Transfers*: at least two references beat every meaning-free control with words that the agent
      never heard (PickupLoc, McNemar, Holm).
    """
    table = second[(second["names"] == "second") & (second["measure"] == MEASURE)]
    pairs = _Pairs(table)
    positive, positive_text = pairs.positive()
    negative, negative_text = pairs.negative()
    valid = positive and negative
    decoders = [name for name in DECODERS if name in pairs.references]
    vision = [name for name in ("CLIP", "BLIP") if name in pairs.references]
    rest = decoders + [name for name in vision if name == "BLIP"]
    rows = [
        ("action aligns with decoder-only language models", pairs.aligns([AGENTS], decoders)),
        ("action aligns with BLIP", pairs.aligns([AGENTS], [v for v in vision if v == "BLIP"])),
        ("CLIP aligns less with action", pairs.less("CLIP", rest)),
        ("BERT aligns less with action", pairs.less("BERT", rest)),
        ("action ~ language approaches language ~ language", pairs.approaches(decoders)),
        ("language aligns with vision", pairs.aligns(decoders, vision)),
    ]
    judged = [
        (claim, verdict if valid or verdict == NO_POWER else NO_POWER, positive_text,
         negative_text, because)
        for claim, (verdict, because) in rows
    ]  # fmt: skip
    judged.append(("an agent can act on another model's sentence", *_transfers(transfer)))
    columns = ["claim", "verdict", "positive_control", "negative_controls", "because"]
    return pd.DataFrame(judged, columns=columns)


class _Pairs:
    """Scores of one measure by pair, from both ends."""

    def __init__(self, table: pd.DataFrame):
        swap = {"first": "second", "second": "first"}
        turned = table.rename(columns=lambda c: swap[c.split("_")[0]] + c[len(c.split("_")[0]):]
                              if c.split("_")[0] in swap else c)  # fmt: skip
        self.table = pd.concat([table, turned], ignore_index=True)
        self.chance = float(table["chance"].mean())
        models = self.table[self.table["second_source"].isin(["scratch", "hub", "vectors"])]
        self.references = list(dict.fromkeys(
            models.loc[models["second_kind"] == "trained", "second_group"]))  # fmt: skip

    def between(self, first: Sequence[str], second: Sequence[str]) -> pd.DataFrame:
        chosen = self.table["first_group"].isin(first) & self.table["second_group"].isin(second)
        return self.table[chosen]

    def positive(self) -> tuple[bool, str]:
        decoders = [name for name in DECODERS if name in self.references]
        parts = {"agents": self.between([AGENTS], [AGENTS]),
                 "decoders": self.between(decoders, decoders)}  # fmt: skip
        text = "; ".join(
            f"{name} with each other {rows['value'].mean():.2f}, p at most {rows['p'].max():.3f}"
            for name, rows in parts.items() if len(rows)
        )  # fmt: skip
        passed = all(len(rows) and rows["p"].max() <= ALPHA for rows in parts.values())
        return passed, text or "none in this run"

    def negative(self) -> tuple[bool, str]:
        known = [AGENTS, *self.references]
        rows = self.table[self.table["first_group"].isin(known)]
        free = ~rows["second_group"].isin([*known, *TOLD])
        means = rows[free].groupby("second_group")["value"].mean()
        far = (means - self.chance).abs()
        worst = far.idxmax() if len(far) else ""
        text = f"{len(means)} of them, {means.min():.2f} to {means.max():.2f}"
        return bool(len(far) and far[worst] <= NEAR), text

    def aligns(self, first: Sequence[str], second: Sequence[str]) -> tuple[str, str]:
        if not len(first) or not len(second):
            return NO_POWER, "the models are not part of this run"
        rows = self.between(first, second)
        worst = rows.groupby("second_group")["p"].max()
        adjusted = dict(zip(worst.index, holm(worst), strict=True))
        random = self.between(first, [RANDOM])["value"].max()
        means = rows.groupby("second_group")["value"].agg(["mean", "min"])
        holds = all(adjusted[n] <= ALPHA and means.loc[n, "min"] > random for n in means.index)
        because = "; ".join(
            f"{n} {means.loc[n, 'mean']:.2f} (p {adjusted[n]:.3f})" for n in means.index
        )
        text = f"colour of six, chance {self.chance:.2f}, random at most {random:.2f}: {because}"
        return SUPPORTED if holds else NOT_SUPPORTED, text

    def _seeds(self, first: str, second: str) -> np.ndarray:
        """Values (first seeds, second seeds)."""
        rows = self.between([first], [second])
        return rows.pivot_table(index="first", columns="second", values="value").to_numpy()

    def _draws(self, values: np.ndarray, stream: int, count: int = 2000) -> np.ndarray:
        """Bootstrap means over agent seeds and model seeds; agents are drawn alike for all."""
        agents = generator("agent seeds", 0, len(values)).integers(
            len(values), size=(count, len(values)))  # fmt: skip
        models = generator("model seeds", stream, values.shape[1]).integers(
            values.shape[1], size=(count, values.shape[1]))  # fmt: skip
        return np.array([values[np.ix_(a, m)].mean() for a, m in zip(agents, models, strict=True)])

    def less(self, name: str, others: Sequence[str]) -> tuple[str, str]:
        if name not in self.references or not others:
            return NO_POWER, "the models are not part of this run"
        here, there = self._seeds(AGENTS, name), [self._seeds(AGENTS, n) for n in others]
        mean = here.mean() - np.mean([values.mean() for values in there])
        if min(values.shape[1] for values in [here, *there]) < 3:
            return NO_POWER, f"difference {mean:+.2f}, with fewer than three seeds of a model"
        drawn = self._draws(here, 1) - np.mean(
            [self._draws(values, 2 + n) for n, values in enumerate(there)], axis=0)  # fmt: skip
        low, high = np.quantile(drawn, (0.025, 0.975))
        verdict = SUPPORTED if high < 0 else OPPOSITE if low > 0 else NOT_SUPPORTED
        return verdict, f"difference {mean:+.2f} ({low:+.2f} to {high:+.2f}, over seeds)"

    def approaches(self, decoders: Sequence[str]) -> tuple[str, str]:
        between = [self._seeds(a, b) for n, a in enumerate(decoders) for b in decoders[n + 1 :]]
        if not between:
            return NO_POWER, "the models are not part of this run"
        ours = [self._seeds(AGENTS, name) for name in decoders]
        room = np.mean([values.mean() for values in between]) - self.chance
        value = np.mean([values.mean() for values in ours]) - self.chance
        text = f"{value + self.chance:.2f} against {room + self.chance:.2f} between decoders"
        if min(values.shape[1] for values in ours) < 3:
            return NO_POWER, f"{text}, with fewer than three seeds of a model"
        ours_drawn = np.mean([self._draws(v, 20 + n) for n, v in enumerate(ours)], axis=0)
        room_drawn = np.mean([self._draws(v, 40 + n) for n, v in enumerate(between)], axis=0)
        low, high = np.quantile(
            (ours_drawn - self.chance) / (room_drawn - self.chance), (0.025, 0.975))  # fmt: skip
        verdict = SUPPORTED if low >= SHARE else NOT_SUPPORTED if high < SHARE else NO_POWER
        return verdict, f"{text}: {value / room:.2f} of the way ({low:.2f} to {high:.2f})"


def _transfers(transfer: pd.DataFrame) -> tuple[str, str, str, str]:
    rows = transfer[(transfer["names"] == "second") & (transfer["level"] == "PickupLoc")]
    if rows.empty:
        return NO_POWER, "none in this run", "none in this run", "PickupLoc is not played"
    controls = rows[rows["kind"] == "control"].sort_values("success")
    agents = rows[rows["kind"] == "agent"]
    references = rows[rows["kind"] == "reference"]
    best = controls.iloc[-1]
    ahead = references[(references["success"] > best["success"]) & (references["p"] <= ALPHA)]
    groups = ahead["group"].nunique()
    positive = f"agents that know both names {agents['success'].mean():.2f}"
    negative = f"best of {len(controls)}: {best['source']} {best['success']:.2f}"
    because = ", ".join(
        f"{r.source} {r.success:.2f} (p {r.p:.3f})" for r in references.itertuples()
    )
    if agents.empty or agents["success"].min() <= best["success"]:
        return NO_POWER, positive, negative, because
    return SUPPORTED if groups >= 2 else NOT_SUPPORTED, positive, negative, because
