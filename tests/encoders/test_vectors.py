"""Vectors from a file: the right rows, or one line saying why not; the script that makes it."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
from commands import ROOT
from paper_utils.encoders.registry import EMBEDDING, records

from paper_utils import Profile, ProfileError
from paper_utils.encoders import hub, registry, vectors
from paper_utils.encoders.families import FAMILIES
from paper_utils.store import Store
from tests.encoders.conftest import TEXTS

IDS, N = np.arange(5), 5
GOOD = {"ids": IDS, "vectors": np.random.default_rng(0).normal(size=(N, 3))}


def write(path, **arrays):
    np.savez(path, **arrays)
    return str(path)


def profile(**files: str) -> Profile:
    return Profile.load("smoke", {"encoders.vectors": files})


@pytest.fixture
def ids():
    return registry.texts(Profile.load("smoke"))["id"].to_numpy()


CASES = [(name, pooling) for name, family in FAMILIES.items() for pooling in family.poolings]


@pytest.fixture(scope="module")
def script():
    sys.path.insert(0, str(ROOT / "notebooks"))
    import embed_anywhere

    yield embed_anywhere
    sys.path.remove(str(ROOT / "notebooks"))


@pytest.mark.parametrize("family, pooling", CASES)
def test_the_script_embeds_as_the_package_does(folders, tmp_path, script, family, pooling):
    table = pd.DataFrame({"id": range(len(TEXTS)), "text": TEXTS, "second_text": TEXTS[::-1]})
    table.to_csv(tmp_path / "in.csv", index=False)
    layers = [None] if pooling == "projected" else [None, 1]
    for layer in layers:
        words = ["--pooling", pooling, *(["--layer", str(layer)] if layer else [])]
        made = str(tmp_path / "out.npz")
        script.main([str(tmp_path / "in.csv"), str(folders[family]), made, *words])
        found = vectors.read(made, range(len(TEXTS)))
        expected = hub.embed(TEXTS, folders[family], pooling=pooling, layer=layer)
        np.testing.assert_allclose(found.first, expected, atol=1e-5)
        np.testing.assert_allclose(found.second, expected[::-1], atol=1e-5)
        assert str(folders[family]) in found.source and pooling in found.source


def test_the_script_runs_alone(folders, tmp_path):
    """As a command, from a folder where this package is not; its first pooling is the family's."""
    table = pd.DataFrame({"id": range(len(TEXTS)), "text": TEXTS})
    table.to_csv(tmp_path / "in.csv", index=False)
    script = str(ROOT / "notebooks" / "embed_anywhere.py")
    words = [script, "in.csv", str(folders["qwen"]), "out.npz", "--family", "deepseek"]
    done = subprocess.run(
        [sys.executable, *words], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert done.stdout.startswith(f"out.npz: {len(TEXTS)} instructions, 32 numbers each")
    found = vectors.read(str(tmp_path / "out.npz"))
    np.testing.assert_allclose(found.first, hub.embed(TEXTS, folders["qwen"]), atol=1e-5)
    assert found.second is None


REFUSED = {
    "missing": ({"ids": IDS[:4], "vectors": GOOD["vectors"][:4]}, r"id 4 is missing \(1 of 5"),
    "twice": ({"ids": np.array([0, 1, 2, 3, 4, 4]), "vectors": np.eye(6)}, "id 4 is there twice"),
    "unknown": ({**GOOD, "ids": IDS + 1}, "id 5 is no instruction"),
    "not numbers": ({**GOOD, "ids": IDS.astype(float)}, "not whole numbers"),
    "not finite": ({**GOOD, "vectors": np.diag([1, 1, np.nan, 1, 1])}, "row of id 2 is not finite"),
    "too big a number": ({**GOOD, "vectors": np.full((N, 2), 1e300)}, "not finite"),
    "constant": ({**GOOD, "vectors": np.ones((N, 3))}, "all rows are equal"),
    "wrong N": ({**GOOD, "vectors": np.eye(4)}, "shape"),
    "no vectors": ({"ids": IDS}, "cannot be read: KeyError"),
    "a pickle": ({**GOOD, "ids": np.array([{}] * N)}, "cannot be read: ValueError"),
    "words": ({**GOOD, "vectors": np.full((N, 2), "x")}, "cannot be read"),
    "second names": ({**GOOD, "second_vectors": np.ones((N, 3))}, "second names: all rows"),
    "widths": ({**GOOD, "second_vectors": np.eye(5)}, "differ in width"),
}  # fmt: skip


@pytest.mark.parametrize("names", ("", "second_"))
def test_sentences_in_a_file_are_held_to_those_of_the_run(tmp_path, names):
    texts = [f"go {n}" for n in IDS], [f"approach {n}" for n in IDS]
    order = IDS[::-1]
    good = {
        "ids": order,
        "vectors": GOOD["vectors"],
        "second_vectors": GOOD["vectors"],
        "texts": np.array(texts[0])[order],
    }
    good["second_texts"] = np.array(texts[1])[order]
    path = write(tmp_path / "good.npz", **good)
    np.testing.assert_allclose(vectors.read(path, IDS, *texts).first, GOOD["vectors"][order])
    path = write(tmp_path / "other.npz", **good | {f"{names}texts": good[f"{names}texts"][order]})
    with pytest.raises(vectors.VectorsError, match="id 0 is '[a-z]+ 4' in the file, but"):
        vectors.read(path, IDS, *texts)
    table = pd.DataFrame(GOOD["vectors"]).assign(id=IDS, text=texts[0][::-1])
    table.to_csv(tmp_path / "other.csv", index=False)
    with pytest.raises(vectors.VectorsError, match="first names: id 0 is 'go 4' in the file"):
        vectors.read(str(tmp_path / "other.csv"), IDS, *texts)


@pytest.mark.filterwarnings("ignore:overflow")
@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_used_is_one_line(tmp_path, case):
    arrays, reason = REFUSED[case]
    path = write(tmp_path / "bad.npz", **arrays)
    with pytest.raises(vectors.VectorsError, match=reason) as caught:
        vectors.read(path, IDS)
    assert path in str(caught.value) and "\n" not in str(caught.value)


def test_files_that_are_none_are_refused_when_the_profile_is_loaded(tmp_path, monkeypatch):
    (tmp_path / "model.pkl").write_bytes(b"")
    (tmp_path / "cut.npz").write_bytes(b"PK")
    large = write(tmp_path / "large.npz", **GOOD)
    with pytest.raises(ProfileError, match="nowhere.npz: no such file"):
        profile(mine="nowhere.npz")
    with pytest.raises(ProfileError, match="none of .npz, .csv, .parquet"):
        profile(mine=str(tmp_path / "model.pkl"))
    with pytest.raises(ProfileError, match="no name for a model"):
        profile(**{"": large})
    with pytest.raises(ProfileError, match="cannot be read"):
        vectors.read(str(tmp_path / "cut.npz"), IDS)
    monkeypatch.setattr(vectors, "LARGEST", 500)
    with pytest.raises(ProfileError, match="larger than"):
        profile(mine=large)
    monkeypatch.setattr(vectors, "LARGEST", 1000)  # small as a file, large unpacked
    np.savez_compressed(tmp_path / "bomb.npz", ids=IDS, vectors=np.zeros((5, 99)))
    with pytest.raises(ProfileError, match="larger than"):
        vectors.read(str(tmp_path / "bomb.npz"), IDS)


@pytest.mark.parametrize("kind", ("npz", "csv", "parquet"))
def test_rows_are_sorted_by_id_and_both_names_load(tmp_path, ids, kind):
    if kind == "parquet":
        pytest.importorskip("pyarrow")  # pandas asks for it; without it, the refusal says so
    random = np.random.default_rng(1)
    order = random.permutation(len(ids))
    first, second = random.normal(size=(2, len(ids), 3)).astype(np.float32)
    path = tmp_path / f"mine.{kind}"
    if kind == "npz":
        arrays = {"ids": ids[order], "vectors": first[order], "second_vectors": second[order]}
        write(path, **arrays, source=np.array("a model\nof mine"))
    else:
        parts = [
            pd.DataFrame(x[order]).assign(id=ids[order], names=names, source="a model of mine")
            for names, x in (("first", first), ("second", second))
        ]
        table = pd.concat(parts).rename(columns=str)[["id", "names", "source", "0", "1", "2"]]
        table.to_csv(path, index=False) if kind == "csv" else table.to_parquet(path, index=False)
    wanted = profile(mine=str(path))
    (encoder,), missing = registry.public(wanted)
    assert not missing and encoder.label == encoder.group == "mine, vectors"
    assert (encoder.source, encoder.kind, encoder.modality) == ("vectors", "trained", "language")
    assert registry.has_second_names(encoder) and encoder.origin == "a model of mine"
    store = Store(tmp_path / "store")
    (frame,) = store.get_many(EMBEDDING, wanted, records([encoder]))
    np.testing.assert_allclose(frame, first, rtol=1e-6)
    assert (frame.index == ids).all()
    (both,) = store.get_many(EMBEDDING, wanted, records([encoder], "both"))
    np.testing.assert_allclose(both.loc["first"], first, rtol=1e-6)
    np.testing.assert_allclose(both.loc["second"], second, rtol=1e-6)


def test_without_second_names_it_is_known_and_other_content_is_another_artifact(tmp_path, ids):
    path = tmp_path / "mine.npz"
    x = np.random.default_rng(2).normal(size=(len(ids), 2))
    wanted = profile(mine=write(path, ids=ids, vectors=x))
    (encoder,), _ = registry.public(wanted)
    assert not registry.has_second_names(encoder) and str(path) in encoder.origin
    store = Store(tmp_path / "store")
    (before,) = store.paths(EMBEDDING, wanted, records([encoder]))
    with pytest.raises(vectors.VectorsError, match="no second names"):
        store.get_many(EMBEDDING, wanted, records([encoder], "both"))
    write(path, ids=ids, vectors=x[::-1])
    (after,) = store.paths(EMBEDDING, wanted, records(registry.public(wanted)[0]))
    assert before != after
    write(path, ids=ids[1:], vectors=x[1:])
    with pytest.raises(ProfileError, match="id 0 is missing"):
        registry.public(wanted)
    with pytest.raises(ProfileError, match="id 0 is missing|has changed"):
        store.remake(EMBEDDING, wanted, **records([encoder])[0])


def test_texts_are_what_is_embedded():
    table = registry.texts(Profile.load("smoke"))
    assert list(table) == ["id", "text", "second_text"] and table["id"].is_unique
    assert "go to the red ball" in set(table["text"])
