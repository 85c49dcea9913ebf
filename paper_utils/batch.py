"""Many runs: every combination of seeds and settings, and what they say together."""

import itertools
import re
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pandas as pd

from paper_utils import pipeline
from paper_utils.alignment import inference
from paper_utils.pipeline import Job
from paper_utils.run import RUNS
from paper_utils.store import hash_json, read_json, write_atomically

LONGEST = 80  # letters of a folder's name
# What tells differences apart: a row per test, measure, contrast and setting.
BY = ["test", "measure", "contrast", "setting"]


def check(
    profile: str,
    seeds: list[int],
    choices: dict[str, list],
    out: str = "",
    compute: dict | None = None,
) -> tuple[Path, list[Job]]:
    """The folder of a batch, and its runs in folders below; checked before any of them starts.

    ``choices``: values of each key to be tried, every one with every other.  Raises ProfileError or
    RunError, one line, and writes nothing."""
    name = f"{Path(profile).stem}-batch-{hash_json([seeds, choices])[:8]}"
    folder = Path(out or RUNS / name).resolve()
    # Checked all before any starts: a typing error costs no hours.
    jobs = []
    for number, (*values, seed) in enumerate(itertools.product(*choices.values(), seeds)):
        given = dict(zip(choices, values, strict=True))
        # A number tells settings apart whose names are too long.
        label = re.sub(r"[^\w=.-]+", "_", _setting(given))[:LONGEST]
        place = str(folder / f"{number:03d}-{label}-seed{seed}")
        jobs.append(Job.check(profile, seed, given | (compute or {}), place))
    return folder, jobs


def _setting(given: dict) -> str:
    return ", ".join(f"{key}={value}" for key, value in given.items()) or "plain"


def run(folder: Path, jobs: list[Job]) -> tuple[pd.DataFrame, list[str]]:
    """Does one run after the other, each with all workers, on a cluster all at once; returns the
    summary, and a line per run that failed.  Writes runs.csv and summary.csv."""
    # There it is the cluster that has many workers, here they are ours.
    on_cluster = jobs[0].profile.compute.cluster
    each = ThreadPoolExecutor(len(jobs)).map if on_cluster else map
    found = list(each(_found, jobs))
    parts = [one for one in found if isinstance(one, pd.DataFrame)]
    failures = [one for one in found if isinstance(one, str)]
    if not parts:
        return pd.DataFrame(), failures
    rows = pd.concat(parts)
    table = over_runs(rows)
    write_atomically(folder / "runs.csv", rows.to_csv(index=False))
    write_atomically(folder / "summary.csv", table.to_csv(index=False))
    return table, failures


def _found(job: Job) -> pd.DataFrame | str:
    """Does one run; its mean differences over models, or in a line what went wrong."""
    print(f"run {job.folder}", flush=True)
    try:
        folder = pipeline.run(job)
    except Exception as error:
        # The others go on.
        return f"{job.folder}: {' '.join(str(error).split())}"
    rows = pd.DataFrame(read_json(folder / "results.json")["differences"]).query("model == 'mean'")
    return rows.assign(setting=_setting(job.arguments["overrides"]), seed=job.profile.seed)


def over_runs(rows: pd.DataFrame) -> pd.DataFrame:
    """Mean over seeds with its 95 % interval (Student's t), least and most."""
    return (
        rows.groupby(BY, sort=False)["mean"]
        .agg(
            mean="mean",
            low=lambda values: inference.t_interval(values)[0],
            high=lambda values: inference.t_interval(values)[1],
            runs="size",
            least="min",
            most="max",
        )
        .reset_index()
    )
