"""Behavioural cloning: cross-entropy on the expert's actions, resumable to the bit."""

import copy
import io
import math
import zipfile
from types import SimpleNamespace

import pandas as pd
import torch
from torch.nn import functional as F
from torch.optim import AdamW

from paper_utils import parallel
from paper_utils.store import write_atomically

CHECKPOINT = "checkpoint.pt"
CHECKPOINT_STEPS = 400  # about half a minute of work, which an interruption may cost
WARMUP = 0.02  # share of the steps
WARMUP_STEPS = 100  # but at least so many
# Of AdamW: 0.99 and not 0.999, for there are a few thousand steps to keep up with.
BETAS = (0.9, 0.99)
VALIDATION_BATCH = 256  # episodes at once


def loss_of(policy, batch):
    """Mean cross-entropy over the steps of a batch, and which of them are right, bool (B, T)."""
    tokens, cells, previous, actions, mask = batch
    logits, _, _ = policy(policy.instruction(tokens), cells, previous)  # (B, T, 7)
    return F.cross_entropy(logits[mask], actions[mask]), (logits.argmax(-1) == actions) & mask


@torch.inference_mode()
def validate(policy, episodes, device):
    """Loss per step on held-out episodes, and for each level the share of right actions."""
    policy.eval()
    total = 0.0
    right = torch.zeros(len(episodes))  # steps of each episode
    # By length, so that little is padded.
    for chosen in episodes.lengths.argsort(stable=True).split(VALIDATION_BATCH):
        batch = episodes.batch(chosen.numpy(), device)
        loss, is_right = loss_of(policy, batch)
        # A batch counts by its steps: the loss is a mean over steps, not over batches.
        total += float(loss) * int(batch.mask.sum())
        right[chosen] = is_right.sum(1).float().cpu()
    policy.train()
    scores = {"validation_loss": total / int(episodes.lengths.sum())}
    for number, name in enumerate(episodes.levels):
        here = episodes.level == number
        steps = episodes.lengths[here].sum().clamp_min(1)
        scores[f"accuracy {name}"] = float(right[here].sum() / steps)
    return scores


def make_optimizer(model, rate, weight_decay, betas):
    """AdamW that decays matrices and leaves gains and biases alone."""
    groups = []
    for is_matrix, decay in ((True, weight_decay), (False, 0.0)):
        weights = [p for p in model.parameters() if (p.ndim >= 2) == is_matrix]
        groups.append({"params": weights, "weight_decay": decay})
    return AdamW(groups, rate, betas, fused=True)


def step(model, optimizer, loss):
    """One step of an optimizer, down the gradient of a loss."""
    optimizer.zero_grad()
    loss.backward()
    # One batch of a small corpus can have a gradient like no other.
    torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    optimizer.step()


def schedule(step, total):
    """Share of the peak learning rate: a linear warm-up, then half a cosine down to 0."""
    warmup = min(max(WARMUP_STEPS, WARMUP * total), total)
    rise = min((step + 1) / warmup, 1.0)
    return rise * 0.5 * (1 + math.cos(math.pi * step / total))


def train(policy, episodes, validation, settings, epochs, world, folder, device="cpu"):
    """Trains a `Policy` in place and leaves it as in its epoch of lowest loss on ``validation``.

    ``episodes`` and ``validation`` are `Episodes`, ``settings`` a profile's ``cloning``.  Returns a
    DataFrame, one row per epoch: step, epoch, train_loss, validation_loss, and the accuracy on each
    level.  A checkpoint in ``folder`` is continued, on one thread to the same bits.
    """
    device = parallel.device(device)
    policy.to(device).train()
    optimizer = make_optimizer(policy, settings.learning_rate, settings.weight_decay, BETAS)
    checkpoint = folder / CHECKPOINT
    per_epoch = len(episodes.batches(settings.batch_episodes, world, 0))
    total = epochs * per_epoch
    # All that has to survive an interruption, besides weights and moments.
    state = SimpleNamespace(step=0, loss=0.0, curve=[], best={})
    vars(state).update(load_checkpoint(checkpoint, policy, optimizer, device))
    while state.step < total:
        epoch, done = divmod(state.step, per_epoch)
        # After an interruption the first batches of an epoch are already done.
        for chosen in episodes.batches(settings.batch_episodes, world, epoch)[done:]:
            if state.step % CHECKPOINT_STEPS == 0:
                save_checkpoint(checkpoint, policy, optimizer, vars(state))
            for group in optimizer.param_groups:
                group["lr"] = settings.learning_rate * schedule(state.step, total)
            loss, _ = loss_of(policy, episodes.batch(chosen, device))
            step(policy, optimizer, loss)
            state.loss += loss.item()
            state.step += 1
        row = {"step": state.step, "epoch": epoch + 1, "train_loss": state.loss / per_epoch}
        state.curve.append(row | validate(policy, validation, device))
        state.loss = 0.0
        losses = [row["validation_loss"] for row in state.curve]
        if losses[-1] == min(losses):
            # Copies, for training goes on in the same tensors.
            state.best = copy.deepcopy(policy.state_dict())
    # Later epochs may have begun to learn the demonstrations by heart.
    policy.load_state_dict(state.best)
    policy.to("cpu").eval()
    checkpoint.unlink(missing_ok=True)
    return pd.DataFrame(state.curve)


def save_checkpoint(path, policy, optimizer, state):
    """Writes weights, the optimiser's moments and ``state`` (plain data and tensors)."""
    buffer = io.BytesIO()
    torch.save((policy.state_dict(), optimizer.state_dict(), state), buffer)
    write_atomically(path, buffer.getvalue())


def load_checkpoint(path, policy, optimizer, device):
    """Puts back what an interrupted training left and returns its state; {} if nothing is whole."""
    # A whole file must load: any other error is ours, and would silently cost the training.
    if not zipfile.is_zipfile(path) or zipfile.ZipFile(path).testzip():
        path.unlink(missing_ok=True)
        return {}
    # A checkpoint is data: weights_only refuses one that would run code.
    weights, moments, state = torch.load(path, map_location=device, weights_only=True)
    policy.load_state_dict(weights)
    optimizer.load_state_dict(moments)
    return state
