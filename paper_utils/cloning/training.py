"""Behavioural cloning: cross-entropy on the expert's actions, resumable to the bit."""

import io
import zipfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from torch import Tensor
from torch.nn import functional as F

from paper_utils import parallel
from paper_utils.cloning.policy import START, WORDS, Policy, Sizes, cell_kinds
from paper_utils.config import Cloning, Profile, generator
from paper_utils.data import grammar
from paper_utils.data.demonstrations import DEMONSTRATIONS, Demonstrations
from paper_utils.store import Stage, write_atomically

# What of the profile an agent depends on: not how many there are, nor how they are evaluated.
TRAINED_WITH = (*Sizes._fields, "epochs", "shuffled_epochs", "held_out", "batch_episodes",
                "learning_rate", "weight_decay")  # fmt: skip
CHECKPOINT, CHECKPOINT_STEPS = "checkpoint.pt", 400
WARMUP, WARMUP_STEPS = 0.02, 100  # share of the steps, but at least so many
BUCKET = 16  # batches that are sorted by length together, so that little is padded
SEED_OFFSETS = {"trained": 0, "held-out": 0, "shuffled": 0, "untrained": 0, "bilingual": 100,
                "bilingual-shuffled": 300, "bilingual-untrained": 400}  # fmt: skip
"""Condition -> offset of its seeds.  What an agent is compared with must not share its start."""


@dataclass(frozen=True)
class Episodes:
    """Demonstrations of several levels as tensors, S steps and N episodes in all."""

    cells: Tensor  # uint8[S, 49]
    actions: Tensor  # uint8[S]
    starts: Tensor  # int64[N]
    lengths: Tensor  # int64[N]
    tokens: Tensor  # int64[N, L]
    level: Tensor  # int64[N], index into levels
    levels: list[str]

    @classmethod
    def of(cls, demonstrations: Mapping[str, Demonstrations], policy: Policy,
           instructions: Callable[[int, Demonstrations], Sequence[str]] | None = None,
           without: Sequence[str] = ()) -> "Episodes":  # fmt: skip
        """Lays levels end to end, without episodes whose instruction has a phrase of ``without``.
        ``instructions(number of the level, its demonstrations)`` replaces what was recorded."""
        parts = list(demonstrations.values())
        heard = instructions or (lambda number, part: part.instructions)
        texts = [text for number, part in enumerate(parts) for text in heard(number, part)]
        lengths = torch.from_numpy(np.concatenate([part.lengths for part in parts])).long()
        level = torch.tensor([n for n, part in enumerate(parts) for _ in range(len(part))])
        keep = torch.tensor([not any(phrase in text for phrase in without) for text in texts])
        if not keep.any():
            raise ValueError(f"every episode names one of {', '.join(without)}")
        cells = torch.from_numpy(np.concatenate([cell_kinds(part.observations) for part in parts]))
        actions = torch.from_numpy(np.concatenate([part.actions for part in parts]))
        starts, tokens = torch.cumsum(lengths, 0) - lengths, policy.tokenize(texts)
        kept = (part[keep] for part in (starts, lengths, tokens, level))
        return cls(cells, actions, *kept, list(demonstrations))

    def __len__(self) -> int:
        return len(self.lengths)

    def batch(self, chosen: np.ndarray, to: torch.device) -> tuple[Tensor, ...]:
        """tokens (B, L), cells (B, T, 49), previous and next actions (B, T), mask (B, T)."""
        index = torch.from_numpy(chosen)
        lengths, tokens = self.lengths[index], self.tokens[index]
        steps = torch.arange(int(lengths.max()))
        mask = steps < lengths.unsqueeze(1)  # (B, T)
        where = (self.starts[index].unsqueeze(1) + steps).clamp_max(len(self.actions) - 1)
        cells, actions = self.cells[where].long(), self.actions[where].long()
        tokens = tokens[:, : int((tokens != 0).sum(1).max())]
        parts = (tokens, cells, F.pad(actions, (1, -1), value=START), actions, mask)
        return tuple(part.to(to, non_blocking=True) for part in parts)

    def batches(self, size: int, seed: int, epoch: int) -> list[np.ndarray]:
        """One epoch's batches, a function of seed and epoch: a run can resume inside it."""
        rng = generator("batches", seed, epoch)
        order, lengths, batches = rng.permutation(len(self)), self.lengths.numpy(), []
        for bucket in np.split(order, range(BUCKET * size, len(order), BUCKET * size)):
            bucket = bucket[np.argsort(lengths[bucket], kind="stable")]
            batches += np.split(bucket, range(size, len(bucket), size))
        return [batches[i] for i in rng.permutation(len(batches))]


def loss_of(policy: Policy, batch: tuple[Tensor, ...]) -> tuple[Tensor, Tensor, Tensor]:
    """Mean cross-entropy over the steps of a batch, then per step: whether right, and the mask."""
    tokens, cells, previous, actions, mask = batch
    logits, _, _ = policy(policy.instruction(tokens), cells, previous)
    return F.cross_entropy(logits[mask], actions[mask]), logits.argmax(-1) == actions, mask


@torch.inference_mode()
def validate(policy: Policy, episodes: Episodes, to: torch.device) -> dict[str, float]:
    """Loss per step on held-out episodes, and the accuracy of the argmax action on each level."""
    policy.eval()
    total, right = 0.0, torch.zeros(len(episodes.levels), 2)
    for chosen in episodes.lengths.argsort(stable=True).split(256):
        loss, correct, mask = loss_of(policy, episodes.batch(chosen.numpy(), to))
        total += float(loss) * int(mask.sum())
        counts = torch.stack([(correct & mask).sum(1), mask.sum(1)], 1).float().cpu()
        right.index_add_(0, episodes.level[chosen], counts)
    policy.train()
    accuracy = {f"accuracy {name}": hits / max(count, 1)
                for name, (hits, count) in zip(episodes.levels, right.tolist())}  # fmt: skip
    return {"validation_loss": total / int(episodes.lengths.sum())} | accuracy


def train(policy: Policy, episodes: Episodes, validation: Episodes, settings: Cloning, epochs: int,
          seed: int, folder: Path, wanted_device: str = "cpu") -> pd.DataFrame:  # fmt: skip
    """Trains ``policy`` in place; leaves it as in its epoch of lowest loss on held-out episodes.
    A checkpoint in ``folder`` is continued, on one thread to the same bits.  Returns losses and
    accuracy per level, one row per epoch."""
    to = torch.device(parallel.device(wanted_device))
    policy.to(to).train()
    groups = [{"params": [p for p in policy.parameters() if (p.ndim == 2) == matrix],
               "weight_decay": settings.weight_decay * matrix} for matrix in (1, 0)]  # fmt: skip
    optimizer = torch.optim.AdamW(groups, settings.learning_rate, betas=(0.9, 0.99), fused=True)
    per_epoch = len(episodes.batches(settings.batch_episodes, seed, 0))
    total = epochs * per_epoch
    warm = min(max(WARMUP_STEPS, WARMUP * total), total)
    state = {"step": 0, "loss": 0.0, "curve": [], "best": {}}
    state |= _restore(folder / CHECKPOINT, policy, optimizer, to)
    while state["step"] < total:
        epoch, position = divmod(state["step"], per_epoch)
        for chosen in episodes.batches(settings.batch_episodes, seed, epoch)[position:]:
            decay = 0.5 * (1 + np.cos(np.pi * (state["step"] / total)))
            # A plain number: a checkpoint with one of numpy's could not be read without pickles.
            rate = float(min((state["step"] + 1) / warm, 1.0) * decay)
            for group in optimizer.param_groups:
                group["lr"] = settings.learning_rate * rate
            loss, _, _ = loss_of(policy, episodes.batch(chosen, to))
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            torch.nn.utils.clip_grad_norm_(policy.parameters(), 1.0)
            optimizer.step()
            step = state["step"] = state["step"] + 1
            state["loss"] += float(loss.detach())
            if step % per_epoch == 0:
                row = {"step": step, "epoch": epoch + 1, "train_loss": state["loss"] / per_epoch}
                state["curve"].append(row | validate(policy, validation, to))
                state["loss"], losses = 0.0, [r["validation_loss"] for r in state["curve"]]
                if losses[-1] == min(losses):
                    state["best"] = {k: v.clone() for k, v in policy.state_dict().items()}
            if step % CHECKPOINT_STEPS == 0 or step % per_epoch == 0:
                buffer = io.BytesIO()
                torch.save((policy.state_dict(), optimizer.state_dict(), state), buffer)
                write_atomically(folder / CHECKPOINT, buffer.getvalue())
    policy.load_state_dict(state["best"])
    policy.to("cpu").eval()
    (folder / CHECKPOINT).unlink(missing_ok=True)
    return pd.DataFrame(state["curve"])


def _restore(path: Path, policy: Policy, optimizer: torch.optim.Optimizer, to) -> dict:
    """What an interrupted training left, put back in place; {} where it left nothing whole."""
    try:  # what is whole must load: another error is ours, and would cost the training unsaid
        with zipfile.ZipFile(path) as file:
            if damaged := file.testzip():
                raise zipfile.BadZipFile(damaged)
    except (FileNotFoundError, zipfile.BadZipFile):
        path.unlink(missing_ok=True)
        return {}
    weights, moments, state = torch.load(path, map_location=to, weights_only=True)  # no code
    policy.load_state_dict(weights)
    optimizer.load_state_dict(moments)
    return state


@dataclass(frozen=True)
class Agent:
    """A policy and how it came about: ``curve`` has one row per epoch (empty if untrained)."""

    curve: pd.DataFrame
    folder: Path
    policy = cached_property(lambda self: Policy.load(self.folder))


def agent_seed(profile: Profile, agent: int, condition: str) -> int:
    return 1000 * profile.seed + agent + SEED_OFFSETS[condition]


def new_policy(profile: Profile, agent: int, condition: str) -> Policy:
    """An agent before its first step; bilingual ones know the second names, too."""
    torch.manual_seed(agent_seed(profile, agent, condition))
    second = grammar.second_names(profile.data.second_names).values()
    words = [*WORDS, *second] if condition.startswith("bilingual") else WORDS
    return Policy(profile.cloning, words)


def _make(profile: Profile, folder: Path, *inputs, agent: int, condition: str) -> None:
    settings, seed = profile.cloning, agent_seed(profile, agent, condition)
    policy, curve = new_policy(profile, agent, condition), pd.DataFrame()
    shuffled = condition.endswith("shuffled")

    def heard(n: int, part: Demonstrations) -> Sequence[str]:
        texts = part.instructions
        if condition.startswith("bilingual"):
            second = grammar.second_names(profile.data.second_names)
            texts = grammar.dialect(texts, part.seeds, second)
        return generator("shuffled instructions", seed, n).permutation(texts) if shuffled else texts

    if inputs:
        without = settings.held_out if condition == "held-out" else ()
        episodes, validation = (Episodes.of(part, policy, heard, without) for part in inputs)
        # With fewer episodes, more passes: about as many steps as the trained agents take.
        epochs = round(settings.epochs * sum(map(len, inputs[0].values())) / len(episodes))
        epochs = settings.shuffled_epochs if shuffled else epochs
        curve = train(policy, episodes, validation, settings, epochs, seed, folder, profile.device)
    policy.save(folder)
    curve.to_csv(folder / "curve.csv", index=False)


def _load(folder: Path) -> Agent:
    trained = (folder / "curve.csv").read_text().strip()
    return Agent(pd.read_csv(folder / "curve.csv") if trained else pd.DataFrame(), folder)


def trained_agents(profile: Profile) -> list[dict[str, int | str]]:
    """Parameters of every agent of a profile that is trained at all."""
    agents, both = profile.cloning.agents, profile.cloning.bilingual
    counts = {"trained": agents, "held-out": 1, "shuffled": agents, "bilingual": both,
              "bilingual-shuffled": min(both, 1)}  # fmt: skip
    return [{"agent": n, "condition": c} for c, count in counts.items() for n in range(count)]


def _curves(profile: Profile, folder: Path, *agents: Agent) -> None:
    curves = [agent.curve.assign(**which) for agent, which in zip(agents, trained_agents(profile))]
    pd.concat(curves).to_csv(folder / "curves.csv", index=False)


AGENT = Stage("agent", _make, _load, resumable=True,
    reads=("seed", "data.second_names", *(f"cloning.{name}" for name in TRAINED_WITH)),
    needs=lambda profile, agent, condition: [] if condition.endswith("untrained") else [
        (DEMONSTRATIONS, {"split": split}) for split in ("train", "validation")],
    cost=lambda agent, condition: 0.2 if condition.endswith("shuffled") else 1.0)  # fmt: skip
"""One `Agent`.  ``condition``: trained, held-out (some compositions not shown), shuffled (episodes
exchange instructions), untrained; bilingual (first or second names), also -shuffled, -untrained."""
CURVES = Stage("curves", _curves, lambda folder: pd.read_csv(folder / "curves.csv"), needs=(
    lambda profile: [(AGENT, which) for which in trained_agents(profile)]))  # fmt: skip
"""The training curves of all agents: agent, condition, and the columns of `train`."""
