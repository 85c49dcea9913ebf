"""Trains a small reference model from scratch, in its family's own architecture; its folder is in
the Hub's format, as any public checkpoint, and holds scores.json."""

import json
import os
from pathlib import Path
from typing import NamedTuple

import pandas as pd

from paper_utils.config import Profile, generator, torch_seed
from paper_utils.data.corpus import PICTURES, STORIES, Documents, Pictures
from paper_utils.encoders.families import FAMILIES, SPECIAL, UNK, check, small_configuration
from paper_utils.encoders.hub import TextEncoder, quiet
from paper_utils.store import Stage, json_bytes, write_atomically, write_table

# What of the profile a reference model depends on: not which others are trained.
SIZES = ("width", "layers", "heads")
TRAINED_WITH = (*SIZES, "steps", "batch_size", "learning_rate")
WEIGHT_DECAY = 0.01  # of matrices, not of gains and biases
BETAS = (0.9, 0.98)  # of AdamW
WARM_UP = 0.1  # share of the steps


class Reference(NamedTuple):
    """A reference model trained here."""

    folder: Path  # in the Hub's format
    scores: dict  # content of its scores.json


def train(
    family: str,
    folder: str | os.PathLike[str],
    documents: Documents,
    pictures: Pictures,
    *,
    width: int = 64,
    layers: int = 2,
    heads: int = 4,
    steps: int = 1000,
    batch_size: int = 16,
    learning_rate: float = 5e-3,
    seed: int = 0,
) -> dict:
    """Trains one family and saves it to ``folder``; returns the content of its scores.json.

    AdamW, linear warm-up over a tenth of the steps, cosine decay to zero.  ``batch_size`` counts
    image-caption pairs, or 64 tokens of text each.  On one thread the same arguments give the same
    bytes.  Raises ValueError: unknown family, or a corpus too small or misaligned."""
    import torch
    from transformers import get_cosine_schedule_with_warmup

    from paper_utils.encoders.objectives import OBJECTIVES

    # Before the first step, not after the last.
    check([family])
    _check_pairs(pictures)
    spec = FAMILIES[family]
    tokenizer = tokenizer_of(family, documents, pictures)
    objective = OBJECTIVES[spec.objective](documents, pictures, tokenizer, batch_size)
    # A step with pictures costs more than one with text.
    steps = round(steps * objective.share)
    image_size = pictures.train_images.shape[1]
    random = generator("reference batches", seed)
    # Whoever calls this keeps the random state of torch that they had.
    with quiet(), torch.random.fork_rng(devices=[]):
        model = build(family, len(tokenizer), image_size, width, layers, heads, seed).train()
        rate = learning_rate * objective.rate
        optimizer = torch.optim.AdamW(_decayed(model), lr=rate, betas=BETAS, fused=True)
        warm_up = max(1, round(WARM_UP * steps))
        schedule = get_cosine_schedule_with_warmup(optimizer, warm_up, steps)
        for _ in range(steps):
            loss = objective.loss(model, random)
            optimizer.zero_grad()
            loss.backward()
            # One batch of a small corpus can have a gradient like no other.
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            schedule.step()
        # Without dropout, if a family has any.
        model.eval()
        with torch.inference_mode():
            scores = objective.scores(model)
        tokenizer.save_pretrained(folder)
        model.save_pretrained(folder)
    report = {
        "family": family,
        "objective": spec.objective,
        "parameters": model.num_parameters(),
        "steps": steps,  # its own, of those of the profile
        "batch_size": batch_size,
        "scores": scores,
    }
    write_atomically(Path(folder) / "scores.json", json_bytes(report))
    return report


def build(
    family: str, vocab_size: int, image_size: int, width: int, layers: int, heads: int, seed: int
):
    """A family's model with random weights, those where training starts; reseeds torch."""
    import torch
    import transformers

    kind = getattr(transformers, FAMILIES[family].model)
    sizes = small_configuration(family, vocab_size, width, layers, heads, image_size)
    torch.manual_seed(seed)
    return kind(kind.config_class(**sizes))


def _check_pairs(pictures: Pictures) -> None:
    train = len(pictures.train_images), len(pictures.train_captions)
    validation = len(pictures.validation_images), len(pictures.validation_captions)
    for images, captions in (train, validation):
        if images != captions:
            raise ValueError(f"{images} images with {captions} captions")


def _decayed(model) -> list[dict]:
    """The parameters in two groups: matrices decay, gains and biases do not."""
    matrices = [weight for weight in model.parameters() if weight.ndim >= 2]
    others = [weight for weight in model.parameters() if weight.ndim < 2]
    return [
        {"params": matrices, "weight_decay": WEIGHT_DECAY},
        {"params": others, "weight_decay": 0.0},
    ]


def tokenizer_of(family: str, documents: Documents, pictures: Pictures):
    """A family's tokenizer; all families of a world share its vocabulary, of text and captions."""
    texts = [*documents.train, *pictures.train_captions]
    return train_tokenizer(texts, FAMILIES[family].template)


def train_tokenizer(texts: list[str], template: str):
    """A word-level tokenizer of a corpus, lower case; ``template``: a text ``$A`` between special
    tokens, as ``[CLS] $A [SEP]``."""
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors, trainers
    from transformers import PreTrainedTokenizerFast

    # Whole words: nothing about a synonym can be read from its spelling.
    tokenizer = Tokenizer(models.WordLevel(unk_token=SPECIAL[UNK]))
    tokenizer.normalizer = normalizers.Lowercase()
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    trainer = trainers.WordLevelTrainer(special_tokens=list(SPECIAL), show_progress=False)
    tokenizer.train_from_iterator(texts, trainer)
    around = [(token, number) for number, token in enumerate(SPECIAL) if token in template]
    tokenizer.post_processor = processors.TemplateProcessing(template, special_tokens=around)
    # "[PAD]" is the pad_token, and so on.
    named = {f"{token.strip('[]').lower()}_token": token for token in SPECIAL}
    inputs = ["input_ids", "attention_mask"]
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, model_input_names=inputs, **named)


def _seed(world: int, *names) -> int:
    """A seed of its own for each model of a world: two families, or one trained in two ways, that
    shared their random weights would be alike before they learned anything."""
    # A stream is told apart by numbers: those of the letters.
    spelled = " ".join(map(str, names)).encode()
    return torch_seed("reference weights", world, *spelled)


def untrained(
    profile: Profile, documents: Documents, pictures: Pictures, family: str, world: int, draw: int
) -> TextEncoder:
    """A family's model at random weights, the ``draw``-th of a world, ready to read texts."""
    import torch

    tokenizer = tokenizer_of(family, documents, pictures)
    sizes = [getattr(profile.encoders, name) for name in SIZES]
    image_size = pictures.train_images.shape[1]
    seed = _seed(world, family, "untrained", draw)
    with quiet(), torch.random.fork_rng(devices=[]):
        model = build(family, len(tokenizer), image_size, *sizes, seed).eval()
    name = f"untrained {FAMILIES[family].label}"
    # The part that reads text is that which a checkpoint is read with.
    return TextEncoder(name, FAMILIES[family], tokenizer, model.base_model)


def corpora(world: int, rooms: str, coloured: bool = True) -> list:
    """What a reference model needs: both for all, who thus share a vocabulary."""
    return [
        (STORIES, {"world": world, "rooms": rooms}),
        (PICTURES, {"world": world, "rooms": rooms, "coloured": coloured}),
    ]


def _make_reference(
    profile: Profile,
    folder: Path,
    documents: Documents,
    pictures: Pictures,
    world: int,
    family: str,
    rooms: str,
    coloured: bool,
) -> None:
    settings = {name: getattr(profile.encoders, name) for name in TRAINED_WITH}
    seed = _seed(world, family, rooms, coloured)
    train(family, folder, documents, pictures, seed=seed, **settings)


def _load_reference(folder: Path) -> Reference:
    scores = (folder / "scores.json").read_text(encoding="utf-8")
    return Reference(folder, json.loads(scores))


def _needs_corpora(profile: Profile, world: int, family: str, rooms: str, coloured: bool) -> list:
    return corpora(world, rooms, coloured)


# Seconds that a step of the profile takes on one core, at width 64 with two layers and batches of
# 16, measured; models that see take two thirds of the steps.
SECONDS = {
    "llama": 0.039,
    "qwen": 0.039,
    "deepseek": 0.05,
    "bert": 0.033,
    "clip": 0.021,
    "blip": 0.047,
}


def _seconds(profile: Profile, family: str, **parameters) -> float:
    sizes = profile.encoders
    # A third of a step is spent on what does not grow with the width.
    by_width = 0.35 + 0.65 * sizes.width / 64
    steps = sizes.steps * sizes.batch_size / 16 * sizes.layers / 2
    return 8.0 + SECONDS[family] * steps * by_width


REFERENCE = Stage(
    "reference",
    _make_reference,
    _load_reference,
    reads=tuple(f"encoders.{name}" for name in TRAINED_WITH),
    needs=_needs_corpora,
    version=1,
    cost=_seconds,
)
"""The `Reference` of a family in a world.

Arguments: ``world``; ``family``, a key of FAMILIES; ``rooms``, one of ROOMS; ``coloured``: whether
the things that a CLIP or BLIP of the world of kinds sees have their colours (True for all else)."""


def reference_parameters(
    world: int, family: str, rooms: str = "babyai", coloured: bool = True
) -> dict:
    """Parameters of REFERENCE."""
    return {"world": world, "family": family, "rooms": rooms, "coloured": coloured}


def _references(profile: Profile, world: int) -> list:
    families = profile.encoders.families
    return [(REFERENCE, reference_parameters(world, family)) for family in families]


def _make_scores(profile: Profile, folder: Path, *references: Reference, world: int) -> None:
    rows = []
    for reference in references:
        report = reference.scores
        about = {"world": world}
        about |= {name: report[name] for name in ("family", "parameters", "steps")}
        rows += [about | score for score in report["scores"]]
    write_table(folder / "scores.csv.gz", pd.DataFrame(rows))


MODEL_SCORES = Stage(
    "model-scores",
    _make_scores,
    lambda folder: pd.read_csv(folder / "scores.csv.gz"),
    reads=("encoders.families",),
    needs=_references,
    version=1,
)
"""What the reference models of a world score on held-out data, a row per score and rival: world,
family, parameters, steps, score, value, baseline, baseline value, better (higher or lower), n."""
