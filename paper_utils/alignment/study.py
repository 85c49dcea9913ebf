"""The stages of notebook 04: every encoder of a profile compared, once, and tables of the scores.

Tables are pivots of one oriented frame (`oriented`): every score from both of its ends, with what
the encoders at either end are.  Where there are several seeds or two directions, ``value`` is
their mean.  Units of an interval are seeds, of agents and of models: the instructions are a census.
"""

from collections.abc import Sequence
from dataclasses import asdict
from itertools import combinations, product
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from paper_utils import parallel
from paper_utils.alignment.compare import FLIPPED, score
from paper_utils.alignment.inference import interval, seed_bootstrap
from paper_utils.alignment.metrics import RELATIONS, linear_cka
from paper_utils.alignment.retrieval import possible_splits
from paper_utils.alignment.second_names import Questions, first_names, own_names, second_names
from paper_utils.config import Profile
from paper_utils.data import grammar
from paper_utils.encoders import registry
from paper_utils.encoders.registry import EMBEDDING, Encoder
from paper_utils.store import Stage, write_table

MODELS = ("scratch", "hub", "vectors")  # sources of reference models
FACTS = ("kind", "seed", "family", "source", "group")
READS = ("seed", "data.demonstrations", "data.second_names", "cloning.agents", "cloning.bilingual",
         "encoders.families", "encoders.seeds", "encoders.layers", "alignment")  # fmt: skip


def is_reference(encoder: Encoder) -> bool:
    """Whether it is a trained model that agents are compared with."""
    return encoder.source in MODELS and encoder.kind == "trained"


def oriented(frame: pd.DataFrame, encoders: Sequence[Encoder]) -> pd.DataFrame:
    """Every row of a table of pairs from both of its ends, with what either end is.

    Adds FACTS of the encoders as first_kind, second_kind...
    """
    turned = frame.rename(columns={"first": "second", "second": "first"})
    if "direction" in frame:
        turned["direction"] = turned["direction"].map(FLIPPED)
    both = pd.concat([frame, turned], ignore_index=True)
    facts = {e.label: {name: getattr(e, name) for name in FACTS} for e in encoders}
    for end in ("first", "second"):
        both = both.join(pd.DataFrame(facts).T.add_prefix(f"{end}_"), on=end)
    return both


def by_seed(rows: pd.DataFrame) -> np.ndarray:
    """Values of oriented rows (first seeds, second seeds), means over directions."""
    return rows.pivot_table(index="first", columns="second", values="value").to_numpy()


# The paper's measure, and its relatives ------------------------------------------------------


def first_only(profile: Profile, public: Sequence[dict]) -> list[Encoder]:
    """Those that the paper's measure compares: all but the agents that speak two dialects."""
    everyone = [*registry.encoders(profile), *(Encoder(**entry) for entry in public)]
    return [e for e in everyone if e.source != "cloning" or not e.kind.startswith("bilingual")]


def _score(profile: Profile, folder: Path, *vectors: pd.DataFrame, public: list) -> None:
    encoders, factors = first_only(profile, public), grammar.instructions(profile.data.levels)
    spaces = {e: v for e, v in zip(encoders, vectors, strict=True)}
    # A control may be too simple for these instructions: a row at the centre has no cosine.
    spaces = {e: v for e, v in spaces.items() if e.source != "lexical" or _pointed(v)}
    lexical = [e.label for e in spaces if e.source == "lexical"]
    agents = [e.label for e in spaces if e.source == "cloning"]
    trained = [e.label for e in spaces if (e.source, e.kind) == ("cloning", "trained")]
    references = [e.label for e in spaces if is_reference(e)]
    twins = [e.label for e in spaces if e.source in MODELS and e.kind == "untrained"]
    settings = profile.alignment
    options = {
        "embeddings": {e.label: v for e, v in spaces.items()}, "factors": factors, "k": settings.k,
        "dimension": settings.dimension, "folds": settings.folds, "lexical": lexical,
        "permutations": settings.permutations, "seed": profile.seed, "compute": profile.compute,
    }  # fmt: skip
    pairs = [*product([*agents, *lexical], references), *combinations(references, 2),
             *combinations(trained, 2), *product(trained, twins)]  # fmt: skip
    some = [name for name in ("bag of words", "edit distance") if name in lexical]
    others = list(product([*agents, *some], references))
    splits = [name for name in possible_splits(factors) if name != "random"]
    paper = ["precision_at_1", "precision_at_k"]
    parts = [
        score(pairs=pairs, metrics=paper, **options),
        score(pairs=others, metrics=paper[1:], splits=splits, **options | {"permutations": 0}),
        score(pairs=others, metrics=list(RELATIONS), **options),
    ]
    write_table(folder / "scores.csv.gz", pd.concat([frame for frame, _ in parts]))


def _pointed(space: pd.DataFrame) -> bool:
    centred = space.to_numpy() - space.to_numpy().mean(0)
    return bool(np.linalg.norm(centred, axis=1).min() > 1e-9 * np.linalg.norm(centred))


SCORES = Stage(
    name="scores", make=_score, load=lambda folder: pd.read_csv(folder / "scores.csv.gz"),
    reads=READS, fans_out=True,
    needs=lambda profile, public: [
        (EMBEDDING, {"encoder": asdict(e), "names": "first"}) for e in first_only(profile, public)
    ],
)  # fmt: skip
"""A table of scores of the paper's measure and its relatives.  ``public``: records (as
dictionaries) of the checkpoints and files of vectors that could be had."""


def select(frame: pd.DataFrame, metric: str, split: str = "random", **ends) -> pd.DataFrame:
    """Rows of a metric; ``ends`` such as first_group="agent", second_source=["hub"]."""
    keep = (frame["metric"] == metric) & (frame["split"] == split)
    for column, value in ends.items():
        keep &= frame[column].isin([value] if isinstance(value, str) else value)
    return frame[keep]


def headline(frame: pd.DataFrame) -> pd.DataFrame:
    """The paper's measure of the trained agents with each reference, beside every control.

    ``frame``: `oriented` scores.  low, high: 95 % bootstrap over seeds of agents and of the model;
    gap: distance from the best control (lexical, or the untrained agents), with gap_low, gap_high
    over the same draws.
    """
    rows = []
    precision = select(frame, "precision_at_k")
    found = precision[
        precision["second_source"].isin(MODELS) & (precision["second_kind"] == "trained")
    ]
    for reference, part in found.groupby("second_group", sort=False):
        agents = part[part["first_group"] == "agent"]
        means = part.groupby("first_group")["value"].mean()
        lexical = part[part["first_source"] == "lexical"].groupby("first_group")["value"].mean()
        rival = (
            "agent, untrained" if means["agent, untrained"] > lexical.max() else lexical.idxmax()
        )
        drawn = seed_bootstrap(by_seed(agents), reference)
        gap = drawn - seed_bootstrap(by_seed(part[part["first_group"] == rival]), reference)
        twins = select(precision, "precision_at_k", first_group="agent",
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
            "lexical_name": lexical.idxmax(), "untrained_agent": means["agent, untrained"],
            "shuffled_agent": means["agent, shuffled"],
            "untrained_reference": twins["value"].mean() if len(twins) else None,
            "rival": rival, "gap": agents["value"].mean() - means[rival], "gap_low": gap_low,
            "gap_high": gap_high, "agents": agents["first"].nunique(),
            "seeds": agents["second"].nunique(),
        })  # fmt: skip
    return pd.DataFrame(rows)


def positive_control(frame: pd.DataFrame) -> pd.DataFrame:
    """Pairs of trained references by the paper's measure, beside the best lexical control.

    Columns: first, second (groups), value, lexical (the best control with either of them).
    """
    precision = select(frame, "precision_at_k", second_source=MODELS, second_kind="trained")
    words = precision[precision["first_source"] == "lexical"]
    best = (
        words.groupby(["second_group", "first_group"])["value"].mean().groupby("second_group").max()
    )
    models = precision[
        precision["first_source"].isin(MODELS) & (precision["first_kind"] == "trained")
    ]
    order = list(dict.fromkeys(models["first_group"]))
    means = models.groupby(["first_group", "second_group"])["value"].mean()
    return pd.DataFrame([
        {"first": a, "second": b, "value": means[a, b], "lexical": max(best[a], best[b])}
        for a, b in combinations(order, 2)
    ])  # fmt: skip


def summary(frame: pd.DataFrame, metric: str, split: str = "all") -> pd.DataFrame:
    """One row per reference and group of agents or lexical control: mean over seeds, worst p."""
    rows = select(frame, metric, split, second_kind="trained", second_source=MODELS)
    rows = rows[rows["first_source"].isin(["cloning", "lexical"])]
    grouped = rows.groupby(["second_group", "first_group"], sort=False)
    named = grouped.agg(value=("value", "mean"), least=("value", "min"), most=("value", "max"),
                        p=("p", "max"), chance=("chance", "first")).reset_index()  # fmt: skip
    named = named.rename(columns={"second_group": "reference", "first_group": "encoder"})
    return named.assign(metric=metric, split=split)


# Second names ---------------------------------------------------------------------------------


def both_names(profile: Profile, public: Sequence[dict]) -> list[Encoder]:
    """Those that the second names can be asked of: all but what heard or has first names only."""
    everyone = [*registry.encoders(profile), *(Encoder(**entry) for entry in public)]
    return [
        *(e for e in everyone if registry.has_second_names(e)),
        *registry.second_name_controls(profile),
    ]


def _readings(profile: Profile, public: Sequence[dict]) -> list[tuple[Encoder, str]]:
    """Encoders and layers: ``last``, which is primary; all others of references trained here."""
    layers = list(map(str, range(profile.encoders.layers)))
    return [
        (e, layer)
        for e in both_names(profile, public)
        for layer in ("last", *(layers if e.source == "scratch" and is_reference(e) else ()))
    ]


def _second_needs(profile: Profile, public: list) -> list[tuple[Stage, dict[str, Any]]]:
    return [
        (EMBEDDING, {"encoder": asdict(e), "names": "both"}
         | ({} if layer == "last" else {"layer": int(layer)}))
        for e, layer in _readings(profile, public)
    ]  # fmt: skip


def _second(profile: Profile, folder: Path, *vectors: pd.DataFrame, public: list) -> None:
    settings, factors = profile.alignment, grammar.instructions(profile.data.levels)
    questions = Questions(factors, settings.k, settings.permutations, profile.seed)
    spaces = {}
    for reading, space in zip(_readings(profile, public), vectors, strict=True):
        both = [space.loc[names] for names in ("first", "second")]
        if all(map(_pointed, both)):  # else too simple for these instructions, or it knows no word
            spaces[reading] = [part.to_numpy() for part in both]
    gate = pd.concat([
        own_names(*both, questions=questions).assign(
            encoder=e.label, layer=layer, **{name: getattr(e, name) for name in FACTS})
        for (e, layer), both in spaces.items()
    ])  # fmt: skip
    write_table(folder / "own_names.csv.gz", gate)
    chosen = chosen_layers(gate)
    options = {"dimension": settings.dimension, "folds": settings.folds, "seed": profile.seed}
    tasks = []
    for layer in ("last", *map(str, range(profile.encoders.layers)), "gate"):
        # Both ends are read at the layer; what has none to choose from, where it always is.
        at = {
            e: spaces.get((e, chosen[e.label] if layer == "gate" else layer), spaces[e, "last"])
            for e, _ in spaces
        }
        tasks += [
            (one.label, other.label, at[one], at[other], questions, options, layer)
            for one, other in _second_pairs(list(at), controls=layer in ("last", "gate"))
        ]
    rows = parallel.map(_second_pair, tasks, profile.compute, "second names")
    write_table(folder / "second_names.csv.gz", pd.concat(rows))


def chosen_layers(gate: pd.DataFrame) -> dict[str, str]:
    """Encoder -> the layer above the word embeddings that knows its own second names best.

    By precision@k of the gate, which looks at one encoder alone; ties go to the later layer.
    """
    rows = gate[(gate["measure"] == "precision_at_k") & (gate["layer"] != "0")]
    rows = rows.assign(order=rows["layer"].replace("last", "99").astype(int))
    best = rows.sort_values(["value", "order"]).groupby("encoder").tail(1)
    return dict(zip(best["encoder"], best["layer"], strict=True))


def _second_pairs(
    encoders: Sequence[Encoder], controls: bool = True
) -> list[tuple[Encoder, Encoder]]:
    """Agents and references with each other, and with controls."""
    known = [
        e for e in encoders if is_reference(e) or (e.source, e.kind) == ("cloning", "bilingual")
    ]
    others = [e for e in encoders if e not in known] if controls else []
    return [*combinations(known, 2), *product(known, others)]


def _second_pair(task: tuple) -> pd.DataFrame:
    first, second, (X, X2), (Y, Y2), questions, options, layer = task
    asked = {"dimension": options["dimension"], "questions": questions}
    parts = [second_names(X, X2, Y, Y2, **asked).assign(names="second")]
    if layer == "last":
        parts.append(first_names(X, Y, questions=questions, **options).assign(names="first"))
    return pd.concat(parts).assign(first=first, second=second, layer=layer)


def _load_tables(folder: Path) -> dict[str, pd.DataFrame]:
    return {
        path.name.removesuffix(".csv.gz"): pd.read_csv(
            path, keep_default_na=False, dtype={"layer": str})
        for path in sorted(folder.glob("*.csv.gz"))
    }  # fmt: skip


SECOND_NAMES = Stage(
    name="second-names", make=_second, load=_load_tables, reads=READS, fans_out=True,
    needs=_second_needs,
)  # fmt: skip
"""Tables by name: ``own_names`` (the gate, every layer) and ``second_names`` (every pair; ``layer``
of the references: last, a number, or gate, the one that `chosen_layers` gives)."""


# The verb -------------------------------------------------------------------------------------


def verb_table(spaces: dict[Encoder, np.ndarray], factors: pd.DataFrame) -> pd.DataFrame:
    """CKA of every agent with every reference, over all verbs and within the commonest one.

    Columns: encoder, kind, seed (of the agent), reference (a group), within, N, linear_cka.
    """
    largest = factors["verb"].value_counts().idxmax()
    chosen = {"all verbs": slice(None), largest: (factors["verb"] == largest).to_numpy()}
    return pd.DataFrame([
        {"encoder": one.label, "kind": one.kind, "seed": one.seed, "reference": other.group,
         "within": name, "N": len(X[rows]), "linear_cka": linear_cka(X[rows], Y[rows])}
        for one, X in spaces.items() if one.source == "cloning"
        for other, Y in spaces.items() if is_reference(other)
        for name, rows in chosen.items()
    ])  # fmt: skip
