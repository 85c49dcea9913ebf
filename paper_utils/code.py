"""Which code does a product depend on?  A hash of the modules that a function's module imports.

Modules of the rooms and of the library count, without comments, docstrings and blank lines, on
every version of Python alike.  What cannot change a product does not: what stores, runs and draws.
Stages that take long do not use it: they have an explicit version, which a test guards."""

import ast
import hashlib
import inspect
import io
import tokenize
from collections.abc import Callable
from functools import cache
from pathlib import Path

from paper_utils import config

ROOT = Path(__file__).parent.parent
ROOMS = tuple(f"paper_utils.{room}" for room in
              ("alignment", "data", "cloning", "encoders", "study"))  # fmt: skip


def _without_comments(text: str) -> list[str]:
    lines = text.split("\n")
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type == tokenize.COMMENT:
            row, column = token.start
            lines[row - 1] = lines[row - 1][:column]
    return lines


def _is_text(node: ast.AST) -> bool:
    """Whether a statement is a string alone, as a docstring is."""
    return isinstance(node, ast.Expr) and isinstance(getattr(node.value, "value", None), str)


@cache
def _read(module: str, root: Path) -> tuple[str, tuple[str, ...]] | None:
    """The code of a room's module, and the names that it imports anywhere; None for all others."""
    path = root.joinpath(*module.split("."))
    files = [path.with_suffix(".py"), path / "__init__.py"]
    file = next(filter(Path.is_file, files), None)
    if file is None or not module.startswith(ROOMS):
        return None
    text = file.read_text(encoding="utf-8")
    lines = _without_comments(text)
    imports = []
    for node in ast.walk(ast.parse(text)):
        if _is_text(node):
            first = node.lineno - 1
            # Only where the string has its lines for itself.
            if not lines[first][: node.col_offset].strip():
                lines[first : node.end_lineno] = [""] * (node.end_lineno - first)
        elif isinstance(node, ast.Import | ast.ImportFrom):
            # Whatever is imported from a module may be one itself.
            base = getattr(node, "module", "")
            imports += [base, *(f"{base}.{alias.name}".strip(".") for alias in node.names)]
    code = [line.rstrip() for line in lines if line.strip()]
    return "\n".join(code), tuple(imports)


def reachable(module: str, root: Path = ROOT) -> dict[str, str]:
    """The code of a module and of all that it imports, modules of the rooms alone, by name."""
    found = {}
    # Imports are followed wherever they stand, inside functions, too.
    waiting = [module]
    while waiting:
        name = waiting.pop()
        read = None if name in found else _read(name, root)
        if read:
            code, imports = read
            found[name] = code
            waiting += imports
    return found


@cache
def fingerprint(*functions: Callable) -> str:
    """SHA-256 (hex) of the code that functions depend on; outside the rooms, of their source."""
    # Random numbers are part of what they feed.
    texts = {"streams": inspect.getsource(config._seed_of)}
    for function in functions:
        own = f"{function.__module__}:{function.__qualname__}"
        texts |= reachable(function.__module__) or {own: inspect.getsource(function)}
    # In order of names, whatever was imported first.
    joined = "\0".join(f"{name}\n{text}" for name, text in sorted(texts.items()))
    return hashlib.sha256(joined.encode()).hexdigest()
