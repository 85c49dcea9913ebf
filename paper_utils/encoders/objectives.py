"""What a model trained from scratch learns: ``loss(model, generator)`` on a random batch, and
``scores(model)`` on held-out data, each beside a trivial baseline that is named."""

import numpy as np
import torch
from torch.nn import functional as F

from paper_utils.config import generator as stream
from paper_utils.encoders.families import BOS, CLS, CONTEXT, EOS, MASK, SEP, SPECIAL
from paper_utils.encoders.hub import padded

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

    def __init__(self, documents, pictures, tokenizer, batch_size):
        # At least one row of the longest kind.
        self.batch_tokens = max(batch_size * TOKENS, CONTEXT)
        self.vocab_size = len(tokenizer)
        # One stream, cut anywhere: no step is spent on padding.
        told = tokenizer(documents.train, add_special_tokens=False)["input_ids"]
        self.stream = np.concatenate([[*ids, self.last] for ids in told])
        asked = tokenizer(documents.validation[:HELD_OUT], add_special_tokens=False)["input_ids"]
        self.held_out = [[self.first, *ids, self.last][:CONTEXT] for ids in asked]
        self.held_out.sort(key=len)  # so that little is padded
        # Rows begin where a sentence does, like the instructions that will be embedded.
        ends = [self.last, tokenizer.convert_tokens_to_ids(".")]
        self.starts = np.append(0, np.flatnonzero(np.isin(self.stream[:-CONTEXT], ends)) + 1)

    def batch(self, generator):
        """int64[B, T]: a special token, then T - 1 of the stream; B x T is about constant."""
        length = int(generator.choice(LENGTHS))
        starts = generator.choice(self.starts, self.batch_tokens // length)
        words = self.stream[starts[:, None] + np.arange(length - 1)]  # (B, T - 1)
        return F.pad(torch.from_numpy(words), (1, 0), value=self.first)

    def loss(self, model, generator):
        """Cross-entropy of the next token, of a random batch."""
        rows = self.batch(generator)
        logits = model(input_ids=rows, use_cache=False).logits.transpose(1, 2)  # (B, V, T)
        return F.cross_entropy(logits[..., :-1], rows[:, 1:])

    def scores(self, model):
        """Perplexity on held-out stories, beside that of word frequencies."""
        total = 0.0
        for row in self.held_out:
            ids = torch.tensor([row])
            total += model(input_ids=ids, labels=ids).loss.item() * (len(row) - 1)
        asked = np.concatenate([row[1:] for row in self.held_out])
        # The baseline knows how often each token is said (Laplace's rule: counts start at one).
        counts = np.bincount(self.stream, minlength=self.vocab_size) + 1
        known = -np.log(counts[asked] / counts.sum()).mean()
        own, known = np.exp([total / len(asked), known])
        return [_score("perplexity", own, "unigram", known, "lower", len(asked))]


class MaskedToken(NextToken):
    """Masked language modelling: of the words asked, 80 % hidden, 10 % replaced, 10 % kept."""

    first = CLS
    last = SEP

    def hide(self, rows, generator):
        """What is shown and what is asked, int64[B, T] each, IGNORED where nothing is."""
        # Uniform on (0, 1) among the words that are asked.
        draw = torch.from_numpy(generator.random(rows.shape) / MASKED)
        others = generator.integers(len(SPECIAL), self.vocab_size, rows.shape)
        asked = (rows >= len(SPECIAL)) & (draw < 1)
        shown = torch.where(asked & (draw < 0.8), MASK, rows)
        shown = torch.where(asked & (draw >= 0.9), torch.from_numpy(others), shown)
        return shown, rows.masked_fill(~asked, IGNORED)

    def loss(self, model, generator):
        rows = self.batch(generator)
        # As a sentence will end when it is embedded.
        rows[:, -1] = SEP
        shown, asked = self.hide(rows, generator)
        return F.cross_entropy(model(input_ids=shown).logits.transpose(1, 2), asked)

    def scores(self, model):
        """How often a hidden word is restored, beside the most frequent word."""
        random = stream("masked words", 0)  # every model is asked the same words
        counts = np.bincount(self.stream)
        counts[: len(SPECIAL)] = 0  # are never asked
        found = []
        size = len(self.held_out)
        for part in np.array_split(range(size), size // 64 + 1):
            rows, mask = padded([self.held_out[number] for number in part])
            shown, asked = self.hide(rows, random)
            guesses = model(input_ids=shown, attention_mask=mask).logits.argmax(-1)
            found.append(torch.stack([guesses, asked])[:, asked != IGNORED])
        guessed, wanted = torch.cat(found, dim=1)
        own = (guessed == wanted).double().mean()
        known = (wanted == counts.argmax()).double().mean()
        return [_score("masked accuracy", own, "most frequent word", known, "higher", len(wanted))]


def pairs(images, captions, rows):
    """Of images uint8[N, H, W, 3] and tokens of their captions, some rows: pixels
    float32[B, 3, H, W] in [-1, 1], and tokens and mask, int64[B, T] each."""
    chosen = torch.from_numpy(images[rows]).permute(0, 3, 1, 2)
    return chosen.float() / 127.5 - 1, *padded([captions[row] for row in rows])


class Contrastive:
    """CLIP: within a batch, captions find their images and images their captions."""

    rate = 1 / 5  # of the learning rate: small batches of pairs give noisy gradients
    share = 2 / 3  # of the steps: one with pictures costs two or more without

    def __init__(self, documents, pictures, tokenizer, batch_size):
        images, captions, held_out, asked = pictures
        # None is so long; but the tokenizer's own file says how it was called.
        whole = {"truncation": True, "max_length": CONTEXT}
        self.train = images, tokenizer(captions, **whole)["input_ids"]
        tokens = tokenizer(asked[:HELD_OUT], **whole)["input_ids"]
        self.held_out = pairs(held_out, tokens, range(len(tokens)))
        self.batch_size = min(batch_size, len(images))

    def encode(self, model, pixels, ids, mask):
        """Images and captions in the space that they share, float32[B, D] each, whose products are
        logits; and the patches of the images, if captions look at them."""
        images = model.get_image_features(pixels).pooler_output
        captions = model.get_text_features(ids, mask).pooler_output
        # Clipped as by Radford et al. 2021, lest it runs away.
        scale = model.logit_scale.exp().clamp(max=100)
        return F.normalize(images), scale * F.normalize(captions), None

    def loss(self, model, generator):
        """Cross-entropy of finding one's caption, and one's image, in a random batch."""
        rows = generator.choice(len(self.train[0]), self.batch_size, replace=False)
        pixels, ids, mask = pairs(*self.train, rows)
        images, captions, patches = self.encode(model, pixels, ids, mask)
        logits = captions @ images.T  # (B, B)
        # Captions that read the same share their images; InfoNCE would call them wrong.
        same = _same_captions(ids)
        target = same / same.sum(1, keepdim=True)
        contrast = (F.cross_entropy(logits, target) + F.cross_entropy(logits.T, target)) / 2
        # What is drawn from these is no part of this loss.
        mismatched = logits.detach().masked_fill(same, -1e4)
        return contrast + self.further_loss(model, ids, mask, patches, mismatched, generator)

    def further_loss(self, model, ids, mask, patches, logits, generator):
        """What else is learned from a batch; ``logits`` float32[B, B], without what is a match."""
        return 0.0

    def scores(self, model):
        """How often a held-out caption finds its image, beside chance."""
        _, ids, _ = self.held_out
        images, captions, _ = self.encode(model, *self.held_out)
        # Any image whose caption reads the same is a right answer, and so chance is above 1 / N.
        same = _same_captions(ids).float()
        own = same[range(len(ids)), (captions @ images.T).argmax(1)].mean()
        return [_score("caption-to-image R@1", own, "chance", same.mean(), "higher", len(ids))]


class ContrastiveMatching(Contrastive):
    """BLIP: the contrastive loss, and telling a pair from a hard mismatch (Li et al. 2022)."""

    rate = 1 / 10  # faster, matching stays a coin toss

    def encode(self, model, pixels, ids, mask):
        patches = model.vision_model(pixels).last_hidden_state  # (B, 1 + P, D)
        words = model.text_encoder(ids, mask).last_hidden_state  # (B, T, D)
        images = F.normalize(model.vision_proj(patches[:, 0]))
        captions = F.normalize(model.text_proj(words[:, 0]))
        return images, 1 / TEMPERATURE * captions, patches

    def match(self, model, patches, ids, mask):
        """Logits float32[B, 2] of mismatch and match; words attend to the patches."""
        words = model.text_encoder(ids, mask, encoder_hidden_states=patches).last_hidden_state
        return model.itm_head(words[:, 0])

    def further_loss(self, model, ids, mask, patches, logits, generator):
        # A caption's mismatch is drawn among other images, the likelier the more alike they are.
        odds = logits.softmax(1).double().cumsum(1)
        size = len(odds)
        draw = torch.from_numpy(generator.random((size, 1)))
        # Sums of rounded numbers may end below one: the last image is then the one drawn.
        others = (odds < draw).sum(1).clamp(max=size - 1)
        shown = torch.cat([patches, patches[others]])
        guesses = self.match(model, shown, ids.repeat(2, 1), mask.repeat(2, 1))
        return F.cross_entropy(guesses, torch.tensor([1, 0]).repeat_interleave(size))

    def scores(self, model):
        pixels, ids, mask = self.held_out
        patches = model.vision_model(pixels).last_hidden_state
        own = self.match(model, patches, ids, mask).argmax(1)
        # Each caption with its own image, and with that of its neighbour if this reads otherwise.
        other = self.match(model, patches.roll(1, 0), ids, mask).argmax(1)
        differ = (ids != ids.roll(1, 0)).any(1)
        right = torch.cat([own[differ], 1 - other[differ]]).double()
        score = _score("matching accuracy", right.mean(), "chance", 0.5, "higher", len(right))
        return [*super().scores(model), score]


OBJECTIVES = {
    "next token": NextToken,
    "masked token": MaskedToken,
    "contrastive": Contrastive,
    "contrastive and matching": ContrastiveMatching,
}


def _same_captions(ids):
    """bool[N, N]: which captions int64[N, T] read the same."""
    return (ids[:, None] == ids).all(-1)


def _score(score, value, baseline, known, better, n):
    """A score of a model, beside that of a baseline on the same ``n``; better: higher or lower."""
    own = {"score": score, "value": float(value)}
    return own | {"baseline": baseline, "baseline value": float(known), "better": better, "n": n}
