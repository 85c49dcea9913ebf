"""For maintainers: runs the release profile from nothing, and publishes what notebooks load.

python tools/publish.py           runs (hours; resumes), publishes, and builds the notebooks
"""

import sys
from pathlib import Path

from paper_utils import folder as folders
from paper_utils import notebooks, pipeline, run
from paper_utils.plan import Product
from paper_utils.store import Store, damage, sync_folder
from paper_utils.study.products import products

LIMIT = 30_000_000  # bytes in all
CARDS = ("DATA_CARD.md", "MODEL_CARD.md")
FIGURES = run.ROOT / "figures"
# Written by the benchmarks, not by a run.
SPEED = "speed.json"


def make(profile: str = run.DEFAULT) -> int:
    """Runs a profile without what is published, then publishes; returns the bytes."""
    overrides = {"compute.published": False, "compute.progress": "terminal"}
    place = str(run.RUNS / profile)
    job = pipeline.Job.check(profile, overrides=overrides, out=place)
    folder = pipeline.run(job)
    size = gather(products(job.profile), run.store_of(job.profile))
    problems = folders.verify(folder)
    if problems:
        raise run.RunError(f"{folder}: {problems[0]}")
    shown: dict[str, Path | bytes] = {path.name: path for path in (folder / "figures").iterdir()}
    shown["results.json"] = folder / "results.json"
    kept = FIGURES / SPEED
    if kept.exists():
        shown[SPEED] = kept
    sync_folder(shown, FIGURES)
    notebooks.build()
    return size


def closure(wanted: list[Product]) -> list[Product]:
    """Products, and the embeddings that they were made from: with these anyone can go on."""
    found = list(wanted)
    for stage, profile, parameters in wanted:
        for needed, chosen in stage.needs(profile, **parameters):
            if needed.name == "embedding":
                found.append((needed, profile, chosen))
    return found


def gather(wanted: list[Product], store: Store) -> int:
    """Fills artifacts/published with what notebooks load; returns its size in bytes."""
    files: dict[str, Path | bytes] = {}
    for stage, profile, parameters in closure(wanted):
        source = store.path(stage, profile, **parameters)
        problem = damage(source)
        if problem:
            raise run.RunError(f"artifact {source.parent.name}: {problem}; run again")
        for path in source.rglob("*"):
            if path.is_file():
                files[path.relative_to(store.root).as_posix()] = path
    size = sum(path.stat().st_size for path in files.values())
    if size > LIMIT:
        raise run.RunError(f"a release may have {LIMIT / 1e6:.0f} MB, not {size / 1e6:.1f}")
    for name in CARDS:
        card = run.PUBLISHED / name
        if card.exists():
            files[name] = card
    sync_folder(files, run.PUBLISHED)
    return size


if __name__ == "__main__":
    try:
        print(f"{make() / 1e6:.1f} MB in {run.PUBLISHED}")
    except run.RunError as error:
        sys.exit(f"error: {error}")
