"""Each claim of the paper judged by rule, from the test of second names and from transfer.

The rules came after prototypes and were revised between runs, as notebook 04 says.  A verdict is
*supported*, *opposite found*, *not supported* (the bar was missed; no evidence of absence), or *no
power here*: wherever the instrument's own controls fail, or differences between seeds are not
known.  Units are words and seeds, not rows."""

from collections.abc import Sequence
from itertools import combinations

import numpy as np
import pandas as pd

from paper_utils.alignment.inference import holm, interval, seed_bootstrap
from paper_utils.alignment.study import MODELS, by_seed, chosen_layers
from paper_utils.encoders.families import FAMILIES

SUPPORTED, OPPOSITE = "supported", "opposite found"
NOT_SUPPORTED, NO_POWER = "not supported", "no power here"
DECODERS = [f.label for f in FAMILIES.values() if f.objective == "next token"]
AGENTS = "agent, bilingual"
ALPHA, NEAR, SHARE, SEEDS = 0.01, 0.05, 0.9, 3
RANDOM = "random tokens, ordered"
MEASURE = "colour"  # the forced choice with most words, so with the finest exact null
ABSENT = (NO_POWER, "the models are not part of this run")
COLUMNS = ["claim", "verdict", "positive_control", "negative_controls", "because"]


def judge(second: pd.DataFrame, transfer: pd.DataFrame, gate: pd.DataFrame) -> pd.DataFrame:
    """Claims, verdicts, and the controls that they rest on; columns COLUMNS.

    ``second``: `study.oriented` second names of one layer; ``transfer``: of `transfer.summarize`;
    ``gate``: own names of every encoder at that layer.

    - The instrument is valid if the forced choice of colour has p <= .01 in every pair of agents
      and in every pair of decoders; if no meaning-free control passes what a reference must pass
      (p <= .01 with every agent, unadjusted); and if these controls lie within .05 of chance on
      average (luck alone takes a single control further than that).
    - *Aligns*: p <= .01 (Holm over references) in every pair of seeds, and above all random draws.
    - *Less*: the 95 % interval of the difference over seeds lies below zero.  A model that fails
      its own gate (p > .01 in a seed) did not learn the names: how it aligns says nothing.
    - *Approaches*: (value - chance) over that between decoders, its interval over seeds, is >= .9.
    - *Transfers*: at least two references beat the best meaning-free control, random moves among
      them, with words that the agent never heard (PickupLoc, McNemar, Holm), where three agents or
      more act; agents that know both names beat it, too."""
    named = (second["names"] == "second") & (second["measure"] == MEASURE)
    pairs = _Pairs(second[named], gate[gate["measure"] == MEASURE])
    (able, positive), (blind, negative) = pairs.positive(), pairs.negative()
    decoders = pairs.decoders
    vision = [name for name in ("CLIP", "BLIP") if name in pairs.references]
    blip = [name for name in vision if name == "BLIP"]
    rows = {
        "action aligns with decoder-only language models": pairs.aligns([AGENTS], decoders),
        "action aligns with BLIP": pairs.aligns([AGENTS], blip),
        "CLIP aligns less with action": pairs.less("CLIP", decoders + blip),
        "BERT aligns less with action": pairs.less("BERT", decoders + blip),
        "action ~ language approaches language ~ language": pairs.approaches(decoders),
        "language aligns with vision": pairs.aligns(decoders, vision),
    }
    judged = [(claim, verdict if able and blind else NO_POWER, positive, negative, text)
              for claim, (verdict, text) in rows.items()]  # fmt: skip
    judged.append(("an agent can act on another model's sentence", *_transfers(transfer)))
    return pd.DataFrame(judged, columns=COLUMNS)


def judge_layers(second: pd.DataFrame, transfer: pd.DataFrame, gate: pd.DataFrame) -> pd.DataFrame:
    """`judge` at the last layer; columns that end in ``_gate_layer`` hold what it says where every
    model is read at its own `chosen_layers`.  (Our own claim reads the last layer only.)"""
    preferred = gate["encoder"].map(chosen_layers(gate))
    last, chosen = (judge(second[second["layer"] == name], transfer, gate[gate["layer"] == layer])
                    for name, layer in (("last", "last"), ("gate", preferred)))  # fmt: skip
    chosen = chosen.drop(columns="claim").add_suffix("_gate_layer")
    chosen.iloc[-1] = ""
    return last.join(chosen)


def _p(value: float) -> str:
    return f"p {value:.3f}" if value >= 0.001 else "p < 0.001"


class _Pairs:
    """Oriented scores of one measure by pair, and the same choice between own names."""

    def __init__(self, table: pd.DataFrame, gate: pd.DataFrame):
        self.table, self.chance = table, float(table["chance"].mean())
        models = table[table["second_source"].isin(MODELS) & (table["second_kind"] == "trained")]
        self.references = list(dict.fromkeys(models["second_group"]))
        self.decoders = [name for name in DECODERS if name in self.references]
        self.strangers = set(gate["group"][gate["p"] > ALPHA])  # did not learn the second names

    def between(self, first: Sequence[str], second: Sequence[str]) -> pd.DataFrame:
        return self.table.query("first_group in @first and second_group in @second")

    def positive(self) -> tuple[bool, str]:
        parts = {"agents": self.between([AGENTS], [AGENTS]),
                 "decoders": self.between(self.decoders, self.decoders)}  # fmt: skip
        text = "; ".join(
            f"{name} with each other {rows['value'].mean():.2f}, p at most {rows['p'].max():.3f}"
            for name, rows in parts.items() if len(rows))  # fmt: skip
        passed = all(len(rows) and rows["p"].max() <= ALPHA for rows in parts.values())
        return passed, text or "none in this run"

    def negative(self) -> tuple[bool, str]:
        known = [AGENTS, *self.references]
        rows = self.table[self.table["first_group"].isin(known)]
        rows = rows[~rows["second_group"].isin(known) & (rows["second_kind"] != "told")]
        if rows.empty:
            return False, "none in this run"
        means = rows.groupby("second_group")["value"].mean()
        worst = rows[rows["first_group"] == AGENTS].groupby("second_group")["p"].max()
        passed = list(worst.index[worst <= ALPHA])
        text = (f"{len(means)} of them, {means.min():.2f} to {means.max():.2f}, "
                f"mean {means.mean():.2f}; {', '.join(passed) or 'none'} passed")  # fmt: skip
        return abs(means.mean() - self.chance) <= NEAR and not passed, text

    def aligns(self, first: Sequence[str], second: Sequence[str]) -> tuple[str, str]:
        rows = self.between(first, second)
        if rows.empty:
            return ABSENT
        groups = rows.groupby("second_group")
        adjusted = dict(zip(groups.groups, holm(groups["p"].max())))
        random = self.between(first, [RANDOM])["value"].max()
        means, least = groups["value"].mean(), groups["value"].min()
        holds = all(adjusted[n] <= ALPHA and least[n] > random for n in means.index)
        because = "; ".join(f"{n} {means[n]:.2f} ({_p(adjusted[n])})" for n in means.index)
        text = f"colour of six, chance {self.chance:.2f}, random at most {random:.2f}: {because}"
        return SUPPORTED if holds else NOT_SUPPORTED, text

    def _mean(self, pairs: Sequence[tuple[str, str]]) -> tuple[float, np.ndarray, int]:
        """Mean value over pairs of groups, its bootstrap over seeds, and the fewest seeds."""
        tables = [by_seed(self.between([a], [b])) for a, b in pairs]
        drawn = [seed_bootstrap(table, b, "" if a == AGENTS else a)
                 for table, (a, b) in zip(tables, pairs)]  # fmt: skip
        means, seeds = [t.mean() for t in tables], min(min(t.shape) for t in tables)
        return float(np.mean(means)), np.mean(drawn, axis=0), seeds

    def less(self, name: str, others: Sequence[str]) -> tuple[str, str]:
        if name not in self.references or not others:
            return ABSENT
        here, drawn_here, seeds = self._mean([(AGENTS, name)])
        there, drawn_there, fewest = self._mean([(AGENTS, other) for other in others])
        if min(seeds, fewest) < SEEDS:
            return NO_POWER, f"difference {here - there:+.2f}, fewer than {SEEDS} seeds of each"
        if name in self.strangers:
            return NO_POWER, f"difference {here - there:+.2f}, but {name} did not learn the names"
        low, high = interval(drawn_here - drawn_there)
        verdict = SUPPORTED if high < 0 else OPPOSITE if low > 0 else NOT_SUPPORTED
        return verdict, f"difference {here - there:+.2f} ({low:+.2f} to {high:+.2f}, over seeds)"

    def approaches(self, decoders: Sequence[str]) -> tuple[str, str]:
        if len(decoders) < 2:
            return ABSENT
        ours, drawn, seeds = self._mean([(AGENTS, name) for name in decoders])
        room, drawn_room, _ = self._mean(list(combinations(decoders, 2)))
        text = f"{ours:.2f} with agents, {room:.2f} between decoders"
        if seeds < SEEDS:
            return NO_POWER, f"{text}, fewer than {SEEDS} seeds of each"
        if room - self.chance < NEAR:
            return NO_POWER, f"{text}: too near chance"
        low, high = interval((drawn - self.chance) / (drawn_room - self.chance))
        share = (ours - self.chance) / (room - self.chance)
        verdict = SUPPORTED if low >= SHARE else NOT_SUPPORTED
        return verdict, f"{text}: {share:.2f} of the way from chance ({low:.2f} to {high:.2f})"


def _transfers(transfer: pd.DataFrame) -> tuple[str, str, str, str]:
    rows = transfer[(transfer["names"] == "second") & (transfer["level"] == "PickupLoc")]
    parts = [rows[rows["kind"] == kind] for kind in ("control", "agent", "reference")]
    if any(part.empty for part in parts):
        return NO_POWER, "none in this run", "none in this run", "PickupLoc is not played"
    controls, agents, references = parts
    best = controls.sort_values("success").iloc[-1]
    ahead = references[(references["success"] > best["success"]) & (references["p"] <= ALPHA)]
    positive = f"agents that know both names {agents['success'].mean():.2f}"
    negative = f"best of {len(controls)}: {best['source']} {best['success']:.2f}"
    because = ", ".join(f"{r.source} {r.success:.2f} ({_p(r.p)})" for r in references.itertuples())
    if (played := rows["agents"].max()) < SEEDS:
        because += f"; {played} agents, fewer than {SEEDS}"
    if agents["success"].min() <= best["success"] or played < SEEDS:
        return NO_POWER, positive, negative, because
    verdict = SUPPORTED if ahead["source"].nunique() >= 2 else NOT_SUPPORTED
    return verdict, positive, negative, because


def paper_measure(headline: pd.DataFrame, control: pd.DataFrame) -> list[str]:
    """What the paper's own measure (`study.headline`, `study.positive_control`) says of each claim
    of `judge`, in their order."""
    values = headline.set_index("reference")
    decoders = [name for name in DECODERS if name in values.index]

    def beside(names: Sequence[str]) -> str:
        rows = values.loc[[name for name in names if name in values.index]]
        return "; ".join(f"{n} {r.value:.2f} (best control {r.value - r.gap:.2f})"
                         for n, r in rows.iterrows()) or ABSENT[1]  # fmt: skip

    def less(name: str) -> str:
        others = [other for other in (*decoders, "BLIP") if other in values.index]
        if name not in values.index or not others:
            return ABSENT[1]
        return f"{values['value'][name]:.2f} against {values['value'][others].mean():.2f}"

    def between_decoders_and(names: Sequence[str]) -> str:
        a, b = control["first"], control["second"]
        rows = control[a.isin(decoders) & b.isin(names) | b.isin(decoders) & a.isin(names)]
        text = f"{rows['value'].mean():.2f} (best control {rows['lexical'].mean():.2f})"
        return text if len(rows) else ABSENT[1]

    ours = values["value"][decoders].mean()
    return [beside(decoders), beside(["BLIP"]), less("CLIP"), less("BERT"),
            f"{ours:.2f} with agents, between decoders {between_decoders_and(decoders)}",
            between_decoders_and(["CLIP", "BLIP"]), "not measured by it"]  # fmt: skip
