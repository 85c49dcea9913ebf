"""Which code does a product depend on?  A hash of the modules that a function's module imports.

Modules of the four rooms count, without comments, docstrings and blank lines, on every version of
Python alike.  What cannot change a product does not: the ground floor, figures and the roof."""

import ast
import hashlib
import inspect
import io
import tokenize
from collections.abc import Callable
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parent.parent
ROOMS = tuple(f"paper_utils.{room}" for room in ("data", "cloning", "encoders", "alignment"))


@cache
def _read(module: str, root: Path) -> tuple[str, tuple[str, ...]] | None:
    """The code of a room's module, and the names that it imports anywhere; None for all others."""
    path = root.joinpath(*module.split("."))
    files = [file for file in (path.with_suffix(".py"), path / "__init__.py") if file.is_file()]
    if not module.startswith(ROOMS) or not files:
        return None
    text = files[0].read_text(encoding="utf-8")
    lines, imports = text.split("\n"), []
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type == tokenize.COMMENT:
            row, column = token.start
            lines[row - 1] = lines[row - 1][:column]
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Expr) and isinstance(getattr(node.value, "value", None), str):
            first, last = node.lineno - 1, node.end_lineno  # of a docstring, on lines of its own
            if not lines[first][: node.col_offset].strip():
                lines[first:last] = [""] * (last - first)
        elif isinstance(node, ast.Import):
            imports += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"{files[0]}: relative imports are not followed"
            imports += [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
    return "\n".join(line.rstrip() for line in lines if line.strip()), tuple(imports)


def reachable(module: str, root: Path = ROOT) -> dict[str, str]:
    """The code of a module and of all that it imports, modules of the rooms alone, by name."""
    found, waiting = {}, [module]
    while waiting:
        name = waiting.pop()
        if name not in found and (read := _read(name, root)):
            found[name] = read[0]
            waiting += read[1]
    return found


@cache
def fingerprint(*functions: Callable) -> str:
    """SHA-256 (hex) of the code that functions depend on; outside the rooms, of their source."""
    texts: dict[str, str] = {}
    for function in functions:
        own = f"{function.__module__}:{function.__qualname__}"
        texts |= reachable(function.__module__) or {own: inspect.getsource(function)}
    joined = "\0".join(f"{name}\n{text}" for name, text in sorted(texts.items()))
    return hashlib.sha256(joined.encode()).hexdigest()
