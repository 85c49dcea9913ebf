"""Vectors from a file: the right rows, or one line saying why not."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from paper_utils.config import Profile, ProfileError
from paper_utils.encoders import vectors

IDS, N = np.arange(5), 5
GOOD = {"ids": IDS, "vectors": np.random.default_rng(0).normal(size=(N, 3))}


def write(path, **arrays):
    np.savez(path, **arrays)
    return str(path)


REFUSED = {
    "missing": ({"ids": IDS[:4], "vectors": GOOD["vectors"][:4]}, r"id 4 is missing \(1 of 5"),
    "twice": ({"ids": np.array([0, 1, 2, 3, 4, 4]), "vectors": np.eye(6)}, "id 4 is there twice"),
    "unknown": ({**GOOD, "ids": IDS + 1}, "id 5 is no instruction"),
    "not numbers": ({**GOOD, "ids": IDS.astype(float)}, "not whole numbers"),
    "not finite": ({**GOOD, "vectors": np.diag([1, 1, np.nan, 1, 1])}, "row of id 2 is not finite"),
    "too big a number": ({**GOOD, "vectors": np.full((N, 2), 1e300)}, "not finite"),
    "constant": ({**GOOD, "vectors": np.ones((N, 3))}, "all rows are equal"),
    "wrong N": ({**GOOD, "vectors": np.eye(4)}, "Shape of passed values"),
    "one number each": ({**GOOD, "vectors": np.arange(5.0)}, r"vectors have shape \(5,\)"),
    "no vectors": ({"ids": IDS}, "cannot be read: KeyError"),
    "a pickle": ({**GOOD, "ids": np.array([{}] * N)}, "cannot be read: ValueError"),
    "words": ({**GOOD, "vectors": np.full((N, 2), "x")}, "cannot be read"),
    "second names": ({**GOOD, "second_vectors": np.ones((N, 3))}, "second names: all rows"),
    "widths": ({**GOOD, "second_vectors": np.eye(5)}, "differ in width"),
    "a typing error": ({**GOOD, "second_vector": np.eye(5)}, "array 'second_vector' is none of"),
}  # fmt: skip


@pytest.mark.filterwarnings("ignore:overflow")
@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_used_is_one_line(tmp_path, case):
    arrays, reason = REFUSED[case]
    path = write(tmp_path / "mine.npz", **arrays)
    with pytest.raises(vectors.VectorsError, match=reason) as caught:
        vectors.read(path, IDS)
    assert str(caught.value).startswith(f"vectors {path}: ") and "\n" not in str(caught.value)


@pytest.mark.parametrize("kind", ("npz", "csv", "parquet"))
def test_rows_are_sorted_by_id_and_both_names_load(tmp_path, kind):
    if kind == "parquet":
        pytest.importorskip("pyarrow")  # pandas asks for it; without it, the refusal says so
    random = np.random.default_rng(1)
    order = random.permutation(N)
    first, second = random.normal(size=(2, N, 3)).astype(np.float32)
    path = tmp_path / f"mine.{kind}"
    if kind == "npz":
        arrays = {"ids": IDS[order], "vectors": first[order], "second_vectors": second[order]}
        write(path, **arrays, source=np.array("a model\nof mine"))
    else:
        parts = [
            pd.DataFrame(x[order]).assign(id=IDS[order], names=names, source="a model of mine")
            for names, x in (("first", first), ("second", second))
        ]
        table = pd.concat(parts).rename(columns=str)[["id", "names", "source", "0", "1", "2"]]
        # As spreadsheets do, with a mark of the order of bytes.
        csv = {"index": False, "encoding": "utf-8-sig"}
        table.to_csv(path, **csv) if kind == "csv" else table.to_parquet(path, index=False)
    found = vectors.read(str(path), IDS)
    np.testing.assert_allclose(found.first, first, rtol=1e-6)
    np.testing.assert_allclose(found.second, second, rtol=1e-6)
    assert found.source == "a model of mine" and len(found.revision) == 64


def test_columns_that_are_no_dimensions_are_refused_by_name(tmp_path):
    path = tmp_path / "mine.csv"
    table = pd.DataFrame(GOOD["vectors"]).assign(id=IDS)

    def refused(table, words, **options):
        table.to_csv(path, **({"index": False} | options))
        with pytest.raises(vectors.VectorsError, match=words) as caught:
            vectors.read(str(path), IDS)
        assert "\n" not in str(caught.value)

    # An index that is written along would pass for one dimension more.
    refused(table, "column 'Unnamed: 0' is none of id, names, text, source", index=True)
    refused(table.assign(score=1.0), "column 'score' is none of")
    refused(table.assign(Text="go"), "column 'Text' is none of")
    refused(table.rename(columns={1: 7}), "column '7' is none of")
    refused(table.rename(columns={1: "d1"}), "column 'd1' is none of")
    refused(table[[0, 2, 1, "id"]], "column '2' is none of")
    named = table.rename(columns=lambda name: name if name == "id" else f"d{name}")
    named.set_index("id").to_csv(path)
    np.testing.assert_allclose(vectors.read(str(path), IDS).first, GOOD["vectors"], rtol=1e-6)


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


def test_a_profile_names_files_that_are_there_and_not_too_large(tmp_path, monkeypatch):
    def profile(**files: str) -> Profile:
        return Profile.load("smoke", {"encoders.vectors": files})

    path = write(tmp_path / "mine.npz", **GOOD)
    assert profile(mine=path).encoders.vectors == {"mine": path}
    (tmp_path / "mine.txt").write_text("")
    for files, words in (
        ({"mine": "nowhere.npz"}, "nowhere.npz: no such file"),
        ({"mine": str(tmp_path / "mine.txt")}, "is none of .npz, .csv, .parquet"),
        ({" ": path}, "no name for a model"),
    ):
        with pytest.raises(ProfileError, match=words):
            profile(**files)
    (tmp_path / "cut.npz").write_bytes((tmp_path / "mine.npz").read_bytes()[:99])
    with pytest.raises(ProfileError, match="cannot be read"):
        vectors.read(str(tmp_path / "cut.npz"), IDS)
    monkeypatch.setattr(vectors, "LARGEST", 500)
    with pytest.raises(ProfileError, match="larger than"):
        profile(mine=path)
    monkeypatch.setattr(vectors, "LARGEST", 1000)  # small as a file, large unpacked
    np.savez_compressed(tmp_path / "bomb.npz", ids=IDS, vectors=np.zeros((5, 99)))
    with pytest.raises(ProfileError, match="larger than"):
        vectors.read(str(tmp_path / "bomb.npz"), IDS)
