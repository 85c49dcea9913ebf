"""For maintainers: runs the release profile from nothing, and publishes all of it.

python tools/publish.py           runs (hours; resumes), then publishes
python tools/publish.py readme    writes the README's tables from the files in figures/"""

import json
import re
import sys
from pathlib import Path

import pandas as pd
from jinja2 import Template

from paper_utils import report, run
from paper_utils.store import MANIFEST, damage, mirror, write_atomically

LIMIT = 30_000_000  # bytes in all
README, FIGURES = run.ROOT / "README.md", run.ROOT / "figures"
SEEDS = FIGURES / "laptop_verdicts.csv"  # of `batch --seeds 0-2`: verdicts in n of m runs
SPEED = FIGURES / "speed.json"  # a sentence of each benchmark (make bench)
BEGIN, END = "<!-- results: begin -->", "<!-- results: end -->"
# Of these stages, what a notebook loads: neither what only training reads, nor all the weights.
PARTS = {"demonstrations": {"split": "validation"}, "stories": {"names": "mention"},
         "agent": {"condition": "trained", "agent": 0},
         "reference": {"kind": "trained", "seed": 0}}  # fmt: skip


def published(stage: str, parameters: dict) -> bool:
    """Whether an artifact is published: all that a notebook loads and that takes time to make."""
    if stage == "embedding":
        who = parameters["encoder"]
        made = who["source"], who["kind"]
        if parameters["names"] == "both":  # scores in second names are there; these act in the film
            return made == ("scratch", "trained") and not who["seed"] and "layer" not in parameters
        return made[0] != "lexical" and made != ("cloning", "untrained")
    known = parameters.items() >= PARTS.get(stage, {}).items()
    return known and stage not in ("pictures", "notebook")


def make() -> int:
    """Runs the release profile without what is published, then publishes; returns the bytes."""
    overrides = {"compute.published": False, "compute.progress": "terminal"}
    plan = run.Plan.check("release", overrides=overrides, out=str(run.RUNS / "release"))
    folder = run.run(plan)
    size = gather(folder, run.store_of(plan.profile).root)
    if problems := run.verify(folder):
        raise run.RunError(f"{folder}: {problems[0]}")
    shown = {path.name: path for path in (*(folder / "figures").iterdir(), folder / "results.json")}
    mirror(shown, FIGURES, keep=[SEEDS.name, SPEED.name])
    run.build()
    return size


def gather(folder: Path, store: Path) -> int:
    """Fills artifacts/release with what a finished run used; returns its size in bytes."""
    wanted: dict[str, Path | bytes] = {}
    for label, entry in json.loads((folder / MANIFEST).read_text())["artifacts"].items():
        source = store / label / entry["key"][:20]
        if problem := damage(source):
            raise run.RunError(f"artifact {label}: {problem}; remove {folder} and run again")
        recipe = json.loads((source / MANIFEST).read_text())["recipe"]
        if published(recipe["stage"], recipe["parameters"]):
            files = (path for path in source.rglob("*") if path.is_file())
            wanted |= {path.relative_to(store).as_posix(): path for path in files}
    size = sum(path.stat().st_size for path in wanted.values())
    if size > LIMIT:
        raise run.RunError(f"a release may have {LIMIT / 1e6:.0f} MB, not {size / 1e6:.1f}")
    mirror(wanted, run.RELEASE, keep=["DATA_CARD.md", "MODEL_CARD.md"])
    return size


def readme() -> str:
    """The README with the numbers of ``figures/results.json`` between its markers."""
    results = json.loads((FIGURES / "results.json").read_text())
    columns = {"verdict": "last layer", "verdict_gate_layer": "preferred layer"}
    seeds = pd.read_csv(SEEDS, keep_default_na=False).rename(columns=columns)
    seeds = seeds[["claim", *columns.values()]]
    text = Template((run.ROOT / "tools" / "results.md").read_text(encoding="utf-8")).render(
        results=results, answer=report.answer(results), seeds=seeds,
        tables=[(title, table.drop(columns="because", errors="ignore"))
                for title, table in report.tables(results)],
        speed=json.loads(SPEED.read_text()).values())  # fmt: skip
    before, _, after = re.split(f"{BEGIN}|{END}", README.read_text(encoding="utf-8"))
    return f"{before}{BEGIN}\n{text}\n{END}{after}"


if __name__ == "__main__":
    try:
        if sys.argv[1:] != ["readme"]:
            print(f"{make() / 1e6:.1f} MB in artifacts/release")
        write_atomically(README, readme())
    except run.RunError as error:
        sys.exit(f"error: {error}")
