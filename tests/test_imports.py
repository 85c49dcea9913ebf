"""Imports point down only, from floor to floor, and nothing goes round in a circle."""

from __future__ import annotations

import ast
from pathlib import Path

from commands import ROOT

FLOORS = (
    ("config",), ("code", "parallel"), ("store",), ("data",), ("cloning",),
    ("encoders",), ("alignment",), ("figures",), ("run", "report"), ("batch",), ("__main__",),
)  # fmt: skip
PACKAGE = ROOT / "paper_utils"


def name_of(path: Path) -> str:
    return ".".join(path.relative_to(PACKAGE).with_suffix("").parts)


def imports(path: Path) -> set[str]:
    """Modules of the package that a module imports anywhere, below paper_utils."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("paper_utils"):
            base = node.module.split(".")[1:]
            for alias in node.names:
                parts = [*base, alias.name]
                file = PACKAGE.joinpath(*parts).with_suffix(".py")
                found.add(".".join(parts if file.exists() else base))
        elif isinstance(node, ast.Import):
            names = [a.name for a in node.names if a.name.startswith("paper_utils.")]
            found |= {name.removeprefix("paper_utils.") for name in names}
    return found - {""}


GRAPH = {
    name_of(path): imports(path)
    for path in sorted(PACKAGE.rglob("*.py"))
    if path != PACKAGE / "__init__.py"  # the roof: it makes the rooms register
}
FLOOR = {name: number for number, names in enumerate(FLOORS) for name in names}


def test_no_module_imports_upward():
    upward = [
        f"{one} imports {other}"
        for one, others in GRAPH.items()
        for other in others
        if FLOOR[other.split(".")[0]] > FLOOR[one.split(".")[0]]
    ]
    assert upward == [] and len(GRAPH) > 25


def test_there_is_no_circle():
    waiting = {one: {o for o in others if o in GRAPH} for one, others in GRAPH.items()}
    while free := [one for one, others in waiting.items() if not others]:
        waiting = {one: o - set(free) for one, o in waiting.items() if one not in free}
    assert waiting == {}


def test_the_helper_package_does_not_grow():
    files = [*PACKAGE.rglob("*.py"), *(ROOT / "tools").glob("*.py")]
    assert sum(len(path.read_text().splitlines()) for path in files) <= 5800
