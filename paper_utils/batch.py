"""Many runs at once: every combination of seeds and settings, and what they say together."""

import itertools
import json
import re
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
from scipy import stats

from paper_utils import parallel
from paper_utils.run import RUNS, Plan, RunError
from paper_utils.store import hash_json, write_atomically

VERDICTS = ["verdict", "verdict_gate_layer"]


def check(profile: str, seeds: list[int], choices: dict[str, list], out: str = "",
          compute: dict | None = None) -> tuple[Path, list[Plan]]:  # fmt: skip
    """The folder of a batch, and its runs in folders below; checked before any of them starts.
    ``choices``: values of each key to be tried, every one with every other.  Raises ProfileError or
    RunError, one line, and writes nothing."""
    name = f"{Path(profile).stem}-batch-{hash_json([seeds, choices])[:8]}"
    folder, plans = Path(out or RUNS / name).resolve(), {}
    for *values, seed in itertools.product(*choices.values(), seeds):
        given = dict(zip(choices, values))
        label = "-".join(f"{key}={value}" for key, value in given.items()) or "plain"
        label = re.sub(r"[^\w=.-]", "_", label)
        label = label if len(label) < 80 else f"{label[:71]}-{hash_json(given)[:8]}"
        place = folder / label / f"seed{seed}"
        if place in plans:
            raise RunError("two of these runs are the same", usage=True)
        plans[place] = Plan.check(profile, seed, given | (compute or {}), str(place))
    return folder, list(plans.values())


def run(folder: Path, plans: list[Plan], say=print) -> tuple[pd.DataFrame, list[str]]:
    """Does runs side by side, one core each; returns the summary, and a line per run that failed.
    Writes summary.csv with a figure, runs.csv, verdicts.csv and failures.txt into the folder."""
    say(f"{len(plans)} runs in {folder}", flush=True)
    problems = parallel.map(_process, plans, plans[0].profile.compute, "runs")
    failures = [f"{plan.folder}: {line}" for plan, line in zip(plans, problems) if line]
    write_atomically(folder / "failures.txt", "".join(f"{line}\n" for line in failures))
    done = [_rows(plan) for plan, line in zip(plans, problems) if not line]
    if not done:
        return pd.DataFrame(), failures
    rows, verdicts = (pd.concat(parts, ignore_index=True) for parts in zip(*done))
    table, counts = summarize(rows), count(verdicts)
    for name, one in (("runs", rows), ("summary", table), ("verdicts", counts)):
        write_atomically(folder / f"{name}.csv", one.to_csv(index=False))
    for claim in counts.itertuples():
        say(f"{claim.claim} ({claim.setting}): {claim.verdict}", flush=True)
    from paper_utils import figures

    figure = figures.points(table, "of", "mean", "setting", "measure", columns=2, size=(5.5, 3.2))
    for kind in ("png", "pdf"):
        figure.savefig(folder / f"summary.{kind}", dpi=160, bbox_inches="tight")
    return table, failures


def _process(plan: Plan) -> str:
    """Does one run in a process with one core to itself; what went wrong, in a line."""
    given, compute = plan.arguments, plan.profile.compute.model_dump(exclude_defaults=True)
    compute |= {"workers": 1, "cluster": "", "progress": "off"}
    settings = given["overrides"] | {f"compute.{key}": value for key, value in compute.items()}
    command = [sys.executable, "-m", "paper_utils", "run", "--profile", given["profile"]]
    command += ["--seed", str(given["seed"]), "--out", str(plan.folder)]
    command += [f"--set={key}={json.dumps(value)}" for key, value in settings.items()]
    while True:
        done = subprocess.run(command, capture_output=True, text=True)
        lines = done.stderr.strip().splitlines() or [f"ended with code {done.returncode}"]
        if not done.returncode:
            return ""
        if "another run is writing" not in lines[-1]:
            return lines[-1].removeprefix("error: ")
        time.sleep(5)  # what a dead worker of the cluster began: it ends when it cannot report


def _rows(plan: Plan) -> tuple[pd.DataFrame, pd.DataFrame]:
    """What a run found, a row per number, and its verdicts."""
    results = json.loads((plan.folder / "results.json").read_text())
    setting = ", ".join(f"{key}={value}" for key, value in plan.arguments["overrides"].items())
    rows = [("success", r["level"], r["success"], 0)
            for r in results["success"] if r["player"] == "trained"]  # fmt: skip
    for r in results["alignment"]:
        rows += [("precision@k", r["pair"], r["value"], 0),
                 ("gap to the best control", r["pair"], r["gap"], -1)]  # fmt: skip
    rows += [("colour in second names", r["second"], r["value"], 0)
             for r in results["second_names"]
             if (r["names"], r["measure"], r["layer"]) == ("second", "colour", "last")
             and r["second_kind"] == "trained" and r["second_source"] != "cloning"]  # fmt: skip
    rows += [("success of transfer", r["source"], r["success"], 0)
             for r in results["transfer"]
             if (r["names"], r["level"]) == ("second", "PickupLoc")]  # fmt: skip
    common = {"setting": setting or "as it is", "seed": plan.profile.seed}
    found = pd.DataFrame(rows, columns=["measure", "of", "value", "lowest"])
    verdicts = pd.DataFrame(results["verdicts"])[["claim", *VERDICTS]]
    return found.assign(**common), verdicts.assign(**common)


def count(verdicts: pd.DataFrame) -> pd.DataFrame:
    """For every claim and setting, in how many runs each verdict was given, at either layer."""

    def said(each: pd.Series) -> str:
        counts = each[each != ""].value_counts().items()
        return ", ".join(f"{verdict} in {n} of {len(each)} runs" for verdict, n in counts)

    return verdicts.groupby(["claim", "setting"], sort=False)[VERDICTS].agg(said).reset_index()


def summarize(rows: pd.DataFrame) -> pd.DataFrame:
    """Mean over seeds, least and most, and from three runs on a 95 % interval (Student's t), which
    ends where the measure does."""
    groups = rows.groupby(["measure", "of", "setting"], sort=False)
    table = groups["value"].agg(mean="mean", least="min", most="max", runs="count")
    half = stats.t.ppf(0.975, table["runs"] - 1) * groups["value"].sem().where(table["runs"] > 2)
    table["low"] = (table["mean"] - half).clip(lower=groups["lowest"].first())
    table["high"] = (table["mean"] + half).clip(upper=1)
    return table.reset_index()
