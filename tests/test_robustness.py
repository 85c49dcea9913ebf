"""Work is not lost: killed, interrupted, two at once, flipped bytes, full and read-only disks."""

from __future__ import annotations

import ctypes
import json
import os
import random
import re
import resource
import shlex
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from commands import ROOT, command
from hypothesis import given, settings
from hypothesis import strategies as st

from paper_utils import Profile, pipeline
from paper_utils.alignment.comparison import CHOICES, COMPARISON, CONTRASTS, STRUCTURE
from paper_utils.artifacts import MANIFEST, ArtifactError, Store, damage
from paper_utils.cloning.rollout import EVALUATION
from paper_utils.config import ProfileError
from paper_utils.data.demonstrations import DEMONSTRATIONS
from paper_utils.data.narration import NARRATION
from paper_utils.data.pictures import PICTURES
from paper_utils.encoders import embeddings
from paper_utils.encoders.embeddings import EMBEDDING

KILLS = int(os.environ.get("KILLS", "3"))  # make stress: 20


def begin(profile: str, out: Path, store: Path, **environment: str) -> subprocess.Popen:
    """A run in a process group of its own, so that all of it can be killed at once."""
    variables = os.environ | {"PAPER_STORE": str(store), "PYTHONPATH": ""} | environment
    words = [sys.executable, "-m", "paper_utils", "run", "--profile", profile, "--out", str(out)]
    return subprocess.Popen(
        words, cwd=ROOT, env=variables, start_new_session=True, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        # A shell's background jobs ignore Ctrl-C, and so would everything that they start.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )  # fmt: skip


def finish(process: subprocess.Popen) -> str:
    said, _ = process.communicate(timeout=400)
    assert process.returncode == 0, said
    return said


def contents(run: Path) -> dict:
    """All that a run found, and the hash of every file of every artifact, but no times."""
    results = json.loads((run / "results.json").read_text())
    del results["wall_seconds"]
    artifacts = json.loads((run / "manifest.json").read_text())["artifacts"]
    shown = [path for place in ("tables", "figures") for path in sorted((run / place).iterdir())]
    return {
        "results": results,
        "files": {path.relative_to(run).as_posix(): path.read_bytes() for path in shown},
        "artifacts": {name: entry["files"] for name, entry in artifacts.items()},
    }


def leftovers(folder: Path) -> list[str]:
    """Temporary files: ours, papermill's (.name.pid.ipynb) and safetensors' (.tmpXXXX)."""
    found = [path for path in folder.rglob("*") if path.is_file()]
    return [str(p) for p in found if p.suffix == ".tmp" or p.name.startswith(".")]


def alive(store: Path) -> list[int]:
    """Processes that work on this store; empty where there is no /proc to tell."""
    variable = f"PAPER_STORE={store}".encode()
    found = []
    for path in Path("/proc").glob("[0-9]*/environ"):
        try:
            if variable in path.read_bytes().split(b"\0"):
                found.append(int(path.parent.name))
        except OSError:  # gone, or another user's
            continue
    return found


def kill(process: subprocess.Popen, store: Path) -> None:
    """kill -9 of a run and, because it has a session of its own, of its kernel."""
    for number in [process.pid, *alive(store)]:
        try:
            os.kill(number, signal.SIGKILL)
        except ProcessLookupError:
            continue
    process.communicate()
    if not Path("/proc").is_dir():
        time.sleep(3)  # a kernel without a parent ends within a second or two


def wait_for(what, seconds: float = 120) -> None:
    until = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < until
        time.sleep(0.1)


@pytest.mark.xdist_group("killed")
def test_killed_again_and_again_then_damaged_then_twice_at_once(smallest, tmp_path):
    store, run, draw = tmp_path / "store", tmp_path / "run", random.Random(0)

    def done() -> int:
        return len(list(store.glob(f"*/*/{MANIFEST}")))

    kills, seen = 0, set()
    while kills < KILLS:
        process, goal = begin(smallest, run, store, PAPER_WORKERS="1"), done() + draw.randrange(4)
        wait_for(lambda: done() >= goal or process.poll() is not None)  # noqa: B023
        try:
            process.wait(draw.uniform(0, 1))
            finish(process)  # faster than its killer: begin again
            shutil.rmtree(run)
            shutil.rmtree(store)
        except subprocess.TimeoutExpired:
            kill(process, store)
            kills += 1
            seen.add(done())
    assert len(seen) > KILLS // 4  # the work had come to different points
    finish(begin(smallest, run, store, PAPER_WORKERS="1"))
    resumed = contents(run)
    assert not leftovers(run)

    # A byte flipped in a file of every artifact: two runs find it at once, with 1 and 4 workers,
    # and make everything anew, undisturbed.
    flipped = 0
    for path in store.glob(f"*/*/{MANIFEST}"):
        if ".partial" not in str(path):
            flip(next(p for p in sorted(path.parent.iterdir()) if p.name != MANIFEST))
            assert "does not match its hash" in damage(path.parent)
            flipped += 1
    assert flipped > 20
    both = [begin(smallest, tmp_path / f"with{n}", store, PAPER_WORKERS=n) for n in "14"]
    for process in both:
        finish(process)
    for n in "14":
        assert contents(tmp_path / f"with{n}") == resumed
    text = (tmp_path / "with1" / "02_bc_training.ipynb").read_text()
    text += (tmp_path / "with4" / "02_bc_training.ipynb").read_text()
    assert "agent-0-trained" in text and "does not match its hash; rebuilding it" in text


def flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def test_interrupted_by_the_reader(smallest, tmp_path):
    """Ctrl-C: one line, exit 130, nothing temporary, and no kernel that lives on."""
    process = begin(smallest, tmp_path / "run", tmp_path / "store")
    try:
        wait_for(lambda: (tmp_path / "run" / "01_data.ipynb").exists() or process.poll())
        time.sleep(1)
        os.kill(process.pid, signal.SIGINT)
        said, _ = process.communicate(timeout=60)
    finally:
        kill(process, tmp_path / "store") if process.poll() is None else None
    assert process.returncode == 130 and "interrupted; the same command resumes" in said, said
    assert not leftovers(tmp_path)
    wait_for(lambda: not alive(tmp_path / "store"), 20)


def published() -> list[Path]:
    return sorted(path.parent for path in (ROOT / "artifacts" / "release").glob(f"*/*/{MANIFEST}"))


def test_every_published_artifact_is_as_its_manifest_says_and_no_more_than_25_mb():
    assert len(published()) > 100
    assert [str(folder) for folder in published() if damage(folder)] == []
    files = [path for path in (ROOT / "artifacts").rglob("*") if path.is_file()]
    assert sum(path.stat().st_size for path in files) <= 25_000_000


def test_the_published_artifacts_are_those_that_the_release_profile_asks_for():
    """A stage whose version or settings were changed is not what was published."""
    profile, store = Profile.load("release"), Store(ROOT / "artifacts" / "release")
    wanted = [(stage, {}) for stage in (DEMONSTRATIONS, NARRATION, PICTURES, CHOICES)]
    wanted += [(stage, {"public": []}) for stage in (COMPARISON, CONTRASTS, STRUCTURE)]
    wanted += [(EVALUATION, {"player": "trained", "agent": 4, "level": "PutNextLocal"})]
    wanted += [(EMBEDDING, {"encoder": name}) for name in embeddings.names(profile)]
    missing = [(s.name, p) for s, p in wanted if not store.path(s, profile, **p).is_dir()]
    assert missing == []


def test_a_byte_flipped_in_a_published_artifact_is_named_and_refused(tmp_path):
    profile = Profile.load("release")
    kinds = {}
    for folder in published():
        for path in sorted(folder.iterdir()):
            if path.name != MANIFEST:
                kinds.setdefault((folder.parent.name.split("-")[0], path.suffix), path)
    assert len(kinds) >= 12
    for path in kinds.values():
        copy = tmp_path / path.parent.parent.name / path.parent.name
        shutil.copytree(path.parent, copy, dirs_exist_ok=True)
        flip(copy / path.name)
        assert damage(copy) == f"{path.name} does not match its hash"
        shutil.copy(path, copy / path.name)
    folder = Store(ROOT / "artifacts" / "release").path(DEMONSTRATIONS, profile)
    flip(tmp_path / folder.parent.name / folder.name / "episodes.csv.gz")
    reader = Store(tmp_path / "mine", published=(tmp_path,))
    words = "published artifact demonstrations/.* is damaged: episodes.csv.gz does not match its"
    remedy = f"{words} hash; restore it with: git checkout -- {re.escape(str(tmp_path))}"
    with pytest.raises(ArtifactError, match=remedy):
        reader.get(DEMONSTRATIONS, profile)


TINY = {"data.demonstrations": {"GoToLocal": 400}, "data.validation": 50}
SCRIPT = f"""
from pathlib import Path
import sys
from paper_utils import Profile
from paper_utils.artifacts import ArtifactError, Store
from paper_utils.data.demonstrations import DEMONSTRATIONS
try:
    recorded = Store(Path(sys.argv[1])).get(DEMONSTRATIONS, Profile.load("smoke", {TINY!r}))
    print(len(recorded.episodes))
except (ArtifactError, OSError) as error:
    print(type(error).__name__, error)
"""


def test_a_full_disk_loses_nothing(tmp_path):
    """On a file system of 20 kB where one can be mounted, else under a limit on sizes of files."""
    (tmp_path / "script.py").write_text(SCRIPT)
    store = tmp_path / "small" / "store"
    (tmp_path / "small").mkdir()
    once = shlex.join([sys.executable, str(tmp_path / "script.py"), str(store)])
    look = f"find {shlex.quote(str(store))} -type f -not -name '*.lock'"
    small = f"mount -t tmpfs -o size=20k tmpfs {shlex.quote(str(store.parent))}"
    own = ["unshare", "-rm", "sh", "-c"]
    if (
        shutil.which("unshare")
        and not subprocess.run([*own, small], capture_output=True).returncode
    ):
        large = f"mount -o remount,size=9m {shlex.quote(str(store.parent))}"
        words = [*own, f"{small}; {once}; {look}; {large}; {once}; {look}"]
    else:
        words = ["sh", "-c", f"(ulimit -f 10; {once}); {look}; {once}; {look}"]
    done = subprocess.run(
        words, capture_output=True, text=True, cwd=ROOT, env=os.environ | {"PAPER_WORKERS": "1"}
    )
    first, second, *files = done.stdout.splitlines()
    assert re.match(r"OSError .*(No space left|File too large)", first), done.stdout + done.stderr
    assert second == "450"  # nothing was left by the first attempt, and the second made it all
    assert any(path.endswith("GoToLocal.train.npz") for path in files)


def test_a_full_disk_is_one_line_on_the_command_line(smallest, tmp_path):
    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (3000, resource.RLIM_INFINITY))

    done = subprocess.run(
        [sys.executable, "-m", "paper_utils", "run", "--profile", smallest,
         "--out", str(tmp_path / "run")],
        cwd=ROOT, env=os.environ | {"PAPER_STORE": str(tmp_path / "store"), "PYTHONPATH": ""},
        preexec_fn=limit, capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert done.returncode == 1
    assert done.stderr.startswith("error: ") and done.stderr.count("\n") == 1, done.stderr
    assert "File too large" in done.stderr


def test_a_store_that_can_only_be_read(tmp_path):
    """What is there is used; what is not is refused in one line."""
    (tmp_path / "script.py").write_text(SCRIPT)
    store = tmp_path / "store"
    words = [sys.executable, str(tmp_path / "script.py"), str(store)]

    def run(words: list[str]) -> str:
        return subprocess.run(
            words, capture_output=True, text=True, cwd=ROOT, preexec_fn=without_privileges
        ).stdout

    assert run(words) == "450\n"
    other = tmp_path / "empty"
    other.mkdir()
    for path in [*store.rglob("*"), store, other]:
        path.chmod(0o555 if path.is_dir() else 0o444)
    try:
        assert run(words) == "450\n"
        refused = run([*words[:-1], str(other)])
    finally:
        for path in [*store.rglob("*"), store, other]:
            path.chmod(0o755)
    assert refused == f"ArtifactError cannot write to the store {other}: Permission denied\n"


def without_privileges() -> None:
    """Root may write anywhere; without CAP_DAC_OVERRIDE it may not."""
    if os.getuid() == 0:
        ctypes.CDLL(None).prctl(24, 1, 0, 0, 0)  # PR_CAPBSET_DROP


def test_a_clock_that_jumps_changes_nothing(tmp_path, monkeypatch):
    profile = Profile.load("smoke", TINY)
    jumps = random.Random(1)
    Store(tmp_path / "still").get(DEMONSTRATIONS, profile)
    monkeypatch.setattr(time, "time", lambda: jumps.uniform(-1e9, 4e9))
    Store(tmp_path / "jumping").get(DEMONSTRATIONS, profile)
    (still,), (jumping,) = (
        [json.loads(path.read_text()) for path in (tmp_path / name).glob(f"*/*/{MANIFEST}")]
        for name in ("still", "jumping")
    )
    assert still["files"] == jumping["files"] and jumping["wall_seconds"] >= 0


# Nothing that runs what it reads ---------------------------------------------------------------

FORBIDDEN = r"""\bpickle\b|\bmarshal\b|\bshelve\b|\bdill\b|(?<![\w.])eval\(|(?<![\w.])exec\(|
\bos\.system\b|\bos\.popen\b|shell=True|trust_remote_code=True|torch\.load\(|allow_pickle=True|
yaml\.unsafe_load|yaml\.full_load|joblib\.load|read_pickle|__import__"""


def test_no_pickle_eval_shell_or_remote_code_in_the_sources():
    sources = [*(ROOT / "paper_utils").rglob("*.py"), *(ROOT / "notebooks").glob("*.py")]
    pattern = re.compile(FORBIDDEN.replace("\n", ""))
    found = [
        f"{path.name}:{number}: {line.strip()}"
        for path in sources
        for number, line in enumerate(path.read_text().splitlines(), 1)
        if pattern.search(line.split("#")[0])
    ]
    assert found == [] and len(sources) > 40
    assert pattern.search("eval(x)") and pattern.search("np.load(f, allow_pickle=True)")


class Bomb:
    def __reduce__(self):
        return os.mkdir, ("exploded",)


def test_a_pickle_in_an_artifact_is_not_opened(tmp_path, monkeypatch):
    """Even with a manifest that vouches for it."""
    monkeypatch.chdir(tmp_path)
    from paper_utils.artifacts import files_of

    store, profile = Store(tmp_path / "store"), Profile.load("smoke")
    store.get(EMBEDDING, profile, encoder="bag_of_words")
    folder = store.path(EMBEDDING, profile, encoder="bag_of_words")
    np.savez(folder / "vectors.npz", ids=np.array([Bomb()], dtype=object), vectors=np.zeros(3))
    manifest = json.loads((folder / MANIFEST).read_text())
    manifest["files"] = files_of(folder)
    (folder / MANIFEST).write_text(json.dumps(manifest))
    with pytest.raises(ValueError, match="allow_pickle=False"):
        store.get(EMBEDDING, profile, encoder="bag_of_words")
    assert not (tmp_path / "exploded").exists()


def test_words_of_a_user_reach_no_shell(tmp_path):
    evil = f"smoke; touch {tmp_path}/ran"
    done = command("paper_utils", "run", "--profile", evil, store=tmp_path / "store")
    assert done.returncode == 2 and not (tmp_path / "ran").exists()
    done = command(
        "paper_utils", "run", "--set", f"device=!!python/object/apply:os.mkdir ['{tmp_path}/ran']",
        store=tmp_path / "store",
    )  # fmt: skip
    assert done.returncode == 2 and done.stderr.count("\n") == 1
    assert not (tmp_path / "ran").exists()


# Whatever a file says ---------------------------------------------------------------------------

plain = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3)
    ),
    max_leaves=6,
)
KEYS = [f"{part}.{name}" for part in ("data", "cloning", "encoders", "alignment")
        for name in type(getattr(Profile.load("smoke"), part)).model_fields]  # fmt: skip
KEYS += ["seed", "device", "name", "data"]


@settings(max_examples=150, deadline=None, derandomize=True)
@given(st.dictionaries(st.sampled_from(KEYS) | st.text(max_size=12), plain, max_size=3))
def test_any_overrides_give_a_profile_or_one_line(overrides):
    try:
        assert Profile.load("smoke", overrides).name
    except ProfileError as error:
        assert "\n" not in str(error) and str(error)


@settings(max_examples=100, deadline=None, derandomize=True)
@given(st.text(max_size=60) | plain.map(json.dumps))
def test_any_profile_text_gives_a_profile_or_one_line(tmp_path_factory, text):
    path = tmp_path_factory.getbasetemp() / "any.yaml"
    path.write_text(text, encoding="utf-8", errors="surrogatepass")
    with pytest.raises(ProfileError) as caught:
        Profile.load(path)
    assert "\n" not in str(caught.value)


@settings(max_examples=100, deadline=None, derandomize=True)
@given(plain | st.fixed_dictionaries({"files": plain, "left_out": plain}))
def test_any_manifest_is_damage_or_a_line_and_never_an_error(tmp_path_factory, value):
    folder = tmp_path_factory.getbasetemp() / "any"
    folder.mkdir(exist_ok=True)
    (folder / MANIFEST).write_text(json.dumps(value))
    assert damage(folder) is None or "\n" not in damage(folder)
    try:
        assert all(isinstance(line, str) for line in pipeline.verify(folder))
    except pipeline.RunError as error:
        assert "\n" not in str(error)


@pytest.mark.parametrize("name", ["../../secret", "/etc/hostname", "a/../../b"])
def test_names_that_lead_out_of_a_folder(tmp_path, name):
    folder = tmp_path / "run"
    folder.mkdir()
    (tmp_path / "secret").write_text("x")
    (folder / MANIFEST).write_text(json.dumps({"files": {name: {"sha256": "0"}}}))
    assert damage(folder) == f"{name} is missing"
    (folder / MANIFEST).write_text(json.dumps({"files": {name: "0"}, "artifacts": {}}))
    assert pipeline.verify(folder) == [f"{name}: not inside the run"]
