"""Is one alignment higher than another?  Paired over instructions, with the seeds drawn anew."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from paper_utils.alignment.compare import resamples
from paper_utils.alignment.engine import evaluate
from paper_utils.alignment.nulls import benjamini_hochberg

Pair = tuple[str, str]


def item_scores(
    embeddings: Mapping[str, object],
    factors: pd.DataFrame,
    pairs: Sequence[Pair],
    metric: str = "precision_at_k",
    **options,
) -> dict[Pair, np.ndarray]:
    """Each instruction's part (N,) in the score of each pair, the mean of both directions.

    Options as for `compare`.
    """
    options |= {"metrics": [metric], "permutations": 1}
    parts: dict[Pair, list[np.ndarray]] = {}
    for score in evaluate(embeddings, factors, pairs=pairs, **options):
        parts.setdefault((score.first, score.second), []).append(score.items)
    return {pair: np.mean(found, axis=0) for pair, found in parts.items()}


class Resampling:
    """Bootstrap draws of instructions (templates kept at their size) and, with them, of seeds."""

    def __init__(self, factors: pd.DataFrame, count: int, seed: int = 0):
        self.count, self.seed = count, seed
        self.weights = resamples(len(factors), factors, count, seed) / len(factors)  # (count, N)

    def means(self, scores: np.ndarray) -> np.ndarray:
        """Mean score in each draw (count,), from (seeds, N); equal numbers of seeds, equal draws.

        With one seed there is nothing to draw from: what differs between seeds is then not in it.
        """
        seeds = len(scores)
        random = np.random.default_rng([self.seed, 5, seeds])
        picks = random.multinomial(seeds, np.full(seeds, 1 / seeds), self.count) / seeds
        return np.einsum("ba,an,bn->b", picks, scores, self.weights, optimize=True)


def contrast(
    ours: np.ndarray, rivals: Sequence[np.ndarray], resampling: Resampling
) -> dict[str, float]:
    """Our score minus that of the best rival, on the same instructions.

    Arguments:
        ours: items' scores (seeds, N).
        rivals: one such array each.  Which is best is decided anew in every draw, so that choosing
            is part of the uncertainty.

    Returns:
        value, value_low, value_high (ours, 95 % percentile bootstrap), rival_value (the best's),
        difference, low, high, and p: two-sided, twice the smaller share of draws on either side of
        zero.
    """
    drawn = resampling.means(ours)
    best = np.max([resampling.means(rival) for rival in rivals], axis=0)
    gaps = drawn - best
    tail = 1 + min(np.sum(gaps <= 0), np.sum(gaps >= 0))
    value, rival = float(ours.mean()), float(max(rival.mean() for rival in rivals))
    low, high = np.quantile(drawn, (0.025, 0.975))
    gap_low, gap_high = np.quantile(gaps, (0.025, 0.975))
    return {
        "value": value, "value_low": low, "value_high": high, "rival_value": rival,
        "difference": value - rival, "low": gap_low, "high": gap_high,
        "p": float(min(1.0, 2 * tail / (len(gaps) + 1))),
    }  # fmt: skip


def against_any(
    scores: Mapping[Pair, np.ndarray],
    players: Mapping[str, Sequence[str]],
    reference: str,
    lexical: Sequence[str],
    resampling: Resampling,
) -> dict[str, float]:
    """`contrast` of the trained agents with the best of all lexical controls and the untrained."""
    ones = [players["trained"], players["untrained"], *([name] for name in lexical)]
    ours, *rivals = (np.stack([scores[name, reference] for name in names]) for names in ones)
    return contrast(ours, rivals, resampling)


def table(
    scores: Mapping[Pair, np.ndarray],
    players: Mapping[str, Sequence[str]],
    references: Sequence[str],
    lexical: Sequence[str],
    factors: pd.DataFrame,
    *,
    bootstrap: int = 1000,
    seed: int = 0,
) -> pd.DataFrame:
    """The trained agents against what cannot know the meaning, and reference against reference.

    Arguments:
        scores: as `item_scores` gives them, keyed by (one, reference), the references with each
            other among them.
        players: names of the ``trained``, ``untrained`` and ``shuffled`` agents, by kind.
        lexical: names of the lexical controls, ``bag_of_words`` among them.

    Columns: reference, rival, kind, those of `contrast`, and p_adjusted (Benjamini-Hochberg over
    the rows of a kind).  The kinds: ``control``, where the rival ``any control`` is the best of all
    lexical controls and the untrained agents; ``reference``, the agents with one reference against
    the agents with another; and ``models``, where another reference takes the agents' place: it is
    in ``rival``, against the best lexical control.
    """
    resampling = Resampling(factors, bootstrap, seed)

    def stack(names: Sequence[str], reference: str) -> np.ndarray:
        return np.stack([scores[name, reference] for name in names])

    rows = []
    for number, reference in enumerate(references):
        words = [stack([name], reference) for name in lexical]
        agents = {kind: stack(names, reference) for kind, names in players.items()}
        rivals = {
            "bag of words": [stack(["bag_of_words"], reference)],
            "best lexical control": words,
            "untrained agent": [agents["untrained"]],
            "shuffled agent": [agents["shuffled"]],
        }
        found = {name: contrast(agents["trained"], of, resampling) for name, of in rivals.items()}
        found["any control"] = against_any(scores, players, reference, lexical, resampling)
        for rival, values in found.items():
            rows.append({"reference": reference, "rival": rival, "kind": "control"} | values)
        for other in references[number + 1 :]:
            found = contrast(agents["trained"], [stack(players["trained"], other)], resampling)
            rows.append({"reference": reference, "rival": other, "kind": "reference"} | found)
            found = contrast(scores[other, reference][None], words, resampling)
            rows.append({"reference": reference, "rival": other, "kind": "models"} | found)
    frame = pd.DataFrame(rows)
    frame["p_adjusted"] = frame.groupby("kind")["p"].transform(benjamini_hochberg)
    return frame
