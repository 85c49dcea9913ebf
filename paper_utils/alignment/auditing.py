"""`audit`: what two encoders share, beside all that could explain it.

Every measure is taken of the two encoders, of their rows paired at random (the null), and of
encoders that know words only or a dictionary only (the controls), each in the place of either."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from contextlib import suppress
from copy import copy
from pathlib import Path

import numpy as np
import pandas as pd
from sklearn.utils.parallel import Parallel, delayed
from threadpoolctl import threadpool_limits

from paper_utils.alignment import concepts, controls, similarities
from paper_utils.alignment.checks import check_k, check_paired
from paper_utils.alignment.contrasts import ContrastSets, Draws, factor_roles, factor_table
from paper_utils.alignment.cross_names import held_out_cosines
from paper_utils.alignment.doubts import (
    doubts_about_rows,
    doubts_about_size,
    doubts_about_texts,
    simulated_power,
)
from paper_utils.alignment.inference import calibrated, permutations
from paper_utils.alignment.report import (
    CODEBOOK,
    SAME_WORDS,
    STRUCTURE,
    SYNONYMS,
    TESTS,
    Audit,
    verdict,
)
from paper_utils.alignment.retrieval import make_folds, precision_draws
from paper_utils.alignment.scores import Score
from paper_utils.alignment.sides import read_side

MOST_ROWS = 5000  # tables of all pairs of rows are held
NOT_FACTORS = ["id", "text", "second_text"]  # columns of a table of sentences

# --- what is measured --------------------------------------------------------------------------


class Plan:
    """What all pairs of spaces are asked, about the same rows, folds and pairings."""

    def __init__(self, n, factors, ks, cv, groups, n_components, n_permutations, random_state):
        self.n = n
        self.ks = ks
        self.n_components = n_components
        options = {"n_permutations": n_permutations, "random_state": random_state}
        self.contrasts = ContrastSets(factors, ks[-1], **options)
        # Without groups of their own, rows are left out with their twins.
        if groups is None and factors.size:
            groups = self.contrasts.groups
        self.folds = make_folds(n, cv, groups, random_state)
        # Pairings (1 + P, N), the true one first: maps need those that keep the folds.
        true = np.arange(n)
        within = permutations(n, n_permutations, random_state, self.folds.blocks)
        free = permutations(n, n_permutations, random_state)
        self.within = np.vstack([true, within])
        self.free = np.vstack([true, free])
        self.contexts = {}
        for factor in factor_roles(factors):
            # A factor of two levels, or whose levels never stand alike, has no structure.
            with suppress(ValueError):
                self.contexts[factor] = concepts.full_contexts(factors, factor)

    def without_nulls(self):
        """The same for controls, which are a comparison themselves."""
        alone = copy(self)
        alone.within = self.within[:1]
        alone.free = self.free[:1]
        alone.contrasts = self.contrasts.without_nulls()
        return alone


class Space:
    """One encoder at one layer, and what is computed from it alone."""

    def __init__(self, plan, rows, synonyms=None):
        self.rows = rows  # (N, d)
        self.synonyms = synonyms
        self.reduced = plan.contrasts.reduced(rows, rows, plan.folds, plan.n_components)
        # What all rows have in common would drown what tells them apart.
        centred = rows - rows.mean(axis=0)
        k = plan.ks[-1]
        self.tables = {
            f"mutual k-NN@{k}": similarities.neighbour_graph(centred, k),
            "linear CKA": similarities.gram_table(centred),
            "RSA": similarities.distance_ranks(centred),
        }
        self.structures = {}
        for factor, (_, contexts) in plan.contexts.items():
            means = rows[contexts].mean(axis=0)  # (W, d)
            self.structures[factor] = concepts.vector_distances(means)


def measure_pair(first, second, plan):
    """(test, measure, direction) -> values (1 + K,), of the true pairing first, and chance."""
    found = {}
    draws = precision_draws(first.reduced, second.reduced, plan.folds, plan.within, plan.ks)
    for (k, way), values in draws.items():
        found[SAME_WORDS, f"precision@{k}", way] = Draws(values, k / plan.n)
    chances = {f"mutual k-NN@{plan.ks[-1]}": plan.ks[-1] / (plan.n - 1)}
    for name, table in first.tables.items():
        values = similarities.inner_products(table, second.tables[name], plan.free)
        found[SAME_WORDS, name, "both"] = Draws(values, chances.get(name, 0.0))
    # In the same words precision is there already, with nulls in which the map is refitted.
    measures = plan.contrasts.measures
    choices = measures[2:]
    if choices:
        found |= _asked(SAME_WORDS, choices, first.rows, first, second, plan)
    if first.synonyms is not None:
        found |= _asked(SYNONYMS, measures, first.synonyms, first, second, plan)
    for name, distances in first.structures.items():
        values = concepts.agreement_draws(distances, second.structures[name])
        found[STRUCTURE, name, "both"] = Draws(values, 0.0)
    return found


def _asked(test, measures, queries, first, second, plan):
    """Answers of a map between first names that is asked with ``queries`` of the first space."""
    fitted = first.rows, second.rows
    asked = queries, second.rows
    cosines = held_out_cosines(fitted, asked, plan.contrasts, plan.folds, plan.n_components)
    names = {
        "precision_at_1": "precision@1",
        "precision_at_k": f"precision@{plan.ks[-1]}",
        "order": "order",
    }
    found = {}
    for measure, draws in plan.contrasts.scores([cosines], measures).items():
        name = names.get(measure, f"choice of {measure}")
        forward, backward = draws.values
        found[test, name, "forward"] = Draws(forward, draws.chance)
        found[test, name, "backward"] = Draws(backward, draws.chance)
        found[test, name, "both"] = Draws((forward + backward) / 2, draws.chance)
    return found


def best_of_layers(firsts, seconds, plan):
    """(test, measure, direction) -> (draws, layers): maxima over all pairs of layers, and the pair.

    Every draw of the null is a maximum over the same pairs, so a search among many is paid for."""
    parts = {}
    for one, first in enumerate(firsts):
        for other, second in enumerate(seconds):
            parts[f"{one} ~ {other}"] = measure_pair(first, second, plan)
    pairs = list(parts)
    found = {}
    for key, draws in parts[pairs[0]].items():
        values = np.array([part[key].values for part in parts.values()])  # (pairs, 1 + K)
        best = values[:, 0].argmax()
        maxima = np.fmax.reduce(values)  # what is undefined for one pair does not count
        found[key] = Draws(maxima, draws.chance), pairs[best]
    return found


# --- controls ----------------------------------------------------------------------------------


def _controls(texts, synonym_texts, factors, n_draws, seed):
    """(name, vectors) of encoders that know words or a dictionary: (N, D), or (2N, D) with the
    sentences in synonyms after the others."""
    found = []
    if texts is not None:
        both = texts if synonym_texts is None else texts + synonym_texts
        found += [(name, control(both)) for name, control in controls.FROM_TEXTS.items()]
    for draw in range(seed, seed + n_draws):
        if texts is not None:
            found.append(("random tokens", controls.random_tokens(both, draw)))
            found.append(("ordered random tokens", controls.random_tokens_ordered(both, draw)))
        if factors.size:
            found.append((CODEBOOK, controls.codebook(factors, draw)))
    return found


def _stand_in(name, vectors, firsts, seconds, plan):
    """The best values of a control in the place of either side: {key: value}."""
    rows, synonyms = vectors[: plan.n], vectors[plan.n :]
    try:
        control = [Space(plan, rows, synonyms if len(synonyms) else None)]
    except ValueError:
        return {}  # it tells nothing apart: a count of words where all have equally many
    # Whose synonyms are asked has to know them, which words do not; the other has to be some
    # code, which a codebook is.
    places = {
        "first": best_of_layers(control, seconds, plan),
        "second": best_of_layers(firsts, control, plan),
    }
    fair = "second" if name == CODEBOOK else "first"
    best = {}
    for place, found in places.items():
        for key, (draws, _) in found.items():
            value = draws.values[0]
            if (key[0] != SYNONYMS or place == fair) and not np.isnan(value):
                best[key] = max(value, best.get(key, value))
    return best


def _best_controls(candidates, firsts, seconds, plan, n_jobs):
    """(test, measure, direction) -> name -> value of the best control of this name."""
    # Threads: the work is in numpy, and spaces need not be sent anywhere.
    run = Parallel(n_jobs=n_jobs, prefer="threads")
    tasks = [delayed(_stand_in)(*candidate, firsts, seconds, plan) for candidate in candidates]
    best = defaultdict(dict)
    for (name, _), values in zip(candidates, run(tasks)):
        for key, value in values.items():
            best[key][name] = max(value, best[key].get(name, value))
    return best


def _row(key, draws, layers, best):
    """A row of the table: a measure beside its null and its controls (name -> value)."""
    score = Score.tested(draws.values, key[1], draws.chance, 0)
    codebook = best.pop(CODEBOOK, np.nan)
    control = max(best, key=best.get, default="")
    test, measure, direction = key
    row = {
        "test": test,
        "measure": measure,
        "direction": direction,
        "value": float(score),
        "chance": score.chance,
        "null": score.null,
        "p": score.p,
        "calibrated": calibrated(score, draws.values[1:]),
        "best_control": best.get(control, np.nan),
        "control": control,
        "codebook": codebook,
        "layers": layers,
    }
    row["verdict"] = verdict(row, smallest_p=1 / len(draws.values))
    return row


# --- the audit ---------------------------------------------------------------------------------


# Thousands of small products: a second thread of BLAS costs more than it gives.
@threadpool_limits.wrap(limits=1, user_api="blas")
def audit(
    X,
    Y,
    texts: Sequence[str] | None = None,
    factors: pd.DataFrame | None = None,
    X2=None,
    *,
    texts2: Sequence[str] | None = None,
    k: int | Sequence[int] = (1, 5, 15),
    cv: int | Iterable = 5,
    groups: Sequence | None = None,
    n_components: int | None = 32,
    n_permutations: int = 200,
    n_draws: int = 20,
    effect: float | None = 0.3,
    names: tuple[str, str] = ("X", "Y"),
    random_state: int = 0,
    n_jobs: int | None = None,
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
    stands in the place of either side, and the better place counts; in the synonym test words
    stand in the place of X, who has to know the synonyms, and codebooks in that of Y.  Time and
    memory grow as N^2: 439 x 576 with 200 permutations takes about ten seconds of one core.
    Raises ValueError, one line, for what cannot be compared and for more than 5,000 rows.

    >>> X, noise = np.random.default_rng(0).normal(size=(2, 60, 6))
    >>> report = audit(X, X + noise / 9, n_permutations=99)
    >>> report.main["verdict"].unique().tolist()
    ['shared, and nothing to compare it with']
    """
    first = read_side(X, "X")
    second = read_side(Y, "Y")
    if X2 is not None:
        first.synonyms = read_side(X2, "X2").layers
    first, second = _sides(X, Y, texts, X2, texts2)
    n = len(first.rows)
    if n > MOST_ROWS:
        raise ValueError(f"{n} rows are too many to audit: take a sample of {MOST_ROWS}")
    if factors is None:
        factors = first.rows
    check_paired(X=first.rows, factors=factors)
    factors = factor_table(factors.drop(columns=NOT_FACTORS, errors="ignore"))
    # Of few rows all may be neighbours: then only the nearest are asked for.
    asked = np.unique(k).tolist()
    ks = [check_k(number, n) for number in asked if number < n or number == asked[0]]
    plan = Plan(n, factors, ks, cv, groups, n_components, n_permutations, random_state)

    pairs = zip(first.layers, first.synonyms or [None] * len(first.layers), strict=True)
    firsts = [Space(plan, *pair) for pair in pairs]
    seconds = [Space(plan, layer) for layer in second.layers]
    candidates = _controls(first.texts, first.synonym_texts, factors, n_draws, random_state)
    best = _best_controls(candidates, firsts, seconds, plan.without_nulls(), n_jobs)
    measured = best_of_layers(firsts, seconds, plan)
    rows = [_row(key, *found, best[key]) for key, found in measured.items()]
    rows.sort(key=lambda row: TESTS.index(row["test"]))

    widths = [layer.shape[1] for layer in first.layers + second.layers]
    width = min([*widths, n_components or n])
    power = None
    if effect is not None:
        power = simulated_power(n, width, effect, ks[-1], cv, n_components, random_state)
    doubts = doubts_about_size(n, ks[-1], power, effect)
    if plan.folds.in_sample:
        doubts.append("maps were tested on rows that they were fitted on: precision is inflated")
    doubts += doubts_about_rows(first.layers, names[0])
    doubts += doubts_about_rows(second.layers, names[1])
    doubts += doubts_about_texts(first)
    settings = {
        "n_permutations": n_permutations,
        "n_draws": n_draws,
        "n_components": n_components,
        "cv": str(cv),
        "random_state": random_state,
        "layers": [len(firsts), len(seconds)],
        "effect": effect,
        "power": power,
    }
    return Audit(pd.DataFrame(rows).assign(n=n), tuple(names), doubts, settings)


def _sides(X, Y, texts, X2, texts2):
    """Both encoders; the first one has all that is known of the sentences."""
    first = read_side(X, "X")
    second = read_side(Y, "Y")
    check_paired(X=first.rows, Y=second.rows)
    if X2 is not None:
        first.synonyms = read_side(X2, "X2").layers
    if first.texts is None:
        first.texts = second.texts
    if texts is not None:
        first.texts = list(texts)
    if texts2 is not None:
        first.synonym_texts = list(texts2)
    parts = {"texts": first.texts, "texts2": first.synonym_texts}
    if first.synonyms is not None:
        parts["X2"] = first.synonyms[0]
        layers = len(first.layers), len(first.synonyms)
        if layers[0] != layers[1]:
            raise ValueError("X has {} layers and X2 has {}".format(*layers))
    known = {name: part for name, part in parts.items() if part is not None}
    check_paired(X=first.rows, **known)
    return first, second


def audit_files(
    first: str | Path,
    second: str | Path,
    texts: str | Path | None = None,
    out: str | Path = "audit",
    **options,
) -> Audit:
    """Audits two ``.npz`` files of vectors, and writes table, figure and page into a folder.

    ``texts``: a CSV with a column text, perhaps id and second_text (the sentences in synonyms);
    its other columns are factors.  ``options``: those of `audit`.  Raises ValueError, one line,
    for files that cannot be compared, and OSError for those that are not there."""
    if texts is not None:
        table = pd.read_csv(texts, encoding="utf-8-sig", keep_default_na=False)
        if "text" not in table:
            raise ValueError(f"{texts} has no column 'text'")
        # Its ids, if it has any, are held to those of the vectors.
        read = {"texts": table["text"], "texts2": table.get("second_text"), "factors": table}
        options = read | options
    stems = Path(first).stem, Path(second).stem
    report = audit(str(first), str(second), names=stems, **options)
    report.save(out)
    return report
