"""The command line: ``python -m paper_utils --help``."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

from paper_utils.config import ProfileError, available, parse_yaml

EXAMPLES = """examples:
  python -m paper_utils run                              the laptop profile, about ten minutes
  python -m paper_utils run --profile smoke              every code path in about a minute
  python -m paper_utils run --seed 1 --set cloning.width=96 --set cloning.epochs=12
  python -m paper_utils status                           what is done, what is waiting
  python -m paper_utils verify runs/laptop-seed0         checks every file against its hash
  python -m paper_utils notebooks                        rebuilds notebooks/*.ipynb from the .py

exit codes: 0 done, 1 a stage failed (which, why and what to do is printed), 2 bad arguments
"""


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m paper_utils",
        description="Runs the paper: four notebooks from data to alignment, resumable.",
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

    verify = commands.add_parser("verify", help="check a finished run against its manifest")
    verify.add_argument("folder", type=Path)

    publish = commands.add_parser(
        "publish", help="copy a run's figures and results to figures/ and the README"
    )
    publish.add_argument("folder", type=Path)

    build = commands.add_parser("notebooks", help="build notebooks/*.ipynb from their sources")
    build.add_argument("--check", action="store_true", help="only tell which are out of date")
    return parser


def overrides(pairs: list[str]) -> dict[str, Any]:
    """``["cloning.epochs=3"]`` -> ``{"cloning.epochs": 3}``; values are read as YAML."""
    import yaml

    found = {}
    for pair in pairs:
        key, equals, text = pair.partition("=")
        if not equals or not key.strip() or not text.strip():
            raise ProfileError(f"--set wants KEY=VALUE, not {pair!r}")
        try:
            found[key.strip()] = parse_yaml(text)
        except yaml.YAMLError:
            raise ProfileError(f"--set {key.strip()}: {text!r} is not a YAML value") from None
    return found


def main(arguments: list[str] | None = None) -> int:
    options = _parser().parse_args(arguments)
    from paper_utils import pipeline

    try:
        if options.command == "run":
            plan = pipeline.Plan.check(
                options.profile, options.seed, overrides(options.overrides), options.out
            )
            pipeline.run(plan)
            from paper_utils import report

            print(report.headline(plan.folder))
        elif options.command == "status":
            plan = pipeline.Plan.check(
                options.profile, options.seed, overrides(options.overrides), options.out
            )
            for name, what in pipeline.status(plan.folder):
                print(f"{name:16} {what}")
        elif options.command == "verify":
            problems = pipeline.verify(options.folder)
            print("\n".join(problems) or f"{options.folder}: every file matches its hash")
            return 1 if problems else 0
        elif options.command == "publish":
            from paper_utils import report

            problems = pipeline.verify(options.folder)
            if problems:
                raise pipeline.RunError(f"{options.folder}: {problems[0]}")
            report.publish(options.folder)
        elif options.command == "notebooks":
            stale = pipeline.build(check=options.check)
            for name in stale:
                print(f"{name}.ipynb differs from {name}.py; rebuild with: make notebooks")
            return 1 if stale else 0
    except ProfileError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except pipeline.RunError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2 if error.usage else 1
    except KeyboardInterrupt:
        print("interrupted; the same command resumes", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
