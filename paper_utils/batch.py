"""Many runs at once: every combination of seeds and settings, and what they say together."""

import itertools
import json
import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pandas as pd

from paper_utils import parallel
from paper_utils.alignment import inference
from paper_utils.pipeline import Job
from paper_utils.run import RUNS, RunError
from paper_utils.store import hash_json, write_atomically

LONGEST = 80  # letters of a folder's name


def check(
    profile: str, seeds: list[int], choices: dict[str, list], out: str = "",
    compute: dict | None = None,
) -> tuple[Path, list[Job]]:  # fmt: skip
    """The folder of a batch, and its runs in folders below; checked before any of them starts.

    ``choices``: values of each key to be tried, every one with every other.  Raises ProfileError or
    RunError, one line, and writes nothing."""
    name = f"{Path(profile).stem}-batch-{hash_json([seeds, choices])[:8]}"
    folder = Path(out or RUNS / name).resolve()
    # Checked all before any starts: a typing error costs no hours.
    jobs: dict[Path, Job] = {}
    for *values, seed in itertools.product(*choices.values(), seeds):
        given = dict(zip(choices, values, strict=True))
        place = folder / _label(given) / f"seed{seed}"
        if place in jobs:
            raise RunError("two of these runs are the same", usage=True)
        jobs[place] = Job.check(profile, seed, given | (compute or {}), str(place))
    return folder, list(jobs.values())


def _label(given: dict) -> str:
    """A folder's name for some settings."""
    words = [f"{key}={value}" for key, value in given.items()] or ["plain"]
    label = re.sub(r"[^\w=.-]", "_", "-".join(words))
    if len(label) >= LONGEST:
        label = f"{label[: LONGEST - 9]}-{hash_json(given)[:8]}"
    return label


def run(folder: Path, jobs: list[Job], say=print) -> tuple[pd.DataFrame, list[str]]:
    """Does runs side by side, one core each (on a cluster: one client each); returns the summary,
    and a line per run that failed.  Writes summary.csv with a figure, runs.csv, claims.csv and
    failures.txt into the folder."""
    say(f"{len(jobs)} runs in {folder}", flush=True)
    compute = jobs[0].profile.compute
    # Threads only wait: each run is a process of its own.
    with ThreadPoolExecutor(compute.workers or parallel.cpu_count()) as threads:
        problems = list(threads.map(_process, jobs))
    failures = [f"{job.folder}: {line}" for job, line in zip(jobs, problems, strict=True) if line]
    write_atomically(folder / "failures.txt", "".join(f"{line}\n" for line in failures))
    done = [job for job, line in zip(jobs, problems, strict=True) if not line]
    if not done:
        return pd.DataFrame(), failures
    rows = pd.concat([differences_of(job) for job in done], ignore_index=True)
    claims = pd.concat([claims_of(job) for job in done], ignore_index=True)
    table = over_runs(rows)
    for name, one in (("runs", rows), ("summary", table), ("claims", claims)):
        write_atomically(folder / f"{name}.csv", one.to_csv(index=False))
    for claim in claims.itertuples():
        say(f"seed {claim.seed}, {claim.setting}: {claim.claim}: {claim.answer}", flush=True)
    return table, failures


def _process(job: Job) -> str:
    """Does one run in a process with one core to itself; what went wrong, in a line."""
    given = job.arguments
    compute = job.profile.compute.model_dump(exclude_defaults=True)
    settings = dict(given["overrides"])
    for key, value in (compute | {"workers": 1, "progress": "off"}).items():
        settings[f"compute.{key}"] = value
    # As anyone would type it.
    command = [sys.executable, "-m", "paper_utils", "run", "--profile", given["profile"]]
    command += ["--seed", str(given["seed"]), "--out", str(job.folder)]
    command += [f"--set={key}={json.dumps(value)}" for key, value in settings.items()]
    done = subprocess.run(command, capture_output=True, text=True, encoding="utf-8")
    if not done.returncode:
        return ""
    # The last line is the error; above it may be progress.
    lines = done.stderr.strip().splitlines() or [f"ended with code {done.returncode}"]
    return lines[-1].removeprefix("error: ")


def _results(job: Job) -> dict:
    return json.loads((job.folder / "results.json").read_text(encoding="utf-8"))


def _labelled(table: pd.DataFrame, job: Job) -> pd.DataFrame:
    """A run's rows with its seed and its settings."""
    words = [f"{key}={value}" for key, value in job.arguments["overrides"].items()]
    return table.assign(setting=", ".join(words) or "as it is", seed=job.profile.seed)


def differences_of(job: Job) -> pd.DataFrame:
    """What a run found: its mean differences over models, a row per test, measure and contrast."""
    table = pd.DataFrame(_results(job)["differences"])
    means = table[table["model"] == "mean"]
    return _labelled(means[["test", "measure", "contrast", "mean"]], job)


def claims_of(job: Job) -> pd.DataFrame:
    """A run's answers, a row per claim."""
    return _labelled(pd.DataFrame(_results(job)["claims"])[["claim", "answer"]], job)


def over_runs(rows: pd.DataFrame) -> pd.DataFrame:
    """Mean over seeds with its 95 % interval (Student's t), least and most."""
    summary = []
    by = ["test", "measure", "contrast", "setting"]
    for values, part in rows.groupby(by, sort=False):
        mean = part["mean"].mean()
        low, high = inference.t_interval(part["mean"])
        found = {"mean": mean, "low": low, "high": high, "runs": len(part)}
        extremes = {"least": part["mean"].min(), "most": part["mean"].max()}
        summary.append(dict(zip(by, values, strict=True)) | found | extremes)
    return pd.DataFrame(summary)
