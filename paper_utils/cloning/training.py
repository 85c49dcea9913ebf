"""Behavioural cloning: cross-entropy on the expert's actions, resumable to the bit."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor
from torch.nn import functional as F

from paper_utils import parallel
from paper_utils.artifacts import Report, Stage
from paper_utils.cloning.policy import START, Policy, Sizes, cell_kinds, tokenize
from paper_utils.config import Cloning, Profile
from paper_utils.data.demonstrations import DEMONSTRATIONS, Demonstrations

# What of the profile an agent depends on: not how many there are, nor how they are evaluated.
TRAINED_WITH = ("width", "heads", "instruction_layers", "queries", "history_layers", "epochs",
                "shuffled_epochs", "held_out", "batch_episodes", "learning_rate",
                "weight_decay")  # fmt: skip
SNAPSHOTS = (1, 4, 16)  # in 64ths of the training's steps: weights kept on the way
CHECKPOINT = "checkpoint.safetensors"
CHECKPOINT_STEPS = 400
WARMUP = 0.02  # share of the steps, but at least:
WARMUP_STEPS = 100
BUCKET = 16  # batches that are sorted by length together, so that little is padded


@dataclass(frozen=True)
class Episodes:
    """Demonstrations of several levels as tensors, S steps and N episodes in all.

    ``cells`` uint8[S, 49], ``actions`` uint8[S], ``starts`` and ``lengths`` int64[N],
    ``tokens`` int64[N, L], ``level`` int64[N] (index into ``levels``).
    """

    cells: Tensor
    actions: Tensor
    starts: Tensor
    lengths: Tensor
    tokens: Tensor
    level: Tensor
    levels: list[str]

    @classmethod
    def of(
        cls,
        demonstrations: Mapping[str, Demonstrations],
        shuffle: int | None = None,
        without: Sequence[str] = (),
    ) -> Episodes:
        """Lays levels end to end.

        ``shuffle``: a seed to permute instructions in each level.  ``without``: phrases such as
        "red ball"; episodes whose instruction has one of them are left out.
        """
        parts = list(demonstrations.values())
        texts: list[str] = []
        for number, part in enumerate(parts):
            said = part.instructions
            if shuffle is not None:
                said = np.random.default_rng([shuffle, number]).permutation(said)
            texts += said.tolist()
        lengths = torch.from_numpy(np.concatenate([part.lengths for part in parts])).long()
        starts = torch.cumsum(lengths, 0) - lengths
        level = torch.tensor([n for n, part in enumerate(parts) for _ in range(len(part))])
        keep = torch.tensor([not any(phrase in text for phrase in without) for text in texts])
        if not keep.any():
            raise ValueError(f"every episode names one of {', '.join(without)}")
        return cls(
            cells=torch.from_numpy(np.concatenate([cell_kinds(p.observations) for p in parts])),
            actions=torch.from_numpy(np.concatenate([part.actions for part in parts])),
            starts=starts[keep],
            lengths=lengths[keep],
            tokens=tokenize(texts)[keep],
            level=level[keep],
            levels=list(demonstrations),
        )

    def __len__(self) -> int:
        return len(self.lengths)

    def batch(self, chosen: np.ndarray, to: torch.device) -> tuple[Tensor, ...]:
        """tokens (B, L), cells (B, T, 49), previous and next actions (B, T), mask (B, T)."""
        index = torch.from_numpy(chosen)
        lengths = self.lengths[index]
        steps = torch.arange(int(lengths.max()))
        mask = steps < lengths.unsqueeze(1)  # (B, T)
        where = (self.starts[index].unsqueeze(1) + steps).clamp_max(len(self.actions) - 1)
        actions = self.actions[where].long()
        previous = F.pad(actions, (1, -1), value=START)
        tokens = self.tokens[index]
        tokens = tokens[:, : int((tokens != 0).sum(1).max())]
        made = (tokens, self.cells[where].long(), previous, actions, mask)
        return tuple(part.to(to, non_blocking=True) for part in made)

    def batches(self, size: int, seed: int, epoch: int) -> list[np.ndarray]:
        """One epoch's batches, a function of seed and epoch: a run can resume inside it."""
        rng = np.random.default_rng([seed, epoch])
        order = rng.permutation(len(self))
        lengths = self.lengths.numpy()
        found = []
        for start in range(0, len(order), BUCKET * size):
            bucket = order[start : start + BUCKET * size]
            bucket = bucket[np.argsort(lengths[bucket], kind="stable")]
            found += [bucket[i : i + size] for i in range(0, len(bucket), size)]
        return [found[i] for i in rng.permutation(len(found))]


def loss_of(policy: Policy, batch: tuple[Tensor, ...]) -> tuple[Tensor, Tensor, Tensor]:
    """Mean cross-entropy over the steps of a batch, then per step: whether right, and the mask."""
    tokens, cells, previous, actions, mask = batch
    logits, _, _ = policy(policy.instruction(tokens), cells, previous)
    loss = F.cross_entropy(logits[mask], actions[mask])
    return loss, logits.argmax(-1) == actions, mask


@torch.inference_mode()
def validate(policy: Policy, episodes: Episodes, to: torch.device) -> dict[str, float]:
    """Loss per step on held-out episodes, and the accuracy of the argmax action on each level."""
    policy.eval()
    total, right = 0.0, torch.zeros(len(episodes.levels), 2)
    order = np.argsort(episodes.lengths.numpy(), kind="stable")
    for start in range(0, len(order), 256):
        chosen = order[start : start + 256]
        loss, correct, mask = loss_of(policy, episodes.batch(chosen, to))
        total += float(loss) * int(mask.sum())
        level = episodes.level[torch.from_numpy(chosen)]
        right[:, 0].index_add_(0, level, (correct & mask).sum(1).float().cpu())
        right[:, 1].index_add_(0, level, mask.sum(1).float().cpu())
    policy.train()
    scores = {"validation_loss": total / int(episodes.lengths.sum())}
    for name, (hits, count) in zip(episodes.levels, right.tolist()):
        scores[f"accuracy {name}"] = hits / max(count, 1)
    return scores


def train(
    policy: Policy,
    episodes: Episodes,
    validation: Episodes,
    settings: Cloning,
    epochs: int,
    seed: int,
    folder: Path,
    report: Report,
    wanted_device: str = "cpu",
    kept: Sequence[int] = SNAPSHOTS,
) -> pd.DataFrame:
    """Trains ``policy`` in place and leaves it with the weights of its best epoch.

    The best epoch is the one of lowest loss on held-out episodes (early stopping).  A checkpoint
    in ``folder`` is found and continued; on one thread the result is the same, bit for bit.
    The weights after each of ``kept``, in 64ths of the steps, are left in ``folder``.
    Returns one row per epoch: epoch, step, train_loss, validation_loss, accuracy per level.
    """
    to = torch.device(parallel.device(wanted_device))
    policy.to(to).train()
    matrices = [p for p in policy.parameters() if p.ndim == 2]
    optimizer = torch.optim.AdamW(
        [
            {"params": matrices, "weight_decay": settings.weight_decay},
            {"params": [p for p in policy.parameters() if p.ndim != 2], "weight_decay": 0.0},
        ],
        lr=settings.learning_rate,
        betas=(0.9, 0.99),
        fused=True,
    )
    per_epoch = len(episodes.batches(settings.batch_episodes, seed, 0))
    total = epochs * per_epoch

    snapshots: dict[int, list[int]] = {}
    for part in kept:
        snapshots.setdefault(max(1, round(total * part / 64)), []).append(part)

    warm = min(max(WARMUP_STEPS, WARMUP * total), total)

    def rate(step: int) -> float:
        decay = 0.5 * (1 + np.cos(np.pi * min(1.0, step / total)))
        return min((step + 1) / warm, 1.0) * decay

    state = _State(policy, optimizer, folder / CHECKPOINT)
    state.restore(to)
    while state.step < total:
        epoch, position = divmod(state.step, per_epoch)
        for chosen in episodes.batches(settings.batch_episodes, seed, epoch)[position:]:
            for group in optimizer.param_groups:
                group["lr"] = settings.learning_rate * rate(state.step)
            loss, _, _ = loss_of(policy, episodes.batch(chosen, to))
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            torch.nn.utils.clip_grad_norm_(policy.parameters(), 1.0)
            optimizer.step()
            state.step += 1
            state.loss_sum += float(loss.detach())
            report(state.step / total)
            for part in snapshots.get(state.step, ()):
                save_file(policy.state_dict(), folder / f"after-{part:02d}-64ths.safetensors")
            if state.step % per_epoch == 0:
                state.end_epoch(
                    epoch=epoch + 1,
                    train_loss=state.loss_sum / per_epoch,
                    **validate(policy, validation, to),
                )
            if state.step % CHECKPOINT_STEPS == 0 or state.step % per_epoch == 0:
                state.save()
    policy.load_state_dict(state.best)
    policy.to("cpu").eval()
    (folder / CHECKPOINT).unlink(missing_ok=True)
    return pd.DataFrame(state.curve)


class _State:
    """What a resumed training needs: weights, moments, the best epoch so far, the curve, the step.

    The order of batches is a function of seed and step, so no generator has to be kept.
    """

    def __init__(self, policy: Policy, optimizer: torch.optim.AdamW, path: Path):
        self.policy, self.optimizer, self.path = policy, optimizer, path
        self.step, self.loss_sum = 0, 0.0
        self.curve: list[dict[str, float]] = []
        self.best: dict[str, Tensor] = {}

    def end_epoch(self, **row: float) -> None:
        self.loss_sum = 0.0
        self.curve.append({"step": self.step, **row})
        if row["validation_loss"] <= min(r["validation_loss"] for r in self.curve):
            self.best = {k: v.detach().clone() for k, v in self.policy.state_dict().items()}

    def _parameters(self) -> Iterator[tuple[str, Tensor]]:
        for g, group in enumerate(self.optimizer.param_groups):
            for p, parameter in enumerate(group["params"]):
                yield f"{g}.{p}", parameter

    def save(self) -> None:
        tensors = {f"weights.{k}": v for k, v in self.policy.state_dict().items()}
        tensors |= {f"best.{k}": v for k, v in self.best.items()}
        for name, parameter in self._parameters():
            for key, value in self.optimizer.state[parameter].items():
                tensors[f"optimizer.{name}.{key}"] = value
        facts = {"step": self.step, "loss_sum": self.loss_sum, "curve": self.curve}
        temporary = self.path.with_suffix(".tmp")
        tensors = {name: value.contiguous() for name, value in tensors.items()}
        save_file(tensors, temporary, metadata={"facts": json.dumps(facts)})
        temporary.replace(self.path)

    def restore(self, to: torch.device) -> None:
        if not self.path.exists():
            return
        try:
            with safe_open(self.path, "pt", device=str(to)) as file:
                tensors = {name: file.get_tensor(name) for name in file.keys()}
                facts = json.loads(file.metadata()["facts"])
        except Exception:  # a damaged checkpoint is no checkpoint: begin again
            self.path.unlink()
            return
        parts: dict[str, dict[str, Tensor]] = {"weights": {}, "best": {}, "optimizer": {}}
        for name, value in tensors.items():
            kind, rest = name.split(".", 1)
            parts[kind][rest] = value
        self.policy.load_state_dict(parts["weights"])
        self.best = parts["best"]
        self.step, self.loss_sum, self.curve = facts["step"], facts["loss_sum"], facts["curve"]
        for name, parameter in self._parameters():
            prefix = f"{name}."
            self.optimizer.state[parameter] = {
                key.removeprefix(prefix): value
                for key, value in parts["optimizer"].items()
                if key.startswith(prefix)
            }


@dataclass(frozen=True)
class Agent:
    """A policy and how it came about: ``curve`` has one row per epoch (empty if untrained)."""

    curve: pd.DataFrame
    folder: Path

    @cached_property
    def policy(self) -> Policy:
        return Policy.load(self.folder)

    def after(self, part: int) -> Policy:
        """The policy as it was after ``part`` 64ths of its training, ``part`` of SNAPSHOTS."""
        return Policy.load(self.folder, f"after-{part:02d}-64ths.safetensors")


def agent_seed(profile: Profile, agent: int) -> int:
    return 1000 * profile.seed + agent


def _make(profile: Profile, folder: Path, report: Report, *inputs, agent: int, condition: str):
    """``condition``: trained, shuffled, held-out or untrained.

    An untrained agent is a trained one before its first step: same seed, same weights.
    """
    settings, seed = profile.cloning, agent_seed(profile, agent)
    torch.manual_seed(seed)
    policy = Policy(Sizes.of(settings))
    curve = pd.DataFrame()
    if condition != "untrained":
        shuffled = condition == "shuffled"
        without = settings.held_out if condition == "held-out" else ()
        (recorded,) = inputs
        episodes = Episodes.of(recorded.train, seed if shuffled else None, without)
        everything = int((recorded.episodes["split"] == "train").sum())
        curve = train(
            policy,
            episodes,
            Episodes.of(recorded.validation, seed if shuffled else None, without),
            settings,
            # With fewer episodes, more passes: about as many steps as the trained agents take.
            epochs=settings.shuffled_epochs
            if shuffled
            else round(settings.epochs * everything / len(episodes)),
            seed=seed,
            folder=folder,
            report=report,
            wanted_device=profile.device,
            kept=SNAPSHOTS if condition == "trained" else (),
        )
    policy.save(folder)
    curve.to_csv(folder / "curve.csv", index=False)


def _load(folder: Path) -> Agent:
    text = (folder / "curve.csv").read_text().strip()
    curve = pd.read_csv(folder / "curve.csv") if text else pd.DataFrame()
    return Agent(curve, folder)


AGENT = Stage(
    name="agent",
    version=3,
    make=_make,
    load=_load,
    reads=("seed", *(f"cloning.{name}" for name in TRAINED_WITH)),
    needs=lambda profile, agent, condition: (
        [] if condition == "untrained" else [(DEMONSTRATIONS, {})]
    ),
    resumable=True,
)
