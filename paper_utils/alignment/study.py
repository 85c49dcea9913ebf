"""The stages of notebook 04: every encoder of a profile compared, once, and tables of the scores.

Tables are pivots of one frame (`oriented`): every score from both of its ends.  Over seeds and
directions, ``value`` is a mean.  Intervals are over seeds: the instructions are a census."""

from collections.abc import Sequence
from itertools import combinations, product
from pathlib import Path

import numpy as np
import pandas as pd

from paper_utils import parallel
from paper_utils.alignment.compare import FLIPPED, RETRIEVAL, compare
from paper_utils.alignment.inference import interval, seed_bootstrap
from paper_utils.alignment.metrics import RELATIONS
from paper_utils.alignment.retrieval import possible_splits
from paper_utils.alignment.second_names import Questions, first_names, own_names, second_names
from paper_utils.config import Profile
from paper_utils.data import grammar
from paper_utils.encoders import registry
from paper_utils.encoders.registry import EMBEDDING, Encoder, records
from paper_utils.store import Stage, write_table

MODELS = ("scratch", "hub", "vectors")  # sources of reference models
FACTS = ("kind", "seed", "family", "source", "group")
READS = ("seed", "data.demonstrations", "data.second_names", "cloning.agents", "cloning.bilingual",
         "encoders.families", "encoders.seeds", "encoders.layers", "alignment")  # fmt: skip


def is_reference(encoder: Encoder) -> bool:
    """Whether it is a trained model that agents are compared with."""
    return encoder.source in MODELS and encoder.kind == "trained"


def oriented(frame: pd.DataFrame, encoders: Sequence[Encoder]) -> pd.DataFrame:
    """Every row of a table of pairs from both ends, with FACTS of either: first_kind..."""
    turned = frame.rename(columns={"first": "second", "second": "first"})
    if "direction" in frame:
        turned["direction"] = turned["direction"].map(FLIPPED)
    both = pd.concat([frame, turned], ignore_index=True)
    facts = pd.DataFrame({e.label: {name: getattr(e, name) for name in FACTS} for e in encoders}).T
    for end in ("first", "second"):
        both = both.join(facts.add_prefix(f"{end}_"), on=end)
    return both


def by_seed(rows: pd.DataFrame) -> np.ndarray:
    """Values of oriented rows (first seeds, second seeds), means over directions."""
    return rows.pivot_table(index="first", columns="second", values="value").to_numpy()


def first_only(profile: Profile, public: Sequence[dict]) -> list[Encoder]:
    """Those that the paper's measure compares: all but the agents that speak two dialects."""
    everyone = [*registry.encoders(profile), *(Encoder(**entry) for entry in public)]
    return [e for e in everyone if e.source != "cloning" or not e.kind.startswith("bilingual")]


def _score(profile: Profile, folder: Path, *vectors: pd.DataFrame, public: list) -> None:
    factors, settings = grammar.instructions(profile.data.levels), profile.alignment
    # A control may be too simple for these instructions: a row at the centre has no cosine.
    spaces = {e: v for e, v in zip(first_only(profile, public), vectors, strict=True)
              if e.source != "lexical" or _pointed(v)}  # fmt: skip
    lexical = [e.label for e in spaces if e.source == "lexical"]
    agents = [e.label for e in spaces if e.source == "cloning"]
    trained = [e.label for e in spaces if (e.source, e.kind) == ("cloning", "trained")]
    references = [e.label for e in spaces if is_reference(e)]
    twins = [e.label for e in spaces if e.source in MODELS and e.kind == "untrained"]
    options = settings.model_dump() | {
        "embeddings": {e.label: v for e, v in spaces.items()}, "factors": factors,
        "lexical": lexical, "seed": profile.seed, "compute": profile.compute}  # fmt: skip
    pairs = [*product([*agents, *lexical], references), *combinations(references, 2),
             *combinations(trained, 2), *product(trained, twins)]  # fmt: skip
    some = [name for name in ("bag of words", "edit distance") if name in lexical]
    others = list(product([*agents, *some], references))
    harder = {"splits": [name for name in possible_splits(factors) if name != "random"],
              "metrics": ["precision_at_k"], "permutations": 0}  # fmt: skip
    parts = [compare(pairs=pairs, metrics=RETRIEVAL, **options),
             compare(pairs=others, **options | harder),
             compare(pairs=others, metrics=list(RELATIONS), **options)]  # fmt: skip
    write_table(folder / "scores.csv.gz", pd.concat(parts))


def _pointed(space: pd.DataFrame) -> bool:
    """Whether every row has a direction from the centre, by more than rounding."""
    centred = space.to_numpy() - space.to_numpy().mean(0)
    spread = np.linalg.norm(centred)
    varies = spread > 1e-6 * np.linalg.norm(space.to_numpy())  # else all rows are one
    return bool(varies and np.linalg.norm(centred, axis=1).min() > 1e-9 * spread)


SCORES = Stage("scores", _score, lambda folder: pd.read_csv(folder / "scores.csv.gz"), READS,
    lambda profile, public: [(EMBEDDING, e) for e in records(first_only(profile, public))],
    fans_out=True)  # fmt: skip
"""Scores of the paper's measure and its relatives.  ``public``: records (dictionaries) of the
checkpoints and files of vectors that could be had."""


def select(frame: pd.DataFrame, metric: str, split: str = "random", **ends) -> pd.DataFrame:
    """Rows of a metric; ``ends`` such as first_group="agent", second_source=["hub"]."""
    keep = (frame["metric"] == metric) & (frame["split"] == split)
    for column, value in ends.items():
        keep &= frame[column].isin([value] if isinstance(value, str) else value)
    return frame[keep]


def headline(frame: pd.DataFrame) -> pd.DataFrame:
    """The paper's measure of the trained agents with each reference, beside every control.
    ``frame``: `oriented` scores.  low, high: 95 % bootstrap over seeds of agents and of the model;
    gap, gap_low, gap_high: from the best control (lexical, or the untrained agents), same draws."""
    rows, untrained = [], "agent, untrained"
    found = select(frame, "precision_at_k", second_source=MODELS, second_kind="trained")
    for reference, part in found.groupby("second_group", sort=False):
        agents = part[part["first_group"] == "agent"]
        means = part.groupby("first_group")["value"].mean()
        lexical = part[part["first_source"] == "lexical"].groupby("first_group")["value"].mean()
        rival = untrained if means[untrained] > lexical.max() else lexical.idxmax()
        drawn = seed_bootstrap(by_seed(agents), reference)
        gap = drawn - seed_bootstrap(by_seed(part[part["first_group"] == rival]), reference)
        twins = select(frame, "precision_at_k", first_group="agent",
                       second_group=f"{reference}, untrained")  # fmt: skip
        at_1 = select(frame, "precision_at_1", first_group="agent", second_group=reference)
        (low, high), (gap_low, gap_high) = interval(drawn), interval(gap)
        rows.append({
            "pair": f"agent ~ {reference}", "reference": reference,
            "value": agents["value"].mean(), "low": low, "high": high,
            **agents.groupby("direction")["value"].mean(), "p": agents["p"].max(),
            "precision_at_1": at_1["value"].mean(), "null_mean": agents["null_mean"].mean(),
            **{name: agents[name].iloc[0] for name in ("chance", "N", "k")},
            "bag_of_words": means["bag of words"], "lexical": lexical.max(),
            "lexical_name": lexical.idxmax(), "untrained_agent": means[untrained],
            "shuffled_agent": means["agent, shuffled"],
            "untrained_reference": twins["value"].mean() if len(twins) else None, "rival": rival,
            "gap": agents["value"].mean() - means[rival], "gap_low": gap_low, "gap_high": gap_high,
            "agents": agents["first"].nunique(), "seeds": agents["second"].nunique(),
        })  # fmt: skip
    return pd.DataFrame(rows)


def positive_control(frame: pd.DataFrame) -> pd.DataFrame:
    """Pairs of trained references (groups first, second) by the paper's measure: value, and
    lexical, the best control with either of them."""
    precision = select(frame, "precision_at_k", second_source=MODELS, second_kind="trained")
    by_source = precision.groupby(["first_source", "second_group", "first_group"])["value"].mean()
    best = by_source["lexical"].groupby("second_group").max()
    models = select(precision, "precision_at_k", first_source=MODELS, first_kind="trained")
    means = models.groupby(["first_group", "second_group"])["value"].mean()
    pairs = combinations(dict.fromkeys(models["first_group"]), 2)
    return pd.DataFrame([{"first": a, "second": b, "value": means[a, b],
                          "lexical": max(best[a], best[b])} for a, b in pairs])  # fmt: skip


def summary(frame: pd.DataFrame, metric: str, split: str = "all") -> pd.DataFrame:
    """One row per reference and group of agents or lexical control: mean over seeds, worst p."""
    rows = select(frame, metric, split, second_kind="trained", second_source=MODELS,
                  first_source=["cloning", "lexical"])  # fmt: skip
    grouped = rows.groupby(["second_group", "first_group"], sort=False)
    named = grouped.agg(value=("value", "mean"), least=("value", "min"), most=("value", "max"),
                        p=("p", "max"), chance=("chance", "first"))  # fmt: skip
    named = named.rename_axis(["reference", "encoder"]).reset_index()
    return named.assign(metric=metric, split=split)


def both_names(profile: Profile, public: Sequence[dict]) -> list[Encoder]:
    """Those that have second names: all but what heard or has first names only."""
    everyone = [*registry.encoders(profile), *(Encoder(**entry) for entry in public)]
    return [*filter(registry.has_second_names, everyone), *registry.second_name_controls(profile)]


def _readings(profile: Profile, public: Sequence[dict]) -> list[tuple[Encoder, str]]:
    """Encoders and layers: ``last``, which is primary; all others of references trained here."""
    layers = list(map(str, range(profile.encoders.layers)))
    return [(e, layer) for e in both_names(profile, public) for layer in
            ("last", *(layers if e.source == "scratch" and is_reference(e) else ()))]  # fmt: skip


def _second(profile: Profile, folder: Path, *vectors: pd.DataFrame, public: list) -> None:
    settings, factors = profile.alignment, grammar.instructions(profile.data.levels)
    questions = Questions(factors, settings.k, settings.permutations, profile.seed)
    spaces = {}
    for reading, space in zip(_readings(profile, public), vectors, strict=True):
        both = [space.loc[names] for names in ("first", "second")]
        # Left out: what is too simple for these instructions or knows none of the words, and first
        # layers of models that are read at a special token, which has not read anything there.
        blank = reading[1] != "last" and len(space.round(5).drop_duplicates()) < len(space) / 2
        if all(map(_pointed, both)) and not blank:
            spaces[reading] = [part.to_numpy() for part in both]
    gate = pd.concat([
        own_names(*both, questions=questions).assign(
            encoder=e.label, layer=layer, **{name: getattr(e, name) for name in FACTS})
        for (e, layer), both in spaces.items()])  # fmt: skip
    write_table(folder / "own_names.csv.gz", gate)
    chosen = chosen_layers(gate)
    options = {"dimension": settings.dimension, "folds": settings.folds, "seed": profile.seed}
    everyone, tasks = [e for e, layer in spaces if layer == "last"], []
    layered = [e.label for e in everyone if e.source == "scratch" and is_reference(e)]
    for layer in ("last", *map(str, range(profile.encoders.layers)), "gate"):
        # Both ends are read at the layer; what has none to choose from, where it always is.
        wanted = chosen if layer == "gate" else dict.fromkeys(layered, layer)
        places = {e: (e, wanted.get(e.label, "last")) for e in everyone}
        at = {e: spaces[place] for e, place in places.items() if place in spaces}
        # Agents and references with each other, and with controls.
        known = [e for e in at if is_reference(e) or e.kind == "bilingual"]
        others = [e for e in at if e not in known] if layer in ("last", "gate") else []
        tasks += [(one.label, other.label, at[one], at[other], questions, options, layer)
                  for one, other in [*combinations(known, 2), *product(known, others)]]  # fmt: skip
    rows = parallel.map(_second_pair, tasks, profile.compute, "second names")
    write_table(folder / "second_names.csv.gz", pd.concat(rows))


def chosen_layers(gate: pd.DataFrame) -> dict[str, str]:
    """Encoder -> its layer above the word embeddings with the best precision@k of the gate, which
    looks at one encoder alone; ties go to the later layer."""
    rows = gate[(gate["measure"] == "precision_at_k") & (gate["layer"] != "0")]
    rows = rows.assign(order=rows["layer"].replace("last", "99").astype(int))
    best = rows.sort_values(["value", "order"]).groupby("encoder").tail(1)
    return dict(zip(best["encoder"], best["layer"], strict=True))


def _second_pair(task: tuple) -> pd.DataFrame:
    first, second, (X, X2), (Y, Y2), questions, options, layer = task
    parts = [second_names(X, X2, Y, Y2, questions=questions, **options).assign(names="second")]
    if layer == "last":
        parts.append(first_names(X, Y, questions=questions, **options).assign(names="first"))
    return pd.concat(parts).assign(first=first, second=second, layer=layer)


def _load_tables(folder: Path) -> dict[str, pd.DataFrame]:
    options = {"keep_default_na": False, "na_values": {"p": [""]}, "dtype": {"layer": str}}
    return {path.name.removesuffix(".csv.gz"): pd.read_csv(path, **options)
            for path in sorted(folder.glob("*.csv.gz"))}  # fmt: skip


SECOND_NAMES = Stage("second-names", _second, _load_tables, READS, lambda profile, public: [
    (EMBEDDING, records([e], "both", **({} if layer == "last" else {"layer": int(layer)}))[0])
    for e, layer in _readings(profile, public)], fans_out=True)  # fmt: skip
"""Tables by name: ``own_names`` (the gate, every layer) and ``second_names`` (every pair; ``layer``
of the references: last, a number, or gate, the one that `chosen_layers` gives)."""


def beside_controls(frame: pd.DataFrame, references: Sequence[str]) -> pd.DataFrame:
    """Precision@k in second names of the bilingual agents with each reference, beside ``control``,
    the best of all controls with it that were told nothing.  ``frame``: `oriented`, last layers."""
    rows = frame.query("names == 'second' and layer == 'last' and measure == 'precision_at_k'")
    found = []
    for reference, part in rows[rows["second_group"].isin(references)].groupby("second_group"):
        agents = part[part["first_kind"] == "bilingual"]
        free = part[~part["first_kind"].isin(["trained", "bilingual", "told"])]
        low, high = interval(seed_bootstrap(by_seed(agents), reference))
        best = free.groupby("first_group")["value"].mean().max()
        found.append((reference, agents["value"].mean(), low, high, best))
    return pd.DataFrame(found, columns=["reference", "value", "low", "high", "control"])
