"""The registry is complete and consistent, and importing it costs nothing."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

from paper_utils.encoders import hub, lexical
from paper_utils.encoders.families import COLOURS, ENCODERS, FAMILIES, Encoder
from tests.encoders.conftest import TEXTS


def test_six_families_give_three_encoders_each():
    assert list(FAMILIES) == ["llama", "qwen", "deepseek", "bert", "clip", "blip"]
    for name in FAMILIES:
        trained, twin, public = (ENCODERS[name + end] for end in ("", "-untrained", "-hub"))
        assert (trained.source, twin.source, public.source) == ("scratch", "scratch", "hub")
        assert trained.trained and public.trained and not twin.trained
        assert {trained.pooling, twin.pooling, public.pooling} == {FAMILIES[name].poolings[0]}


def test_every_modality_has_its_colour():
    assert {encoder.modality for encoder in ENCODERS.values()} == set(COLOURS)
    assert len(set(COLOURS.values())) == len(COLOURS)
    assert ENCODERS["clip"].colour == ENCODERS["blip-hub"].colour == COLOURS["vision-language"]


def test_an_encoder_embeds_by_its_own_function(folders):
    np.testing.assert_array_equal(
        ENCODERS["random_tokens"].embed(TEXTS, seed=4), lexical.random_tokens(TEXTS, seed=4)
    )
    np.testing.assert_array_equal(
        ENCODERS["clip"].embed(TEXTS, checkpoint=folders["clip"]),
        hub.embed(TEXTS, folders["clip"], pooling="pooled"),
    )
    with pytest.raises(ValueError, match="'bert' needs a checkpoint"):
        ENCODERS["bert"].embed(TEXTS)


def test_a_new_control_is_one_function_and_one_entry():
    def vowels(texts, seed=0):
        return np.array([[text.count(v) for v in "aeiou"] for text in texts], np.float32)

    encoder = Encoder("vowels", "vowels", "lexical", "control", "sum", vowels)
    assert encoder.embed(TEXTS).shape == (len(TEXTS), 5)
    assert encoder.colour == COLOURS["lexical"]


def test_the_registry_loads_without_the_heavy_libraries():
    code = (
        "import sys; from paper_utils.encoders import families, hub, lexical, scratch;"
        "print([m for m in ('torch', 'transformers', 'sklearn') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
