"""The stages of notebook 04: every encoder of a profile compared, once, and tables of the scores.

Tables are pivots of one oriented frame (`oriented`): every score from both of its ends, with what
the encoders at either end are.  Where there are several seeds or two directions, ``value`` is
their mean.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from itertools import combinations, product
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from paper_utils import parallel
from paper_utils.alignment import inference, structure
from paper_utils.alignment.compare import FLIPPED, Scores, score, table
from paper_utils.alignment.metrics import linear_cka
from paper_utils.alignment.retrieval import possible_splits
from paper_utils.alignment.second_names import Questions, first_names, own_names, second_names
from paper_utils.config import Profile
from paper_utils.data import grammar
from paper_utils.encoders import registry
from paper_utils.encoders.registry import EMBEDDING, Encoder
from paper_utils.store import Stage, write_table

WITHIN = ("verb", "template")
RELATIONS = ("mutual_knn", "linear_cka", "rsa")
LEXICAL = "lexical"
READS = ("seed", "data.demonstrations", "data.second_names", "cloning.agents", "cloning.bilingual",
         "encoders.families", "encoders.seeds", "alignment")  # fmt: skip


def _encoders(profile: Profile, public: Sequence[dict]) -> list[Encoder]:
    return [*registry.encoders(profile), *(Encoder(**entry) for entry in public)]


def _select(encoders: Sequence[Encoder], source: str = "", kind: str = "") -> list[str]:
    """Labels of encoders of a source (``reference``: trained models of any source) and kind."""
    models = ("scratch", "hub", "vectors")
    return [
        e.label
        for e in encoders
        if (e.source in models if source == "reference" else source in ("", e.source))
        and kind in ("", e.kind)
    ]


# The paper's measure, and its relatives ------------------------------------------------------


def _needs(profile: Profile, public: list) -> list[tuple[Stage, dict[str, Any]]]:
    wanted = [*_first_only(_encoders(profile, public)), *registry.snapshots(profile)]
    return [(EMBEDDING, {"encoder": asdict(encoder), "names": "first"}) for encoder in wanted]


def _first_only(encoders: Sequence[Encoder]) -> list[Encoder]:
    """Those that the paper's measure compares: all but the agents that speak two dialects."""
    return [e for e in encoders if e.source != "cloning" or not e.kind.startswith("bilingual")]


def _score(profile: Profile, folder: Path, *vectors: pd.DataFrame, public: list) -> None:
    encoders = _first_only(_encoders(profile, public))
    snapshots = registry.snapshots(profile)
    names = [encoder.label for encoder in [*encoders, *snapshots]]
    spaces = dict(zip(names, vectors, strict=True))
    lexical = [name for name in _select(encoders, LEXICAL) if _pointed(spaces[name])]
    for name in set(_select(encoders, LEXICAL)) - set(lexical):
        del spaces[name]  # too simple for these instructions: a row at the centre has no cosine
    factors = grammar.instructions(profile.data.levels)
    settings = profile.alignment
    options = {
        "factors": factors, "k": settings.k, "dimension": settings.dimension,
        "folds": settings.folds, "permutations": settings.permutations, "lexical": lexical,
        "seed": profile.seed, "compute": profile.compute,
    }  # fmt: skip
    trained = _select(encoders, "cloning", "trained")
    agents = _select(encoders, "cloning")
    references = _select(encoders, "reference", "trained")
    known = {*trained, *_select(encoders, "cloning", "shuffled"), *references}
    everyone = [name for name in names[: len(encoders)] if name in spaces]
    paper = ["precision_at_1", "precision_at_k"]
    pairs = [pair for pair in combinations(everyone, 2) if set(pair) & known]
    others = list(product([*agents, *lexical], references))
    drawless = options | {"permutations": 0}
    verb = pd.get_dummies(factors["verb"]).to_numpy(dtype=float)
    spaces_verb = spaces | ({"verb": verb} if verb.shape[1] > 1 else {})
    given = [name for name in ("bag of words", "verb") if name in spaces_verb]
    beyond = [pair for pair in others if pair[0] not in given]
    parts = [
        score(spaces, pairs=pairs, metrics=paper, **options),
        score(spaces, pairs=others, metrics=RELATIONS, **options),
        score(
            spaces, pairs=list(product([*agents, "bag of words"], references)), metrics=paper[1:],
            splits=[name for name in possible_splits(factors) if name != "random"], **drawless,
        ),
        score(
            spaces, pairs=beyond, metrics=["partial_rsa", "precision_at_k_residual"],
            given=["bag of words"], **drawless,
        ),
        _renamed(
            score(spaces_verb, pairs=beyond, metrics=["partial_rsa"], given=given,
                  **(drawless | {"lexical": [*lexical, *given[1:]]})),
            "partial_rsa_given_verb",
        ),
        *(
            score(spaces, pairs=list(product(trained, references)),
                  metrics=["precision_at_k", "rsa"], within=column, **options)
            for column in WITHIN
        ),
    ]  # fmt: skip
    if snapshots:
        along = product([snapshot.label for snapshot in snapshots], references)
        metrics = ["precision_at_k", "partial_rsa"]
        parts.append(score(spaces, pairs=list(along), metrics=metrics, **drawless))
    Scores.concat(parts).save(folder)


def _renamed(scores: Scores, metric: str) -> Scores:
    return Scores(scores.rows.assign(metric=metric), scores.items, scores.nulls)


def _pointed(space: pd.DataFrame) -> bool:
    centred = space.to_numpy() - space.to_numpy().mean(0)
    return bool(np.linalg.norm(centred, axis=1).min() > 1e-9 * np.linalg.norm(centred))


SCORES = Stage(
    name="scores", make=_score, load=Scores.load, reads=READS, needs=_needs, fans_out=True
)
"""Every score of the paper's measure and its relatives.  ``public``: records (as dictionaries) of
the public checkpoints that could be had, so that the key knows which there were."""


class Tables:
    """Tables of a run's scores.  ``frame`` is oriented: every score from both of its ends."""

    def __init__(
        self, scores: Scores, encoders: Sequence[Encoder], factors: pd.DataFrame,
        bootstrap: int = 1000, seed: int = 0,
    ):  # fmt: skip
        self.scores, self.factors = scores, factors
        self.draws = inference.Bootstrap(factors, bootstrap, seed)
        self.encoders = {encoder.label: encoder for encoder in encoders}
        self.frame = oriented(table(scores, factors, bootstrap, seed), encoders)
        self._row = self.frame.groupby(["metric", "split", "null", "first", "second"])["row"]
        self._row = self._row.apply(list).to_dict()
        self.references = list(dict.fromkeys(
            e.group for e in encoders if e.source in ("scratch", "hub", "vectors")
            and e.kind == "trained"
        ))  # fmt: skip

    def labels(self, group: str) -> list[str]:
        return [label for label, encoder in self.encoders.items() if encoder.group == group]

    def select(
        self, metric: str, split: str = "random", null: str = "rows", **ends
    ) -> pd.DataFrame:
        """Oriented rows of a metric; ``ends`` such as first_group="agent", second_source="hub"."""
        frame = self.frame
        keep = (frame["metric"] == metric) & (frame["split"] == split) & (frame["null"] == null)
        for column, value in ends.items():
            keep &= frame[column].isin([value] if isinstance(value, str) else value)
        return frame[keep]

    def items(
        self, firsts: Sequence[str], seconds: Sequence[str], metric: str = "precision_at_k",
        split: str = "random",
    ) -> np.ndarray:  # fmt: skip
        """Each instruction's part, mean of both directions: (firsts, seconds, N)."""
        return np.array([
            [self.scores.items[self._row[metric, split, "rows", a, b]].mean(axis=0)
             for b in seconds] for a in firsts
        ])  # fmt: skip

    def square(self, metric: str = "precision_at_k", split: str = "random") -> pd.DataFrame:
        """Means by group of encoder, over seeds and directions; the diagonal is between seeds."""
        return self.select(metric, split).pivot_table(
            index="first_group", columns="second_group", values="value"
        )

    def headline(self) -> pd.DataFrame:
        """The paper's measure of the trained agents with each reference, beside every control.

        ``gap`` is the distance from the best of all lexical controls and the untrained agents,
        with gap_low, gap_high and gap_p from the paired bootstrap of `contrasts`.  ``forward``
        maps the agents, or the best lexical control, and searches the reference.
        """
        contrasts = self.contrasts().query("kind == 'control' and rival == 'any control'")
        contrasts = contrasts.set_index("reference")
        rows = []
        for reference in self.references:
            found = self.select("precision_at_k", second_group=reference)
            agents = found[found["first_group"] == "agent"]
            lexical = found[found["first_source"] == LEXICAL]
            means = found.groupby("first_group")["value"].mean()
            best = lexical.groupby("first")["value"].mean().idxmax()
            ways = agents.groupby("direction")["value"].mean()
            words = lexical[lexical["first"] == best].groupby("direction")["value"].mean()
            gap = contrasts.loc[reference]
            twins = self.select("precision_at_k", first_group="agent")
            twins = twins[twins["second_group"] == f"{reference}, untrained"]
            at_1 = self.select("precision_at_1", first_group="agent", second_group=reference)
            rows.append({
                "pair": f"agent ~ {reference}", "reference": reference,
                "value": agents["value"].mean(), "low": gap["value_low"], "high": gap["value_high"],
                "forward": ways["forward"], "backward": ways["backward"],
                "precision_at_1": at_1["value"].mean(), "chance": agents["chance"].iloc[0],
                "N": int(agents["N"].iloc[0]), "k": int(agents["k"].iloc[0]),
                "p": agents["p"].max(), "null_mean": agents["null_mean"].mean(),
                "bag_of_words": means["bag of words"], "lexical": means[best], "lexical_name": best,
                "lexical_forward": words["forward"], "lexical_backward": words["backward"],
                "untrained_agent": means["agent, untrained"],
                "shuffled_agent": means["agent, shuffled"],
                "untrained_reference": twins["value"].mean(),
                "gap": gap["difference"], "gap_low": gap["low"], "gap_high": gap["high"],
                "gap_p": gap["p_adjusted"],
            })  # fmt: skip
        return pd.DataFrame(rows)

    def contrasts(self) -> pd.DataFrame:
        """Paired differences of held-out precision@k, on the same instructions.

        Columns: reference, rival, kind, those of ``Bootstrap.contrast``, p_adjusted
        (Benjamini-Hochberg over the rows of a kind).  Kinds: ``control``, the agents against what
        cannot know the meaning (``any control``: the best of all lexical controls and the untrained
        agents, decided anew in every draw); ``reference``, the agents with one reference against
        the agents with another; ``models``, the reference in ``rival`` in the agents' place,
        against the best lexical control of either end.
        """
        if hasattr(self, "_contrasts"):
            return self._contrasts
        groups = {e.group: None for e in self.encoders.values() if e.source == LEXICAL}
        lexical = [name for name in groups if not self.select(
            "precision_at_k", first_group=name).empty]  # fmt: skip
        rows = []

        def between(group: str, reference: str) -> np.ndarray:
            return self.items(self.labels(group), self.labels(reference))

        def add(kind: str, reference: str, rival: str, ours, rivals) -> None:
            values = self.draws.contrast(ours, rivals)
            rows.append({"reference": reference, "rival": rival, "kind": kind} | values)

        for number, reference in enumerate(self.references):
            words = [between(name, reference) for name in lexical]
            agents = between("agent", reference)
            untrained = between("agent, untrained", reference)
            for rival, arrays in {
                "bag of words": [between("bag of words", reference)],
                "best lexical control": words,
                "untrained agent": [untrained],
                "shuffled agent": [between("agent, shuffled", reference)],
                "any control": [untrained, *words],
            }.items():
                add("control", reference, rival, agents, arrays)
            for other in self.references[number + 1 :]:
                add("reference", reference, other, agents, [between("agent", other)])
                both = words + [between(name, other) for name in lexical]
                add("models", reference, other, between(other, reference), both)
        frame = pd.DataFrame(rows)
        together = frame.groupby("kind")["p"]
        frame["p_adjusted"] = together.transform(inference.benjamini_hochberg)
        self._contrasts = frame
        return frame

    def ceilings(self) -> pd.DataFrame:
        """Held-out precision@k between agents of different seeds, and between references.

        Columns: pair, value, least, most (over pairs and directions), pairs.
        """
        frame = self.select("precision_at_k")
        frame = frame[(frame["first_kind"] == "trained") & (frame["second_kind"] == "trained")]
        frame = frame[frame["first"] < frame["second"]]
        alike = frame[
            (frame["first_modality"] == frame["second_modality"])
            & (frame["first_snapshot"].isna() & frame["second_snapshot"].isna())
        ]
        rows = alike.groupby("first_modality")["value"].agg(["mean", "min", "max", "size"])
        rows.columns = ["value", "least", "most", "pairs"]
        rows["pairs"] //= 2  # two directions
        return (
            rows.rename_axis("pair")
            .reset_index()
            .assign(pair=lambda f: f["pair"] + " ~ " + f["pair"])
        )

    def summary(self, metric: str, split: str = "all", null: str = "rows") -> pd.DataFrame:
        """One row per reference and group of agents or lexical control: mean, widest interval."""
        rows = self.select(metric, split, null, second_group=self.references)
        rows = rows[rows["first_source"].isin(["cloning", LEXICAL]) & rows["first_snapshot"].isna()]
        columns = {
            "value": ("value", "mean"), "low": ("low", "min"), "high": ("high", "max"),
            "null_mean": ("null_mean", "mean"), "p": ("p", "max"),
            "calibrated": ("calibrated", "min"), "chance": ("chance", "first"),
        }  # fmt: skip
        grouped = rows.groupby(["second_group", "first_group"], sort=False)
        named = grouped.agg(**columns).reset_index()
        named = named.rename(columns={"second_group": "reference", "first_group": "encoder"})
        return named.assign(metric=metric, split=split, null=null)

    def along_training(self) -> pd.DataFrame:
        """Scores by share of the training done: mean, least and most over agents and seeds."""
        frame = self.frame[
            self.frame["metric"].isin(["precision_at_k", "partial_rsa"])
            & self.frame["split"].isin(["random", "all"]) & (self.frame["null"] == "rows")
            & (self.frame["first_family"] == "agent")
            & self.frame["first_kind"].isin(["trained", "untrained"])
            & self.frame["second_group"].isin(self.references)
        ]  # fmt: skip
        share = np.where(frame["first_kind"] == "untrained", 0.0, frame["first_snapshot"] / 64)
        frame = frame.assign(share=pd.Series(share, frame.index).fillna(1.0))
        each = frame.groupby(["metric", "second_group", "share", "first"], sort=False)["value"]
        rows = each.mean().groupby(["metric", "second_group", "share"], sort=False)
        rows = rows.agg(["mean", "min", "max"])
        rows.columns = ["value", "least", "most"]
        rows = rows.reset_index().rename(columns={"second_group": "reference"})
        return rows.sort_values("share", kind="stable", ignore_index=True)


def oriented(frame: pd.DataFrame, encoders: Sequence[Encoder]) -> pd.DataFrame:
    """Every row of a table of scores from both of its ends, with what either end is.

    Adds ``row`` (of the scores) and, for first and second, kind, seed, snapshot, family, source,
    modality and group of the encoder.
    """
    frame = frame.assign(row=np.arange(len(frame)))
    turned = frame.rename(columns={"first": "second", "second": "first"})
    turned = turned.assign(direction=turned["direction"].map(FLIPPED))
    both = pd.concat([frame, turned], ignore_index=True)
    facts = pd.DataFrame({
        e.label: {"kind": e.kind, "seed": e.seed, "snapshot": e.snapshot or np.nan,
                  "family": e.family, "source": e.source, "modality": e.modality, "group": e.group}
        for e in encoders
    }).T  # fmt: skip
    for end in ("first", "second"):
        both = both.join(facts.add_prefix(f"{end}_"), on=end)
    return both


# What lays out each space ---------------------------------------------------------------------


def _structure(profile: Profile, folder: Path, *vectors: pd.DataFrame, public: list) -> None:
    encoders = _first_only(_encoders(profile, public))
    spaces = {e.label: v.to_numpy() for e, v in zip(encoders, vectors, strict=False)}
    factors = grammar.instructions(profile.data.levels)
    models = [e for e in encoders if e.source != LEXICAL and (e.source == "cloning" or
              e.kind == "trained")]  # fmt: skip
    layout = [
        structure.variance_explained(spaces[e.label], factors).assign(
            encoder=e.label, group=e.group
        )
        for e in models
    ]
    write_table(folder / "layout.csv.gz", pd.concat(layout))
    # "Go to" and "pick up" are one to an agent, and the most important difference to a language
    # model; so their likeness is measured with all verbs, and within the verb of most sentences.
    largest = factors["verb"].value_counts().idxmax()
    inside = (factors["verb"] == largest).to_numpy()
    rows = [
        {"encoder": one.label, "kind": one.kind, "seed": one.seed, "reference": other.group,
         "model": other.label, "within": name, "N": int(chosen.sum()),
         "linear_cka": linear_cka(spaces[one.label][chosen], spaces[other.label][chosen])}
        for one in models if one.source == "cloning" and one.kind in ("trained", "untrained")
        for other in models if other.source != "cloning"
        for name, chosen in (("all verbs", np.ones(len(factors), bool)), (largest, inside))
    ]  # fmt: skip
    write_table(folder / "verb.csv.gz", pd.DataFrame(rows))


def _load_tables(folder: Path) -> dict[str, pd.DataFrame]:
    return {
        path.name.removesuffix(".csv.gz"): pd.read_csv(path, keep_default_na=False)
        for path in sorted(folder.glob("*.csv.gz"))
    }


STRUCTURE = Stage(
    name="structure", make=_structure, load=_load_tables, reads=READS, fans_out=True,
    needs=lambda profile, public: _needs(profile, public)[: len(_first_only(
        _encoders(profile, public)))],
)  # fmt: skip
"""Tables by name: ``layout`` (`structure.variance_explained` of every agent and reference) and
``verb`` (CKA of agents with references, over all instructions and within the commonest verb)."""


# Second names ---------------------------------------------------------------------------------


def _bilingual(profile: Profile, public: Sequence[dict]) -> list[Encoder]:
    """Those that the second names can be asked of, in the order of the rows of `SECOND_NAMES`."""
    return [
        *(e for e in _encoders(profile, public)
          if e.source != "cloning" or e.kind.startswith("bilingual")),
        *registry.second_name_controls(profile),
    ]  # fmt: skip


def _second_pairs(encoders: Sequence[Encoder]) -> list[tuple[Encoder, Encoder]]:
    """Agents and references with everybody: at least one end has been trained on both names."""
    known = [e for e in encoders if e.source != LEXICAL and e.kind in ("trained", "bilingual")]
    others = [e for e in encoders if e not in known]
    return [*combinations(known, 2), *product(known, others)]


def _second(profile: Profile, folder: Path, *vectors: pd.DataFrame, public: list) -> None:
    spaces, encoders = {}, []
    for encoder, space in zip(_bilingual(profile, public), vectors, strict=True):
        both = [space.loc[names] for names in ("first", "second")]
        if not all(map(_pointed, both)):
            continue  # too simple for these instructions, or all words of a set are unknown to it
        encoders.append(encoder)
        spaces[encoder.label] = [part.to_numpy() for part in both]
    settings, factors = profile.alignment, grammar.instructions(profile.data.levels)
    questions = Questions(factors, settings.k, settings.permutations, profile.seed)
    gate = [
        own_names(*spaces[e.label], questions=questions).assign(
            encoder=e.label, group=e.group, kind=e.kind, source=e.source, layer="last"
        )
        for e in encoders
    ]
    write_table(folder / "own_names.csv.gz", pd.concat(gate))
    options = {"dimension": settings.dimension, "folds": settings.folds, "seed": profile.seed}
    tasks = [
        (one.label, other.label, spaces[one.label], spaces[other.label], questions, options)
        for one, other in _second_pairs(encoders)
    ]
    rows = parallel.map(_second_pair, tasks, profile.compute, "second names")
    facts = {e.label: e for e in encoders}
    frame = pd.concat(rows)
    for end in ("first", "second"):
        for field in ("group", "kind", "source", "seed", "family"):
            frame[f"{end}_{field}"] = frame[end].map(lambda n, f=field: getattr(facts[n], f))
    write_table(folder / "second_names.csv.gz", frame)


def _second_pair(task: tuple) -> pd.DataFrame:
    first, second, (X, X2), (Y, Y2), questions, options = task
    options = options | {"questions": questions}
    in_second = {key: options[key] for key in ("dimension", "questions")}
    return pd.concat([
        second_names(X, X2, Y, Y2, **in_second).assign(names="second"),
        first_names(X, Y, **options).assign(names="first"),
    ]).assign(first=first, second=second)  # fmt: skip


SECOND_NAMES = Stage(
    name="second-names", make=_second, load=_load_tables, reads=READS, fans_out=True,
    needs=lambda profile, public: [
        (EMBEDDING, {"encoder": asdict(e), "names": "both"}) for e in _bilingual(profile, public)
    ],
)  # fmt: skip
"""Tables by name: ``own_names`` (the gate) and ``second_names`` (every pair, in either set)."""
