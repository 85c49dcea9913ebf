"""What a model trained from scratch learns: ``loss(model, generator)`` on a random batch, and
``scores(model)`` on held-out data, each beside a trivial baseline that is named."""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F
from torch.nn.utils.rnn import pad_sequence

from paper_utils.config import generator as stream
from paper_utils.encoders.families import BOS, CLS, CONTEXT, EOS, MASK, PAD, SEP, SPECIAL

LENGTHS = (32, 64, CONTEXT)  # tokens per row of a batch of text
TOKENS = 64  # tokens of text that count as one in ``batch_size``: about what a pair costs
HELD_OUT = 512  # documents or pairs that a score is measured on, at most
MASKED = 0.3  # share of words that BERT predicts; 0.15 teaches slower (Wettig et al. 2023)
TEMPERATURE = 0.07  # of BLIP's contrastive loss, fixed where BLIP starts; CLIP learns its own
IGNORED = -100  # as a target: what ``cross_entropy`` leaves out


class NextToken:
    """Causal language modelling of the documents, as one stream of text."""

    first = BOS
    last = EOS
    rate = 1.0  # of the learning rate
    share = 1.0  # of the steps

    def __init__(self, documents, pictures, tokenizer, batch_size: int) -> None:
        # At least one row of the longest kind.
        self.batch_tokens = max(batch_size * TOKENS, CONTEXT)
        self.vocab_size = len(tokenizer)
        # One stream, cut anywhere: no step is spent on padding.
        told = tokenizer(documents.train, add_special_tokens=False)["input_ids"]
        self.stream = np.concatenate([[*ids, self.last] for ids in told])
        asked = documents.validation[:HELD_OUT]
        self.held_out = []
        for ids in tokenizer(asked, add_special_tokens=False)["input_ids"]:
            row = [self.first, *ids, self.last]
            self.held_out.append(row[:CONTEXT])
        # Rows begin where a sentence does, like the instructions that will be embedded.
        period = tokenizer.convert_tokens_to_ids(".")
        ends = np.isin(self.stream, [self.last, period])
        starts = np.append(0, np.flatnonzero(ends) + 1)
        latest = len(self.stream) - CONTEXT
        self.starts = starts[starts <= latest]
        if not len(self.starts):
            raise ValueError(f"the corpus has fewer than {CONTEXT} tokens of text")

    def batch(self, generator: np.random.Generator) -> Tensor:
        """int64[B, T]: a special token, then T - 1 of the stream; B x T is about constant."""
        length = int(generator.choice(LENGTHS))
        count = self.batch_tokens // length
        starts = generator.choice(self.starts, count)
        steps = np.arange(length - 1)
        words = self.stream[starts[:, None] + steps]  # (B, T - 1)
        first = np.full((count, 1), self.first)
        return torch.from_numpy(np.hstack([first, words]))

    def loss(self, model, generator: np.random.Generator) -> Tensor:
        """Cross-entropy of the next token, of a random batch."""
        rows = self.batch(generator)
        logits = model(input_ids=rows, use_cache=False).logits  # (B, T, V)
        return _cross_entropy(logits[:, :-1], rows[:, 1:])

    def scores(self, model) -> list[dict]:
        """Perplexity on held-out stories, beside that of word frequencies."""
        total = 0.0
        for rows, mask in _batches(self.held_out):
            logits = model(input_ids=rows, attention_mask=mask, use_cache=False).logits
            targets = rows.masked_fill(mask == 0, IGNORED)
            loss = _cross_entropy(logits[:, :-1], targets[:, 1:], reduction="sum")
            total += loss.item()
        asked = np.concatenate([row[1:] for row in self.held_out])
        perplexity = np.exp(total / len(asked))
        # The baseline knows how often each token is said (Laplace's rule: counts start at one).
        counts = np.bincount(self.stream, minlength=self.vocab_size) + 1
        frequencies = counts[asked] / counts.sum()
        unigram = np.exp(-np.log(frequencies).mean())
        return [_score("perplexity", perplexity, "unigram", unigram, len(asked), "lower")]


class MaskedToken(NextToken):
    """Masked language modelling: of the words asked, 80 % hidden, 10 % replaced, 10 % kept."""

    first = CLS
    last = SEP

    def hide(self, rows: Tensor, generator: np.random.Generator) -> tuple[Tensor, Tensor]:
        """What is shown and what is asked, int64[B, T] each, IGNORED where nothing is."""
        # Uniform on (0, 1) among the words that are asked.
        draw = torch.from_numpy(generator.random(rows.shape) / MASKED)
        others = generator.integers(len(SPECIAL), self.vocab_size, rows.shape)
        words = rows >= len(SPECIAL)
        asked = words & (draw < 1)
        hidden = asked & (draw < 0.8)
        replaced = asked & (draw >= 0.9)
        shown = torch.where(hidden, MASK, rows)
        shown = torch.where(replaced, torch.from_numpy(others), shown)
        return shown, rows.masked_fill(~asked, IGNORED)

    def loss(self, model, generator: np.random.Generator) -> Tensor:
        rows = self.batch(generator)
        # As a sentence will end when it is embedded.
        rows[:, -1] = SEP
        shown, asked = self.hide(rows, generator)
        return _cross_entropy(model(input_ids=shown).logits, asked)

    def scores(self, model) -> list[dict]:
        random = stream("masked words", 0)  # every model is asked the same words
        counts = np.bincount(self.stream)
        counts[: len(SPECIAL)] = 0  # are never asked
        frequent = int(counts.argmax())
        right = trivial = count = 0
        for rows, mask in _batches(self.held_out):
            shown, asked = self.hide(rows, random)
            guesses = model(input_ids=shown, attention_mask=mask).logits.argmax(-1)
            right += int((guesses == asked).sum())
            trivial += int((asked == frequent).sum())
            count += int((asked != IGNORED).sum())
        rival = "most frequent word"
        return [_score("masked accuracy", right / count, rival, trivial / count, count)]


class Pairs(NamedTuple):
    """Images and their captions."""

    images: np.ndarray  # uint8[N, H, W, 3]
    captions: Tensor  # int64[N, T], padded

    @classmethod
    def of(cls, images: np.ndarray, captions: list[str], tokenizer) -> "Pairs":
        """Pixels uint8[M, H, W, 3] with the tokens of their captions."""
        tokens = tokenizer(captions, truncation=True, max_length=CONTEXT)["input_ids"]
        rows = [torch.tensor(ids) for ids in tokens]
        return cls(images, pad_sequence(rows, batch_first=True, padding_value=PAD))

    def pixels(self, rows: np.ndarray) -> Tensor:
        """float32[B, 3, H, W], each in [-1, 1]."""
        images = torch.from_numpy(self.images[rows])
        return images.permute(0, 3, 1, 2).float() / 127.5 - 1

    def text(self, rows: np.ndarray) -> dict[str, Tensor]:
        """Token ids and their mask, int64[B, T] each, as wide as the longest caption."""
        ids = self.captions[torch.from_numpy(rows)]
        said = (ids != PAD).any(0)
        ids = ids[:, said]
        return {"input_ids": ids, "attention_mask": (ids != PAD).long()}


class Encoded(NamedTuple):
    """What a model makes of B images and their captions."""

    images: Tensor  # float32[B, D], unit vectors
    captions: Tensor  # float32[B, D], unit vectors
    scale: Tensor | float  # of their similarities
    patches: Tensor | None = None  # float32[B, 1 + P, D] of the images, if captions look at them


class Contrastive:
    """CLIP: within a batch, captions find their images and images their captions."""

    rate = 1 / 5  # of the learning rate: small batches of pairs give noisy gradients
    share = 2 / 3  # of the steps: one with pictures costs two or more without

    def __init__(self, documents, pictures, tokenizer, batch_size: int) -> None:
        self.train = Pairs.of(pictures.train_images, pictures.train_captions, tokenizer)
        images = pictures.validation_images[:HELD_OUT]
        captions = pictures.validation_captions[:HELD_OUT]
        self.held_out = Pairs.of(images, captions, tokenizer)
        self.batch_size = min(batch_size, len(self.train.images))

    def encode(self, model, pixels: Tensor, text: dict[str, Tensor]) -> Encoded:
        """Images and captions in the space that they share."""
        images = model.get_image_features(pixel_values=pixels).pooler_output
        captions = model.get_text_features(**text).pooler_output
        # Clipped as by Radford et al. 2021, lest it runs away.
        scale = model.logit_scale.exp().clamp(max=100)
        return Encoded(_unit(images), _unit(captions), scale)

    def loss(self, model, generator: np.random.Generator) -> Tensor:
        """Cross-entropy of finding one's caption, and one's image, in a random batch."""
        count = len(self.train.images)
        rows = generator.choice(count, self.batch_size, replace=False)
        text = self.train.text(rows)
        encoded = self.encode(model, self.train.pixels(rows), text)
        logits = encoded.scale * encoded.captions @ encoded.images.T  # (B, B)
        # Captions that read the same share their images; InfoNCE would call them wrong.
        same = _same_captions(text["input_ids"])
        target = same / same.sum(1, keepdim=True)
        to_images = F.cross_entropy(logits, target)
        to_captions = F.cross_entropy(logits.T, target)
        # What is drawn from these is no part of this loss.
        mismatched = logits.detach().masked_fill(same, -1e4)
        more = self.further_loss(model, text, encoded.patches, mismatched, generator)
        return (to_images + to_captions) / 2 + more

    def further_loss(self, model, text, patches, logits, generator) -> Tensor | float:
        """What else is learned from a batch; ``logits`` float32[B, B], without what is a match."""
        return 0.0

    def scores(self, model) -> list[dict]:
        """How often a held-out caption finds its image, beside chance."""
        count = len(self.held_out.images)
        images = []
        captions = []
        for rows in _split(np.arange(count)):
            pixels = self.held_out.pixels(rows)
            encoded = self.encode(model, pixels, self.held_out.text(rows))
            images.append(encoded.images)
            captions.append(encoded.captions)
        similarities = torch.cat(captions) @ torch.cat(images).T  # (N, N)
        # Any image whose caption reads the same is a right answer, and so chance is above 1 / N.
        same = _same_captions(self.held_out.captions).float()
        nearest = similarities.argmax(1)
        right = same[torch.arange(count), nearest].mean()
        return [_score("caption-to-image R@1", right, "chance", same.mean(), count)]


class ContrastiveMatching(Contrastive):
    """BLIP: the contrastive loss, and telling a pair from a hard mismatch (Li et al. 2022)."""

    rate = 1 / 10  # faster, matching stays a coin toss

    def encode(self, model, pixels: Tensor, text: dict[str, Tensor]) -> Encoded:
        patches = model.vision_model(pixel_values=pixels).last_hidden_state  # (B, 1 + P, D)
        words = model.text_encoder(**text).last_hidden_state  # (B, T, D)
        images = model.vision_proj(patches[:, 0])
        captions = model.text_proj(words[:, 0])
        return Encoded(_unit(images), _unit(captions), 1 / TEMPERATURE, patches)

    def match(self, model, patches: Tensor, text: dict[str, Tensor]) -> Tensor:
        """Logits float32[B, 2] of mismatch and match; words attend to the patches."""
        seen = torch.ones(patches.shape[:2], dtype=torch.long)
        words = model.text_encoder(
            **text, encoder_hidden_states=patches, encoder_attention_mask=seen
        ).last_hidden_state
        return model.itm_head(words[:, 0])

    def further_loss(self, model, text, patches, logits, generator) -> Tensor:
        # A caption's mismatch is drawn among other images, the likelier the more alike they are.
        odds = logits.softmax(1).double().cumsum(1)
        size = len(odds)
        draw = torch.from_numpy(generator.random((size, 1)))
        # Sums of rounded numbers may end below one: the last image is then the one drawn.
        others = (odds < draw).sum(1).clamp(max=size - 1)
        twice = {name: value.repeat(2, 1) for name, value in text.items()}
        guesses = self.match(model, torch.cat([patches, patches[others]]), twice)
        truth = torch.tensor([1, 0]).repeat_interleave(size)
        return F.cross_entropy(guesses, truth)

    def scores(self, model) -> list[dict]:
        captions = self.held_out.captions
        # Each caption with its own image, and with that of its neighbour if this reads otherwise.
        others = np.roll(np.arange(len(captions)), 1)
        differ = (captions != captions[others]).any(1).numpy()
        right = 0
        for rows in _split(np.flatnonzero(differ)):
            text = self.held_out.text(rows)
            for images, truth in ((rows, 1), (others[rows], 0)):
                pixels = self.held_out.pixels(images)
                patches = self.encode(model, pixels, text).patches
                guesses = self.match(model, patches, text).argmax(1)
                right += int((guesses == truth).sum())
        count = 2 * int(differ.sum())
        accuracy = right / max(count, 1)
        matching = _score("matching accuracy", accuracy, "chance", 0.5, count)
        return [*super().scores(model), matching]


OBJECTIVES = {
    "next token": NextToken,
    "masked token": MaskedToken,
    "contrastive": Contrastive,
    "contrastive and matching": ContrastiveMatching,
}


def _cross_entropy(logits: Tensor, targets: Tensor, reduction: str = "mean") -> Tensor:
    """Of logits float32[B, T, V] and tokens int64[B, T]."""
    return F.cross_entropy(logits.transpose(1, 2), targets, reduction=reduction)


def _unit(vectors: Tensor) -> Tensor:
    return F.normalize(vectors, dim=-1)


def _same_captions(ids: Tensor) -> Tensor:
    """bool[N, N]: which captions int64[N, T] read the same."""
    return (ids[:, None] == ids).all(-1)


def _batches(rows: list[list[int]]) -> Iterator[tuple[Tensor, Tensor]]:
    """Ids and mask, int64[B, T] each, of rows of similar length."""
    lengths = [len(row) for row in rows]
    # So that little is padded.
    by_length = np.argsort(lengths, kind="stable")
    for chosen in _split(by_length):
        tensors = [torch.tensor(rows[number]) for number in chosen]
        ids = pad_sequence(tensors, batch_first=True, padding_value=PAD)
        yield ids, (ids != PAD).long()


def _split(rows: np.ndarray) -> list[np.ndarray]:
    """In parts of 64 at most."""
    parts = len(rows) // 64 + 1
    return np.array_split(rows, parts)


def _score(score: str, value, baseline: str, known, n: int, better: str = "higher") -> dict:
    """A score of a model, beside that of a baseline on the same ``n``."""
    return {
        "score": score,
        "value": float(value),
        "baseline": baseline,
        "baseline value": float(known),
        "better": better,  # higher or lower
        "n": n,
    }
