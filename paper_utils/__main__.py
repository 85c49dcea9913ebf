"""The command line: ``python -m paper_utils --help``."""

import argparse
import re
import sys
from pathlib import Path

from paper_utils import run
from paper_utils.config import Profile, ProfileError, available, parse_yaml
from paper_utils.data import grammar
from paper_utils.encoders.hub import CheckpointError
from paper_utils.store import ArtifactError

MOST_SEEDS = 1000
EXAMPLES = """examples:
  python -m paper_utils run                              the laptop profile, about 10 minutes
  python -m paper_utils run --profile smoke              every code path in a few minutes
  python -m paper_utils run --seed 1 --set cloning.width=96 --set cloning.epochs=12
  python -m paper_utils batch --seeds 0-4 --set cloning.width=64,96
  python -m paper_utils verify runs/laptop-seed0         checks every file against its hash
  python -m paper_utils texts > instructions.csv         the instructions, to embed elsewhere

exit codes: 0 done, 1 a stage failed (which, why and what to do is printed), 2 bad arguments,
130 interrupted (the same command resumes)
"""


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("python -m paper_utils", epilog=EXAMPLES,
        description="Runs the paper: its notebooks from data to alignment, resumable.",
        formatter_class=argparse.RawDescriptionHelpFormatter)  # fmt: skip
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    one = commands.add_parser("run", help="run the notebooks through Papermill")
    state = commands.add_parser("status", help="show what of a run is done")
    many = commands.add_parser("batch", help="run every combination of seeds and settings")
    texts = commands.add_parser("texts", help="print every instruction of a profile, as CSV")
    verify = commands.add_parser("verify", help="check a finished run against its manifest")
    build = commands.add_parser("notebooks", help="build notebooks/*.ipynb from their sources")
    verify.add_argument("folder", type=Path)
    build.add_argument("--check", action="store_true", help="only tell which are out of date")
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
        command.add_argument("--seed", type=int, default=0, help="offsets every random stream")
    for command in (one, many):
        where = "a Dask scheduler, as tcp://host:8786; default: this machine"
        command.add_argument("--cluster", default="", metavar="ADDRESS", help=where)
    return parser


def seeds(text: str) -> list[int]:
    """``"0-4"`` -> ``[0, 1, 2, 3, 4]``, ``"0,2"`` -> ``[0, 2]``."""
    found: list[int] = []
    for part in text.split(","):
        read = re.fullmatch(r"\s*([0-9]{1,9})(?:-([0-9]{1,9}))?\s*", part)
        several = range(int(read[1]), int(read[2] or read[1]) + 1) if read else range(0)
        if not 1 <= len(several) <= MOST_SEEDS:
            raise ProfileError(f"--seeds wants numbers, as 0-4 or 0,2,5, at most {MOST_SEEDS} of "
                               f"them, not {text!r}")  # fmt: skip
        found += several
    return list(dict.fromkeys(found))


def overrides(pairs: list[str], several: bool = False) -> dict:
    """``["a.b=3"]`` -> ``{"a.b": 3}``; values are YAML, ``several`` of them between commas."""
    found: dict = {}
    for pair in pairs:
        key, _, text = (word.strip() for word in pair.partition("="))
        if not key or not text:
            raise ProfileError(f"--set wants KEY=VALUE, not {pair!r}")
        if key in found:
            raise ProfileError(f"--set {key} is given twice")
        try:
            found[key] = parse_yaml(f"[{text}]" if several else text)
        except ValueError:
            raise ProfileError(f"--set {key}: {text!r} is not a YAML value") from None
    return found


def _command(options: argparse.Namespace) -> int:
    """Does what was asked; returns the exit code."""
    if options.command == "verify":
        problems = run.verify(options.folder)
        print("\n".join(problems) or f"{options.folder}: every file matches its hash")
        return 1 if problems else 0
    if options.command == "notebooks":
        stale = run.build(check=options.check)
        for name in stale:
            print(f"{name}.ipynb differs from {name}.py; rebuild with: make notebooks")
        return 1 if stale else 0
    given = overrides(options.set, several=options.command == "batch")
    cluster = {"compute.cluster": options.cluster} if getattr(options, "cluster", "") else {}
    if options.command == "texts":
        data = Profile.load(options.profile, given).data
        table = grammar.instructions(data.levels, second=data.second_names)
        print(table[["id", "text", "second_text"]].to_csv(index=False), end="")
    elif options.command == "status":
        plan = run.Plan.check(options.profile, options.seed, given, options.out)
        print("\n".join(f"{name:16} {what}" for name, what in run.status(plan)))
    elif options.command == "run":
        plan = run.Plan.check(options.profile, options.seed, given | cluster, options.out)
        from paper_utils import report

        print(report.headline(run.run(plan)))
    else:
        from paper_utils import batch

        compute = {key: given.pop(key)[0] for key in [*given] if key.startswith("compute.")}
        folder, plans = batch.check(options.profile, seeds(options.seeds), given, options.out,
                                    compute | cluster)  # fmt: skip
        table, failures = batch.run(folder, plans)
        if len(table):
            print(table.round(3).to_string(index=False))
            print(f"summary  {folder / 'summary.csv'}")
        for line in failures:
            print(f"failed: {line}", file=sys.stderr)
        return 1 if failures else 0
    return 0


def main(arguments: list[str] | None = None) -> int:
    options = _parser().parse_args(arguments)
    try:
        return _command(options)
    except KeyboardInterrupt:
        print("interrupted; the same command resumes", file=sys.stderr)
        return 130
    except (ProfileError, ArtifactError, CheckpointError, run.RunError, OSError) as error:
        where = f": {error.filename}" if getattr(error, "filename", None) else ""
        print(f"error: {getattr(error, 'strerror', None) or error}{where}", file=sys.stderr)
        return 2 if isinstance(error, ProfileError) or getattr(error, "usage", False) else 1


if __name__ == "__main__":
    sys.exit(main())
