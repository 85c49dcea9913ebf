"""What is published: enough for the notebooks, nothing twice, and the same bytes again."""

from __future__ import annotations

import json
import shutil

import pytest

from paper_utils import Profile, pipeline, release
from paper_utils.artifacts import MANIFEST, ArtifactError, Store, damage
from paper_utils.cloning.rollout import EVALUATION
from paper_utils.cloning.training import AGENT
from paper_utils.data.demonstrations import DEMONSTRATIONS


@pytest.fixture(scope="module")
def gathered(smoke, tmp_path_factory):
    folder, store, _ = smoke
    place = tmp_path_factory.mktemp("gathered")
    (place / "CARD.md").write_text("kept")
    size = release.gather(folder, store, place)
    files = [path for path in place.glob("*/*/*") if path.is_file()]
    assert size == sum(path.stat().st_size for path in files)
    return place


@pytest.mark.xdist_group("smoke")
def test_every_artifact_leaves_its_manifest_and_what_is_kept(smoke, gathered):
    used = json.loads((smoke[0] / "manifest.json").read_text())["artifacts"]
    folders = {path.parent for path in gathered.glob(f"*/*/{MANIFEST}")}
    assert {folder.parent.name for folder in folders} == set(used)
    assert [damage(folder) for folder in folders] == [None] * len(folders)
    (agent,) = (folder for folder in folders if folder.parent.name == "agent-0-trained")
    assert sorted(p.name for p in agent.iterdir()) == [
        "curve.csv", MANIFEST, "policy.json", "policy.safetensors"
    ]  # fmt: skip
    assert (gathered / "CARD.md").read_text() == "kept"


@pytest.mark.xdist_group("smoke")
def test_again_nothing_is_written_and_what_is_foreign_goes(smoke, gathered):
    before = {path: path.stat().st_mtime_ns for path in gathered.rglob("*") if path.is_file()}
    (gathered / "old" / "key").mkdir(parents=True)
    (gathered / "old" / "key" / MANIFEST).write_text("{}")
    release.gather(smoke[0], smoke[1], gathered)
    assert {p: p.stat().st_mtime_ns for p in gathered.rglob("*") if p.is_file()} == before


@pytest.mark.xdist_group("smoke")
def test_what_is_left_out_is_said_or_made_again(gathered, tmp_path):
    profile = Profile.load("smoke")
    store = Store(tmp_path / "mine", published=(gathered,))
    agent = store.get(AGENT, profile, agent=0, condition="trained")
    assert agent.policy.sizes.width == profile.cloning.width
    with pytest.raises(ArtifactError, match="the release has no after-16-64ths.safetensors of"):
        agent.after(16)
    recorded = store.get(DEMONSTRATIONS, profile)
    assert len(recorded.validation["GoToLocal"]) == profile.data.validation
    with pytest.raises(ArtifactError, match="no GoToLocal.train.npz of demonstrations"):
        recorded.train["GoToLocal"]
    assert not (tmp_path / "mine").exists()
    # With another number of episodes, the player that was left out is trained again, and the same.
    other = Profile.load("smoke", {"cloning.baseline_episodes": 2})
    played = store.get(EVALUATION, other, player="1", agent=0, level="GoToLocal")
    assert len(played) == 2
    made = store.path(AGENT, profile, agent=0, condition="trained")
    assert (made / "policy.safetensors").read_bytes() == (
        agent.folder / "policy.safetensors"
    ).read_bytes()


@pytest.mark.xdist_group("smoke")
def test_a_damaged_artifact_or_too_much_is_refused(smoke, gathered, tmp_path, monkeypatch):
    monkeypatch.setattr(release, "LIMIT", 1000)
    with pytest.raises(pipeline.RunError, match="a release may have 0 MB"):
        release.gather(smoke[0], smoke[1], tmp_path / "release")
    assert not (tmp_path / "release").exists()
    monkeypatch.undo()
    shutil.copytree(smoke[1], tmp_path / "store")
    path = next((tmp_path / "store").glob("embedding-bert/*/vectors.npz"))
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(pipeline.RunError, match="embedding-bert/.*: vectors.npz does not match"):
        release.gather(smoke[0], tmp_path / "store", tmp_path / "release")
