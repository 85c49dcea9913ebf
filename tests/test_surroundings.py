"""Settings of git, terminals, kernels and systems: a reader's own, and not the paper's."""

from __future__ import annotations

import json
import os
import pty
import re
import subprocess
import sys
import termios
from pathlib import Path

import nbformat
import pytest
from commands import ROOT

from paper_utils import folder, notebooks, parallel
from paper_utils.config import Compute
from paper_utils.parallel import Task
from paper_utils.store import MANIFEST, damage

IN_GIT = pytest.mark.skipif(not (ROOT / ".git").exists(), reason="an archive, no clone")


def git(*words: str, cwd: Path = ROOT, **options) -> str:
    asked = ["git", "-c", "user.name=a", "-c", "user.email=a@b", *words]
    return subprocess.run(
        asked, cwd=cwd, capture_output=True, text=True, check=True, **options
    ).stdout


@IN_GIT
def test_a_git_that_turns_line_endings_leaves_every_artifact_whole(tmp_path):
    turning = ("-c", "core.autocrlf=true", "-c", "core.eol=crlf")
    names = git("ls-files", "-z", "artifacts/published")
    words = ("checkout-index", "-z", "--stdin", f"--prefix={tmp_path}/")
    git(*turning, *words, input=names)
    copies = [path.parent for path in tmp_path.rglob(MANIFEST)]
    assert len(copies) > 20
    assert [str(copy) for copy in copies if damage(copy)] == []


@IN_GIT
def test_the_commit_is_that_of_this_project_or_none(tmp_path, monkeypatch):
    assert folder.commit().removesuffix("-dirty") == git("rev-parse", "HEAD").strip()
    # An archive of the project, unpacked inside of somebody's repository.
    git("init", cwd=tmp_path)
    git("commit", "--allow-empty", "-m", "theirs", cwd=tmp_path)
    monkeypatch.setattr(folder, "ROOT", tmp_path / "unpacked")
    (tmp_path / "unpacked").mkdir()
    assert folder.commit() == ""


@IN_GIT
def test_what_executes_a_notebook_anew_is_an_edit_of_what_is_committed():
    """Not what editors and systems leave in the package."""
    package = ROOT / "paper_utils"
    counted = {path for pattern in notebooks.CODE for path in package.glob(pattern)}
    known = git("ls-files", "--cached", "--others", "--exclude-standard", "paper_utils")
    assert counted == {ROOT / name for name in known.splitlines()}


SMALL = """# %%
import sys
import matplotlib
from ipykernel.connect import get_connection_info
from paper_utils.figures import style
settings = matplotlib.rcParams["text.usetex"], matplotlib.rcParams["axes.facecolor"]
print("é", *settings, get_connection_info(unpack=True)["transport"], sys.executable)
"""
EXECUTE = """
import sys
from pathlib import Path
from paper_utils import notebooks
source = Path(sys.argv[1])
notebooks.execute(source, source.parent)
"""


def test_a_notebook_is_executed_the_same_whatever_surrounds_it(tmp_path):
    """Braces in a path, another kernel of the same name, an ASCII locale, a style of one's own, no
    place for matplotlib's settings; and without a port, which another kernel could get, too."""
    place = tmp_path / "a {b} é"
    place.mkdir()
    source = place / "01_small.py"
    source.write_text(SMALL, encoding="utf-8")
    kernel = tmp_path / "jupyter" / "kernels" / "python3"
    kernel.mkdir(parents=True)
    foreign = {"argv": ["/bin/false"], "display_name": "theirs", "language": "python"}
    (kernel / "kernel.json").write_text(json.dumps(foreign))
    rc = tmp_path / "matplotlibrc"
    rc.write_text("text.usetex: True\naxes.facecolor: red\n")
    theirs = {"JUPYTER_PATH": str(kernel.parents[1]), "MATPLOTLIBRC": str(rc), "LC_ALL": "C",
              "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0", "MPLCONFIGDIR": "/proc/nowhere",
              "PYTHONPATH": ""}  # fmt: skip
    done = subprocess.run(
        [sys.executable, "-c", EXECUTE, source],
        cwd=ROOT, env=os.environ | theirs, capture_output=True, text=True, timeout=300,
    )  # fmt: skip
    assert done.returncode == 0 and done.stderr == "", done.stderr
    executed = nbformat.read(place / "01_small.ipynb", as_version=4)
    (output,) = executed.cells[-1].outputs
    assert output["name"] == "stdout"
    assert output["text"] == f"é False white ipc {sys.executable}\n"


def test_a_terminal_that_cannot_show_a_path_shows_one_line(tmp_path):
    words = ["texts", "--profile", tmp_path / "é.yaml"]  # which is not there
    ascii_only = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0",
                  "PYTHONIOENCODING": "ascii", "PYTHONPATH": ""}  # fmt: skip
    done = subprocess.run(
        [sys.executable, "-m", "paper_utils", *words],
        cwd=ROOT, env=os.environ | ascii_only, capture_output=True, timeout=100,
    )  # fmt: skip
    assert done.returncode == 2
    assert done.stderr.startswith(b"error: ") and done.stderr.count(b"\n") == 1
    assert done.stderr.isascii() and str(tmp_path).encode() in done.stderr


def test_without_shared_memory_a_line_says_what_does_without(monkeypatch):
    def refused(*_, **__):
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr(parallel, "ProcessPoolExecutor", refused)
    with pytest.raises(OSError, match="Read-only file system.*/dev/shm; compute.workers=1"):
        parallel.run([Task(str(n), abs, (n,)) for n in range(2)], Compute(workers=2))


SLEEPS = """
import time
from paper_utils import parallel
from paper_utils.config import Compute
from paper_utils.parallel import Task
parallel.run([Task(str(n), time.sleep, (1.2,), told=True) for n in range(4)], Compute(workers=1))
"""


def test_on_a_terminal_there_is_one_bar_and_it_goes_when_all_is_done():
    reader, writer = pty.openpty()
    termios.tcsetwinsize(writer, (24, 100))
    process = subprocess.Popen(
        [sys.executable, "-c", SLEEPS], cwd=ROOT, stdout=writer, stderr=writer, close_fds=True
    )
    os.close(writer)
    shown = b""
    try:
        while part := os.read(reader, 4096):
            shown += part
    except OSError:  # the other end has closed
        pass
    os.close(reader)
    assert process.wait() == 0
    drawn = [line.strip() for line in re.split(r"[\r\n]+", shown.decode()) if line.strip()]
    bars = [line for line in drawn if line.startswith("making: ")]
    assert len(bars) >= 2
    assert all(re.fullmatch(r"making: +\d+%\|.*\| .* elapsed, about .* left", bar) for bar in bars)
    assert all(line in bars or re.fullmatch(r"\d done in \d+ s", line) for line in drawn), drawn
    # What stood in its line last is nothing.
    assert not shown.decode().rstrip("\n").split("\n")[-1].split("\r")[-1].strip()
