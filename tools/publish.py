"""For maintainers: runs the release profile from nothing, and publishes all of it.

python tools/publish.py           runs (hours; resumes), then publishes
python tools/publish.py readme    writes the README's tables from figures/results.json
"""

import json
import sys
from pathlib import Path
from typing import Any

import pandas as pd

from paper_utils import report, run
from paper_utils.store import MANIFEST, damage, mirror, write_atomically

LIMIT = 30_000_000  # bytes in all
README = run.ROOT / "README.md"
FIGURES = run.ROOT / "figures"
CARDS = ("DATA_CARD.md", "MODEL_CARD.md")
BEGIN, END = "<!-- results: begin -->", "<!-- results: end -->"


def published(stage: str, parameters: dict[str, Any]) -> bool:
    """Whether an artifact is published: all that a notebook loads, unless it is made in a moment.

    Left out: what only training reads, and the weights of agents and models that no notebook shows.
    """
    if stage == "demonstrations":
        return parameters["split"] == "validation"
    if stage == "stories":
        return parameters["names"] == "mention"
    if stage == "agent":
        return parameters["condition"] == "trained" and parameters["agent"] == 0
    if stage == "reference":
        return parameters["kind"] == "trained" and parameters["seed"] == 0
    if stage == "embedding":
        who = parameters["encoder"]
        made = who["source"], who["kind"]
        if parameters["names"] == "both":  # scores in second names are there; these act in the film
            return made == ("scratch", "trained") and not who["seed"] and "layer" not in parameters
        return made[0] != "lexical" and made != ("cloning", "untrained")
    return stage not in ("pictures", "notebook")


def make() -> int:
    """Runs the release profile without what is published, then publishes; returns the bytes."""
    overrides = {"compute.published": False, "compute.progress": "terminal"}
    plan = run.Plan.check("release", overrides=overrides, out=str(run.RUNS / "release"))
    run.run(plan)
    size = gather(plan.folder, run.store_of(plan.profile).root)
    show(plan.folder)
    run.build()
    return size


def gather(folder: Path, store: Path) -> int:
    """Fills artifacts/release with what a finished run used; returns its size in bytes."""
    artifacts = json.loads((folder / MANIFEST).read_text())["artifacts"]
    wanted: dict[str, Path | bytes] = {}
    for label, entry in artifacts.items():
        source = store / label / entry["key"][:20]
        if problem := damage(source):
            raise run.RunError(f"artifact {label}: {problem}; remove {folder} and run again")
        recipe = json.loads((source / MANIFEST).read_text())["recipe"]
        if published(recipe["stage"], recipe["parameters"]):
            files = [path for path in source.rglob("*") if path.is_file()]
            wanted |= {path.relative_to(store).as_posix(): path for path in files}
    size = sum(path.stat().st_size for path in wanted.values())
    if size > LIMIT:
        line = f"a release may have {LIMIT / 1e6:.0f} MB, this one has {size / 1e6:.1f}"
        raise run.RunError(line)
    mirror(wanted, run.RELEASE, keep=CARDS)
    return size


def show(folder: Path) -> None:
    """Copies a run's figures and results.json to ``figures/``, and its numbers into the README.

    Raises RunError if a file of the run does not match its manifest.
    """
    if problems := run.verify(folder):
        raise run.RunError(f"{folder}: {problems[0]}")
    wanted = {path.name: path for path in (folder / "figures").iterdir()}
    mirror({**wanted, "results.json": folder / "results.json"}, FIGURES)
    write_atomically(README, with_results(README.read_text(encoding="utf-8")))


def with_results(readme: str) -> str:
    """The README with the numbers of ``figures/results.json`` between its markers."""
    results = json.loads((FIGURES / "results.json").read_text())

    def picture(name: str, kind: str) -> str:
        caption = results["captions"].get(name)
        return f"![{caption}](figures/{name}.{kind})\n\n*{caption}*" if caption else ""

    def section(title: str, frame: pd.DataFrame) -> str:
        rows = [list(frame), ["---"] * frame.shape[1], *frame.astype(str).to_numpy()]
        return "\n".join([f"**{title}**\n", *("| " + " | ".join(row) + " |" for row in rows)])

    seconds = results["wall_seconds"]
    minutes = ", ".join(f"{name} {value / 60:.1f}" for name, value in seconds.items() if value > 6)
    first, *rest = [(title, frame) for title, frame in report.tables(results) if len(frame)]
    parts = [
        picture("04_film", "gif"), *report.answer(results), picture("04_answer", "png"),
        section(first[0], first[1].drop(columns="because")),
        f"From `figures/results.json`: profile `{results['profile']}`, seed {results['seed']}, "
        f"N = {results['instructions']} instructions. {report.models(results)}",
        "<details><summary>All tables</summary>", *(section(*one) for one in rest),
        f"Work in this run, in minutes of one core, by stage: {minutes}; "
        f"{sum(seconds.values()) / 60:.1f} in all.", "</details>",
    ]  # fmt: skip
    text = "\n\n".join(filter(None, parts))
    return f"{readme.split(BEGIN)[0]}{BEGIN}\n{text}\n{END}{readme.split(END)[1]}"


if __name__ == "__main__":
    if sys.argv[1:] == ["readme"]:
        write_atomically(README, with_results(README.read_text(encoding="utf-8")))
    else:
        try:
            print(f"{make() / 1e6:.1f} MB in artifacts/release")
        except run.RunError as error:
            sys.exit(f"error: {error}")
