"""Which code does a product depend on?  A hash of every definition that a function can reach.

Definitions (functions, classes, constants) of the four rooms count, found by reading the sources:
every name in a definition is followed through the module's own definitions and its imports.
Comments, docstrings and blank lines do not count, nor does what cannot change a product: the ground
floor, figures and the roof.
"""

from __future__ import annotations

import ast
import hashlib
import io
import tokenize
from collections.abc import Callable
from functools import cached_property, lru_cache
from pathlib import Path

PACKAGE = "paper_utils"
ROOMS = ("data", "cloning", "encoders", "alignment")
Definition = tuple[str, str]  # module and name; an empty name is the whole module


class Module:
    """The source of one module: its imports, and its definitions by name."""

    def __init__(self, name: str, path: Path):
        self.name = name
        self.text = path.read_text(encoding="utf-8")
        self.tree = ast.parse(self.text)

    @cached_property
    def imports(self) -> dict[str, tuple[str, str]]:
        """Local name -> (module, name in it); an empty name is the module itself."""
        found = {}
        for node in ast.walk(self.tree):
            if isinstance(node, ast.Import):
                for alias in node.names:
                    if alias.asname:
                        found[alias.asname] = (alias.name, "")
            elif isinstance(node, ast.ImportFrom) and node.module:
                for alias in node.names:
                    found[alias.asname or alias.name] = (node.module, alias.name)
        return found

    @cached_property
    def definitions(self) -> dict[str, list[ast.stmt]]:
        """Name -> the statements of the module that define or change it."""
        found: dict[str, list[ast.stmt]] = {}
        for node in self.tree.body:
            if isinstance(node, (ast.FunctionDef, ast.ClassDef, ast.AsyncFunctionDef)):
                names = {node.name}
            elif isinstance(node, (ast.Import, ast.ImportFrom)):
                continue
            elif isinstance(node, (ast.Assign, ast.AnnAssign, ast.AugAssign)):
                targets = node.targets if isinstance(node, ast.Assign) else [node.target]
                names = {n.id for t in targets for n in ast.walk(t) if isinstance(n, ast.Name)}
            elif (
                isinstance(node, ast.Expr)
                and isinstance(node.value, ast.Call)
                and getattr(node.value.func, "id", "") in self.imports
            ):  # an imported function that is told of ours, such as config.register
                continue
            else:  # a loop or a call that may fill a registry
                names = {n.id for n in ast.walk(node) if isinstance(n, ast.Name)}
                names -= self.imports.keys()
            for name in names:
                found.setdefault(name, []).append(node)
        return found

    def source(self, node: ast.stmt) -> str:
        """A statement's text without comments, docstrings and blank lines."""
        lines = self.text.splitlines()
        first = min([node.lineno, *(d.lineno for d in getattr(node, "decorator_list", []))])
        for inner in ast.walk(node):
            body = getattr(inner, "body", None)
            if isinstance(body, list) and body and isinstance(body[0], ast.Expr):
                value = body[0].value
                if isinstance(value, ast.Constant) and isinstance(value.value, str):
                    for number in range(value.lineno, value.end_lineno + 1):
                        lines[number - 1] = ""
        text = "\n".join(lines[first - 1 : node.end_lineno]) + "\n"
        kept = text.splitlines()
        for token in _comments(text):
            row, column = token.start
            kept[row - 1] = kept[row - 1][:column]
        return "\n".join(line.rstrip() for line in kept if line.strip())


def _comments(text: str) -> list[tokenize.TokenInfo]:
    try:
        tokens = list(tokenize.generate_tokens(io.StringIO(text).readline))
    except (tokenize.TokenError, IndentationError):  # a blanked docstring was the whole body
        return []
    return [token for token in tokens if token.type == tokenize.COMMENT]


class Sources:
    """The modules of a package's rooms, read when they are first needed."""

    def __init__(self, root: Path, package: str = PACKAGE, rooms: tuple[str, ...] = ROOMS):
        self.root, self.package, self.rooms = root, package, rooms
        self.modules: dict[str, Module | None] = {}

    def module(self, name: str) -> Module | None:
        """A module of a room; None if it is none, or lies outside."""
        if name not in self.modules:
            parts = name.split(".")
            self.modules[name] = None
            if len(parts) > 1 and parts[0] == self.package and parts[1] in self.rooms:
                path = self.root.joinpath(*parts[1:])
                for file in (path.with_suffix(".py"), path / "__init__.py"):
                    if file.is_file():
                        self.modules[name] = Module(name, file)
        return self.modules[name]

    def resolve(self, module: str, name: str) -> list[Definition]:
        """Where a name of a module is defined, imports followed; [] outside the rooms."""
        here = self.module(module)
        if here is None:
            return []
        if not name:
            return [(module, "")]
        if name in here.definitions:
            return [(module, name)]
        if name in here.imports:
            source, original = here.imports[name]
            if original and self.module(f"{source}.{original}"):
                return [(f"{source}.{original}", "")]
            return self.resolve(source, original)
        return []

    def uses(self, module: str, nodes: list[ast.stmt]) -> set[Definition]:
        """What statements of a module refer to: definitions, or whole modules."""
        found: set[Definition] = set()
        inside: set[int] = set()
        for node in (inner for top in nodes for inner in ast.walk(top)):
            if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
                targets = self.resolve(module, node.value.id)
                if len(targets) == 1 and targets[0][1] == "":  # an attribute of a module
                    inside.add(id(node.value))
                    precise = self.resolve(targets[0][0], node.attr)
                    found.update(precise or targets)
        for node in (inner for top in nodes for inner in ast.walk(top)):
            if isinstance(node, ast.Name) and id(node) not in inside:
                found.update(self.resolve(module, node.id))
        return found

    def reachable(self, roots: list[Definition]) -> dict[Definition, str]:
        """Every definition that the roots depend on, with its text."""
        texts: dict[Definition, str] = {}
        waiting = list(roots)
        while waiting:
            key = waiting.pop()
            module = self.module(key[0])
            if key in texts or module is None:
                continue
            nodes = module.definitions[key[1]] if key[1] else module.tree.body
            nodes = [n for n in nodes if not isinstance(n, (ast.Import, ast.ImportFrom))]
            texts[key] = "\n".join(module.source(node) for node in nodes)
            waiting += self.uses(key[0], nodes)
        return texts


@lru_cache(maxsize=1)
def _sources() -> Sources:
    return Sources(Path(__file__).parent)


@lru_cache(maxsize=256)
def fingerprint(*functions: Callable) -> str:
    """SHA-256 (hex) of the code that functions of the rooms depend on, as it is on disk.

    The same on every version of Python.  A function from elsewhere counts with its own source.
    """
    texts: dict[Definition, str] = {}
    for function in functions:
        module, name = function.__module__, function.__qualname__.split(".")[0]
        if _sources().module(module) is None:
            import inspect

            texts[module, function.__qualname__] = inspect.getsource(function)
            continue
        if name == "<lambda>":  # counts with the statement that it stands in
            line = function.__code__.co_firstlineno
            name = next(
                known
                for known, nodes in _sources().module(module).definitions.items()
                if any(node.lineno <= line <= node.end_lineno for node in nodes)
            )
        texts |= _sources().reachable([(module, name)])
    joined = "\0".join(f"{m}:{n}\n{text}" for (m, n), text in sorted(texts.items()))
    return hashlib.sha256(joined.encode()).hexdigest()
