import builtins
import errno
import json
import os
import signal
import subprocess
import sys
import textwrap
import time

import pytest
from commands import place_of

from paper_utils import Profile
from paper_utils import store as stores
from paper_utils.store import MANIFEST, ArtifactError, Stage, Store, damage, sync_folder


def _count(profile, folder, *inputs, **parameters):
    (folder / "value.txt").write_text(str(parameters.get("number", 1) + sum(inputs)))


def _other_code(profile, folder, *inputs, **parameters):
    (folder / "value.txt").write_text(str(1 + parameters.get("number", 1) + sum(inputs)))


def _fail(profile, folder, **_):
    (folder / "half.txt").write_text("half")
    raise ValueError("cannot")


def _load(folder):
    return int((folder / "value.txt").read_text())


ONE = Stage("one", _count, _load, reads=("first_world",))
TWO = Stage("two", _count, _load, needs=lambda profile, number: [(ONE, {"number": 2})])


VERSIONED = Stage("one", _count, _load, version=1)


@pytest.fixture
def profile():
    return Profile.load("smoke")


def test_makes_inputs_first_and_only_once(tmp_path, profile):
    store = Store(tmp_path)
    assert store.get(TWO, profile, number=10) == 12
    path = place_of(store, TWO, profile, number=10)
    made = (path / "value.txt").stat().st_mtime_ns
    assert [store.get(TWO, profile, number=number) for number in (10, 20)] == [12, 22]
    assert (path / "value.txt").stat().st_mtime_ns == made
    certificate = json.loads((path / MANIFEST).read_text())
    assert certificate["recipe"]["inputs"] == [ONE.key(profile, {"number": 2})]
    assert certificate["versions"]["python"]
    assert not list(tmp_path.rglob("*.partial"))


def test_the_key_covers_what_the_stage_depends_on(profile):
    key = ONE.key(profile, {"number": 1})
    other_world = Profile.load("smoke", overrides={"first_world": 1})
    other_epochs = Profile.load("smoke", overrides={"cloning.epochs": 9})
    code = Stage("one", _other_code, _load, reads=("first_world",))
    assert ONE.key(other_epochs, {"number": 1}) == key  # not read by the stage
    assert len({key, ONE.key(profile, {"number": 2}), ONE.key(other_world, {"number": 1}),
                code.key(profile, {"number": 1})}) == 4  # fmt: skip
    assert TWO.key(profile, {"number": 1}) != TWO.key(other_world, {"number": 1})  # by its input
    counts = dict(reversed(profile.data.demonstrations.items()))  # the order decides the ids
    turned = Profile.load("smoke", overrides={"data.demonstrations": counts})
    told = Stage("one", _count, _load, reads=("data.demonstrations",))
    assert turned.data.demonstrations == profile.data.demonstrations
    assert told.key(turned, {"number": 1}) != told.key(profile, {"number": 1})


def test_a_version_stands_for_the_code(profile):
    """Whoever renames a function of a stage that takes long changes no key; a version does."""
    edited = Stage("one", _other_code, _load, version=1)
    raised = Stage("one", _other_code, _load, version=2)
    keys = [stage.key(profile, {"number": 1}) for stage in (VERSIONED, edited, raised)]
    assert keys[0] == keys[1] != keys[2]


def test_a_failure_leaves_nothing(tmp_path, profile):
    stage = Stage("bad", _fail, _load)
    with pytest.raises(ValueError, match="cannot"):
        Store(tmp_path).get(stage, profile)
    assert not [p for p in tmp_path.rglob("*") if p.is_file() and p.suffix != ".lock"]


def test_what_a_system_leaves_in_a_folder_is_no_damage(tmp_path, profile):
    store = Store(tmp_path)
    store.get(ONE, profile, number=5)
    folder = place_of(store, ONE, profile, number=5)
    (folder / ".DS_Store").write_bytes(b"Bud1")
    assert damage(folder) is None and store.get(ONE, profile, number=5) == 5


@pytest.mark.parametrize("how", ["flip", "truncate", "remove", "add", "manifest"])
def test_damage_is_named_and_rebuilt_here_but_refused_where_published(
    tmp_path, profile, how, capsys
):
    store = Store(tmp_path / "mine")
    assert store.get(ONE, profile, number=5) == 5
    path = place_of(store, ONE, profile, number=5)
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
        Store(tmp_path / "other", published=tmp_path / "mine").get(ONE, profile, number=5)
    assert store.get(ONE, profile, number=5) == 5
    assert "damaged" in capsys.readouterr().out
    assert damage(path) is None


def test_published_artifacts_are_used_and_not_copied(tmp_path, profile):
    Store(tmp_path / "release").get(ONE, profile, number=5)
    reader = Store(tmp_path / "mine", published=tmp_path / "release")
    assert reader.get(ONE, profile, number=5) == 5
    assert not (tmp_path / "mine").exists()


def test_an_unwritable_store_is_one_line(tmp_path, profile):
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError, match=str(tmp_path / "file")) as caught:
        Store(tmp_path / "file" / "store").make(ONE, profile, {"number": 1})
    assert "\n" not in str(caught.value)


def test_killed_while_making_then_made(tmp_path, profile):
    """kill -9 in the middle leaves no artifact, and the next run makes it."""
    script = textwrap.dedent(f"""
        import time
        from pathlib import Path
        from paper_utils import Profile
        from paper_utils.store import Stage, Store
        def make(profile, folder, **_):
            (folder / "value.txt").write_text("1")
            print("half", flush=True)
            time.sleep(60)
        stage = Stage("one", make, None, reads=("first_world",))
        Store(Path({str(tmp_path / "store")!r})).make(stage, Profile.load("smoke"), {{"number": 1}})
    """)
    path = tmp_path / "script.py"
    path.write_text(script)
    process = subprocess.Popen([sys.executable, str(path)], stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "half\n"
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    process.stdout.close()
    store = Store(tmp_path / "store")
    assert not place_of(store, ONE, profile, number=1).exists()
    assert store.get(ONE, profile, number=1) == 1
    assert damage(place_of(store, ONE, profile, number=1)) is None


def test_two_processes_that_want_the_same_make_it_once(tmp_path):
    script = textwrap.dedent(f"""
        import os, time
        from pathlib import Path
        from paper_utils import Profile
        from paper_utils.store import Stage, Store
        def make(profile, folder, **_):
            time.sleep(1)
            (folder / "value.txt").write_text(str(os.getpid()))
        stage = Stage("one", make, lambda f: (f / "value.txt").read_text(), reads=("first_world",))
        store, profile = Store(Path({str(tmp_path)!r})), Profile.load("smoke")
        store.make(stage, profile, {{}})
        print(store.get(stage, profile))
    """)
    path = tmp_path / "script.py"
    path.write_text(script)
    started = time.monotonic()
    both = [
        subprocess.Popen([sys.executable, str(path)], stdout=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    said = [process.communicate(timeout=60)[0] for process in both]
    assert said[0] == said[1] != ""
    assert time.monotonic() - started < 60


def test_manifests_hold_every_file(tmp_path, profile):
    store = Store(tmp_path)
    store.get(ONE, profile, number=3)
    manifest = json.loads((place_of(store, ONE, profile, number=3) / MANIFEST).read_text())
    assert set(manifest["files"]) == {"value.txt"}
    assert manifest["wall_seconds"] >= 0


def test_published_by_other_code_is_made_here_or_refused(tmp_path, profile, monkeypatch):
    Store(tmp_path / "release").get(ONE, profile, number=5)
    edited = Stage("one", _other_code, _load, reads=("first_world",))
    reader = Store(tmp_path / "mine", published=tmp_path / "release")
    assert reader.get(edited, profile, number=5) == 6
    monkeypatch.setattr(stores, "QUICK", -1.0)
    other = Store(tmp_path / "other", published=tmp_path / "release")
    with pytest.raises(ArtifactError, match="other code; restore the code.*published=false") as e:
        other.get(edited, profile, number=5)
    assert "\n" not in str(e.value)
    assert other.get(ONE, profile, number=5) == 5  # as it was published, it is used


class Crashing:
    """Makes the n-th write, fsync, rename or removal fail, or end the process."""

    def __init__(self, monkeypatch, number: int, ends: bool):
        self.left, self.ends, self.reached = number, ends, False
        names = ("fsync", "replace", "unlink", "rmdir", "mkdir")
        for place, name in (*((os, name) for name in names), (builtins, "open")):
            monkeypatch.setattr(place, name, self.wrapped(getattr(place, name), name))

    def wrapped(self, function, name):
        def call(*words, **options):
            mode = words[1] if len(words) > 1 else options.get("mode", "r")
            if name != "open" or "w" in str(mode):
                self.left -= 1
                if self.left == 0:
                    self.reached = True
                    if self.ends:
                        os._exit(9)
                    raise OSError(errno.ENOSPC, "No space left on device")
            return function(*words, **options)

        return call


def _many(profile, folder, **_):
    stores.write_atomically(folder / "a.json", stores.json_bytes({"a": 1}))
    stores.write_atomically(folder / "below" / "b.txt", b"b" * 10_000)


MANY = Stage("many", _many, lambda folder: (folder / "below" / "b.txt").read_text())


def attempt(action, number: int, ends: bool) -> bool:
    """Runs an action that crashes at its n-th write point; whether it came to that."""
    if ends:
        child = os.fork()
        if not child:
            with pytest.MonkeyPatch.context() as patch:
                Crashing(patch, number, ends)
                action()
            os._exit(0)
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 9
    with pytest.MonkeyPatch.context() as patch:
        crash = Crashing(patch, number, ends)
        try:
            action()
        except (OSError, ArtifactError) as error:
            assert "No space left" in str(error)
        return crash.reached


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
@pytest.mark.parametrize("ends", [False, True], ids=["raises", "ends"])
def test_a_crash_at_every_write_point_of_an_artifact(tmp_path, profile, ends):
    number = 0
    while True:
        number += 1
        store = Store(tmp_path / str(number))
        reached = attempt(lambda store=store: store.make(MANY, profile, {}), number, ends)
        path = place_of(store, MANY, profile)
        assert not path.exists() or damage(path) is None  # whole, or not there
        assert store.get(MANY, profile) == "b" * 10_000
        files = {p.name for p in store.root.rglob("*") if p.is_file()}
        assert {name for name in files if not name.endswith(".lock")} == {
            "a.json", "b.txt", MANIFEST
        }  # fmt: skip
        if not reached:
            break
    assert number > 10


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
@pytest.mark.parametrize("ends", [False, True], ids=["raises", "ends"])
def test_a_crash_at_every_write_point_of_a_runs_folder(tmp_path, ends):
    """Each file is whole or not there; what is not ours stays; the next time all is as wanted."""
    wanted = {"manifest.json": b"{}", "tables/02_progress.csv": b"a,b", "figures/x": b"of a run"}
    ours = ["old/deep/figure.png", "tables/.02_progress.csv.6979.tmp"]
    number = 0
    while True:
        number += 1
        folder = tmp_path / f"run{number}"
        (folder / "tables").mkdir(parents=True)
        (folder / "tables" / ".02_progress.csv.6979.tmp").write_text("of a run that was killed")
        (folder / "old" / "deep").mkdir(parents=True)
        (folder / "old" / "deep" / "figure.png").write_text("of an earlier run")
        (folder / "notes.md").write_text("somebody's")

        def action(folder=folder):
            sync_folder(wanted, folder, ours)

        reached = attempt(action, number, ends)
        for name, data in wanted.items():
            assert not (folder / name).exists() or (folder / name).read_bytes() == data
        action()
        leftovers = [p for p in folder.rglob("*.tmp") if p.parent.name != "tables"]
        for path in leftovers:
            path.unlink()
        there = {p.relative_to(folder).as_posix() for p in folder.rglob("*")}
        assert {*wanted, "tables", "figures", "notes.md"} <= there
        assert not {"old", *ours} & there
        if not reached:
            break
    assert number > 10


def test_a_store_inside_a_published_one_and_what_is_damaged_there(tmp_path, profile):
    """A published artifact is never removed, whatever folders the stores are."""
    published = tmp_path / "release"
    Store(published).get(ONE, profile, number=5)
    path = place_of(Store(published), ONE, profile, number=5)
    (path / "value.txt").write_text("6")
    for root in (published, published / "mine", tmp_path):
        with pytest.raises(ArtifactError, match="published artifact .* is damaged"):
            Store(root, published=published).get(ONE, profile, number=5)
    assert (path / "value.txt").read_text() == "6"
