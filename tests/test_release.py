"""What is published: enough for the notebooks, whole or not at all, and the same bytes again."""

from __future__ import annotations

import json
import sys

import pytest
from commands import ROOT

from paper_utils import Profile, run
from paper_utils.cloning.training import AGENT
from paper_utils.data.demonstrations import DEMONSTRATIONS
from paper_utils.store import MANIFEST, Store, damage

sys.path.insert(0, str(ROOT / "tools"))
import publish


@pytest.mark.xdist_group("smoke")
def test_artifacts_are_published_whole_or_not_at_all(smoke, tmp_path, monkeypatch):
    folder, store, _ = smoke
    place = tmp_path / "release"
    place.mkdir()
    (place / "DATA_CARD.md").write_text("kept")
    monkeypatch.setattr(run, "RELEASE", place)
    size = publish.gather(folder, store)
    folders = {path.parent for path in place.glob(f"*/*/{MANIFEST}")}
    assert [damage(one) for one in folders] == [None] * len(folders)
    assert size == sum(p.stat().st_size for one in folders for p in one.rglob("*") if p.is_file())
    used = json.loads((folder / MANIFEST).read_text())["artifacts"]
    names = {one.parent.name for one in folders}
    assert names < set(used) and (place / "DATA_CARD.md").read_text() == "kept"
    assert {"agent-0-trained", "demonstrations-validation", "scores"} <= names
    assert not {"pictures-dialect", "demonstrations-train", "agent-0-shuffled"} & names

    profile = Profile.load("smoke")
    reader = Store(tmp_path / "mine", published=place)
    assert reader.get(AGENT, profile, agent=0, condition="trained").policy
    assert reader.get(DEMONSTRATIONS, profile, split="validation")
    assert not (tmp_path / "mine").exists()

    before = {path: path.stat().st_mtime_ns for path in place.rglob("*") if path.is_file()}
    (place / "old" / "key").mkdir(parents=True)
    (place / "old" / "key" / MANIFEST).write_text("{}")
    publish.gather(folder, store)
    assert {p: p.stat().st_mtime_ns for p in place.rglob("*") if p.is_file()} == before

    monkeypatch.setattr(publish, "LIMIT", 1000)
    with pytest.raises(run.RunError, match="a release may have 0 MB"):
        publish.gather(folder, store)
