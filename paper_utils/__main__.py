"""The command line: ``python -m paper_utils --help``."""

import argparse
import re
import sys
from pathlib import Path

from paper_utils.config import ProfileError, available, parse_yaml

MOST_SEEDS = 1000
EXAMPLES = """examples:
  python -m paper_utils run                              the laptop profile, about 10 minutes
  python -m paper_utils run --profile smoke              every code path in a few minutes
  python -m paper_utils run --seed 1 --set cloning.width=96 --set worlds=3
  python -m paper_utils batch --seeds 0-4 --set cloning.width=64,96
  python -m paper_utils verify runs/laptop-seed0         checks every file against its hash
  python -m paper_utils texts > instructions.csv         the instructions, to embed elsewhere
  python -m paper_utils audit a.npz b.npz --texts instructions.csv --out audit/

exit codes: 0 done, 1 a stage failed (which, why and what to do is printed), 2 bad arguments,
130 interrupted (the same command resumes)
"""


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        "python -m paper_utils",
        epilog=EXAMPLES,
        description="Runs the paper: its notebooks from data to alignment, resumable.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    one = commands.add_parser("run", help="run the notebooks through Papermill")
    state = commands.add_parser("status", help="show what of a run is done")
    many = commands.add_parser("batch", help="run every combination of seeds and settings")
    texts = commands.add_parser("texts", help="print every instruction of a profile, as CSV")
    verify = commands.add_parser("verify", help="check a finished run against its manifest")
    audit = commands.add_parser("audit", help="compare two files of vectors, with controls")
    build = commands.add_parser("notebooks", help="build notebooks/*.ipynb from their sources")
    # For notebooks that lack something: a request on standard input, progress on standard output.
    commands.add_parser("make")
    verify.add_argument("folder", type=Path)
    build.add_argument("--check", action="store_true", help="only tell which are out of date")
    build.add_argument("--student", metavar="DIR", help="write them there without outputs instead")
    audit.add_argument("first", type=Path, help="vectors, as embed_anywhere.py writes them")
    audit.add_argument("second", type=Path)
    audit.add_argument("--texts", type=Path, help="the sentences, one row each, as CSV")
    audit.add_argument("--out", default="audit", help="folder for table, figure and page")
    many.add_argument("--seeds", default="0", help="as 0-4, or 0,2,5")
    profiles = f"{', '.join(available())}, or a path to a YAML file (default: laptop)"
    change = "change one value of the profile, as cloning.epochs=3 (repeatable)"
    several = "; several values, as cloning.width=64,96: every one with every other"
    for command in (one, state, many, texts):
        command.add_argument("--profile", default="laptop", help=profiles)
        said = change + several if command is many else change
        command.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help=said)
    for command in (one, state, many):
        command.add_argument("--out", default="", help="folder; default: one below runs/")
    for command in (one, state):
        command.add_argument("--seed", type=int, default=0, help="chooses other worlds")
    for command in (one, many):
        where = "a Dask scheduler, as tcp://host:8786; default: this machine"
        command.add_argument("--cluster", default="", metavar="ADDRESS", help=where)
    return parser


def seeds(text: str) -> list[int]:
    """``"0-4"`` -> ``[0, 1, 2, 3, 4]``, ``"0,2"`` -> ``[0, 2]``."""
    found: list[int] = []
    # Numbers and ranges, in any mixture.
    for part in text.split(","):
        read = re.fullmatch(r"\s*([0-9]{1,9})(?:-([0-9]{1,9}))?\s*", part)
        several = range(int(read[1]), int(read[2] or read[1]) + 1) if read else range(0)
        if not 1 <= len(several) <= MOST_SEEDS:
            wanted = f"numbers, as 0-4 or 0,2,5, at most {MOST_SEEDS} of them"
            raise ProfileError(f"--seeds wants {wanted}, not {text!r}")
        found += several
    return list(dict.fromkeys(found))


def overrides(pairs: list[str], several: bool = False) -> dict:
    """``["a.b=3"]`` -> ``{"a.b": 3}``; values are YAML, ``several`` of them between commas."""
    found: dict = {}
    for pair in pairs:
        key, _, text = (word.strip() for word in pair.partition("="))
        if not key or not text:
            raise ProfileError(f"--set wants KEY=VALUE, not {pair!r}")
        # The second would silently win.
        if key in found:
            raise ProfileError(f"--set {key} is given twice")
        try:
            found[key] = parse_yaml(f"[{text}]" if several else text)
        except ValueError:
            raise ProfileError(f"--set {key}: {text!r} is not a YAML value") from None
    return found


def _settings(options: argparse.Namespace) -> dict:
    """What the options change in the profile."""
    given = overrides(options.set)
    if getattr(options, "cluster", ""):
        given["compute.cluster"] = options.cluster
    return given


def _run(options: argparse.Namespace) -> int:
    from paper_utils import pipeline, report

    # Imported only now: --help and typing errors answer at once.
    job = pipeline.Job.check(options.profile, options.seed, _settings(options), options.out)
    print(report.headline(pipeline.run(job)))
    return 0


def _status(options: argparse.Namespace) -> int:
    from paper_utils import pipeline

    job = pipeline.Job.check(options.profile, options.seed, _settings(options), options.out)
    for name, what in pipeline.status(job):
        print(f"{name:16} {what}")
    return 0


def _batch(options: argparse.Namespace) -> int:
    from paper_utils import batch

    given = overrides(options.set, several=True)
    # Where to compute is no setting to be varied.
    compute = {key: given.pop(key)[0] for key in list(given) if key.startswith("compute.")}
    if options.cluster:
        compute["compute.cluster"] = options.cluster
    wanted = seeds(options.seeds)
    folder, jobs = batch.check(options.profile, wanted, given, options.out, compute)
    table, failures = batch.run(folder, jobs)
    if len(table):
        print(table.round(3).to_string(index=False))
        print(f"summary  {folder / 'summary.csv'}")
    for line in failures:
        print(f"failed: {line}", file=sys.stderr)
    return 1 if failures else 0


def _texts(options: argparse.Namespace) -> int:
    from paper_utils import Profile
    from paper_utils.data import grammar

    data = Profile.load(options.profile, overrides(options.set)).data
    table = grammar.instructions(data.levels, synonyms=data.synonyms)
    print(table[["id", "text", "second_text"]].to_csv(index=False), end="")
    return 0


def _verify(options: argparse.Namespace) -> int:
    from paper_utils import folder

    problems = folder.verify(options.folder)
    print("\n".join(problems) or f"{options.folder}: every file matches its hash")
    return 1 if problems else 0


def _notebooks(options: argparse.Namespace) -> int:
    from paper_utils import notebooks

    if options.student:
        for path in notebooks.write_for_students(Path(options.student)):
            print(path)
        return 0
    stale = notebooks.build(check=options.check)
    for name in stale:
        print(f"{name}.ipynb differs from {name}.py; rebuild with: make notebooks")
    return 1 if stale else 0


def _audit(options: argparse.Namespace) -> int:
    from paper_utils.alignment import auditing

    report = auditing.audit_files(options.first, options.second, options.texts, options.out)
    print(report.summary())
    return 0


def _make(options: argparse.Namespace) -> int:
    from paper_utils import plan, progress

    plan.make_requested(sys.stdin.read(), progress.to_pipe)
    return 0


COMMANDS = {
    "run": _run,
    "status": _status,
    "batch": _batch,
    "texts": _texts,
    "verify": _verify,
    "audit": _audit,
    "notebooks": _notebooks,
    "make": _make,
}


def _errors() -> tuple[type[Exception], ...]:
    """What is told in one line."""
    from paper_utils.encoders.hub import CheckpointError
    from paper_utils.run import RunError
    from paper_utils.store import ArtifactError

    return ProfileError, ArtifactError, CheckpointError, RunError, OSError


def main(arguments: list[str] | None = None) -> int:
    """Runs one command; returns its exit code."""
    # A path may hold letters that a terminal cannot show.
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")
    options = _parser().parse_args(arguments)
    try:
        return COMMANDS[options.command](options)
    except KeyboardInterrupt:
        print("interrupted; the same command resumes", file=sys.stderr)
        return 130
    except Exception as error:
        # What is wrong with two arrays is the arrays' matter, not a stage's.
        is_input = options.command == "audit" and isinstance(error, ValueError)
        if not is_input and not isinstance(error, _errors()):
            raise
        where = f": {error.filename}" if getattr(error, "filename", None) else ""
        print(f"error: {getattr(error, 'strerror', None) or error}{where}", file=sys.stderr)
        bad = is_input or isinstance(error, ProfileError) or getattr(error, "usage", False)
        return 2 if bad else 1


if __name__ == "__main__":
    sys.exit(main())
