"""Demonstrations as an agent is shown them, as tensors, and in batches."""

from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
import pandas as pd
import torch
from torch import Tensor
from torch.nn import functional as F

from paper_utils.cloning.policy import PAD, START, cell_kinds
from paper_utils.config import generator
from paper_utils.data.levels import hide_colours

BUCKET = 32  # batches that are sorted by length together, so that little is padded


def leave_out(part, phrases):
    """Only the episodes whose instruction holds none of ``phrases``, as "red ball"."""
    texts = pd.Series(part.instructions, dtype=str)
    keep = ~texts.str.contains("|".join(phrases)).to_numpy(bool)  # (N,)
    steps = np.repeat(keep, part.lengths)  # (S,)
    return replace(
        part,
        observations=part.observations[steps],
        actions=part.actions[steps],
        lengths=part.lengths[keep],
        seeds=part.seeds[keep],
        instructions=part.instructions[keep],
    )


def blindfold(part, share, rng):
    """The same episodes; in a random ``share`` of them the colours of things are hidden."""
    hidden = rng.random(len(part)) < share  # (N,)
    steps = np.repeat(hidden, part.lengths)[:, None, None, None]  # (S, 1, 1, 1)
    seen = part.observations
    return replace(part, observations=np.where(steps, hide_colours(seen), seen))


class Batch(NamedTuple):
    """B episodes side by side, filled up to T steps and L words."""

    tokens: Tensor  # int64 (B, L)
    cells: Tensor  # int64 (B, T, 49)
    previous: Tensor  # int64 (B, T), the action before each step
    actions: Tensor  # int64 (B, T)
    mask: Tensor  # bool (B, T), False where a step only fills up


@dataclass(frozen=True)
class Episodes:
    """Demonstrations of several levels as tensors, laid end to end: S steps, N episodes in all."""

    cells: Tensor  # uint8 (S, 49)
    actions: Tensor  # uint8 (S,)
    starts: Tensor  # int64 (N,), the first step of each episode
    lengths: Tensor  # int64 (N,), in steps
    tokens: Tensor  # int64 (N, L)
    level: Tensor  # int64 (N,), which of ``levels``
    levels: tuple  # their names

    @classmethod
    def of(cls, demonstrations, levels, policy):
        """Lays the demonstrations of ``levels`` end to end, in the words of a policy.

        Raises ValueError if there is no episode.
        """
        texts = np.concatenate([part.instructions for part in demonstrations])  # (N,)
        if not len(texts):
            raise ValueError("there is no episode to learn from: is every one held out?")
        lengths = torch.from_numpy(np.concatenate([part.lengths for part in demonstrations])).long()
        counts = torch.tensor([len(part) for part in demonstrations])
        # Cells become numbers part by part: all views at once would be the largest thing here.
        cells = [torch.from_numpy(cell_kinds(part.observations)) for part in demonstrations]
        return cls(
            cells=torch.cat(cells),
            actions=torch.cat([torch.from_numpy(part.actions) for part in demonstrations]),
            starts=torch.cumsum(lengths, 0) - lengths,
            lengths=lengths,
            tokens=policy.tokenize(texts),
            level=torch.arange(len(counts)).repeat_interleave(counts),
            levels=tuple(levels),
        )

    def __len__(self):
        return len(self.lengths)

    def batch(self, chosen, device):
        """The episodes of some numbers, int64 (B,), on a device."""
        index = torch.from_numpy(chosen)
        lengths = self.lengths[index].unsqueeze(1)  # (B, 1)
        times = torch.arange(lengths.max())  # (T,)
        mask = times < lengths  # (B, T)
        steps = self.starts[index].unsqueeze(1) + times  # (B, T)
        # What fills up a short episode is whatever comes after it; the mask keeps it out.
        steps = steps.clamp_max(len(self.actions) - 1)
        actions = self.actions[steps].long()
        previous = F.pad(actions, (1, -1), value=START)  # moved on by one step
        tokens = self.tokens[index]
        words = (tokens != PAD).sum(1).max()
        batch = Batch(tokens[:, :words], self.cells[steps].long(), previous, actions, mask)
        return Batch(*[part.to(device) for part in batch])

    def batches(self, size, world, epoch):
        """The batches of an epoch, numbers of episodes int64 (B,) each.

        They depend on nothing but world and epoch, so that training can go on inside of one.
        """
        rng = generator("batches", world, epoch)
        order = rng.permutation(len(self))
        # Bucket after bucket, in each from short to long.
        bucket = np.arange(len(order)) // (BUCKET * size)
        order = order[np.lexsort((self.lengths.numpy()[order], bucket))]
        batches = np.split(order, range(size, len(order), size))
        # Otherwise long episodes would always come after short ones.
        return [batches[number] for number in rng.permutation(len(batches))]
