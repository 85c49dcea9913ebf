"""What a model trained from scratch learns: ``loss(model, generator)`` on a random batch, and
``scores(model)`` on held-out data, each beside a trivial baseline that is named."""

from collections.abc import Iterator

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


class NextToken:
    """Causal language modelling of the documents, as one stream of text."""

    first, last, rate, share = BOS, EOS, 1.0, 1.0  # of the learning rate, and of the steps

    def __init__(self, documents, pictures, tokenizer, batch_size: int) -> None:
        both = documents.train, documents.validation[:HELD_OUT]
        train, valid = (tokenizer(part, add_special_tokens=False)["input_ids"] for part in both)
        self.batch_tokens, self.vocab_size = max(batch_size * TOKENS, CONTEXT), len(tokenizer)
        self.valid = [[self.first, *ids, self.last][:CONTEXT] for ids in valid]
        self.stream = np.array([token for ids in train for token in [*ids, self.last]])
        # Rows begin where a sentence does, like the instructions that will be embedded.
        stops = np.isin(self.stream, [self.last, tokenizer.convert_tokens_to_ids(".")])
        starts = np.append(0, np.flatnonzero(stops) + 1)
        self.starts = starts[starts <= len(self.stream) - CONTEXT]
        if not len(self.starts):
            raise ValueError(f"the corpus has fewer than {CONTEXT} tokens of text")

    def batch(self, generator: np.random.Generator) -> Tensor:
        """int64[B, T]: a special token, then T - 1 of the stream; B x T is about constant."""
        length = int(generator.choice(LENGTHS))
        starts = generator.choice(self.starts, self.batch_tokens // length)
        rows = self.stream[starts[:, None] + np.arange(length - 1)]
        return torch.from_numpy(np.pad(rows, ((0, 0), (1, 0)), constant_values=self.first))

    def loss(self, model, generator: np.random.Generator) -> Tensor:
        rows = self.batch(generator)
        logits = model(input_ids=rows, use_cache=False).logits[:, :-1]  # (B, T - 1, V)
        return F.cross_entropy(logits.transpose(1, 2), rows[:, 1:])

    def scores(self, model) -> list[dict]:
        total = 0.0
        for rows, mask in _batches(self.valid):
            logits = model(input_ids=rows, attention_mask=mask, use_cache=False).logits[:, :-1]
            targets = rows[:, 1:].masked_fill(mask[:, 1:] == 0, -100)
            total += F.cross_entropy(logits.transpose(1, 2), targets, reduction="sum").item()
        # The baseline knows how often each token is said (Laplace's rule: counts start at one).
        counts = np.bincount(self.stream, minlength=self.vocab_size) + 1
        asked = np.concatenate([row[1:] for row in self.valid])
        unigram = np.exp(-np.log(counts[asked] / counts.sum()).mean())
        perplexity = np.exp(total / len(asked))
        return [_score("perplexity", perplexity, "unigram", unigram, len(asked), "lower")]


class MaskedToken(NextToken):
    """Masked language modelling: of the words asked, 80 % hidden, 10 % replaced, 10 % kept."""

    first, last = CLS, SEP

    def hide(self, rows: Tensor, generator: np.random.Generator) -> tuple[Tensor, Tensor]:
        """What is shown and what is asked, int64[B, T] each, -100 where nothing is."""
        draw = torch.from_numpy(generator.random(rows.shape) / MASKED)
        others = torch.from_numpy(generator.integers(len(SPECIAL), self.vocab_size, rows.shape))
        asked = (draw < 1) & (rows >= len(SPECIAL))
        shown = torch.where(asked & (draw < 0.8), MASK, rows)
        return torch.where(asked & (draw >= 0.9), others, shown), rows.masked_fill(~asked, -100)

    def loss(self, model, generator: np.random.Generator) -> Tensor:
        rows = self.batch(generator)
        rows[:, -1] = SEP
        shown, asked = self.hide(rows, generator)
        return F.cross_entropy(model(input_ids=shown).logits.transpose(1, 2), asked)

    def scores(self, model) -> list[dict]:
        random = stream("masked words", 0)  # every model is asked the same words
        frequent = int(np.bincount(self.stream[self.stream >= len(SPECIAL)]).argmax())
        sums = np.zeros(3, int)  # how often right, how often the most frequent word is, in all
        for rows, mask in _batches(self.valid):
            shown, asked = self.hide(rows, random)
            guesses = model(input_ids=shown, attention_mask=mask).logits.argmax(-1)
            sums += [int(so.sum()) for so in (guesses == asked, asked == frequent, asked >= 0)]
        right, trivial, n = sums.tolist()
        return [_score("masked accuracy", right / n, "most frequent word", trivial / n, n)]


class Contrastive:
    """CLIP: within a batch, captions find their images and images their captions."""

    rate = 1 / 5  # of the learning rate: small batches of pairs give noisy gradients
    share = 2 / 3  # of the steps: one with pictures costs two or more without

    def __init__(self, documents, pictures, tokenizer, batch_size: int) -> None:
        def pairs(images: np.ndarray, captions: list[str]) -> tuple[np.ndarray, Tensor]:
            tokens = tokenizer(captions, truncation=True, max_length=CONTEXT)["input_ids"]
            return images, pad_sequence([torch.tensor(ids) for ids in tokens], True, PAD)

        few = slice(HELD_OUT)
        self.train = pairs(pictures.train_images, pictures.train_captions)
        self.valid = pairs(pictures.validation_images[few], pictures.validation_captions[few])
        self.batch_size = min(batch_size, len(self.train[0]))

    def encode(self, model, pixels: Tensor, text: dict[str, Tensor]) -> tuple:
        """Unit vectors float32[B, D] of images and captions, their scale, and image patches."""
        both = model.get_image_features(pixel_values=pixels), model.get_text_features(**text)
        images, captions = (F.normalize(output.pooler_output, dim=-1) for output in both)
        return images, captions, model.logit_scale.exp().clamp(max=100), None

    def loss(self, model, generator: np.random.Generator) -> Tensor:
        chosen = generator.choice(len(self.train[0]), self.batch_size, replace=False)
        pixels, text = _pairs(self.train, chosen)
        images, captions, scale, patches = self.encode(model, pixels, text)
        logits = scale * captions @ images.T  # (B, B)
        # Captions that read the same share their images; InfoNCE would call them wrong.
        same = (text["input_ids"][:, None] == text["input_ids"]).all(-1)  # (B, B)
        target = same / same.sum(1, keepdim=True)
        loss = (F.cross_entropy(logits, target) + F.cross_entropy(logits.T, target)) / 2
        if patches is None:
            return loss
        # A caption's mismatch is drawn among other images, the likelier the more alike they are.
        odds = logits.detach().masked_fill(same, -1e4).softmax(1).double().cumsum(1)
        draw = torch.from_numpy(generator.random((len(odds), 1)))
        mismatch = (odds < draw).sum(1).clamp(max=len(odds) - 1)
        twice = {name: value.repeat(2, 1) for name, value in text.items()}
        guesses = self.match(model, torch.cat([patches, patches[mismatch]]), twice)
        return loss + F.cross_entropy(guesses, torch.tensor([1, 0]).repeat_interleave(len(odds)))

    def scores(self, model) -> list[dict]:
        n = len(self.valid[0])
        found = [self.encode(model, *_pairs(self.valid, rows))[:2] for rows in _split(np.arange(n))]
        images, captions = map(torch.cat, zip(*found, strict=True))
        same = (self.valid[1][:, None] == self.valid[1]).all(-1).float()  # (N, N)
        right = same[torch.arange(n), (captions @ images.T).argmax(1)].mean()
        return [_score("caption-to-image R@1", right, "chance", same.mean(), n)]


class ContrastiveMatching(Contrastive):
    """BLIP: the contrastive loss, and telling a pair from a hard mismatch (Li et al. 2022)."""

    rate = 1 / 10  # faster, matching stays a coin toss

    def encode(self, model, pixels: Tensor, text: dict[str, Tensor]) -> tuple:
        patches = model.vision_model(pixel_values=pixels).last_hidden_state  # (B, 1 + P, D)
        words = model.text_encoder(**text).last_hidden_state  # (B, T, D)
        images = F.normalize(model.vision_proj(patches[:, 0]), dim=-1)
        captions = F.normalize(model.text_proj(words[:, 0]), dim=-1)
        return images, captions, 1 / TEMPERATURE, patches

    def match(self, model, patches: Tensor, text: dict[str, Tensor]) -> Tensor:
        """Logits float32[B, 2] of mismatch and match; words attend to the patches."""
        seen = torch.ones(patches.shape[:2], dtype=torch.long)
        look = {"encoder_hidden_states": patches, "encoder_attention_mask": seen}
        return model.itm_head(model.text_encoder(**text, **look).last_hidden_state[:, 0])

    def scores(self, model) -> list[dict]:
        others = np.roll(np.arange(len(self.valid[0])), 1)
        differ = np.flatnonzero((self.valid[1] != self.valid[1][others]).any(1).numpy())
        right, n = 0, 2 * len(differ)
        for rows in _split(differ):
            for images, truth in ((rows, 1), (others[rows], 0)):
                text = _pairs(self.valid, rows)[1]
                patches = self.encode(model, _pairs(self.valid, images)[0], text)[3]
                right += int((self.match(model, patches, text).argmax(1) == truth).sum())
        matching = _score("matching accuracy", right / max(n, 1), "chance", 0.5, n)
        return [*super().scores(model), matching]


OBJECTIVES = {"next token": NextToken, "masked token": MaskedToken, "contrastive": Contrastive,
              "contrastive and matching": ContrastiveMatching}  # fmt: skip


def _batches(rows: list[list[int]]) -> Iterator[tuple[Tensor, Tensor]]:
    """Ids and mask, int64[B, T] each, of rows of similar length."""
    for chosen in _split(np.argsort([len(row) for row in rows], kind="stable")):
        ids = pad_sequence([torch.tensor(rows[i]) for i in chosen], True, PAD)
        yield ids, (ids != PAD).long()


def _split(rows: np.ndarray) -> list[np.ndarray]:
    return np.array_split(rows, len(rows) // 64 + 1)


def _pairs(pairs: tuple[np.ndarray, Tensor], rows: np.ndarray) -> tuple[Tensor, dict[str, Tensor]]:
    """Pixels in [-1, 1], float32[B, 3, H, W], and caption tokens with their mask, int64[B, T]."""
    pixels = torch.from_numpy(pairs[0][rows]).permute(0, 3, 1, 2).float() / 127.5 - 1
    ids = pairs[1][torch.from_numpy(rows)]
    ids = ids[:, (ids != PAD).any(0)]
    return pixels, {"input_ids": ids, "attention_mask": (ids != PAD).long()}


def _score(name: str, value, rival: str, baseline, n: int, better="higher") -> dict:
    scores = {"value": float(value), "baselines": {rival: float(baseline)}}
    return {"name": name, **scores, "n": n, "better": better}
