"""What the project publishes: a run's figures and numbers, and the artifacts that show them."""

from __future__ import annotations

import json
import os
from fnmatch import fnmatch
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from paper_utils import pipeline, provenance, report
from paper_utils.artifacts import MANIFEST, PUBLISHED_VARIABLE, damage, write_atomically
from paper_utils.encoders.embeddings import encoder_of
from paper_utils.run import RELEASE, RUNS

LIMIT = 25_000_000  # bytes in all
README = provenance.ROOT / "README.md"


def make() -> int:
    """Runs the release profile without what is published, then publishes it all.

    Resumes like any run.  Returns the bytes published.  Raises RunError as `pipeline.run` does.
    """
    plan = pipeline.Plan.check("release", out=str(RUNS / "release"))
    store = Path(os.environ.get("PAPER_STORE") or RUNS / "store")
    with pipeline.environment(**{PUBLISHED_VARIABLE: "ignore"}):
        pipeline.run(plan)
    size = gather(plan.folder, store, RELEASE)
    show(plan.folder)
    with TemporaryDirectory() as folder, pipeline.environment(PAPER_OUT=folder):
        pipeline.build()
    return size


def show(run: Path) -> None:
    """Copies a run's figures and results.json to ``figures/``, and its numbers into the README.

    Raises RunError if a file of the run does not match its manifest.
    """
    problems = pipeline.verify(run)
    if problems:
        raise pipeline.RunError(f"{run}: {problems[0]}")
    wanted = {p.name: p for p in (run / "figures").glob("*.p??")}
    wanted["results.json"] = run / "results.json"
    for old in report.PUBLISHED.glob("*.*"):
        if old.name not in wanted:
            old.unlink()
    for name, path in wanted.items():
        write_atomically(report.PUBLISHED / name, path.read_bytes())
    write_atomically(README, report.with_results(README.read_text(encoding="utf-8")))


def kept(stage: str, parameters: dict[str, Any]) -> tuple[str, ...]:
    """Which files of an artifact are published, as patterns.

    All that a notebook loads, unless it is made again in a moment.  Left out are what only
    training reads (demonstrations' steps, pictures, weights on the way), and the weights of the
    control agents.
    """
    if stage == "demonstrations":
        return ("episodes.csv.gz", "skipped.json", "*.validation.npz")
    if stage == "pictures":
        return ()
    if stage == "agent":
        if parameters["condition"] == "untrained":
            return ()
        return ("policy.*", "curve.csv") if parameters["condition"] == "trained" else ("curve.csv",)
    if stage == "embedding":
        encoder = encoder_of(parameters["encoder"])
        quick = encoder.source == "control" or encoder.name == "action-untrained"
        return () if quick else ("*",)
    if stage == "reference":
        return ("*",) if parameters["trained"] else ()
    return ("*",)


def gather(run: Path, store: Path, release: Path) -> int:
    """Fills ``release`` with what a finished run used; returns its size in bytes.

    Every artifact leaves at least its manifest there: the hash of each of its files, published or
    not, so that whoever makes them again can compare.  Equal bytes are left alone, and what
    belongs to no artifact of this run is removed.  Raises RunError above LIMIT.
    """
    artifacts = json.loads((run / "manifest.json").read_text())["artifacts"]
    wanted: dict[Path, Path | str] = {}
    for label, entry in artifacts.items():
        folder = store / label / entry["key"][:20]
        if problem := damage(folder):
            raise pipeline.RunError(
                f"artifact {label}/{folder.name}: {problem}; remove {run} and run again"
            )
        manifest = json.loads((folder / MANIFEST).read_text())
        patterns = kept(manifest["recipe"]["stage"], manifest["recipe"]["parameters"])
        files = list(manifest["files"])
        names = [n for n in files if any(fnmatch(n, pattern) for pattern in patterns)]
        there = Path(label, folder.name)
        wanted |= {there / name: folder / name for name in names}
        manifest["left_out"] = sorted(set(files) - set(names))
        wanted[there / MANIFEST] = json.dumps(manifest, indent=1, sort_keys=True) + "\n"
    size = sum(p.stat().st_size if isinstance(p, Path) else len(p) for p in wanted.values())
    if size > LIMIT:
        raise pipeline.RunError(
            f"a release may have {LIMIT / 1e6:.0f} MB, this one has {size / 1e6:.1f}"
        )
    for path in sorted(release.rglob("*"), reverse=True):
        if path.is_dir() and not any(path.iterdir()):
            path.rmdir()
        elif path.is_file() and path.parent != release and path.relative_to(release) not in wanted:
            path.unlink()
    for name, content in wanted.items():
        data = content.encode() if isinstance(content, str) else content.read_bytes()
        if not (release / name).is_file() or (release / name).read_bytes() != data:
            write_atomically(release / name, data)
    return size
