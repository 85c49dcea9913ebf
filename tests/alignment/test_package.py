"""A library of its own: light to import, nothing of the project, every name where it is said."""

from __future__ import annotations

import ast
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

from paper_utils import alignment

ROOT = Path(alignment.__file__).parent
ALLOWED = {
    "numpy",
    "scipy",
    "pandas",
    "sklearn",
    "rapidfuzz",
    "matplotlib",
    "threadpoolctl",
    "joblib",
}


def imported(path: Path) -> dict[str, bool]:
    """Packages that a module imports -> whether when it is loaded."""
    tree = ast.parse(path.read_text())
    names = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import | ast.ImportFrom):
            of = (
                [alias.name for alias in node.names]
                if isinstance(node, ast.Import)
                else [node.module]
            )
            for name in of:
                names[name] = node in tree.body
    return names


def test_nothing_but_the_ground_is_imported():
    for path in ROOT.glob("*.py"):
        for name, at_once in imported(path).items():
            first = name.split(".")[0]
            ours = name.startswith("paper_utils.alignment") or first in sys.stdlib_module_names
            assert ours or first in ALLOWED, f"{path.name} imports {name}"
            assert first != "matplotlib" or not at_once, f"{path.name} loads matplotlib"


def test_every_name_is_found_and_none_is_a_module_too():
    modules = {path.stem for path in ROOT.glob("*.py")}
    for name, home in alignment.HOMES.items():
        module = import_module(f"{alignment.__name__}.{home}")
        assert getattr(alignment, name) is getattr(module, name, module)
        assert name not in modules or name == home
    assert dir(alignment) == sorted(alignment.__all__)
    with pytest.raises(AttributeError, match="has no attribute 'verdicts'"):
        _ = alignment.verdicts


def test_importing_it_loads_nothing_heavy():
    code = (
        "import sys; from paper_utils import alignment; before = set(sys.modules);"
        "alignment.precision_at_k, alignment.audit;"
        "heavy = {'torch', 'transformers', 'minigrid', 'matplotlib', 'pydantic'};"
        "print('sklearn' in before, 'scipy' in before, 'sklearn' in sys.modules,"
        " *(heavy & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "False", "True"]
