"""Many runs: every combination of seeds and settings, and what they say together."""

import itertools
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pandas as pd

from paper_utils import pipeline
from paper_utils.alignment import inference
from paper_utils.pipeline import Job
from paper_utils.run import RUNS, RunError, UsageError
from paper_utils.store import hash_json, read_json


def check(profile, seeds, choices, out=""):
    """The folder of a batch, and its runs (Job) in folders below; checked before any of them
    starts.

    ``choices``: values of each key to be tried, every one with every other.  Raises ProfileError or
    RunError, one line, and writes nothing."""
    name = f"{Path(profile).stem}-batch-{hash_json([seeds, choices])[:8]}"
    folder = Path(out or RUNS / name).resolve()
    # Checked all before any starts: a typing error costs no hours.
    jobs = [
        # What its setting is, a table says and a line.
        Job.check(profile, seed, dict(zip(choices, values)), f"{folder}/{number:03d}-seed{seed}")
        for number, (*values, seed) in enumerate(itertools.product(*choices.values(), seeds))
    ]
    if not jobs:
        raise UsageError("nothing to run: name seeds, and values of each setting")
    return folder, jobs


def run(folder, jobs):
    """Does one run after the other, each with all workers, on a cluster all at once; returns the
    summary, and how many runs failed.  Writes runs.csv and summary.csv."""
    # There it is the cluster that has many workers, here they are ours.
    each = ThreadPoolExecutor(len(jobs)).map if jobs[0].profile.compute.cluster else map
    found = [rows for rows in each(_found, jobs) if rows is not None]
    if not found:
        raise RunError("every run has failed")
    rows = pd.concat(found)
    table = over_runs(rows)
    rows.to_csv(folder / "runs.csv", index=False)
    table.to_csv(folder / "summary.csv", index=False)
    return table, len(jobs) - len(found)


def _found(job):
    """Does one run; its mean differences over models, or None, and a line says what went wrong."""
    given = job.arguments["overrides"]
    setting = ", ".join(map("{}={}".format, given, given.values())) or "plain"
    print(f"run {job.folder}: {setting}", flush=True)
    try:
        folder = pipeline.run(job)
    except Exception as error:
        # The others go on.
        print(f"failed: {job.folder}:", *str(error).split(), file=sys.stderr)
        return None
    rows = pd.DataFrame(read_json(folder / "results.json")["differences"]).query("model == 'mean'")
    return rows.assign(run=folder.name, setting=setting, seed=job.profile.seed)


def over_runs(rows):
    """Mean over seeds with its 95 % interval (Student's t)."""
    return (
        rows.groupby(["test", "measure", "contrast", "setting"], sort=False)["mean"]
        .agg(
            mean="mean",
            low=lambda values: inference.t_interval(values)[0],
            high=lambda values: inference.t_interval(values)[1],
            runs="size",
        )
        .reset_index()
    )
