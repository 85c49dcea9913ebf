"""Many runs at once: every combination of seeds and settings, and what they say together."""

from __future__ import annotations

import itertools
import json
import math
import subprocess
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
from scipy import stats

from paper_utils import parallel
from paper_utils.config import Compute
from paper_utils.run import RUNS, Plan, RunError
from paper_utils.store import hash_json, write_atomically

LIMITS = {"success": (0.0, 1.0), "precision@k": (0.0, 1.0), "gap to the best control": (-1.0, 1.0)}


@dataclass(frozen=True)
class Batch:
    """Runs of one profile, one folder each below ``folder``, checked before any of them starts."""

    plans: tuple[Plan, ...]
    folder: Path
    compute: Compute

    @classmethod
    def check(
        cls, profile: str, seeds: list[int], choices: dict[str, list[Any]], out: str = "",
        compute: dict[str, Any] | None = None,
    ) -> Batch:  # fmt: skip
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
            given = overrides | (compute or {})
            plans += [
                Plan.check(profile, seed, given, str(folder / label / f"seed{seed}"))
                for seed in seeds
            ]
        if len({plan.folder for plan in plans}) < len(plans):
            raise RunError("two of these runs are the same", usage=True)
        return cls(tuple(plans), folder, plans[0].profile.compute)


def run(batch: Batch, say=print) -> tuple[pd.DataFrame, list[str]]:
    """Runs what is not done yet, side by side, one core each, and gathers the summary.

    A run that fails is reported and the others go on.  Returns the summary, which is also in
    ``summary.csv`` with a figure beside it, and a line for each run that failed.
    """
    say(f"{len(batch.plans)} runs in {batch.folder}", flush=True)
    outcomes = _on_cluster(batch) if batch.compute.cluster else _here(batch)
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


def _here(batch: Batch) -> list[str]:
    """Each run in a process of its own, as many at once as there are cores."""
    count = parallel.workers(batch.compute)
    with (
        parallel.progress(len(batch.plans), "runs", batch.compute) as bar,
        ThreadPoolExecutor(count) as pool,
    ):
        outcomes = []
        for outcome in pool.map(_process, map(_command, batch.plans)):
            outcomes.append(outcome)
            bar.update(1)
    return outcomes


def _command(plan: Plan) -> list[str]:
    """The command of one run with one core to itself."""
    given = plan.arguments
    words = ["run", "--profile", given["profile"], "--seed", str(given["seed"])]
    words += ["--out", str(plan.folder)]
    compute = plan.profile.compute.model_dump(exclude_defaults=True)
    compute |= {"workers": 1, "cluster": "", "progress": "off"}
    settings = given["overrides"] | {f"compute.{key}": value for key, value in compute.items()}
    for key, value in settings.items():
        words += ["--set", f"{key}={json.dumps(value)}"]
    return words


def _process(words: Sequence[str]) -> str:
    """Runs one command of ours; what went wrong, in a line."""
    done = subprocess.run(
        [sys.executable, "-m", "paper_utils", *words], capture_output=True, text=True
    )
    lines = done.stderr.strip().splitlines() or [f"ended with code {done.returncode}"]
    return lines[-1].removeprefix("error: ") if done.returncode else ""


def _on_cluster(batch: Batch) -> list[str]:
    """Each run in a worker; one that dies is replaced by the cluster, up to a few times."""
    with parallel.client(batch.compute.cluster) as dask:
        runs = [dask.submit(_process, _command(p), key=str(p.folder)) for p in batch.plans]
        return [_outcome(run) for run in runs]


def _outcome(run: Any) -> str:
    try:
        return run.result()
    except Exception as error:  # its worker died too often
        return f"{type(error).__name__}: {' '.join(str(error).split())[:300]}"


def _rows(plan: Plan) -> list[dict[str, Any]]:
    """What a run found, one row per number."""
    results = json.loads((plan.folder / "results.json").read_text())
    overrides = plan.arguments["overrides"]
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
            for measure, column in (("precision@k", "value"), ("gap to the best control", "gap"))
        ),
    ]


def summarize(rows: pd.DataFrame) -> pd.DataFrame:
    """Mean over seeds, least and most, and from three runs on a 95 % interval (Student's t).

    Intervals end where the measure does: a success cannot be above 1.
    """
    by = ["measure", "of", "setting"]
    table = rows.groupby(by, sort=False)["value"].agg(["mean", "std", "min", "max", "count"])
    table = table.reset_index().rename(columns={"min": "least", "max": "most", "count": "runs"})
    half = [
        stats.t.ppf(0.975, n - 1) * s / math.sqrt(n) if n > 2 else math.nan
        for n, s in zip(table["runs"], table["std"])
    ]
    lowest, highest = zip(*table["measure"].map(LIMITS))
    table["low"] = (table["mean"] - half).clip(lower=list(lowest))
    table["high"] = (table["mean"] + half).clip(upper=list(highest))
    return table.drop(columns="std")
