"""How fast are the measures, the synonym test and the audit, and what memory do they take?

    python tests/benchmarks/alignment_speed.py [--quick]

Prints the time of an audit of 439 x 576 with 200 permutations and of the null of precision@k beside
a plain loop that gives the same numbers; of one synonym test among many; and the cost of measures
against N, with peak memory.  (Not a test.)
"""

from __future__ import annotations

import argparse
import os
import resource
import time
from collections.abc import Callable
from functools import partial

import numpy as np
import pandas as pd
from record import record
from threadpoolctl import threadpool_limits

from paper_utils import alignment
from paper_utils.alignment import inference
from paper_utils.alignment.retrieval import make_folds

COLOURS, TYPES = ("blue", "green", "grey", "purple", "red", "yellow"), ("ball", "box", "key")


def sentences() -> pd.DataFrame:
    """438 sentences of a small grammar, with their factors."""
    things = [(colour, kind) for colour in COLOURS for kind in TYPES]
    rows = [("put", *one, *other, "") for one in things for other in things if one != other]
    places = ("", "ahead", "behind", "left", "right", "near", "far")[: 1 + (438 - 306) // 18]
    rows += [("take", *thing, "", "", place) for thing in things for place in places]
    columns = ["verb", "colour", "type", "second_colour", "second_type", "location"]
    table = pd.DataFrame(rows, columns=columns)
    words = [" ".join(filter(None, row)) for row in table.itertuples(index=False)]
    return table.assign(text=words)


def encoders(rows: int, width: int, seed: int = 0) -> list[np.ndarray]:
    """Two encoders of a width that share a weak signal."""
    random = np.random.default_rng(seed)
    shared = random.normal(size=(rows, 12))
    images = [0.5 * shared @ random.normal(size=(12, width)) for _ in range(2)]
    return [image + random.normal(size=image.shape) for image in images]


def seconds(call: Callable, times: int = 1) -> float:
    """Seconds of this process per call."""
    start = time.process_time()
    for _ in range(times):
        call()
    return (time.process_time() - start) / times


def against_the_loop(X: np.ndarray, Y: np.ndarray, permutations: int, looped: int) -> None:
    """The null of precision@k, and a loop that permutes, fits and searches again."""
    fast = seconds(lambda: alignment.precision_at_k(X, Y, n_permutations=permutations))
    folds = make_folds(len(X))
    draws = inference.pairings(len(X), looped, 0, folds.blocks)[1:]
    null = []
    slow = seconds(lambda: null.extend(alignment.precision_at_k(X, Y[draw]) for draw in draws))
    same = alignment.precision_at_k(X, Y, n_permutations=looped).null - np.mean(null)
    ratio = slow / looped * permutations / fast
    print(f"null of precision@15, {permutations} permutations: {fast:.1f} s, a plain loop "
          f"{ratio:.1f} times as long; difference {abs(same):.1e}")  # fmt: skip


@threadpool_limits.wrap(limits=1, user_api="blas")
def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="fewer draws, N up to 5,000")
    quick = parser.parse_args().quick
    table = sentences()
    factors = table.drop(columns="text")
    X, Y = encoders(len(table), 576)
    permutations = 20 if quick else 200
    print(f"load average {os.getloadavg()[0]:.1f}; {len(table)} sentences, width 576")

    options = {"n_permutations": permutations, "n_draws": 2 if quick else 20}
    words = seconds(lambda: alignment.audit(X, Y, table["text"], **options))
    print(f"audit with texts: {words:.1f} s", flush=True)
    whole = seconds(lambda: alignment.audit(X, Y, table["text"], factors, X2=X, **options))
    print(f"audit with texts, factors and synonyms: {whole:.1f} s", flush=True)
    against_the_loop(X, Y, permutations, 3 if quick else 10)
    contrasts = alignment.ContrastSets(factors)
    first = seconds(lambda: alignment.synonyms(X, Y, Y, contrasts=contrasts))
    again = seconds(lambda: alignment.synonyms(X, Y, Y, contrasts=contrasts), 20)
    print(
        f"synonyms: {first * 1000:.0f} ms, with spaces that were met before {again * 1000:.0f} ms"
    )
    structure = seconds(lambda: alignment.structure(X, Y, factors), 5)
    print(f"structure of six colours: {structure * 1000:.0f} ms", flush=True)
    if not quick:
        record(
            "alignment",
            f"`audit` of {len(table)} x 576 with {permutations} permutations takes "
            f"{words:.0f} s of one core with texts, {whole:.0f} s with factors and synonyms, too",
        )

    print("     N   mutual_knn   precision_at_k   peak memory")
    for rows in (439, 2000, 5000) if quick else (439, 2000, 5000, 10_000, 20_000):
        sides = encoders(rows, 64)
        neighbours = seconds(partial(alignment.mutual_knn, *sides))
        precision = seconds(partial(alignment.precision_at_k, *sides))
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
        print(f"{rows:6d} {neighbours:10.2f} s {precision:13.2f} s {peak:9.2f} GiB", flush=True)


if __name__ == "__main__":
    main()
