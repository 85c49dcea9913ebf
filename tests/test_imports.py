"""Imports point down only, from floor to floor; nothing goes round; the code reads easily."""

from __future__ import annotations

import ast
import io
import subprocess
import sys
import tokenize
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from commands import ROOT

FLOORS = (
    ("config", "alignment"), ("code",), ("store", "parallel"), ("data",), ("cloning",),
    ("encoders",), ("study",), ("figures",), ("plan", "preloaded"),
    ("run", "report"), ("notebooks", "folder"),
    ("pipeline",), ("batch",), ("__main__",),
)  # fmt: skip
PACKAGE = ROOT / "paper_utils"


def name_of(path: Path) -> str:
    return ".".join(path.relative_to(PACKAGE).with_suffix("").parts)


def imports(path: Path) -> set[str]:
    """Modules of the package that a module imports anywhere, below paper_utils."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
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
    assert upward == [] and len(GRAPH) > 30


def test_there_is_no_circle():
    waiting = {one: {o for o in others if o in GRAPH} for one, others in GRAPH.items()}
    while free := [one for one, others in waiting.items() if not others]:
        waiting = {one: o - set(free) for one, o in waiting.items() if one not in free}
    assert waiting == {}


def test_the_library_stands_alone():
    """Whoever aligns two arrays waits for no simulator and no torch, and knows no BabyAI."""
    for one, others in GRAPH.items():
        if one.startswith("alignment"):
            assert all(other.startswith("alignment") for other in others), one
    code = "import sys, paper_utils.alignment; print(*sys.modules)"
    loaded = subprocess.check_output([sys.executable, "-c", code], text=True, cwd=ROOT).split()
    heavy = {"torch", "transformers", "minigrid", "gymnasium", "matplotlib", "pydantic"}
    assert not heavy & set(loaded)


@dataclass
class Figures:
    """How dense code is to read: nodes of the syntax tree and lines that hold code."""

    lines: int = 0
    nodes: int = 0
    packed: int = 0  # assignments that set several names to several values
    unformatted: int = 0
    comments: int = 0


def is_text(node: ast.AST) -> bool:
    return isinstance(node, ast.Expr) and isinstance(getattr(node.value, "value", None), str)


def is_packed(node: ast.AST) -> bool:
    several = isinstance(node, ast.Assign) and isinstance(node.value, ast.Tuple)
    return several and any(isinstance(target, ast.Tuple) for target in node.targets)


LAYOUT = {tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT,
          tokenize.ENDMARKER}  # fmt: skip
DIRECTIVES = ("fmt:", "noqa", "type:", "%%", "pragma")


def measure(text: str, into: Figures) -> None:
    """Adds the figures of one module; docstrings and comments count as no code."""
    nodes = list(ast.walk(ast.parse(text)))
    texts = [node for node in nodes if is_text(node)]
    bare = {n for node in texts for n in range(node.lineno, node.end_lineno + 1)}
    lines: set[int] = set()
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type == tokenize.COMMENT:
            said = token.string.lstrip("#").strip()
            into.unformatted += said.startswith(("fmt: skip", "fmt: off"))
            into.comments += not said.startswith(DIRECTIVES)
        if token.type not in LAYOUT:
            lines |= set(range(token.start[0], token.end[0] + 1))
    into.lines += len(lines - bare)
    quiet = (ast.Load, ast.Store, ast.Del)
    into.nodes += sum(not isinstance(node, quiet) and node not in texts for node in nodes)
    into.packed += sum(map(is_packed, nodes))


def test_the_code_reads_easily_and_stays_small():
    figures = Figures()
    for path in [*PACKAGE.rglob("*.py"), *(ROOT / "tools").glob("*.py")]:
        measure(path.read_text(encoding="utf-8"), figures)
    assert figures.nodes <= 43_600
    assert figures.nodes / figures.lines <= 7.0
    assert 100 * figures.packed / figures.lines <= 1.0
    assert 100 * figures.comments / figures.lines >= 12
    assert figures.unformatted <= 10


def callable_by_readers(tree: ast.Module) -> Iterator[ast.AST]:
    """Public functions and classes of a module, and what public classes add to their bases."""
    for node in tree.body:
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)) and not node.name.startswith("_"):
            yield node
            if isinstance(node, ast.ClassDef) and not node.bases:
                yield from (one for one in node.body if isinstance(one, ast.FunctionDef))


def test_whatever_a_reader_may_call_says_what_it_does():
    silent = []
    for path in sorted(PACKAGE.rglob("*.py")):
        for node in callable_by_readers(ast.parse(path.read_text(encoding="utf-8"))):
            if not node.name.startswith("_") and not ast.get_docstring(node):
                silent.append(f"{name_of(path)}: {node.name}")
    assert silent == []


def test_who_only_looks_does_not_wait_for_torch():
    """A plan of work, figures and tables are loaded without it: it takes seconds."""
    code = (
        "import sys; from paper_utils import pipeline, report;"
        "from paper_utils.figures import alignment, robustness, spaces, structure;"
        "print(*({'torch', 'transformers'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []
