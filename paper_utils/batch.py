"""Many runs at once: every combination of seeds and settings, and what they say together."""

from __future__ import annotations

import itertools
import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
from scipy import stats

from paper_utils import parallel, pipeline
from paper_utils.artifacts import hash_json, write_atomically
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
    count = len(batch.plans)
    say(f"{count} runs in {batch.folder}", flush=True)
    failures = [line for line in parallel.map(_one, batch.plans, describe="runs") if line]
    done = [plan for plan in batch.plans if (plan.folder / "results.json").exists()]
    failed = [plan for plan in done if any(str(plan.folder) in line for line in failures)]
    rows = [row for plan in done if plan not in failed for row in _rows(plan)]
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


def _one(plan: pipeline.Plan) -> str:
    """Runs one plan on one core; an error becomes a line."""
    alone = {"PAPER_WORKERS": "1", "PAPER_CLUSTER": "", "PAPER_QUIET": "1"}
    try:
        with pipeline.environment(**alone):
            pipeline.run(plan, say=lambda *_, **__: None)
    except Exception as error:  # one run must not take the others with it
        return f"{plan.folder}: {' '.join(str(error).split())[:400]}"
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
