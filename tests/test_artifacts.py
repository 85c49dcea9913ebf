import json
import os
import signal
import subprocess
import sys
import textwrap
import time

import pytest

from paper_utils import Profile
from paper_utils.artifacts import MANIFEST, ArtifactError, Stage, Store, damage


def _count(profile, folder, report, *inputs, **parameters):
    report(0.5)
    (folder / "value.txt").write_text(str(parameters.get("number", 1) + sum(inputs)))


def _fail(profile, folder, report, **_):
    (folder / "half.txt").write_text("half")
    raise ValueError("cannot")


def _load(folder):
    return int((folder / "value.txt").read_text())


ONE = Stage("one", 1, _count, _load, reads=("seed",))
TWO = Stage("two", 1, _count, _load, needs=lambda profile, number: [(ONE, {"number": 2})])


@pytest.fixture
def profile():
    return Profile.load("smoke")


def test_makes_inputs_first_and_only_once(tmp_path, profile):
    store = Store(tmp_path)
    assert store.get(TWO, profile, number=10) == 12
    path = store.path(TWO, profile, number=10)
    made = (path / "value.txt").stat().st_mtime_ns
    assert store.get_many(TWO, profile, [{"number": 10}, {"number": 20}]) == [12, 22]
    assert (path / "value.txt").stat().st_mtime_ns == made
    certificate = store.manifest(TWO, profile, number=10)
    assert certificate["recipe"]["inputs"] == [ONE.key(profile, {"number": 2})]
    assert certificate["versions"]["python"]
    assert not list(tmp_path.rglob("*.partial"))


def test_the_key_covers_what_the_stage_depends_on(profile):
    key = ONE.key(profile, {"number": 1})
    other_seed = Profile.load("smoke", seed=1)
    other_epochs = Profile.load("smoke", overrides={"cloning.epochs": 9})
    version = Stage("one", 2, _count, _load, reads=("seed",))
    assert ONE.key(other_epochs, {"number": 1}) == key  # not read by the stage
    assert len({key, ONE.key(profile, {"number": 2}), ONE.key(other_seed, {"number": 1}),
                version.key(profile, {"number": 1})}) == 4  # fmt: skip
    assert TWO.key(profile, {"number": 1}) != TWO.key(other_seed, {"number": 1})  # by its input


def test_a_failure_leaves_nothing(tmp_path, profile):
    stage = Stage("bad", 1, _fail, _load)
    with pytest.raises(ValueError, match="cannot"):
        Store(tmp_path).get(stage, profile)
    assert not [p for p in tmp_path.rglob("*") if p.is_file() and p.suffix != ".lock"]


@pytest.mark.parametrize("how", ["flip", "truncate", "remove", "add", "manifest"])
def test_damage_is_named_and_rebuilt_here_but_refused_where_published(
    tmp_path, profile, how, capsys
):
    store = Store(tmp_path / "mine")
    assert store.get(ONE, profile, number=5) == 5
    path = store.path(ONE, profile, number=5)
    if how == "flip":
        (path / "value.txt").write_text("6")
    elif how == "truncate":
        (path / "value.txt").write_text("")
    elif how == "remove":
        (path / "value.txt").unlink()
    elif how == "add":
        (path / "stray.txt").write_text("x")
    else:
        (path / MANIFEST).write_text("{")
    assert damage(path)
    with pytest.raises(ArtifactError, match="damaged.*git checkout"):
        Store(tmp_path / "other", published=(tmp_path / "mine",)).get(ONE, profile, number=5)
    assert store.get(ONE, profile, number=5) == 5
    assert "damaged" in capsys.readouterr().out
    assert damage(path) is None


def test_published_artifacts_are_used_and_not_copied(tmp_path, profile):
    Store(tmp_path / "release").get(ONE, profile, number=5)
    reader = Store(tmp_path / "mine", published=(tmp_path / "release",))
    assert reader.get(ONE, profile, number=5) == 5
    assert not (tmp_path / "mine").exists()


def test_an_unwritable_store_is_one_line(tmp_path, profile):
    (tmp_path / "file").write_text("")
    with pytest.raises(ArtifactError, match="cannot write to the store") as caught:
        Store(tmp_path / "file" / "store").make(ONE, profile, {"number": 1})
    assert "\n" not in str(caught.value)


def test_killed_while_making_then_made(tmp_path, profile):
    """kill -9 in the middle leaves no artifact, and the next run makes it."""
    script = textwrap.dedent(f"""
        import time
        from pathlib import Path
        from paper_utils import Profile
        from paper_utils.artifacts import Stage, Store
        def make(profile, folder, report, **_):
            (folder / "value.txt").write_text("1")
            print("half", flush=True)
            time.sleep(60)
        stage = Stage("one", 1, make, None, reads=("seed",))
        Store(Path({str(tmp_path)!r})).make(stage, Profile.load("smoke"), {{"number": 1}})
    """)
    process = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "half\n"
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    process.stdout.close()
    store = Store(tmp_path)
    assert not store.path(ONE, profile, number=1).exists()
    assert store.get(ONE, profile, number=1) == 1
    assert damage(store.path(ONE, profile, number=1)) is None


def test_two_processes_that_want_the_same_make_it_once(tmp_path):
    script = textwrap.dedent(f"""
        import os, time
        from pathlib import Path
        from paper_utils import Profile
        from paper_utils.artifacts import Stage, Store
        def make(profile, folder, report, **_):
            time.sleep(1)
            (folder / "value.txt").write_text(str(os.getpid()))
        stage = Stage("one", 1, make, lambda f: (f / "value.txt").read_text(), reads=("seed",))
        store, profile = Store(Path({str(tmp_path)!r})), Profile.load("smoke")
        store.make(stage, profile, {{}})
        print(store.get(stage, profile))
    """)
    started = time.monotonic()
    both = [
        subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    said = [process.communicate(timeout=60)[0] for process in both]
    assert said[0] == said[1] != ""
    assert time.monotonic() - started < 60


def test_manifests_hold_every_file(tmp_path, profile):
    store = Store(tmp_path)
    store.get(ONE, profile, number=3)
    manifest = json.loads((store.path(ONE, profile, number=3) / MANIFEST).read_text())
    assert set(manifest["files"]) == {"value.txt"}
    assert manifest["wall_seconds"] >= 0
