"""A toy world, and one small checkpoint of each family trained in it for a moment."""

from __future__ import annotations

import itertools
import json
import shutil
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from paper_utils.data.corpus import Documents, Pictures
from paper_utils.encoders import hub, scratch
from paper_utils.encoders.families import FAMILIES

COLOURS = {"red": (255, 0, 0), "green": (0, 255, 0), "blue": (0, 0, 255), "grey": (99, 99, 99)}
THINGS = ("ball", "box", "key")
SMALL = {"width": 32, "layers": 2, "heads": 4, "steps": 3, "batch_size": 8, "learning_rate": 5e-3}
TEXTS = [  # lengths out of order, on purpose
    "go to the red ball",
    "put the green box next to the grey key on your left",
    "open it",
    "pick up the blue key behind you",
    "you see the grey ball and the red box and the green key and the blue ball in front of you",
    "go to the red box",
    "put the grey key next to the green box on your left",
]


def settings(**changes) -> SimpleNamespace:
    """Sizes of a small model, three steps of training, and what else is asked for."""
    return SimpleNamespace(**SMALL | changes)


def _document(random: np.random.Generator) -> str:
    kinds = list(itertools.product(COLOURS, THINGS))
    first, second = (f"{c} {t}" for c, t in (kinds[i] for i in random.choice(12, 2, replace=False)))
    return (
        f"you see the {first} in front of you and the {second} on your left . "
        f"put the {first} next to the {second} . you go to the {first} and pick up the {first} . "
        f"you go to the {second} . now the {first} is next to the {second} . open it behind you ."
    )


def _picture(random: np.random.Generator) -> tuple[np.ndarray, str]:
    """Two colours, one above the other, and their caption."""
    image = np.zeros((16, 16, 3), np.uint8)
    names = random.choice(list(COLOURS), 2)
    image[:8] = COLOURS[names[0]]
    image[8:] = COLOURS[names[1]]
    return image, f"the {names[0]} ball is behind the {names[1]} box"


def toy_corpus() -> tuple[Documents, Pictures]:
    random = np.random.default_rng(7)
    texts = [_document(random) for _ in range(460)]
    pictures, captions = zip(*(_picture(random) for _ in range(460)))
    images = np.stack(pictures)
    return (
        Documents(texts[:400], texts[400:]),
        Pictures(images[:400], list(captions[:400]), images[400:], list(captions[400:])),
    )


@pytest.fixture(scope="session")
def corpus() -> tuple[Documents, Pictures]:
    return toy_corpus()


def with_parts(corpus, told=None, shown=None):
    """A corpus with some fields of its documents or pictures replaced."""
    return corpus[0]._replace(**(told or {})), corpus[1]._replace(**(shown or {}))


@pytest.fixture(scope="session", autouse=True)
def one_thread():
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def folders(tmp_path_factory, corpus):
    """Family -> folder of a checkpoint that has moved away from its random weights."""
    root = tmp_path_factory.mktemp("checkpoints")
    for family in FAMILIES:
        scratch.train(family, root / family, *corpus, settings(), seed=1)
    return {family: root / family for family in FAMILIES}


def family_of(checkpoint):
    kind = json.loads((checkpoint / "config.json").read_text())["model_type"]
    return next(name for name, family in FAMILIES.items() if kind in family.model_types)


def embed_with(checkpoint, texts=TEXTS, family=None, pooling=None, layer=None):
    """What a checkpoint makes of texts, at its last layer unless another is asked for."""
    family = family or family_of(checkpoint)
    encoder = hub.load(hub.usable(checkpoint, family)[0], family)
    if pooling:
        encoder.family = encoder.family._replace(pooling=pooling)
    return encoder.embed(texts, encoder.blocks if layer is None else layer)


def copy(folder, tmp_path):
    return shutil.copytree(folder, tmp_path / "checkpoint")


def edit(path, change):
    """Changes a JSON file by a function of its values."""
    values = json.loads(path.read_text())
    change(values)
    path.write_text(json.dumps(values))


def change_weights(folder, change, **config):
    """Changes a checkpoint's weights by a function of them, and values of its config.json."""
    weights = load_file(folder / "model.safetensors")
    change(weights)
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    edit(folder / "config.json", lambda values: values.update(config))
