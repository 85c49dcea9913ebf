"""Trains a small reference model from scratch, in its family's own architecture; its folder is in
the Hub's format, as any public checkpoint, and holds scores.json."""

from pathlib import Path
from typing import NamedTuple

import pandas as pd

from paper_utils.config import generator, torch_seed
from paper_utils.data.corpus import PICTURES, STORIES
from paper_utils.encoders.families import FAMILIES, SPECIAL, UNK, small_configuration
from paper_utils.encoders.hub import TextEncoder, quiet
from paper_utils.store import Stage, json_bytes, read_json, write_atomically, write_table

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


def train(family, folder, documents, pictures, settings, seed):
    """Trains one family and saves it to ``folder``; returns the content of its scores.json.

    ``family``: a key of FAMILIES; ``documents``, ``pictures``: what STORIES and PICTURES load;
    ``settings``: those of a profile (``profile.encoders``), of which TRAINED_WITH is read.
    AdamW, linear warm-up over a tenth of the steps, cosine decay to zero.  On one thread the same
    arguments give the same bytes."""
    import torch
    from transformers import get_cosine_schedule_with_warmup

    from paper_utils.cloning.training import make_optimizer, step
    from paper_utils.encoders.objectives import OBJECTIVES

    random = generator("reference batches", seed)
    spec = FAMILIES[family]
    # Whoever calls this keeps the random state of torch that they had.
    with quiet(), torch.random.fork_rng(devices=[]):
        tokenizer, model = initial(family, documents, pictures, settings, seed)
        objective = OBJECTIVES[spec.objective](documents, pictures, tokenizer, settings.batch_size)
        # A step with pictures costs more than one with text.
        steps = round(settings.steps * objective.share)
        optimizer = make_optimizer(
            model, settings.learning_rate * objective.rate, WEIGHT_DECAY, BETAS
        )
        schedule = get_cosine_schedule_with_warmup(optimizer, max(1, round(WARM_UP * steps)), steps)
        model.train()
        for _ in range(steps):
            step(model, optimizer, objective.loss(model, random))
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
        "batch_size": settings.batch_size,
        "scores": scores,
    }
    write_atomically(folder / "scores.json", json_bytes(report))
    return report


def initial(family, documents, pictures, settings, seed):
    """A family's tokenizer, whose vocabulary all families of a world share, and its model with the
    random weights where training starts; reseeds torch."""
    import torch
    import transformers

    kind = getattr(transformers, FAMILIES[family].model)
    tokenizer = train_tokenizer(
        documents.train + pictures.train_captions, FAMILIES[family].template
    )
    sizes = small_configuration(family, len(tokenizer), pictures.train_images.shape[1], settings)
    torch.manual_seed(seed)
    return tokenizer, kind(kind.config_class(**sizes))


def train_tokenizer(texts, template):
    """A word-level tokenizer of a corpus, lower case; ``template``: a text ``$A`` between special
    tokens, as ``[CLS] $A [SEP]``."""
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors, trainers
    from transformers import PreTrainedTokenizerFast

    # Whole words: nothing about a synonym can be read from its spelling.
    tokenizer = Tokenizer(models.WordLevel(unk_token=SPECIAL[UNK]))
    tokenizer.normalizer = normalizers.Lowercase()
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.train_from_iterator(
        texts, trainers.WordLevelTrainer(special_tokens=list(SPECIAL), show_progress=False)
    )
    around = [(token, number) for number, token in enumerate(SPECIAL) if token in template]
    tokenizer.post_processor = processors.TemplateProcessing(template, special_tokens=around)
    # "[PAD]" is the pad_token, and so on.
    named = {f"{token.strip('[]').lower()}_token": token for token in SPECIAL}
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, model_input_names=["input_ids", "attention_mask"], **named
    )


def _seed(world, *names):
    """A seed of its own for each model of a world: two families, or one trained in two ways, that
    shared their random weights would be alike before they learned anything."""
    # A stream is told apart by numbers: those of the letters.
    return torch_seed("reference weights", world, *" ".join(map(str, names)).encode())


def untrained(profile, documents, pictures, family, world, draw):
    """A family's model at random weights, the ``draw``-th of a world, ready to read texts."""
    import torch

    seed = _seed(world, family, "untrained", draw)
    with torch.random.fork_rng(devices=[]):
        tokenizer, model = initial(family, documents, pictures, profile.encoders, seed)
    # The part that reads text is that which a checkpoint is read with.
    return TextEncoder("untrained", FAMILIES[family], tokenizer, model.eval().base_model)


def corpora(profile, world, family, rooms="babyai", coloured=True):
    """What a reference model needs: both for all, who thus share a vocabulary."""
    return [
        (STORIES, {"world": world, "rooms": rooms}),
        (PICTURES, {"world": world, "rooms": rooms, "coloured": coloured}),
    ]


def _make_reference(profile, folder, *corpora, world, family, rooms, coloured):
    train(family, folder, *corpora, profile.encoders, _seed(world, family, rooms, coloured))


def _load_reference(folder):
    return Reference(folder, read_json(folder / "scores.json"))


# Seconds of a step on one core, at the width of most profiles, where it is not that of a decoder.
_STEP = {"bert": 0.03, "clip": 0.018}
REFERENCE = Stage(
    "reference",
    _make_reference,
    _load_reference,
    reads=tuple(f"encoders.{name}" for name in TRAINED_WITH),
    needs=corpora,
    version=1,
    cost=lambda profile, family, **_: 2.0 + _STEP.get(family, 0.042) * profile.encoders.steps,
)
"""The `Reference` of a family in a world.

Arguments: ``world``; ``family``, a key of FAMILIES; ``rooms``, one of ROOMS; ``coloured``: whether
the things that a CLIP or BLIP of the world of kinds sees have their colours (True for all else)."""


def reference_parameters(world, family, rooms="babyai", coloured=True):
    """Parameters of REFERENCE."""
    return {"world": world, "family": family, "rooms": rooms, "coloured": coloured}


def _references(profile, world):
    return [
        (REFERENCE, reference_parameters(world, family)) for family in profile.encoders.families
    ]


def _make_scores(profile, folder, *references, world):
    about = ["family", "parameters", "steps"]
    reports = [reference.scores for reference in references]
    scores = pd.json_normalize(reports, "scores", about).set_index(about)
    write_table(folder / "scores.csv.gz", pd.concat({world: scores}, names=["world"]).reset_index())


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
