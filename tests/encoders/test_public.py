"""Public checkpoints in a run: those that can be had are compared, the others are named."""

from __future__ import annotations

import json
import shutil

import nbformat
import numpy as np
import pytest
from commands import command
from paper_utils.encoders.registry import EMBEDDING, records

from paper_utils import Profile, run
from paper_utils.data import grammar
from paper_utils.encoders import hub, registry
from paper_utils.store import Store


def profile(checkpoints: dict, strict: bool = False) -> Profile:
    overrides = {"encoders.checkpoints": checkpoints, "encoders.strict": strict}
    return Profile.load("smoke", overrides)


def test_what_can_be_had_is_embedded_and_what_cannot_is_named(folders, tmp_path):
    mine = tmp_path / "bert"
    shutil.copytree(folders["bert"], mine)
    wanted = profile({"bert": str(mine), "llama": "nobody/nothing", "clip": str(folders["qwen"])})
    found, missing = registry.public(wanted)
    assert [encoder.label for encoder in found] == ["BERT, local"]
    assert "hf download nobody/nothing" in missing["LLaMA, public"]
    assert "is of type 'qwen3', not of the family 'clip'" in missing["CLIP, local"]
    assert not any("\n" in reason for reason in missing.values())

    store = Store(tmp_path / "store")
    (frame,) = store.get_many(EMBEDDING, wanted, records(found))
    texts = grammar.instructions(wanted.data.levels)
    assert (frame.index == texts["id"]).all()
    np.testing.assert_allclose(frame, hub.embed(texts["text"].tolist(), mine), atol=1e-6)

    # Other weights under the same name are another artifact.
    (before,) = store.paths(EMBEDDING, wanted, records(found))
    with open(mine / "config.json", "a", encoding="utf-8") as file:
        file.write("\n")
    (after,) = store.paths(EMBEDDING, wanted, records(registry.public(wanted)[0]))
    assert before != after


def test_a_strict_run_stops_at_the_first_that_is_missing(folders):
    with pytest.raises(hub.CheckpointError, match="nobody/nothing.*hf download"):
        registry.public(profile({"llama": "nobody/nothing"}, strict=True))
    assert registry.public(profile({"llama": str(folders["llama"])}, strict=True))[0]


@pytest.mark.parametrize("name", ("hub", "paper"))
def test_the_profiles_name_one_checkpoint_per_family(name):
    loaded = Profile.load(name)
    assert list(loaded.encoders.checkpoints) == list(loaded.encoders.families)
    assert all(hub.HUB_ID.fullmatch(c) for c in loaded.encoders.checkpoints.values())
    base = Profile.load({"hub": "laptop", "paper": "release"}[name])
    assert loaded.data == base.data and loaded.cloning == base.cloning
    assert loaded.alignment == base.alignment


def test_a_batch_names_a_run_that_insists_on_a_checkpoint(tmp_path):
    out, given = tmp_path / "out", json.dumps({"llama": "nobody/nothing"})
    done = command(
        "paper_utils", "batch", "--profile", "smoke", "--seeds", "0", "--out", str(out),
        "--set", f"encoders.checkpoints={given}", "--set", "encoders.strict=true",
        store=tmp_path / "store",
    )  # fmt: skip
    assert done.returncode == 1, done.stdout + done.stderr
    (failed,) = [line for line in done.stderr.splitlines() if line.startswith("failed: ")]
    assert "checkpoint nobody/nothing: " in failed and "hf download nobody/nothing" in failed
    assert (out / "failures.txt").read_text() == f"{failed.removeprefix('failed: ')}\n"


@pytest.mark.xdist_group("smoke")
def test_a_run_shows_what_can_be_had_and_names_what_cannot(smoke):
    folder, _, _ = smoke
    results, page = (json.loads((folder / "results.json").read_text()),
                     (folder / "index.html").read_text())  # fmt: skip
    assert "Without LLaMA, public, which could not be had." in page
    assert "agent ~ BERT, local" in {row["pair"] for row in results["alignment"]}
    assert "hf download nobody/nothing" in results["missing"]["LLaMA, public"]
    for name in ("03_embeddings", "04_alignment"):
        notebook = nbformat.read(folder / f"{name}.ipynb", as_version=4)
        said = [o.get("text", "") for c in notebook.cells for o in c.get("outputs", [])]
        tables = sum("run.table(" in cell.source for cell in notebook.cells)
        assert sum("without LLaMA, public" in text for text in said) >= tables
    assert not run.verify(folder)
