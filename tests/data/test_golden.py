"""What the stages with a version make, at a tiny size, against what was recorded beside it.

Whoever renames a function or moves a line need not care.  Whoever changes what is made raises the
stage's version, so that nothing that was made before is taken for it, and records the new values
(which `python tests/data/test_golden.py` prints)."""

import hashlib
import tempfile
from pathlib import Path

import numpy as np
import pytest

from paper_utils.config import Profile
from paper_utils.data.corpus import PICTURES, STORIES
from paper_utils.data.demonstrations import DEMONSTRATIONS

SIZE = {
    "data.demonstrations": {"GoToLocal": 6, "PickupLoc": 6},
    "data.validation": 4,
    "data.documents": 8,
    "data.pictured_episodes": 6,
    "data.synonyms": "default",
}
OF_BABYAI = {"world": 3, "rooms": "babyai"}
OF_KINDS = {"world": 3, "rooms": "kinds"}
TRAIN = {"level": "PickupLoc", "split": "train"}
CASES = [
    (DEMONSTRATIONS, OF_BABYAI | TRAIN),
    (DEMONSTRATIONS, OF_KINDS | TRAIN),
    (DEMONSTRATIONS, {"world": 3, "rooms": "exclusive"} | TRAIN),
    (DEMONSTRATIONS, OF_KINDS | {"level": "GoToLocal", "split": "validation"}),
    (STORIES, OF_BABYAI),
    (STORIES, OF_KINDS),
    (PICTURES, OF_BABYAI | {"coloured": True}),
    (PICTURES, OF_KINDS | {"coloured": False}),
]

# Stage and version -> SHA-256 of what each case makes, in the order of CASES.
RECORDED = {
    "demonstrations version 1": [
        "ae3576b513e9804fc37133388cfe2a740a1df32efb9c4b9ea79c12429c7dca53",
        "098712898057c7ba53540f948b6e29717f9ac8726417df523da11825313929b9",
        "27268e7d1bb2b42339b6bb9e299ae2ef6a00ad5dd705f5d400d73c4ddc34a7af",
        "b2c90d73062fcddbe206897b74b191250875085680741b5739d31bfab7482a59",
    ],
    "stories version 1": [
        "f5184614812dbe6383040179ec7006bb93d536e4d438f048751f652b85d23c24",
        "bcf410a5d0aa16ebe83d725a8d607b671650bd42216ce13c8d593460f67f5a92",
    ],
    "pictures version 1": [
        "2fbef8369a3ef369c9cf7509a6b6ddc9174d374f5828ab260a1041507494b93c",
        "75e730f6954cd51298e451a1c623cabec478f17a12ea0bb744934322331b4631",
    ],
}


def digest(value) -> str:
    """SHA-256 of the arrays and texts that a stage makes, whatever the compression of files."""
    made = hashlib.sha256()
    parts = value._asdict() if hasattr(value, "_asdict") else vars(value)
    for name, part in parts.items():
        made.update(name.encode())
        if isinstance(part, np.ndarray):
            # Texts as text: how wide numpy stores them says nothing.
            texts = part.tolist() if part.dtype.kind == "U" else None
            made.update(repr(texts or (part.shape, part.dtype.str)).encode())
            made.update(b"" if texts else part.tobytes())
        else:
            made.update("\n".join(part).encode())
    return made.hexdigest()


def make(stage, parameters: dict) -> str:
    profile = Profile.load("smoke", SIZE)
    with tempfile.TemporaryDirectory() as folder:
        stage.make(profile, Path(folder), **parameters)
        return digest(stage.load(Path(folder)))


def key(stage) -> str:
    return f"{stage.name} version {stage.version}"


@pytest.mark.parametrize("number", range(len(CASES)))
def test_what_a_version_makes_is_what_was_recorded(number):
    stage, parameters = CASES[number]
    place = sum(earlier is stage for earlier, _ in CASES[:number])
    expected = RECORDED.get(key(stage), [])
    assert place < len(expected) and make(stage, parameters) == expected[place], (
        f"what the stage {stage.name!r} makes has changed: raise its version and record the new "
        "values (python tests/data/test_golden.py prints them)"
    )


def test_equal_values_have_equal_digests_and_others_not():
    class Made:
        def __init__(self, array):
            self.array = array

    numbers = np.arange(6, dtype=np.uint8)
    assert digest(Made(numbers)) == digest(Made(numbers.copy()))
    assert digest(Made(numbers)) != digest(Made(numbers.reshape(2, 3)))
    assert digest(Made(numbers)) != digest(Made(numbers.astype(np.int64)))
    assert digest(Made(np.array(["a", "b"]))) == digest(Made(np.array(["a", "b"], dtype="U9")))
    assert digest(Made(np.array(["a", "b"]))) != digest(Made(np.array(["ab", ""])))


if __name__ == "__main__":
    found: dict[str, list[str]] = {}
    for each, chosen in CASES:
        found.setdefault(key(each), []).append(make(each, chosen))
    for name, values in found.items():
        print(f"    {name!r}: {values},")
