"""Work is not lost: interrupted, flipped bytes, full and read-only disks, whatever a file says."""

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
from commands import ROOT, place_of
from commands import settings as own
from hypothesis import given, settings
from hypothesis import strategies as st

from paper_utils import Profile, folder, run
from paper_utils.__main__ import main
from paper_utils.config import ProfileError
from paper_utils.data.demonstrations import DEMONSTRATIONS, EPISODES
from paper_utils.store import MANIFEST, ArtifactError, Store, damage, files_of
from paper_utils.study.products import products

PUBLISHED = ROOT / "artifacts" / "published"
# The profile of what is published, which the notebooks show as they are opened.
PROFILE = run.DEFAULT


def begin(profile: str, out: Path, store: Path) -> subprocess.Popen:
    """A run in a process group of its own, with two workers."""
    words = [sys.executable, "-m", "paper_utils", "run", "--profile", profile, "--out", str(out)]
    return subprocess.Popen(
        [*words, *own(store, 2)], cwd=ROOT, env=os.environ | {"PYTHONPATH": ""}, text=True,
        start_new_session=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        # A shell's background jobs ignore Ctrl-C, and so would everything that they start.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )  # fmt: skip


def leftovers(folder: Path) -> list[str]:
    """Temporary files: ours, papermill's and safetensors' (.tmpXXXX)."""
    found = [path for path in folder.rglob("*") if path.is_file()]
    return [str(p) for p in found if p.suffix == ".tmp" or p.name.startswith(".")]


def wait_for(what, seconds: float = 600) -> None:
    until = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < until
        time.sleep(0.1)


def kernels(folder: Path) -> list[int]:
    """Processes that work below a folder; empty where there is no /proc to tell."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cwd"):
        try:
            if str(folder) in os.readlink(path):
                found.append(int(path.parent.name))
        except OSError:  # gone, or another user's
            continue
    return found


def flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def test_ended_before_it_is_done(smallest, tmp_path):
    """Nothing temporary, and nothing that it started lives on; Ctrl-C: one line and exit 130."""
    store = tmp_path / "store"
    # The second run goes on where the first was interrupted.
    for how in (signal.SIGINT, signal.SIGKILL):
        process = begin(smallest, tmp_path / "run", store)
        try:
            # Workers are making products, and one of them executes a notebook.
            wait_for(lambda run=process: kernels(store) or run.poll() is not None)
            assert process.poll() is None
            os.kill(process.pid, how)
            printed, _ = process.communicate(timeout=60)
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
        if how == signal.SIGINT:
            assert process.returncode == 130, printed
            assert printed.endswith("interrupted; the same command resumes\n")
        assert not leftovers(tmp_path / "run")
        wait_for(lambda: not kernels(store), 20)


def published() -> list[Path]:
    return sorted(path.parent for path in PUBLISHED.glob(f"*/*/{MANIFEST}"))


def test_every_published_artifact_is_as_its_manifest_says_and_they_are_small():
    assert len(published()) > 20
    assert [str(one) for one in published() if damage(one)] == []
    # What a run made, and public models' vectors.
    for name, most in (("published", 30_000_000), ("public", 6_000_000)):
        files = [path for path in (ROOT / "artifacts" / name).rglob("*") if path.is_file()]
        assert 0 < sum(path.stat().st_size for path in files) <= most


def test_what_notebooks_load_is_published():
    """A stage whose code or settings were changed is not what was published."""
    profile, store = Profile.load(PROFILE), Store(PUBLISHED)
    quick = [p for p in products(profile) if not place_of(store, p[0], p[1], **p[2]).is_dir()]
    late = [(stage.name, given) for stage, known, given in quick if stage.cost(known, **given) > 30]
    assert late == []


def test_a_byte_flipped_in_a_published_artifact_is_named_and_refused(tmp_path):
    profile = Profile.load(PROFILE)
    kinds = {}
    for one in published():
        for path in sorted(one.iterdir()):
            if path.name != MANIFEST:
                kinds.setdefault((one.parent.name.split("-")[0], path.suffix), path)
    assert len(kinds) >= 8
    for path in kinds.values():
        copy = tmp_path / path.parent.parent.name / path.parent.name
        shutil.copytree(path.parent, copy, dirs_exist_ok=True)
        flip(copy / path.name)
        assert damage(copy) == f"{path.name} does not match its hash"
        shutil.copy(path, copy / path.name)
    given = {"world": profile.world_numbers[0], "rooms": "babyai"}
    place = place_of(Store(PUBLISHED), EPISODES, profile, **given)
    flip(tmp_path / place.parent.name / place.name / "episodes.csv.gz")
    reader = Store(tmp_path / "mine", published=tmp_path)
    words = "published artifact episodes.* is damaged: episodes.csv.gz does not match its"
    remedy = f"{words} hash; restore it with: git checkout -- {re.escape(str(tmp_path))}"
    with pytest.raises(ArtifactError, match=remedy):
        reader.get(EPISODES, profile, **given)


TINY = {"data.demonstrations": {"GoToLocal": 450}}
WHICH = {"world": 900, "level": "GoToLocal", "split": "train", "rooms": "babyai"}
SCRIPT = f"""
from pathlib import Path
import sys
from paper_utils import Profile
from paper_utils.store import ArtifactError, Store
from paper_utils.data.demonstrations import DEMONSTRATIONS
profile = Profile.load("smoke", {TINY!r})
try:
    recorded = Store(Path(sys.argv[1])).get(DEMONSTRATIONS, profile, **{WHICH!r})
    print(len(recorded))
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
    done = subprocess.run(words, capture_output=True, text=True, cwd=ROOT)
    first, second, *files = done.stdout.splitlines()
    assert re.match(r"OSError .*(No space left|File too large)", first), done.stdout + done.stderr
    assert second == "450"  # nothing was left by the first attempt, and the second made it all
    assert any(path.endswith(".npz") for path in files)


def test_a_full_disk_is_one_line_on_the_command_line(smallest, tmp_path, capsys):
    words = ["run", "--profile", smallest, "--out", str(tmp_path / "run")]
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (3000, hard))
    try:
        code = main([*words, *own(tmp_path / "store")])
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    said = capsys.readouterr().err
    assert code == 1
    assert said.startswith("error: ") and said.count("\n") == 1, said
    assert "File too large" in said


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
    assert refused.startswith("PermissionError ") and refused.count("\n") == 1
    assert str(other) in refused and "Permission denied" in refused


def without_privileges() -> None:
    """Root may write anywhere; without CAP_DAC_OVERRIDE it may not."""
    if os.getuid() == 0:
        ctypes.CDLL(None).prctl(24, 1, 0, 0, 0)  # PR_CAPBSET_DROP


def test_a_clock_that_jumps_changes_nothing(tmp_path, monkeypatch):
    profile = Profile.load("smoke", TINY)
    jumps = random.Random(1)
    Store(tmp_path / "still").get(DEMONSTRATIONS, profile, **WHICH)
    monkeypatch.setattr(time, "time", lambda: jumps.uniform(-1e9, 4e9))
    Store(tmp_path / "jumping").get(DEMONSTRATIONS, profile, **WHICH)
    (still,), (jumping,) = (
        [json.loads(path.read_text()) for path in (tmp_path / name).glob(f"*/*/{MANIFEST}")]
        for name in ("still", "jumping")
    )
    assert still["files"] == jumping["files"] and jumping["wall_seconds"] >= 0


# Nothing that runs what it reads ---------------------------------------------------------------

FORBIDDEN = r"""\bpickle\b|\bmarshal\b|\bshelve\b|\bdill\b|(?<![\w.])eval\(|(?<![\w.])exec\(|
\bos\.system\b|\bos\.popen\b|shell=True|trust_remote_code=True|torch\.load\((?!.*weights_only=True)|allow_pickle=True|
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
    store, profile = Store(tmp_path / "store"), Profile.load("smoke")
    profile = Profile.load("smoke", TINY)
    store.get(DEMONSTRATIONS, profile, **WHICH)
    place = place_of(store, DEMONSTRATIONS, profile, **WHICH)
    (file,) = place.glob("*.npz")
    with np.load(file) as arrays:
        names = arrays.files
    np.savez(file, **dict.fromkeys(names, np.array([Bomb()], dtype=object)))
    manifest = json.loads((place / MANIFEST).read_text())
    manifest["files"] = files_of(place)
    (place / MANIFEST).write_text(json.dumps(manifest))
    with pytest.raises(ValueError, match="allow_pickle=False"):
        store.get(DEMONSTRATIONS, profile, **WHICH)
    assert not (tmp_path / "exploded").exists()


def test_words_of_a_user_reach_no_shell(tmp_path, capsys):
    evil = f"smoke; touch {tmp_path}/ran"
    assert main(["run", "--profile", evil, *own(tmp_path / "store")]) == 2
    assert not (tmp_path / "ran").exists()
    capsys.readouterr()
    evil = f"device=!!python/object/apply:os.mkdir ['{tmp_path}/ran']"
    assert main(["run", "--set", evil, *own(tmp_path / "store")]) == 2
    assert capsys.readouterr().err.count("\n") == 1
    assert not (tmp_path / "ran").exists()


# Whatever a file says ---------------------------------------------------------------------------

plain = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3)
    ),
    max_leaves=6,
)
KEYS = [f"{part}.{name}" for part in ("data", "cloning", "encoders", "alignment", "compute")
        for name in type(getattr(Profile.load("smoke"), part)).model_fields]  # fmt: skip
KEYS += ["seed", "device", "name", "data", "worlds", "first_world", "kinds"]


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
@given(plain | st.fixed_dictionaries({"files": plain}))
def test_any_manifest_is_damage_or_a_line_and_never_an_error(tmp_path_factory, value):
    place = tmp_path_factory.getbasetemp() / "any"
    place.mkdir(exist_ok=True)
    (place / MANIFEST).write_text(json.dumps(value))
    assert damage(place) is None or "\n" not in damage(place)
    assert all("\n" not in line for line in folder.verify(place).values())


@pytest.mark.parametrize("name", ["../../secret", "/etc/hostname", "a/../../b"])
def test_names_that_lead_out_of_a_folder(tmp_path, name):
    place = tmp_path / "run"
    place.mkdir()
    (tmp_path / "secret").write_text("x")
    (place / MANIFEST).write_text(json.dumps({"files": {name: {"sha256": "0"}}}))
    assert damage(place) == f"{name} is missing"
    assert folder.verify(place) == {name: "is missing"}
