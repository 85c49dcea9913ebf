"""The command line: ``python -m paper_utils --help``."""

import argparse
import sys
from pathlib import Path

import yaml

EXAMPLES = """examples:
  python -m paper_utils run                              the laptop profile, about 10 minutes
  python -m paper_utils run --profile smoke              every code path in a few minutes
  python -m paper_utils run --seed 1 --set cloning.width=96 --set worlds=3
  python -m paper_utils batch --seeds 0-4 --set cloning.width=64,96
  python -m paper_utils run --set compute.cluster=tcp://host:8786        on a Dask cluster
  python -m paper_utils verify runs/laptop-seed0         checks every file against its hash
  python -m paper_utils texts > instructions.csv         the instructions, to embed elsewhere
  python -m paper_utils audit a.npz b.npz --texts instructions.csv --out audit/

exit codes: 0 done, 1 a stage failed (which, why and what to do is printed), 2 bad arguments,
130 interrupted (the same command resumes)
"""


def seeds(text):
    """``"0-2"`` -> ``[0, 1, 2]``, ``"0,2"`` -> ``[0, 2]``.  ValueError for anything else."""
    found = []
    for part in text.split(","):
        first, _, last = part.partition("-")
        found += range(int(first), int(last or first) + 1)
    return found


def overrides(pairs, several=False):
    """``["a.b=3"]`` -> ``{"a.b": 3}``; values are YAML, ``several`` of them between commas."""
    found = {}
    for pair in pairs:
        key, _, text = pair.partition("=")
        found[key] = yaml.safe_load(f"[{text}]" if several else text)
    return found


# Commands import what they need: --help and typing errors answer at once.


def _job(options):
    from paper_utils.pipeline import Job

    return Job.check(options.profile, options.seed, overrides(options.set), options.out)


def _run(options):
    """run the notebooks through Papermill"""
    from paper_utils import pipeline, report

    print(report.headline(pipeline.run(_job(options))))


def _status(options):
    """show what of a run is done"""
    from paper_utils import pipeline

    print(pipeline.status(_job(options)))


def _batch(options):
    """run every combination of seeds and settings"""
    from paper_utils import batch

    choices = overrides(options.set, several=True)
    folder, jobs = batch.check(options.profile, options.seeds, choices, options.out)
    table, failed = batch.run(folder, jobs)
    print(table.round(3).to_string(index=False))
    print(f"summary  {folder / 'summary.csv'}")
    return failed > 0


def _texts(options):
    """print every instruction of a profile, as CSV"""
    from paper_utils import Profile
    from paper_utils.encoders import records

    profile = Profile.load(options.profile, overrides(options.set))
    records.texts(profile).to_csv(sys.stdout, index=False)


def _verify(options):
    """check a finished run against its manifest"""
    from paper_utils import folder

    problems = folder.verify(options.folder)
    for name, problem in problems.items():
        print(f"{name} {problem}")
    print(f"{len(problems)} problems")
    return bool(problems)


def _audit(options):
    """compare two files of vectors, with controls"""
    from paper_utils.alignment import auditing

    report = auditing.audit_files(options.first, options.second, options.texts, options.out)
    print(report.summary())


def _notebooks(options):
    """build notebooks/*.ipynb from their sources"""
    from paper_utils import notebooks

    if options.student:
        notebooks.write_for_students(options.student)
        notebooks.write_for_students(options.student / "one_hour", "one-hour")
    else:
        notebooks.build()


COMMANDS = {
    "run": _run,
    "status": _status,
    "batch": _batch,
    "texts": _texts,
    "verify": _verify,
    "audit": _audit,
    "notebooks": _notebooks,
}


def _parser():
    parser = argparse.ArgumentParser(
        "python -m paper_utils",
        epilog=EXAMPLES,
        description="Runs the paper: its notebooks from data to alignment, resumable.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parsers = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    add = {}
    for name, function in COMMANDS.items():
        add[name] = parsers.add_parser(name, help=function.__doc__).add_argument
    add["verify"]("folder", type=Path)
    add["notebooks"]("--student", metavar="DIR", type=Path, help="write them there without outputs")
    add["audit"]("first", type=Path, help="vectors, as embed_anywhere.py writes them")
    add["audit"]("second", type=Path)
    add["audit"]("--texts", type=Path, help="the sentences, one row each, as CSV")
    add["audit"]("--out", default="audit", help="folder for table, figure and page")
    add["batch"]("--seeds", type=seeds, default="0", help="as 0-4, or 0,2,5")
    profiles = "a name in paper_utils/profiles, or a path to a YAML file (default: laptop)"
    change = "change one value, as cloning.epochs=3 (repeatable); batch: or several, as 64,96"
    for name in ("run", "status", "batch", "texts"):
        add[name]("--profile", default="laptop", help=profiles)
        add[name]("--set", action="append", default=[], metavar="KEY=VALUE", help=change)
    for name in ("run", "status", "batch"):
        add[name]("--out", default="", help="folder; default: one below runs/")
    for name in ("run", "status"):
        add[name]("--seed", type=int, default=0, help="chooses other worlds")
    return parser


def main(arguments=None):
    """Runs one command; returns its exit code."""
    # A path may hold letters that a terminal cannot show.
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(errors="backslashreplace")
    options = _parser().parse_args(arguments)
    try:
        return int(COMMANDS[options.command](options) or 0)
    except KeyboardInterrupt:
        print("interrupted; the same command resumes", file=sys.stderr)
        return 130
    except Exception as error:
        bad = isinstance(error, (ValueError, yaml.YAMLError))
        # Errors of our own are made to be read, and so are those of YAML and the system; what is
        # wrong with two arrays is told by plain ones.
        ours = type(error).__module__.startswith(("paper_utils", "yaml"))
        plain = bad and options.command == "audit"
        if not (ours or plain or isinstance(error, (OSError, ImportError))):
            raise
        print("error:", *str(error).split(), file=sys.stderr)
        return 2 if bad else 1


if __name__ == "__main__":
    sys.exit(main())
