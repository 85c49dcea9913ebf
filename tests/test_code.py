"""The hash of code: what can change a product changes it, and nothing else does."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from commands import ROOT

from paper_utils import config
from paper_utils.cloning.agents import AGENT
from paper_utils.code import PACKAGES, _read, fingerprint, reachable
from paper_utils.encoders.embedding import EMBEDDING
from paper_utils.study.scores import SCORES

FILES = {
    "data/low.py": '''
"""Docs."""
import numpy as np

SIZE = 3  # of a thing
MARK = "#: no comment"


class Kept:
    size: int
    """What it is."""


def deep(x):
    """Explains itself."""

    return x + SIZE
''',
    "data/registry.py": '''
from paper_utils.data.low import deep

KNOWN = {}
KNOWN["deep"] = deep
''',
    "cloning/high.py": '''
from paper_utils import figures, store
from paper_utils.data import low


def make(folder):
    from paper_utils.data.registry import KNOWN

    return low.deep(1), KNOWN
''',
    "cloning/other.py": "from paper_utils.cloning import high\n",
    "figures.py": "from paper_utils.cloning import other\n\ndef plot():\n    return 1\n",
    "store.py": "def anything():\n    return 1\n",
}  # fmt: skip


@pytest.fixture
def package(tmp_path):
    for name, text in FILES.items():
        path = tmp_path / "paper_utils" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return tmp_path


def reach(package) -> dict[str, str]:
    _read.cache_clear()
    return reachable("paper_utils.cloning.high", package)


@pytest.mark.parametrize(
    ("file", "old", "new", "counts"),
    [
        ("data/low.py", "return x + SIZE", "return x - SIZE", True),
        ("data/low.py", "SIZE = 3", "SIZE = 4", True),
        ("data/low.py", "#: no comment", "#: none", True),  # in a string
        ("data/registry.py", 'KNOWN["deep"] = deep', 'KNOWN["flat"] = deep', True),
        ("cloning/high.py", "return low.deep(1)", "return low.deep(2)", True),
        ("data/low.py", '"""Docs."""', '"""Documents,\nat length.\n"""', False),
        ("data/low.py", "Explains itself.", "Says something else.", False),
        ("data/low.py", "What it is.", "What that is.", False),
        ("data/low.py", "# of a thing", "# of something", False),
        ("data/low.py", "SIZE = 3", "\n\n# A comment.\nSIZE = 3", False),
        ("data/low.py", "\n    return x", "\n    # Why.\n    return x", False),
        ("cloning/other.py", "import high", "import high, high as low", False),  # not imported
        ("figures.py", "return 1", "return 2", False),
        ("store.py", "return 1", "return 2", False),
    ],
)
def test_what_changes_the_hash(package, file, old, new, counts):
    before, path = reach(package), package / "paper_utils" / file
    assert old in path.read_text()
    path.write_text(path.read_text().replace(old, new, 1))
    assert (reach(package) != before) == counts


def test_modules_of_the_rooms_are_reached_and_no_others(package):
    assert sorted(reach(package)) == [
        "paper_utils.cloning.high", "paper_utils.data.low", "paper_utils.data.registry"
    ]  # fmt: skip
    assert reachable("paper_utils.store", package) == reachable("numpy", package) == {}
    assert "paper_utils.alignment.retrieval" in reachable(SCORES.make.__module__)


def test_rooms_are_imported_by_name():
    """What is imported otherwise, the hash would not follow."""
    paths = [
        path for package in PACKAGES for path in ROOT.joinpath(*package.split(".")).glob("*.py")
    ]
    assert len(paths) > 30
    for path in paths:
        assert "import paper_utils" not in path.read_text(encoding="utf-8"), path


def test_an_edited_metric_changes_the_key_of_what_it_scores(tmp_path):
    """On a copy of the rooms themselves."""
    shutil.copytree(ROOT / "paper_utils", tmp_path / "paper_utils")
    keys = {name: reachable(name, tmp_path)
            for name in (SCORES.make.__module__, AGENT.make.__module__)}  # fmt: skip
    assert keys == {name: reachable(name) for name in keys}
    path = tmp_path / "paper_utils" / "alignment" / "retrieval.py"
    path.write_text(f"{path.read_text()}\nEDITED = 1\n")
    _read.cache_clear()
    changed = [name for name, before in keys.items() if reachable(name, tmp_path) != before]
    assert changed == [SCORES.make.__module__]


def test_random_streams_count_as_part_of_what_they_feed(monkeypatch):
    def seeded_otherwise(stream, *numbers):
        return [1, *numbers]

    before = fingerprint.__wrapped__(SCORES.make)
    assert before == fingerprint(SCORES.make)
    monkeypatch.setattr(config, "_seed_of", seeded_otherwise)
    assert fingerprint.__wrapped__(SCORES.make) != before


def test_a_function_from_elsewhere_counts_with_its_own_source():
    assert len({fingerprint(reach), fingerprint(package), fingerprint(reach, package)}) == 3


PRINT = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
import hashlib, types
config = types.ModuleType("paper_utils.config")
package = types.ModuleType("paper_utils")
package.config = config
sys.modules |= {"paper_utils": package, "paper_utils.config": config}
module = types.ModuleType("code_of")
file = Path(sys.argv[1]) / "paper_utils" / "code.py"
module.__file__ = str(file)
sys.modules["code_of"] = module
exec(compile(file.read_text(encoding="utf-8"), str(file), "exec"), vars(module))
for name in ("paper_utils.cloning.agents", "paper_utils.encoders.embedding"):
    found = module.reachable(name)
    print(hashlib.sha256("".join(k + found[k] for k in sorted(found)).encode()).hexdigest())
"""


@pytest.mark.parametrize("version", ["", "3.11", "3.12", "3.13", "3.14"])
def test_every_python_reads_the_same_code(version):
    """The interpreter that runs the tests, and others where there are any."""
    python = shutil.which(f"python{version}") if version else sys.executable
    words = [python or "", "-I", "-c", PRINT, str(ROOT)]
    done = subprocess.run(words, capture_output=True, text=True) if python else None
    if done is None or (version and done.returncode and not done.stdout):
        pytest.skip(f"no Python {version} here")
    here = subprocess.check_output([sys.executable, *words[1:]], text=True)
    assert done.stdout == here and len(set(here.split())) == 2


def test_fingerprints_are_the_same_in_another_process():
    code = (
        "from paper_utils.cloning.agents import AGENT; from paper_utils.code import fingerprint;"
        "from paper_utils.encoders.embedding import EMBEDDING;"
        "print(fingerprint(AGENT.make), fingerprint(EMBEDDING.make))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=Path(ROOT), capture_output=True, text=True, check=True
    )
    here = [fingerprint(f) for f in (AGENT.make, EMBEDDING.make)]
    assert done.stdout.split() == here and len(set(here)) == 2
