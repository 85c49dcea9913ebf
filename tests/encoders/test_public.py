"""Public checkpoints in a run: those that can be had are compared, the others are named."""

from __future__ import annotations

import json
import shutil

import nbformat
import numpy as np
import pytest
from commands import command

from paper_utils import Profile, pipeline
from paper_utils.artifacts import Store
from paper_utils.encoders import embeddings, hub


def profile(checkpoints: dict, strict: bool = False) -> Profile:
    overrides = {"encoders.checkpoints": checkpoints, "encoders.strict": strict}
    return Profile.load("smoke", overrides)


def test_what_can_be_had_is_embedded_and_what_cannot_is_named(folders, tmp_path):
    mine = tmp_path / "bert"
    shutil.copytree(folders["bert"], mine)
    wanted = profile({"bert": str(mine), "llama": "nobody/nothing", "clip": str(folders["qwen"])})
    found, missing = embeddings.public(wanted)
    assert [which["encoder"] for which in found] == ["bert-hub"]
    assert "hf download nobody/nothing" in missing["llama-hub"]
    assert "is of type 'qwen3', not of the family 'clip'" in missing["clip-hub"]
    assert not any("\n" in reason for reason in missing.values())

    store = Store(tmp_path / "store")
    (frame,) = store.get_many(embeddings.EMBEDDING, wanted, found)
    texts = embeddings.grammar.instructions(wanted.data.levels)
    assert (frame.index == texts["id"]).all()
    np.testing.assert_allclose(frame, hub.embed(texts["text"].tolist(), mine), atol=1e-6)

    # Other weights under the same name are another artifact.
    (before,) = store.paths(embeddings.EMBEDDING, wanted, found)
    with open(mine / "config.json", "a", encoding="utf-8") as file:
        file.write("\n")
    (after,) = store.paths(embeddings.EMBEDDING, wanted, embeddings.public(wanted)[0])
    assert before != after


def test_a_strict_run_stops_at_the_first_that_is_missing(folders):
    with pytest.raises(hub.CheckpointError, match="nobody/nothing.*hf download"):
        embeddings.public(profile({"llama": "nobody/nothing"}, strict=True))
    assert embeddings.public(profile({"llama": str(folders["llama"])}, strict=True))[0]


@pytest.mark.parametrize("name", ("hub", "paper"))
def test_the_profiles_name_one_checkpoint_per_family(name):
    loaded = Profile.load(name)
    assert list(loaded.encoders.checkpoints) == list(loaded.encoders.families)
    assert all(hub.HUB_ID.fullmatch(c) for c in loaded.encoders.checkpoints.values())
    base = Profile.load({"hub": "laptop", "paper": "release"}[name])
    assert loaded.data == base.data and loaded.cloning == base.cloning
    assert loaded.alignment == base.alignment


@pytest.mark.xdist_group("public")
def test_a_run_goes_on_without_a_missing_checkpoint_and_says_so(folders, tmp_path):
    """The smallest world there is: one level, agent and family; one folder in the Hub's format, and
    one id that cannot be had."""
    given = {"bert": str(folders["bert"]), "llama": "nobody/nothing"}
    changes = {"encoders.checkpoints": given, "encoders.families": ["bert"], "cloning.agents": 1,
               "data.demonstrations": {"GoToLocal": 60}}  # fmt: skip
    words = [word for k, v in changes.items() for word in ("--set", f"{k}={json.dumps(v)}")]
    done = command(
        "paper_utils", "run", "--profile", "smoke", "--out", str(tmp_path / "run"), *words,
        store=tmp_path / "store",
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Without llama-hub, which could not be had." in done.stdout
    assert "agent ~ BERT, public" in done.stdout and "LLaMA, public" not in done.stdout
    results = json.loads((tmp_path / "run" / "results.json").read_text())
    assert "hf download nobody/nothing" in results["missing"]["llama-hub"]
    judged = {(row["claim"], row["models"]): row["verdict"] for row in results["verdicts"]}
    assert judged["action aligns with decoder-only language models", "public"] == (
        "not testable here"
    )
    for name in ("03_embeddings", "04_alignment"):
        notebook = nbformat.read(tmp_path / "run" / f"{name}.ipynb", as_version=4)
        said = [o.get("text", "") for c in notebook.cells for o in c.get("outputs", [])]
        tables = sum("run.table(" in cell.source for cell in notebook.cells)
        assert sum("without llama-hub" in text for text in said) >= tables
    assert not pipeline.verify(tmp_path / "run")
