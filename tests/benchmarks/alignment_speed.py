"""How fast is `alignment.compare`, and does it give a plain loop's numbers?  (Not a test.)

    python tests/benchmarks/alignment_speed.py [--quick]

Prints the time of 16 encoders (120 pairs), N = 450, all metrics, 5 folds, 200 permutations; the
ratio to a loop that recomputes each metric per permutation, on a sample of it; the largest
difference of the two; and the cost of the neighbour searches against N, with peak memory.
"""

from __future__ import annotations

import argparse
import os
import resource
import time

import numpy as np
import pandas as pd
from record import record

from paper_utils import alignment
from paper_utils.alignment import inference, retrieval
from paper_utils.alignment.compare import METRICS

WIDTHS = (64, 96, 128, 256, 384, 768)


def world(encoders: int, items: int, seed: int = 0) -> tuple[dict[str, np.ndarray], pd.DataFrame]:
    """Encoders of mixed widths that share a weak signal; the first is a small lexicon."""
    random = np.random.default_rng(seed)
    shared = random.normal(size=(items, 12))
    arrays = {"lexicon": random.integers(0, 2, size=(items, 20)) + np.arange(20) % 3}
    for number in range(1, encoders):
        width = WIDTHS[number % len(WIDTHS)]
        signal = shared @ random.normal(size=(12, width)) * 0.5
        arrays[f"encoder{number}"] = signal + random.normal(size=(items, width)) + 1
    template = random.choice(["go to", "pick up", "put next to"], items)
    return arrays, pd.DataFrame({"id": np.arange(items), "template": template})


def loop(X, Y, draw, folds_draw) -> dict[tuple[str, str], float]:
    """Every metric of one permuted pair from scratch; ``folds_draw`` keeps the random folds."""
    both, inside = Y[draw], Y[folds_draw]
    scores = {
        ("mutual_knn", "symmetric"): alignment.mutual_knn(X, both),
        ("linear_cka", "symmetric"): alignment.linear_cka(X, both),
        ("rsa", "symmetric"): alignment.rsa(X, both),
    }
    for way in ("forward", "backward"):
        scores["precision_at_k", way] = alignment.precision_at_k(X, inside, direction=way)
        scores["precision_at_1", way] = alignment.precision_at_k(X, inside, 1, direction=way)
    return scores


def against_the_loop(arrays, factors, permutations: int) -> tuple[float, float]:
    """Seconds per pair and permutation of the loop, and the largest difference from score."""
    pairs, items = [("encoder1", "encoder2"), ("encoder3", "encoder5")], len(factors)
    arrays = {name: X - X.mean(axis=0) for name, X in arrays.items()}  # as `compare` does
    frame = alignment.compare(arrays, None, pairs=pairs, metrics=METRICS, permutations=permutations)
    folds = retrieval.make_split("random", items).blocks
    draws = inference.permutations(items, permutations, 0)
    inside = inference.permutations(items, permutations, 0, folds)
    worst, start = 0.0, time.perf_counter()
    for first, second in pairs:
        plain = pd.DataFrame([
            loop(arrays[first], arrays[second], draws[p], inside[p]) for p in range(permutations)
        ])  # fmt: skip
        for row in frame[(frame["first"] == first) & (frame["second"] == second)].itertuples():
            gap = row.null_mean - plain[row.metric, row.direction].mean()
            worst = max(worst, abs(gap))
    return (time.perf_counter() - start) / (len(pairs) * permutations), worst


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="6 encoders, 20 permutations")
    given = parser.parse_args()
    encoders, permutations = (6, 20) if given.quick else (16, 200)
    arrays, factors = world(encoders, 450)
    pairs = encoders * (encoders - 1) // 2

    start = time.perf_counter()
    frame = alignment.compare(arrays, factors, permutations=permutations, lexical=("lexicon",))
    fast = time.perf_counter() - start
    print(f"compare, {pairs} pairs, {permutations} permutations: {fast:.1f} s, "
          f"{len(frame)} rows (load average {os.getloadavg()[0]:.1f})", flush=True)  # fmt: skip
    each, worst = against_the_loop(arrays, factors, 3)
    slow = each * pairs * permutations
    print(f"plain loop: {each:.2f} s per pair and permutation; largest difference {worst:.1e}")
    if not given.quick:
        record("alignment", f"`compare` takes {fast:.0f} s for {pairs} pairs with {permutations} "
               "permutations, a plain loop, timed on a sample, "
               f"{slow / fast:.0f} times as long")  # fmt: skip

    print("     N   mutual_knn   precision_at_k   linear_cka   peak memory")
    for items in (450, 2000, 5000) if given.quick else (450, 2000, 5000, 10_000):
        random = np.random.default_rng(0)
        X, Y = random.normal(size=(2, items, 64))
        seconds = []
        for metric in (alignment.mutual_knn, alignment.precision_at_k, alignment.linear_cka):
            start = time.perf_counter()
            metric(X, Y)
            seconds.append(time.perf_counter() - start)
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
        print(f"{items:6d} {seconds[0]:10.2f} s {seconds[1]:13.2f} s {seconds[2]:11.3f} s"
              f" {peak:9.2f} GiB", flush=True)  # fmt: skip


if __name__ == "__main__":
    main()
