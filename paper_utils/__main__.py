"""The command line: ``python -m paper_utils --help``."""

from __future__ import annotations

import argparse
import re
import sys
from pathlib import Path
from typing import Any

from paper_utils.config import ProfileError, available, parse_yaml
from paper_utils.store import ArtifactError

MOST_SEEDS = 1000
EXAMPLES = """examples:
  python -m paper_utils run                              the laptop profile, about ten minutes
  python -m paper_utils run --profile smoke              every code path in about a minute
  python -m paper_utils run --seed 1 --set cloning.width=96 --set cloning.epochs=12
  python -m paper_utils batch --seeds 0-4 --set cloning.width=64,96
  python -m paper_utils status                           what is done, what is waiting
  python -m paper_utils verify runs/laptop-seed0         checks every file against its hash
  python -m paper_utils notebooks                        rebuilds notebooks/*.ipynb from the .py

exit codes: 0 done, 1 a stage failed (which, why and what to do is printed), 2 bad arguments,
130 interrupted (the same command resumes)
"""


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m paper_utils",
        description="Runs the paper: its notebooks from data to alignment, resumable.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")

    run = commands.add_parser("run", help="run the notebooks through Papermill")
    state = commands.add_parser("status", help="show what of a run is done")
    for command in (run, state):
        command.add_argument(
            "--profile",
            default="laptop",
            help=f"{', '.join(available())}, or a path to a YAML file",
        )
        command.add_argument("--seed", type=int, default=0, help="offsets every random stream")
        command.add_argument("--out", default="", help="default: runs/<profile>-seed<seed>")
        command.add_argument(
            "--set", action="append", default=[], metavar="KEY=VALUE", dest="overrides",
            help="change one value of the profile, as cloning.epochs=3 (repeatable)",
        )  # fmt: skip

    batch = commands.add_parser("batch", help="run every combination of seeds and settings")
    batch.add_argument("--profile", default="laptop", help="as for run")
    batch.add_argument("--seeds", default="0", help="as 0-4, or 0,2,5")
    batch.add_argument("--out", default="", help="default: runs/<profile>-batch-<hash>")
    batch.add_argument(
        "--set", action="append", default=[], metavar="KEY=VALUE,VALUE", dest="overrides",
        help="values to try, as cloning.width=64,96 (repeatable: every one with every other)",
    )  # fmt: skip
    for command in (run, batch):
        command.add_argument(
            "--cluster", default="", metavar="ADDRESS",
            help="a Dask scheduler, as tcp://host:8786; default: this machine",
        )  # fmt: skip

    verify = commands.add_parser("verify", help="check a finished run against its manifest")
    verify.add_argument("folder", type=Path)

    build = commands.add_parser("notebooks", help="build notebooks/*.ipynb from their sources")
    build.add_argument("--check", action="store_true", help="only tell which are out of date")
    return parser


def seeds(text: str) -> list[int]:
    """``"0-4"`` -> ``[0, 1, 2, 3, 4]``, ``"0,2"`` -> ``[0, 2]``."""
    found: list[int] = []
    for part in text.split(","):
        read = re.fullmatch(r"\s*([0-9]{1,9})(?:-([0-9]{1,9}))?\s*", part)
        if not read:
            raise ProfileError(f"--seeds wants numbers, as 0-4 or 0,2,5, not {text!r}")
        several = range(int(read[1]), int(read[2] or read[1]) + 1)
        if not several or len(several) > MOST_SEEDS:
            raise ProfileError(f"--seeds: {part.strip()!r} is not a range of 1 to {MOST_SEEDS}")
        found += several
    return list(dict.fromkeys(found))


def overrides(pairs: list[str], several: bool = False) -> dict[str, Any]:
    """``["cloning.epochs=3"]`` -> ``{"cloning.epochs": 3}``; values are read as YAML.

    ``several``: each is a list of the values between commas.
    """
    import yaml

    found = {}
    for pair in pairs:
        key, equals, text = pair.partition("=")
        if not equals or not key.strip() or not text.strip():
            raise ProfileError(f"--set wants KEY=VALUE, not {pair!r}")
        try:
            value = parse_yaml(f"[{text}]" if several else text)
        except yaml.YAMLError:
            raise ProfileError(f"--set {key.strip()}: {text!r} is not a YAML value") from None
        if key.strip() in found:
            raise ProfileError(f"--set {key.strip()} is given twice")
        found[key.strip()] = value
    return found


def main(arguments: list[str] | None = None) -> int:
    options = _parser().parse_args(arguments)
    from paper_utils import run

    try:
        if options.command in ("run", "status"):
            given = overrides(options.overrides) | _cluster(options)
            plan = run.Plan.check(options.profile, options.seed, given, options.out)
            if options.command == "run":
                from paper_utils import report

                print(report.headline(run.run(plan)))
            else:
                for name, what in run.status(plan):
                    print(f"{name:16} {what}")
        elif options.command == "batch":
            return _batch(options)
        elif options.command == "verify":
            problems = run.verify(options.folder)
            print("\n".join(problems) or f"{options.folder}: every file matches its hash")
            return 1 if problems else 0
        elif options.command == "notebooks":
            stale = run.build(check=options.check)
            for name in stale:
                print(f"{name}.ipynb differs from {name}.py; rebuild with: make notebooks")
            return 1 if stale else 0
    except ProfileError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except run.RunError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2 if error.usage else 1
    except (ArtifactError, OSError) as error:  # a full disk, most often
        where = f": {error.filename}" if getattr(error, "filename", None) else ""
        print(f"error: {getattr(error, 'strerror', None) or error}{where}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("interrupted; the same command resumes", file=sys.stderr)
        return 130
    return 0


def _cluster(options: argparse.Namespace) -> dict[str, str]:
    address = getattr(options, "cluster", "")
    return {"compute.cluster": address} if address else {}


def _batch(options: argparse.Namespace) -> int:
    from paper_utils import batch

    choices = overrides(options.overrides, several=True)
    compute = {key: choices.pop(key)[0] for key in [*choices] if key.startswith("compute.")}
    runs = batch.Batch.check(
        options.profile, seeds(options.seeds), choices, options.out, compute | _cluster(options)
    )
    table, failures = batch.run(runs)
    if len(table):
        print(table.round(3).to_string(index=False))
        print(f"summary  {runs.folder / 'summary.csv'}")
    for line in failures:
        print(f"failed: {line}", file=sys.stderr)
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
