import math
import pickle
from functools import partial

import numpy as np
import pytest
import torch

from paper_utils.cloning import training
from paper_utils.cloning.episodes import Episodes
from paper_utils.cloning.policy import Policy
from paper_utils.cloning.training import CHECKPOINT, train, validate

CPU = torch.device("cpu")
NAMES = ("GoToLocal", "OpenDoor")


class Killed(Exception):
    pass


@pytest.fixture
def learn(demonstrations, profile):
    """Trains a policy of a fixed start in a folder; returns it and its curve."""

    def run(folder, epochs=3):
        torch.manual_seed(5)
        policy = Policy(profile.cloning)
        shown, held_out = (
            Episodes.of(demonstrations[split], NAMES, policy) for split in ("train", "validation")
        )
        curve = train(policy, shown, held_out, profile.cloning, epochs, 5, folder)
        return policy, curve

    return run


def assert_same_weights(one, other):
    for name, weights in one.state_dict().items():
        assert torch.equal(weights, other.state_dict()[name]), name


@pytest.mark.parametrize("stops", [[2], [3, 4, 9], [12, 30]])
def test_killed_and_resumed_equals_uninterrupted_bit_for_bit(learn, tmp_path, monkeypatch, stops):
    monkeypatch.setattr(training, "CHECKPOINT_STEPS", 3)
    (tmp_path / "whole").mkdir()
    whole, curve = learn(tmp_path / "whole")

    calls, loss_of = [0], training.loss_of
    for stop in stops:

        def dies(policy, batch, stop=stop):
            calls[0] += 1
            if calls[0] >= stop:
                raise Killed
            return loss_of(policy, batch)

        monkeypatch.setattr(training, "loss_of", dies)
        with pytest.raises(Killed):
            learn(tmp_path)
    monkeypatch.setattr(training, "loss_of", loss_of)
    resumed, again = learn(tmp_path)
    assert_same_weights(whole, resumed)
    assert curve.equals(again)
    assert not (tmp_path / CHECKPOINT).exists()


def test_resuming_begins_at_the_checkpoint(learn, tmp_path, monkeypatch):
    """The same bits could as well come from beginning again: so the steps are counted."""
    monkeypatch.setattr(training, "CHECKPOINT_STEPS", 3)
    (tmp_path / "whole").mkdir()
    steps, loss_of = [0], training.loss_of

    def counted(policy, batch, last=None):
        if torch.is_grad_enabled():  # not in validation
            if steps[0] == last:
                raise Killed
            steps[0] += 1
        return loss_of(policy, batch)

    monkeypatch.setattr(training, "loss_of", counted)
    whole, _ = learn(tmp_path / "whole", epochs=1)
    total, steps[0] = steps[0], 0
    monkeypatch.setattr(training, "loss_of", partial(counted, last=5))
    with pytest.raises(Killed):
        learn(tmp_path, epochs=1)
    steps[0] = 0
    monkeypatch.setattr(training, "loss_of", counted)
    resumed, _ = learn(tmp_path, epochs=1)
    assert total > 5 and steps[0] == total - 3  # killed in step 6, after a checkpoint in step 3
    assert_same_weights(whole, resumed)


@pytest.fixture
def saved(tiny, tmp_path):
    """A policy, its optimiser, and the path of their checkpoint."""
    optimizer = torch.optim.AdamW(tiny.parameters())
    training.save_checkpoint(tmp_path / CHECKPOINT, tiny, optimizer, {"step": 7})
    return tiny, optimizer, tmp_path / CHECKPOINT


@pytest.mark.parametrize("damage", ["garbage", "truncated", "flipped", "empty"])
def test_a_damaged_checkpoint_is_no_checkpoint(saved, damage):
    policy, optimizer, path = saved
    assert training.load_checkpoint(path, policy, optimizer, CPU) == {"step": 7}
    whole = bytearray(path.read_bytes())
    if damage == "flipped":
        whole[len(whole) // 2] ^= 255
    damaged = {"garbage": b"\x08\x00\x00\x00garbage", "truncated": whole[:-100], "empty": b""}
    path.write_bytes(damaged.get(damage, whole))
    assert training.load_checkpoint(path, policy, optimizer, CPU) == {} and not path.exists()
    assert training.load_checkpoint(path, policy, optimizer, CPU) == {}


def test_a_checkpoint_that_is_whole_but_not_ours_is_not_dropped_silently(saved):
    policy, optimizer, path = saved
    training.save_checkpoint(path, policy, optimizer, {"rate": np.float64(1)})
    with pytest.raises(pickle.UnpicklingError):
        training.load_checkpoint(path, policy, optimizer, CPU)
    assert path.exists()


def test_it_learns_and_keeps_the_best_epoch(learn, demonstrations, tmp_path):
    policy, curve = learn(tmp_path, epochs=12)
    assert curve["epoch"].tolist() == list(range(1, 13))
    assert curve["validation_loss"].iloc[-1] < curve["validation_loss"].iloc[0] - 0.2
    held_out = Episodes.of(demonstrations["validation"], NAMES, policy)
    scores = validate(policy, held_out, CPU)
    assert scores["validation_loss"] == pytest.approx(curve["validation_loss"].min(), rel=1e-5)
    assert 0 < scores["accuracy GoToLocal"] < 1


@torch.inference_mode()
def test_validation_is_the_mean_over_all_steps(demonstrations, tiny, monkeypatch):
    held_out = Episodes.of(demonstrations["validation"], NAMES, tiny)
    at_once = validate(tiny, held_out, CPU)
    monkeypatch.setattr(training, "VALIDATION_BATCH", 7)
    assert validate(tiny, held_out, CPU) == pytest.approx(at_once, rel=1e-5)
    loss, right = training.loss_of(tiny, held_out.batch(np.arange(len(held_out)), CPU))
    assert at_once["validation_loss"] == pytest.approx(float(loss), rel=1e-5)
    for number, name in enumerate(NAMES):
        rows = held_out.level == number
        share = float(right[rows].sum() / held_out.lengths[rows].sum())
        assert at_once[f"accuracy {name}"] == pytest.approx(share, rel=1e-5)


def test_the_learning_rate_rises_and_falls():
    rates = [training.schedule(step, 10_000) for step in range(10_001)]
    assert rates[0] == pytest.approx(1 / 200) and max(rates) == max(rates[190:210]) > 0.99
    assert rates[200:] == sorted(rates[200:], reverse=True) and rates[-1] == pytest.approx(0)
    assert training.schedule(5_000, 10_000) == pytest.approx(0.5)
    # Shorter than the warm-up: it rises to the end, and no step has a rate of 0 or less.
    assert all(0 < training.schedule(step, 3) <= 1 for step in range(3))
    assert all(math.isfinite(rate) for rate in rates)


def test_only_matrices_decay(tiny):
    decaying, others = training.make_optimizer(tiny, 0.1, 0.2, (0.9, 0.99)).param_groups
    assert decaying["weight_decay"] == 0.2 and others["weight_decay"] == 0
    assert all(weights.ndim == 2 for weights in decaying["params"])
    assert all(weights.ndim == 1 for weights in others["params"])
    count = sum(weights.numel() for weights in tiny.parameters())
    assert sum(w.numel() for group in (decaying, others) for w in group["params"]) == count
