"""Vectors from a file: the right rows, or one line saying why not."""

from __future__ import annotations

import numpy as np
import pytest

from paper_utils.config import Profile, ProfileError
from paper_utils.encoders import records, vectors

IDS, N = np.arange(5), 5
GOOD = {"ids": IDS, "vectors": np.random.default_rng(0).normal(size=(N, 3))}


def write(path, **arrays):
    np.savez(path, **arrays)
    return str(path)


REFUSED = {
    "missing": ({"ids": IDS[:4], "vectors": GOOD["vectors"][:4]}, "id 4 is missing"),
    "twice": ({"ids": np.array([0, 1, 2, 3, 4, 4]), "vectors": np.eye(6)}, "non-unique"),
    "unknown": ({**GOOD, "ids": IDS + 1}, "names: id 0 is missing or unknown"),
    "not finite": ({**GOOD, "vectors": np.diag([1, 1, np.nan, 1, 1])}, "not finite"),
    "too big a number": ({**GOOD, "vectors": np.full((N, 2), 1e300)}, "not finite"),
    "wrong N": ({**GOOD, "vectors": np.eye(4)}, "Shape of passed values"),
    "no vectors": ({"ids": IDS}, "cannot be read: ValueError"),
    "a pickle": ({**GOOD, "ids": np.array([{}] * N)}, "cannot be read: ValueError"),
    "words": ({**GOOD, "vectors": np.full((N, 2), "x")}, "cannot be read"),
    "widths": ({**GOOD, "second_vectors": np.eye(5)}, "are missing"),
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


def test_rows_are_sorted_by_id_and_both_names_load(tmp_path):
    random = np.random.default_rng(1)
    order = random.permutation(N)
    first, second = random.normal(size=(2, N, 3)).astype(np.float32)
    arrays = {"ids": IDS[order], "vectors": first[order], "second_vectors": second[order]}
    path = write(tmp_path / "mine.npz", **arrays, source=np.array("a model\nof mine"))
    found = vectors.read(path, IDS)
    np.testing.assert_allclose(found.rows, [first, second], rtol=1e-6)
    assert len(found.revision) == 64


def test_another_kind_of_file_is_refused(tmp_path):
    path = tmp_path / "mine.csv"
    path.write_text("id,0,1\n0,1.0,2.0\n")
    with pytest.raises(vectors.VectorsError, match="mine.csv: is no .npz"):
        vectors.read(str(path), IDS)


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
    np.testing.assert_allclose(vectors.read(path, IDS, *texts).rows[0], GOOD["vectors"][order])
    path = write(tmp_path / "other.npz", **good | {f"{names}texts": good[f"{names}texts"][order]})
    with pytest.raises(vectors.VectorsError, match="names: id 0 is '[a-z]+ 4' in the file, but"):
        vectors.read(path, IDS, *texts)


def test_a_profile_s_files_are_there_and_whole(tmp_path):
    path = write(tmp_path / "mine.npz", **GOOD)
    (tmp_path / "cut.npz").write_bytes((tmp_path / "mine.npz").read_bytes()[:99])
    for name, words in (("nowhere.npz", "FileNotFoundError"), ("cut.npz", "cannot be read")):
        profile = Profile.load("smoke", {"encoders.vectors": {"mine": str(tmp_path / name)}})
        with pytest.raises(ProfileError, match=words) as caught:
            records.models(profile)
        assert name in str(caught.value) and "\n" not in str(caught.value)
    assert vectors.read(path).rows.shape == (1, N, 3)
