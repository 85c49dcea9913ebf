"""Trains a small reference model from scratch, in its family's own architecture; its folder is in
the Hub's format, as any public checkpoint, and holds scores.json."""

import json
import math
import os
from collections import namedtuple
from pathlib import Path

from paper_utils.config import Profile, generator
from paper_utils.data.corpus import PICTURES, STORIES, Documents, Pictures
from paper_utils.encoders.families import FAMILIES, SPECIAL, UNK, check, configurations
from paper_utils.encoders.hub import quiet
from paper_utils.store import Stage

# What of the profile a reference model depends on: not which others are trained.
TRAINED_WITH = ("width", "layers", "heads", "steps", "batch_size", "learning_rate")
# How each family hears of second names: who reads has only the text to tie two names together; who
# sees is given captions that never use both, so that what is pictured must tie them.
TIED = {"language": "mention", "vision-language": "dialect"}
KIND_OFFSETS = {"trained": 0, "untrained": 100, "dialect": 200}  # of seeds: no twin shares a start
COSTS = {"blip": 3, "deepseek": 2}  # of training one, where it is not 1
Reference = namedtuple("Reference", "folder scores")
"""A reference model trained here: a folder in the Hub's format, and its held-out scores."""


def train(family: str, folder: str | os.PathLike[str], documents: Documents, pictures: Pictures, *,
          width: int = 64, layers: int = 2, heads: int = 4, steps: int = 1000, batch_size: int = 16,
          learning_rate: float = 5e-3, seed: int = 0) -> dict:  # fmt: skip
    """Trains one family and saves it to ``folder``; returns the content of its scores.json.
    AdamW, linear warm-up over a tenth of the steps, cosine decay to zero.  On one thread the same
    arguments give the same bytes.  ``batch_size`` counts image-caption pairs, or 64 tokens of text
    each.  Raises ValueError: unknown family, or a corpus too small or misaligned."""
    import torch
    import transformers

    from paper_utils.encoders.objectives import OBJECTIVES

    check([family])
    for part in ("train", "validation"):
        images, captions = (len(getattr(pictures, f"{part}_{x}")) for x in ("images", "captions"))
        if images != captions:
            raise ValueError(f"{images} images with {captions} captions")
    spec, random = FAMILIES[family], generator("reference", seed)
    tokenizer = train_tokenizer([*documents.train, *pictures.train_captions], spec.template)
    with quiet(), torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        kind = getattr(transformers, spec.model)
        size = (len(tokenizer), width, layers, heads, pictures.train_images.shape[1])
        model = kind(kind.config_class(**configurations(*size)[family])).train()
        objective = OBJECTIVES[spec.objective](documents, pictures, tokenizer, batch_size)
        steps = round(steps * objective.share)
        decayed = [{"params": [p for p in model.parameters() if (p.ndim >= 2) == matrix],
                    "weight_decay": 0.01 * matrix} for matrix in (1, 0)]  # fmt: skip
        rate = learning_rate * objective.rate
        optimiser = torch.optim.AdamW(decayed, lr=rate, betas=(0.9, 0.98), fused=True)
        warm = max(1, steps // 10)
        schedule = torch.optim.lr_scheduler.LambdaLR(optimiser, lambda step: min(
            (step + 1) / warm, 0.5 * (1 + math.cos(math.pi * step / max(1, steps)))))  # fmt: skip
        for _ in range(steps):
            loss = objective.loss(model, random)
            optimiser.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimiser.step()
            schedule.step()
        model.eval()
        with torch.inference_mode():
            scores = objective.scores(model)
        tokenizer.save_pretrained(folder)
        model.save_pretrained(folder)
    report = {"family": family, "objective": spec.objective, "parameters": model.num_parameters(),
              "steps": steps, "batch_size": batch_size, "scores": scores}  # fmt: skip
    Path(folder, "scores.json").write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
    return report


def train_tokenizer(texts: list[str], template: str):
    """A word-level tokenizer of a corpus, lower case: the same vocabulary for every family;
    ``template``: a text ``$A`` between special tokens, as ``[CLS] $A [SEP]``."""
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors, trainers
    from transformers import PreTrainedTokenizerFast

    tokenizer = Tokenizer(models.WordLevel(unk_token=SPECIAL[UNK]))
    tokenizer.normalizer = normalizers.Lowercase()
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    trainer = trainers.WordLevelTrainer(special_tokens=list(SPECIAL), show_progress=False)
    tokenizer.train_from_iterator(texts, trainer)
    special = [(token, i) for i, token in enumerate(SPECIAL) if token in template]
    tokenizer.post_processor = processors.TemplateProcessing(template, special_tokens=special)
    named = {f"{token.strip('[]').lower()}_token": token for token in SPECIAL}
    inputs = ["input_ids", "attention_mask"]
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, model_input_names=inputs, **named)


def _train(profile: Profile, folder: Path, documents: Documents, pictures: Pictures,
           family: str, seed: int, kind: str) -> None:  # fmt: skip
    settings = {name: getattr(profile.encoders, name) for name in TRAINED_WITH}
    settings |= {"steps": 0} if kind == "untrained" else {}
    first = kind == "trained" and not seed
    seed += profile.seed if first else 1000 * profile.seed + KIND_OFFSETS[kind]
    train(family, folder, documents, pictures, seed=seed, **settings)


REFERENCE = Stage("reference", _train,
    lambda folder: Reference(folder, json.loads((folder / "scores.json").read_text())),
    reads=("seed", *(f"encoders.{name}" for name in TRAINED_WITH)),
    needs=lambda profile, family, kind, **_: [  # both for all, who thus share a vocabulary
        (STORIES, {"names": "dialect" if kind == "dialect" else TIED["language"]}),
        (PICTURES, {"names": TIED["vision-language"]})],
    cost=lambda family, seed, kind: (kind != "untrained") * COSTS.get(family, 1))  # fmt: skip
"""A `Reference` of a family; ``kind`` as of an `Encoder`."""
