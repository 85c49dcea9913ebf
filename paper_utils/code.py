"""Which code does a product depend on?  A hash of the modules that a function's module imports.

Modules of PACKAGES count, without comments, docstrings and blank lines, on every version of Python
alike.  What cannot change a product does not: what stores, runs and draws.
Stages that take long do not use it: they have an explicit version, which a test guards."""

import ast
import hashlib
import inspect
import io
import tokenize
from functools import cache
from pathlib import Path

from paper_utils import config

ROOT = Path(__file__).parent.parent
PACKAGES = (
    "paper_utils.alignment",
    "paper_utils.data",
    "paper_utils.cloning",
    "paper_utils.encoders",
    "paper_utils.study",
)


@cache
def _read(module, root):
    """A module's code and the names that it imports anywhere; None outside PACKAGES."""
    path = root.joinpath(*module.split("."))
    files = [path.with_suffix(".py"), path / "__init__.py"]
    file = next(filter(Path.is_file, files), None)
    if file is None or not module.startswith(PACKAGES):
        return None
    text = file.read_text(encoding="utf-8")
    lines = text.split("\n")
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type == tokenize.COMMENT:
            row, column = token.start
            lines[row - 1] = lines[row - 1][:column]
    imports = []
    for node in ast.walk(ast.parse(text)):
        match node:
            # A string alone, as a docstring is; only where it has its lines for itself.
            case ast.Expr(ast.Constant(str())):
                first = node.lineno - 1
                if not lines[first][: node.col_offset].strip():
                    lines[first : node.end_lineno] = [""] * (node.end_lineno - first)
            # Whatever is imported from a module may be one itself.
            case ast.ImportFrom():
                imports.append(node.module)
                imports += [f"{node.module}.{alias.name}" for alias in node.names]
    return "\n".join(line.rstrip() for line in lines if line.strip()), imports


def reachable(module, root=ROOT):
    """The code of a module and of all that it imports, modules of these packages alone, by name."""
    found = {}
    # Imports are followed wherever they stand, inside functions, too.
    waiting = [module]
    while waiting:
        name = waiting.pop()
        read = None if name in found else _read(name, root)
        if read:
            found[name], imports = read
            waiting += imports
    return found


@cache
def fingerprint(*functions):
    """SHA-256 (hex) of the code that functions depend on; elsewhere, of their own source."""
    # Random numbers are part of what they feed.
    texts = {"streams": inspect.getsource(config._seed_of)}
    for function in functions:
        own = f"{function.__module__}:{function.__qualname__}"
        texts |= reachable(function.__module__) or {own: inspect.getsource(function)}
    # In order of names, whatever was imported first.
    joined = "\0".join(f"{name}\n{text}" for name, text in sorted(texts.items()))
    return hashlib.sha256(joined.encode()).hexdigest()
