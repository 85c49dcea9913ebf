"""Many runs at once: every combination of seeds and settings, and what they say together."""

from __future__ import annotations

import itertools
import json
import math
import os
import subprocess
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
from scipy import stats

from paper_utils import parallel, pipeline
from paper_utils.artifacts import PUBLISHED_VARIABLE, hash_json, write_atomically
from paper_utils.run import RUNS


@dataclass(frozen=True)
class Batch:
    """Runs of one profile, one folder each below ``folder``, checked before any of them starts."""

    plans: tuple[pipeline.Plan, ...]
    folder: Path

    @classmethod
    def check(
        cls, profile: str, seeds: list[int], choices: dict[str, list[Any]], out: str = ""
    ) -> Batch:
        """``choices``: values of each key to be tried, every one with every other.

        Raises ProfileError or RunError, one line, and writes nothing.
        """
        name = f"{Path(profile).stem}-batch-{hash_json([seeds, choices])[:8]}"
        folder = (Path(out) if out else RUNS / name).resolve()
        plans = []
        for values in itertools.product(*choices.values()):
            overrides = dict(zip(choices, values))
            label = "-".join([*(f"{key}={value}" for key, value in overrides.items())]) or "plain"
            label = "".join(c if c.isalnum() or c in "=.-_" else "_" for c in label)[:80]
            if len(label) == 80:
                label = f"{label[:71]}-{hash_json(overrides)[:8]}"
            plans += [
                pipeline.Plan.check(profile, seed, overrides, str(folder / label / f"seed{seed}"))
                for seed in seeds
            ]
        if len({plan.folder for plan in plans}) < len(plans):
            raise pipeline.RunError("two of these runs are the same", usage=True)
        return cls(tuple(plans), folder)


def run(batch: Batch, say=print) -> tuple[pd.DataFrame, list[str]]:
    """Runs what is not done yet, side by side, one core each, and gathers the summary.

    A run that fails is reported and the others go on.  Returns the summary, which is also in
    ``summary.csv`` with a figure beside it, and a line for each run that failed.
    """
    say(f"{len(batch.plans)} runs in {batch.folder}", flush=True)
    cluster = os.environ.get("PAPER_CLUSTER")
    outcomes = _on_cluster(cluster, batch.plans) if cluster else _here(batch.plans)
    failures = [f"{plan.folder}: {line}" for plan, line in zip(batch.plans, outcomes) if line]
    rows = [row for plan, line in zip(batch.plans, outcomes) if not line for row in _rows(plan)]
    table = summarize(pd.DataFrame(rows)) if rows else pd.DataFrame()
    write_atomically(batch.folder / "failures.txt", "".join(f"{line}\n" for line in failures))
    if rows:
        write_atomically(batch.folder / "runs.csv", pd.DataFrame(rows).to_csv(index=False))
        write_atomically(batch.folder / "summary.csv", table.to_csv(index=False))
        from paper_utils import figures

        figure = figures.batch(pd.DataFrame(rows), table)
        for kind in ("png", "pdf"):
            figure.savefig(batch.folder / f"summary.{kind}", dpi=160, bbox_inches="tight")
    return table, failures


ALONE = {"PAPER_WORKERS": "1", "PAPER_CLUSTER": ""}  # a run of a batch has one core to itself


def _here(plans: Sequence[pipeline.Plan]) -> list[str]:
    """Each run in a process of its own, as many at once as there are cores."""
    bar = parallel.progress(len(plans), "runs")
    with ThreadPoolExecutor(parallel.workers()) as pool:
        outcomes = []
        for outcome in pool.map(_process, plans):
            outcomes.append(outcome)
            bar.update(1)
    bar.close()
    return outcomes


def _process(plan: pipeline.Plan) -> str:
    """Runs one plan; what went wrong, in a line."""
    given = plan.parameters
    words = ["run", "--profile", given["profile"], "--seed", str(given["seed"])]
    words += ["--out", given["out"]]
    for key, value in given["overrides"].items():
        words += ["--set", f"{key}={json.dumps(value)}"]
    done = subprocess.run(
        [sys.executable, "-m", "paper_utils", *words],
        env=os.environ | ALONE, capture_output=True, text=True,
    )  # fmt: skip
    said = done.stderr.strip().splitlines() or [f"ended with code {done.returncode}"]
    return said[-1].removeprefix("error: ") if done.returncode else ""


def _on_cluster(address: str, plans: Sequence[pipeline.Plan]) -> list[str]:
    """Each run in a worker; one that dies is replaced by the cluster, up to a few times."""
    sent = {name: os.environ[name] for name in SENT if name in os.environ}
    with parallel.client(address) as dask:
        runs = [dask.submit(_in_worker, plan, sent, key=str(plan.folder)) for plan in plans]
        return [_outcome(run) for run in runs]


SENT = ("PAPER_STORE", PUBLISHED_VARIABLE)


def _outcome(run: Any) -> str:
    try:
        return run.result()
    except Exception as error:  # its worker died too often
        return f"{type(error).__name__}: {' '.join(str(error).split())[:300]}"


def _in_worker(plan: pipeline.Plan, variables: dict[str, str]) -> str:
    try:
        with pipeline.environment(**(ALONE | variables)):
            pipeline.run(plan, say=lambda *_, **__: None)
    except Exception as error:  # one run must not take the others with it
        return " ".join(str(error).split())[:400]
    return ""


def _rows(plan: pipeline.Plan) -> list[dict[str, Any]]:
    """What a run found, one row per number."""
    results = json.loads((plan.folder / "results.json").read_text())
    overrides = plan.parameters["overrides"]
    common = {
        "setting": ", ".join(f"{key}={value}" for key, value in overrides.items()) or "as it is",
        "seed": plan.profile.seed,
    }
    trained = [row for row in results["success"] if row["player"] == "trained"]
    return [
        *(
            common | {"measure": "success", "of": row["level"], "value": row["success"]}
            for row in trained
        ),
        *(
            common | {"measure": measure, "of": row["pair"], "value": row[column]}
            for row in results["alignment"]
            for measure, column in (
                ("precision@k", "value"),
                ("gap to the best control", "gap"),
            )
        ),
    ]


def summarize(rows: pd.DataFrame) -> pd.DataFrame:
    """Mean over seeds with its 95 % interval (Student's t; no interval from a single seed)."""
    by = ["measure", "of", "setting"]
    table = rows.groupby(by, sort=False)["value"].agg(["mean", "std", "count"]).reset_index()
    half = [
        stats.t.ppf(0.975, n - 1) * s / math.sqrt(n) if n > 1 else math.nan
        for n, s in zip(table["count"], table["std"])
    ]
    table["low"], table["high"] = table["mean"] - half, table["mean"] + half
    return table.rename(columns={"count": "seeds"}).drop(columns="std")
