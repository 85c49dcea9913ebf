"""`audit`: what two encoders share, beside all that could explain it.

Every measure is taken of the two encoders, of their rows paired at random (the null), and of
encoders that know words only or a dictionary only (the controls), each in the place of either."""

from contextlib import suppress
from itertools import product, zip_longest
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
from sklearn.utils.parallel import Parallel, delayed
from threadpoolctl import threadpool_limits

from paper_utils.alignment import concepts, controls, doubts, report, similarities
from paper_utils.alignment.checks import check_k
from paper_utils.alignment.contrasts import ContrastSets, factor_roles
from paper_utils.alignment.cross_names import held_out_cosines
from paper_utils.alignment.doubts import simulated_power
from paper_utils.alignment.inference import calibrated, pairings
from paper_utils.alignment.inputs import read_inputs
from paper_utils.alignment.report import KEYS, SAME_WORDS, STRUCTURE, SYNONYMS, Audit
from paper_utils.alignment.retrieval import (
    DIRECTIONS,
    NothingToAlign,
    make_folds,
    precision_draws,
    with_mean,
)
from paper_utils.alignment.scores import Score

# --- what is measured --------------------------------------------------------------------------


# Measures of contrast sets that are no choices.
NAMES = {"precision_at_1": "precision@1", "precision_at_k": "precision@{k}", "order": "order"}


class Plan:
    """What all pairs of spaces are asked, about the same rows, folds and pairings."""

    def __init__(self, given, ks, cv, n_components, n_permutations, random_state):
        self.n = len(given.factors)
        self.ks = ks
        self.n_components = n_components
        self.contrasts = ContrastSets(
            given.factors, ks[-1], n_permutations=n_permutations, random_state=random_state
        )
        groups = given.groups
        # Without groups of their own, rows are left out with their twins.
        if groups is None and given.factors.size:
            groups = self.contrasts.groups
        self.folds = make_folds(self.n, cv, groups, random_state)
        # Pairings (1 + P, N), the true one first: maps need those that keep the folds.
        draws = (self.n, n_permutations, random_state)
        self.free = pairings(*draws)
        self.within = pairings(*draws, self.folds.blocks)
        self.similarities = similarities.measures(self.n, ks[-1])
        self.contexts = {}
        for factor in factor_roles(given.factors):
            # A factor of two levels, or whose levels never stand alike, has no structure.
            with suppress(ValueError):
                _, self.contexts[factor] = concepts.full_contexts(given.factors, factor)


class Space(NamedTuple):
    """One encoder at one layer, and what is computed from it alone."""

    rows: np.ndarray  # (N, d)
    synonyms: np.ndarray | None
    reduced: list
    tables: dict
    distances: dict


def _space(plan, rows, synonyms=None):
    reduced = plan.contrasts.reduced(rows, rows, plan.folds, plan.n_components)
    # What all rows have in common would drown what tells them apart.
    centred = rows - rows.mean(axis=0)
    tables = {name: table(centred) for name, (table, _) in plan.similarities.items()}
    distances = {
        factor: concepts.vector_distances(rows[contexts].mean(axis=0))
        for factor, contexts in plan.contexts.items()
    }
    return Space(rows, synonyms, reduced, tables, distances)


def _measure_pair(first, second, plan):
    """Yields test, measure, chance, and draws of two spaces, the true pairing first: (3, 1 + K),
    forward, backward and both, or (1, 1 + K) of what has no direction."""
    precise = precision_draws(first.reduced, second.reduced, plan.folds, plan.within, plan.ks)
    for k, draws in zip(plan.ks, precise):
        yield SAME_WORDS, f"precision@{k}", k / plan.n, draws
    for name, (_, chance) in plan.similarities.items():
        draws = similarities.inner_products(first.tables[name], second.tables[name], plan.free)
        yield SAME_WORDS, name, chance, draws[None]
    measures = plan.contrasts.measures
    # In the same words precision is there already, with nulls in which the map is refitted.
    asked = [(SAME_WORDS, first.rows, measures[2:]), (SYNONYMS, first.synonyms, measures)]
    for test, queries, measures in asked:
        if queries is None or not measures:
            continue
        # Who is searched is asked in first names, also where the queries are synonyms.
        sides = (first.rows, second.rows), (queries, second.rows)
        cosines = held_out_cosines(*sides, plan.contrasts, plan.folds, plan.n_components)
        for measure, draws in plan.contrasts.scores([cosines], measures).items():
            name = NAMES.get(measure, "choice of {measure}").format(measure=measure, k=plan.ks[-1])
            yield test, name, plan.contrasts.chance[measure], with_mean(draws)
    for factor in plan.contexts:
        draws = concepts.agreement_draws(first.distances[factor], second.distances[factor])
        yield STRUCTURE, factor, 0.0, draws[None]


def _told(firsts, seconds, plan):
    """Values beside their nulls, a row each: maxima over all pairs of layers, and the pair.

    Every draw of the null is a maximum over the same pairs, so a search among many is paid for."""
    parts = [_measure_pair(*pair, plan) for pair in product(firsts, seconds)]
    rows = []
    # Measure by measure, of all pairs of layers.
    for found in zip(*parts):
        test, measure, chance, _ = found[0]
        values = np.array([draws for *_, draws in found])
        best = values[:, :, 0].argmax(axis=0)
        maxima = np.fmax.reduce(values)  # what is undefined for one pair does not count
        # What has no direction is as good as both.
        for direction, draws, pair in zip(DIRECTIONS[-len(maxima) :], maxima, best):
            score = Score.tested(draws, measure, chance, plan.n)
            facts = {
                "test": test,
                "direction": direction,
                "value": float(score),
                "layers": "{} ~ {}".format(*divmod(pair, len(seconds))),
                "calibrated": calibrated(score, draws[1:]),
                "smallest_p": 1 / len(draws),
            }
            rows.append(facts | vars(score))
    return rows


# --- controls ----------------------------------------------------------------------------------


def _controls(given, draws):
    """(name, vectors) of encoders that know words only: (N, D), or (2N, D) with the sentences in
    synonyms after the others, so that a word is one word in both."""
    if given.texts is None:
        return []
    texts = given.texts + (given.synonym_texts or [])
    found = [(name, control(texts)) for name, control in controls.FROM_TEXTS.items()]
    for name, control in controls.DRAWN.items():
        found += [(name, control(texts, draw)) for draw in draws]
    return found


def _stand_in(name, vectors, firsts, seconds, plan):
    """Rows of a control in the place of either side, as ``place`` says."""
    # None where there are no synonyms.
    halves = np.split(vectors, range(plan.n, len(vectors), plan.n))
    try:
        control = [_space(plan, *halves)]
    except NothingToAlign:
        return []  # it tells nothing apart: a count of words where all have equally many
    told = {"X": _told(control, seconds, plan), "Y": _told(firsts, control, plan)}
    return [row | {"control": name, "place": place} for place in told for row in told[place]]


def _stand_ins(candidates, firsts, seconds, plan, n_jobs):
    """What each control reaches in either place: columns KEYS, control (a name), place, value."""
    # Threads: the work is in numpy, and spaces need not be sent anywhere.
    run = Parallel(n_jobs=n_jobs, prefer="threads")
    rows = sum(run(delayed(_stand_in)(*each, firsts, seconds, plan) for each in candidates), [])
    found = pd.DataFrame(rows, columns=[*KEYS, "control", "place", "value"])
    return found.astype({"value": float})


def _best(found):
    """The best of each measure, indexed by KEYS."""
    # Of equals the first: what is simpler comes before what is drawn.
    ordered = found.dropna().sort_values("value", ascending=False, kind="stable")
    return ordered.groupby(KEYS).first()


# --- the audit ---------------------------------------------------------------------------------


# Thousands of small products: a second thread of BLAS costs more than it gives.
@threadpool_limits.wrap(limits=1, user_api="blas")
def audit(
    X,
    Y,
    texts=None,
    factors=None,
    X2=None,
    *,
    texts2=None,
    k=(1, 5, 15),
    cv=5,
    groups=None,
    n_components=32,
    n_permutations=200,
    n_draws=20,
    effect=0.3,
    names=("X", "Y"),
    random_state=0,
    n_jobs=None,
) -> Audit:
    """What do two encoders share, and do words or a dictionary explain it?

    Arguments:
        X, Y: (N, d1) and (N, d2), row i of both is one item.  Also tables whose index holds ids;
            several layers, as a list or an array (L, N, d); or the path of an ``.npz`` with arrays
            vectors, and perhaps ids, texts, second_vectors and second_texts.
        texts: the N sentences, for controls that know words only.
        factors: a row per item, a column per factor (what the sentence says, role by role): adds
            contrast sets, the structure of each factor, and a codebook.  Columns ``x`` and
            ``second_x`` are one factor in two roles.
        X2: vectors of X's encoder for the same sentences in synonyms: adds the synonym test.
        texts2: the N sentences in synonyms, for what words only can do in that test.
        k: neighbours that count; those of N and more are left out.
        cv, groups: folds of rows, as for `precision_at_k`; without groups, twins of ``factors``
            ("put A next to B" and its swap) stay together.
        n_components: principal components kept on either side.
        n_permutations: draws of every null; n_draws: of random tokens and codebooks.
        effect: correlation of the shared signal for which power is told; None: it is not.
        names: what the two are called; n_jobs: threads that the controls are shared among.

    Of several layers the best pair counts, against the same maximum under the null.  A control
    stands in the place of either side, and the better place counts.  In the synonym test words
    stand in the place of X, who has to know the synonyms, and, told apart, in that of Y, who has to
    be some code.  Time and memory grow as N^2: 439 x 576 with 200 permutations takes about ten
    seconds of one core.  Of more than 5,000 rows (2,500 with ``texts2``) a random sample is
    audited, within 4 GiB, and the summary says how many were left out.  Raises ValueError, one
    line, for what cannot be compared.

    >>> X, noise = np.random.default_rng(0).normal(size=(2, 60, 6))
    >>> report = audit(X, X + noise / 9, n_permutations=99)
    >>> report.main["verdict"].unique().tolist()
    ['shared, and nothing to compare it with']
    """
    given = read_inputs(X, Y, texts, factors, X2, texts2, groups, random_state)
    n = len(given.factors)
    # Of few rows all may be neighbours: then only the nearest are asked for.
    asked = np.unique(k).tolist()
    check_k(asked[0], n)
    ks = [k for k in asked if k < n]
    plan = Plan(given, ks, cv, n_components, n_permutations, random_state)

    # Spaces first: all that depends on one side alone is computed once.
    firsts = [_space(plan, *pair) for pair in zip_longest(given.first, given.synonyms)]
    seconds = [_space(plan, layer) for layer in given.second]
    table = pd.DataFrame(_told(firsts, seconds, plan)).set_index(KEYS)
    # Controls are a comparison themselves, and need no nulls.
    alone = Plan(given, ks, plan.folds.pairs, n_components, 0, random_state)
    # Whose synonyms are asked has to know them, which words do not.  The other side has to be some
    # code, which words are, too: so in the synonym test each place is told by itself.
    draws = range(random_state, random_state + n_draws)
    words = _stand_ins(_controls(given, draws), firsts, seconds, alone, n_jobs)
    for_Y = (words["test"] == SYNONYMS) & (words["place"] == "Y")
    codebooks = [("codebook", controls.codebook(given.factors, draw)) for draw in draws]
    codes = _stand_ins(codebooks, firsts, seconds, alone, n_jobs)
    table[["best_control", "control"]] = _best(words[~for_Y])[["value", "control"]]
    table[["words_for_Y", "control_for_Y"]] = _best(words[for_Y])[["value", "control"]]
    table["codebook"] = _best(codes)["value"]
    table = table.fillna({"control": "", "control_for_Y": ""}).reset_index()
    table["verdict"] = table.apply(report.verdict, axis=1)

    power = None
    if effect is not None:
        width = min(n_components or n, *(layer.shape[1] for layer in given.first + given.second))
        power = simulated_power(
            n, width, effect, ks[-1], random_state, cv=cv, n_components=n_components
        )
    found = doubts.about_size(n, ks[-1], power, effect)
    for layers, name in zip((given.first, given.second), names):
        found += doubts.about_rows(layers, name)
    found += doubts.about_inputs(given, plan.folds)
    settings = {
        "n_permutations": n_permutations,
        "n_draws": n_draws,
        "random_state": random_state,
        "layers": f"{len(firsts)} x {len(seconds)}",
        "effect": effect,
        "power": power,
    }
    return Audit(table.drop(columns="smallest_p"), tuple(names), found, settings)


def audit_files(first, second, texts=None, out="audit", **options) -> Audit:
    """Audits two ``.npz`` files of vectors, and writes table, figure and page into a folder.

    ``texts``: a CSV with a column text, perhaps id and second_text (the sentences in synonyms);
    its other columns are factors.  ``options``: those of `audit`.  Raises ValueError, one line,
    for files that cannot be compared, and OSError for those that are not there.

    >>> import tempfile
    >>> folder = Path(tempfile.mkdtemp())
    >>> np.savez(folder / "one.npz", vectors=np.random.default_rng(0).normal(size=(30, 4)))
    >>> report = audit_files(folder / "one.npz", folder / "one.npz", out=folder, effect=None)
    >>> (folder / "index.html").exists()
    True
    """
    if texts is not None:
        table = pd.read_csv(texts, encoding="utf-8-sig", keep_default_na=False)
        if "text" not in table:
            raise ValueError(f"{texts} has no column 'text'")
        # Its ids, if it has any, are held to those of the vectors.
        read = {"texts": table["text"], "texts2": table.get("second_text"), "factors": table}
        options = read | options
    report = audit(first, second, names=(Path(first).stem, Path(second).stem), **options)
    report.save(out)
    return report
