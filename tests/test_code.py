"""The hash of code: what can change a product changes it, and nothing else does."""

from __future__ import annotations

import subprocess
import sys

import pytest

from paper_utils.cloning.training import AGENT
from paper_utils.code import Sources, fingerprint
from paper_utils.encoders.registry import EMBEDDING

FILES = {
    "data/low.py": """
"""
    + '"""Docs."""'
    + """
import numpy as np

SIZE = 3  # of a thing


def deep(x):
    '''Explains itself.'''
    return x + SIZE


def unrelated(x):
    return x
""",
    "data/registry.py": """
from pkg.data.low import deep as aliased

KNOWN = {}
KNOWN["deep"] = aliased
""",
    "cloning/high.py": """
from pkg import ground
from pkg.data import low, registry


class Model:
    def method(self):
        return low.deep(1)


def make(folder):
    from pkg.data.registry import KNOWN

    ground.anything()
    return Model(), KNOWN


def plot(folder):
    return low.unrelated(folder)
""",
    "ground.py": "def anything():\n    return 1\n",
}


@pytest.fixture
def package(tmp_path):
    for name, text in FILES.items():
        path = tmp_path / "pkg" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return tmp_path / "pkg"


def reach(package) -> dict:
    sources = Sources(package, "pkg", ("data", "cloning"))
    return sources.reachable([("pkg.cloning.high", "make")])


@pytest.mark.parametrize(
    ("file", "old", "new", "counts"),
    [
        ("data/low.py", "return x + SIZE", "return x - SIZE", True),
        ("data/low.py", "SIZE = 3", "SIZE = 4", True),
        ("data/registry.py", 'KNOWN["deep"] = aliased', 'KNOWN["flat"] = aliased', True),
        ("cloning/high.py", "return low.deep(1)", "return low.deep(2)", True),
        ("data/low.py", "Explains itself.", "Says something else.", False),
        ("data/low.py", "# of a thing", "# of something", False),
        ("data/low.py", "def unrelated(x):\n    return x", "def unrelated(x):\n    pass", False),
        ("data/low.py", "SIZE = 3", "\n\n# A comment.\nSIZE = 3", False),
        ("cloning/high.py", "return low.unrelated(folder)", "return None", False),
        ("ground.py", "return 1", "return 2", False),
    ],
)
def test_what_changes_the_hash(package, file, old, new, counts):
    before = reach(package)
    text = (package / file).read_text()
    assert old in text
    (package / file).write_text(text.replace(old, new, 1))
    assert (reach(package) != before) == counts


def test_what_is_reached(package):
    assert {name for _, name in reach(package)} == {"make", "Model", "KNOWN", "deep", "SIZE"}


def test_fingerprints_are_the_same_in_another_process():
    code = (
        "from paper_utils.cloning.training import AGENT; from paper_utils.code import fingerprint;"
        "from paper_utils.encoders.registry import EMBEDDING;"
        "print(fingerprint(AGENT.make), fingerprint(EMBEDDING.make), fingerprint(AGENT.needs))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    here = [fingerprint(f) for f in (AGENT.make, EMBEDDING.make, AGENT.needs)]
    assert done.stdout.split() == here and len(set(here)) == 3
