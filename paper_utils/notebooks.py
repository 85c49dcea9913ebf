"""Notebooks: their sources, and Papermill executing them.

An executed notebook is an artifact of the store, made anew where its source, the code or a
parameter has changed."""

import os
import re
import sys
import tempfile
from pathlib import Path

import jupytext
import nbformat
from jupyter_client.kernelspec import KernelSpec
from jupyter_client.manager import AsyncKernelManager

from paper_utils import store
from paper_utils.code import ROOT
from paper_utils.encoders import records
from paper_utils.run import NOTEBOOKS, RunError, store_of
from paper_utils.store import Stage, hash_file, write_atomically

KERNEL = "python3"
# A kernel that ends while it still listens does not complain, nor does one that has to wait for a
# busy machine.
QUIETLY = (
    "import logging; logging.getLogger('asyncio').setLevel(logging.CRITICAL); "
    "from ipykernel.iostream import OutStream; OutStream.flush_timeout = 300"
)
LANGUAGE = {"display_name": "Python 3", "language": "python"}
SHOWN = (NOTEBOOKS / "exercises.py", ROOT / "docs" / "three_tests.svg")  # that notebooks use, too
# The package's own files, and not what editors and systems leave beside them.
CODE = ("[a-z_]*.py", "[a-z]*/[a-z_]*.py", "profiles/[a-z]*.yaml", "templates/[a-z]*.html")
# What a student fills in: after the first " =" or "return" of a line that says so.
BLANK = re.compile(r"^(.*?(?: =|\breturn)) .*# fill in$", re.MULTILINE)
# Paragraphs that tell what was found, or what to answer, and what to take away.
FOUND = re.compile(
    r"(?ms)^\*\*(?:Found|As published|Published world|Answer).*?(?:\n\n(?!- )|\Z)"
    r"|(?<=^Write three of your own first\.\n\n).*?(?=^## Provenance)"
)


def sources():
    """The notebooks' sources, in the order in which they run; RunError if there are none."""
    found = sorted(NOTEBOOKS.glob("[0-9][0-9]_*.py"))
    if not found:
        raise RunError(f"no notebooks in {NOTEBOOKS}; install from a checkout: pip install -e .")
    return found


def parameters_of(profile, arguments):
    """The parameters of each notebook's artifact: its name, and what it is made from."""
    # Any edit of the package may show in a notebook, and executing one takes seconds.
    files = [path for pattern in CODE for path in sorted(ROOT.glob(f"paper_utils/{pattern}"))]
    common = {
        "arguments": arguments,
        # As text: levels in their order.
        "profile": [profile.fingerprint],
        "code": [hash_file(path) for path in [*files, *SHOWN]],
        "versions": store.versions(),
        "present": [encoder.revision for encoder in records.models(profile)],
        "missing": records.missing(profile),
    }
    return [
        {"name": source.stem, "made_from": common | {"source": [hash_file(source)]}}
        for source in sources()
    ]


def _make(profile, folder, name, made_from):
    """Executes a notebook with the profile that was asked for; it shows no path of this machine."""
    asked = made_from["arguments"]
    # All products are there: a notebook that lacks one makes it by itself.
    compute = {
        "compute.store": str(store_of(profile).root),
        "compute.published": profile.compute.published,
        "compute.progress": "off",
        "compute.workers": 1,
    }
    given = asked | {"overrides": asked["overrides"] | compute, "out": "."}
    shown = asked | {"profile": Path(asked["profile"]).name, "out": ""}
    execute(NOTEBOOKS / f"{name}.py", folder, given, shown)


NOTEBOOK = Stage("notebook", _make, Path, resumable=True, cost=lambda profile, **parameters: 16.0)
"""The folder of an executed notebook, with its figures, tables and captions; what failed is kept.
"""


def make_notebook(profile, parameters):
    """Executes one notebook of a run, in a worker."""
    store_of(profile).make(NOTEBOOK, profile, parameters)


class ThisInterpreter(AsyncKernelManager):
    """Starts the running Python under every name of a kernel, whatever others are installed."""

    @property
    def kernel_spec(self):
        command = [sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"]
        return KernelSpec(argv=command, **LANGUAGE)


def execute(source, folder, given=None, shown=None):
    """Executes a source through Papermill in ``folder``, where the executed notebook appears.

    ``shown``: the parameters that it shows in place of those ``given``, which hold paths of this
    machine.  Raises RunError; the notebook as far as it came is kept beside."""
    import papermill
    from papermill.exceptions import PapermillExecutionError
    from traitlets.config import Config

    kept = folder / f"{source.stem}.failed.ipynb"
    kept.unlink(missing_ok=True)
    with tempfile.TemporaryDirectory() as place:
        # Papermill reads braces in a path as names of parameters: it is given none of ours.
        executed = Path(place) / "executed.ipynb"
        # Of two kernels that begin at once both may be told the same free port. Sockets in files
        # have no ports, but short paths.
        in_files = os.name == "posix" and len(place) < 80
        try:
            papermill.execute_notebook(
                read(source),
                str(executed),
                parameters=given,
                kernel_name=KERNEL,
                progress_bar=False,
                start_timeout=180,  # seconds, on a busy machine
                cwd=str(folder),
                coalesce_streams=True,  # one text per cell: else it depends on the moment
                kernel_manager_class="paper_utils.notebooks.ThisInterpreter",
                config=Config(
                    KernelManager={
                        "shutdown_wait_time": 60.0,
                        "transport": "ipc" if in_files else "tcp",
                        "connection_file": str(Path(place) / "kernel.json"),
                    }
                ),
                # What goes to the terminal stays out of the cells.
                extra_arguments=[
                    "--log-level=CRITICAL",
                    "--IPKernelApp.capture_fd_output=False",
                    f"--IPKernelApp.exec_lines={QUIETLY}",
                ],
            )
            _keep(folder / f"{source.stem}.ipynb", executed, shown)
        except PapermillExecutionError as error:
            _keep(kept, executed, shown)
            # What went wrong may be said at length, and in many lines.
            said = " ".join(error.evalue.split())[:500]
            raise RunError(
                f"{source.stem}: cell {error.exec_count} failed: {error.ename}: {said} (see {kept})"
            ) from None
        except RuntimeError as error:
            remedy = "is there enough memory, and does ulimit -n allow files?"
            raise RunError(f"{source.stem}: {error} ({remedy})") from None


def read(source):
    """A notebook, source or built."""
    # The source says nothing of kernels, which must be the same for everybody.
    notebook = jupytext.read(source)
    notebook.metadata["kernelspec"] = {"name": KERNEL} | LANGUAGE
    return notebook


def _tags(cell):
    return cell.metadata.get("tags", [])


def _write(path, notebook):
    """Writes a notebook with cell ids that depend only on its order: others differ each time."""
    name = path.name.split(".")[0].replace("_", "-")
    for number, cell in enumerate(notebook.cells):
        cell["id"] = f"{name}-{number:02d}"
    write_atomically(path, f"{nbformat.writes(notebook)}\n".encode())


def _keep(path, executed, shown):
    """Writes an executed notebook without times, machine and Papermill's own metadata."""
    notebook = nbformat.read(executed, as_version=4)
    notebook.metadata.pop("papermill")
    for cell in notebook.cells:
        tags = _tags(cell)
        if "injected-parameters" in tags:
            lines = map("{} = {!r}".format, shown, shown.values())
            cell.source = "\n".join(["# Parameters", *lines])
        cell.metadata = {"tags": tags} if tags else {}
    _write(path, notebook)


def build():
    """Executes each notebook beside its source."""
    for source in sources():
        execute(source, source.parent)


def write_for_students(folder, gaps="fill-in"):
    """Writes every notebook into ``folder`` without outputs and without what was found, so that
    guessing is possible; lines that end in "# fill in" end in an ellipsis where the cell is tagged
    ``gaps``."""
    for source in sources():
        notebook = read(source)
        for cell in notebook.cells:
            cell.source = FOUND.sub("", cell.source)
            if gaps in _tags(cell):
                cell.source = BLANK.sub(r"\1 ...  # fill in", cell.source)
        _write(folder / f"{source.stem}.ipynb", notebook)
