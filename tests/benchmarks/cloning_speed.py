"""Speed of training and evaluation, and success against training time.

Trains our policy and, on the same batches, a FiLM + GRU + LSTM policy of the size and shape of
BabyAI 1.1's (Hui et al., arXiv 2007.12770), and prints transitions per second and their ratio; then
the success of our policy after 1, 2 and 4 minutes of training on one thread.

    python tests/benchmarks/cloning_speed.py [--minutes 1,2,4] [--threads 1]
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch
from record import record
from torch import nn
from torch.nn import functional as F

from paper_utils import Profile
from paper_utils.cloning import evaluation
from paper_utils.cloning.episodes import Episodes
from paper_utils.cloning.policy import CELL_KINDS, PAD, WORDS, Policy
from paper_utils.cloning.training import loss_of, train
from paper_utils.data import levels
from paper_utils.data.demonstrations import DEMONSTRATIONS, Demonstrations
from paper_utils.data.levels import ACTIONS
from paper_utils.store import Store

CPU = torch.device("cpu")


class Film(nn.Module):
    """Feature-wise modulation of a two-convolution residual block by the instruction."""

    def __init__(self, width: int):
        super().__init__()
        self.first, self.second = (nn.Conv2d(width, width, 3, padding=1) for _ in range(2))
        self.norm_first, self.norm_second = nn.BatchNorm2d(width), nn.BatchNorm2d(width)
        self.scale, self.shift = nn.Linear(width, width), nn.Linear(width, width)

    def forward(self, x, said):
        out = self.second(F.relu(self.norm_first(self.first(x))))
        out = out * self.scale(said)[..., None, None] + self.shift(said)[..., None, None]
        return x + F.relu(self.norm_second(out))


class FilmPolicy(nn.Module):
    """BabyAI 1.1's imitation agent: bag-of-words cells, two FiLM blocks, an LSTM over steps."""

    def __init__(self, width: int = 128):
        super().__init__()
        # One table for the three channels: 11 objects, 7 colours, 3 states.
        self.register_buffer("kinds", torch.tensor(CELL_KINDS) + torch.tensor([0, 11, 18]))
        self.cells = nn.Embedding(21, width)
        convolution = [nn.Conv2d(width, width, 3, padding=1), nn.BatchNorm2d(width), nn.ReLU()]
        self.see = nn.Sequential(
            *convolution, nn.Conv2d(width, width, 3, padding=1), nn.BatchNorm2d(width), nn.ReLU()
        )
        self.words = nn.Embedding(len(WORDS), width)
        self.read = nn.GRU(width, width, batch_first=True)
        self.film = nn.ModuleList([Film(width), Film(width)])
        self.remember = nn.LSTM(width, width, batch_first=True)
        self.decide = nn.Sequential(nn.Linear(width, 64), nn.Tanh(), nn.Linear(64, len(ACTIONS)))

    def instruction(self, tokens):
        states, _ = self.read(self.words(tokens))
        return states[torch.arange(len(tokens)), (tokens != PAD).sum(1) - 1]

    def forward(self, sentence, cells, previous):
        batch, steps = previous.shape
        x = self.cells(self.kinds[cells.flatten(0, 1)]).sum(2)  # (B*T, 49, C)
        x = self.see(x.transpose(1, 2).unflatten(2, (7, 7)))
        said = sentence.repeat_interleave(steps, 0)
        for block in self.film:
            x = block(x, said)
        pooled = F.relu(F.max_pool2d(x, 7)).flatten(1).view(batch, steps, -1)
        return self.decide(self.remember(pooled)[0]), None, None


def throughput(policy: nn.Module, episodes: Episodes, batches: list, least: float) -> float:
    """Transitions per second of training steps, over at least ``least`` seconds."""
    optimizer = torch.optim.AdamW(policy.parameters(), lr=1e-3, fused=True)
    done, started, number = 0, time.perf_counter(), 0
    while time.perf_counter() - started < least:
        batch = episodes.batch(batches[number % len(batches)], CPU)
        loss, _ = loss_of(policy, batch)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        done, number = done + int(batch.mask.sum()), number + 1
    return done / (time.perf_counter() - started)


def demonstrations(store: Store, profile: Profile, split: str) -> list[Demonstrations]:
    """Those of every level of a profile, in a world of their own."""
    which = {"world": 0, "split": split, "rooms": "babyai"}
    each = [which | {"level": level} for level in profile.data.levels]
    return [store.get(DEMONSTRATIONS, profile, **one) for one in each]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", default="1,2,4")
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    profile = Profile.load("laptop")
    settings, names = profile.cloning, profile.data.levels
    with TemporaryDirectory() as folder:
        store, ours, film = Store(Path(folder)), Policy(settings), FilmPolicy()
        episodes, validation = (
            Episodes.of(demonstrations(store, profile, split), names, ours)
            for split in ("train", "validation")
        )
        batches = episodes.batches(settings.batch_episodes, 0, 0)
        print(f"{options.threads} thread(s), batches of {settings.batch_episodes} episodes")
        rates = {"ours": [], "film": []}
        for least in (1, 5, 5, 5):  # in turn, so that a drifting machine is fair to both
            rates["ours"].append(throughput(ours, episodes, batches, least))
            rates["film"].append(throughput(film, episodes, batches, 2 * least))
        for name, found in rates.items():
            print(f"  {name}: {np.median(found[1:]):,.0f} transitions/s")
        ratio = np.median(np.divide(rates["ours"][1:], rates["film"][1:]))
        record("cloning", f"our policy trains on {np.median(rates['ours'][1:]):,.0f} transitions a "
               f"second, {ratio:.0f} times as many as one with FiLM and an LSTM")  # fmt: skip

        for minutes in map(float, filter(None, options.minutes.split(","))):
            per_epoch = len(episodes.actions) / np.median(rates["ours"][1:])
            epochs = max(1, round(60 * minutes / per_epoch))
            torch.manual_seed(0)
            policy, work = Policy(settings), Path(folder, str(minutes))
            work.mkdir()
            started = time.perf_counter()
            train(policy, episodes, validation, settings, epochs, 0, work)
            spent, counted = time.perf_counter() - started, 0
            found = {}
            started = time.perf_counter()
            for level in names:
                played = evaluation.evaluate(policy, level, levels.seeds("evaluation", 512))
                found[level] = round(float(played["success"].mean()), 3)
                counted += len(played)
            print(
                f"  {spent / 60:.1f} min ({epochs} epochs): {found}; evaluation "
                f"{counted / (time.perf_counter() - started):.0f} episodes/s"
            )


if __name__ == "__main__":
    main()
