"""What is published: enough for the notebooks, whole, and the same bytes again."""

from __future__ import annotations

import sys

import pytest
from commands import ROOT

from paper_utils import Profile, run
from paper_utils.store import MANIFEST, Store, damage
from paper_utils.study.products import products

sys.path.insert(0, str(ROOT / "tools"))
import publish


@pytest.mark.xdist_group("smoke")
def test_artifacts_are_published_whole(smoke, smoke_profile, tmp_path, monkeypatch):
    _, store, _ = smoke
    place = tmp_path / "published"
    place.mkdir()
    (place / "DATA_CARD.md").write_text("kept")
    monkeypatch.setattr(run, "PUBLISHED", place)
    profile = Profile.load(smoke_profile)
    wanted = products(profile)
    publish.gather(wanted, Store(store))
    folders = {path.parent for path in place.glob(f"*/*/{MANIFEST}")}
    assert [damage(one) for one in folders] == [None] * len(folders)
    assert (place / "DATA_CARD.md").read_text() == "kept"

    reader = Store(tmp_path / "mine", published=place)
    for stage, known, parameters in wanted:
        assert reader.find(stage, known, parameters), stage.name
    assert not (tmp_path / "mine").exists()

    before = {path: path.read_bytes() for path in place.rglob("*") if path.is_file()}
    (place / "old" / "key").mkdir(parents=True)
    (place / "old" / "key" / MANIFEST).write_text("{}")
    publish.gather(wanted, Store(store))
    assert {p: p.read_bytes() for p in place.rglob("*") if p.is_file()} == before
    assert not (place / "old").exists()
