import pickle
from functools import partial

import numpy as np
import pytest
import torch

from paper_utils import Profile
from paper_utils.cloning import training
from paper_utils.cloning.policy import START, WORDS, Policy, Sizes
from paper_utils.cloning.training import CHECKPOINT, Episodes, train, validate
from paper_utils.config import generator
from paper_utils.data.demonstrations import play
from paper_utils.data.levels import seeds


class Killed(Exception):
    pass


@pytest.fixture(scope="module")
def demonstrations():
    return {
        use: play({"GoToLocal": seeds(use, count), "OpenDoor": seeds(use, count // 2)})
        for use, count in {"train": 120, "validation": 30}.items()
    }


@pytest.fixture
def settings():
    return Profile.load("smoke", overrides={"cloning.batch_episodes": 16}).cloning


POLICY = Policy(Sizes(8, 1, 1, 1, 1))


def learn(demonstrations, settings, folder, epochs=3):
    torch.manual_seed(5)
    policy = Policy(settings)
    curve = train(
        policy,
        Episodes.of(demonstrations["train"], policy),
        Episodes.of(demonstrations["validation"], policy),
        settings,
        epochs,
        seed=5,
        folder=folder,
    )
    return policy, curve


@pytest.mark.parametrize("stops", [[2], [3, 4, 9], [12, 30]])
def test_killed_and_resumed_equals_uninterrupted_bit_for_bit(
    demonstrations, settings, tmp_path, monkeypatch, stops
):
    monkeypatch.setattr(training, "CHECKPOINT_STEPS", 3)
    torch.set_num_threads(1)
    (tmp_path / "whole").mkdir()
    whole, curve = learn(demonstrations, settings, tmp_path / "whole")

    calls, loss_of = [0], training.loss_of
    for stop in stops:

        def dies(policy, batch, stop=stop):
            calls[0] += 1
            if calls[0] >= stop:
                raise Killed
            return loss_of(policy, batch)

        monkeypatch.setattr(training, "loss_of", dies)
        with pytest.raises(Killed):
            learn(demonstrations, settings, tmp_path)
    monkeypatch.setattr(training, "loss_of", loss_of)
    resumed, again = learn(demonstrations, settings, tmp_path)
    for name, weights in whole.state_dict().items():
        assert torch.equal(weights, resumed.state_dict()[name]), name
    assert curve.equals(again)
    assert not (tmp_path / CHECKPOINT).exists()


def test_resuming_begins_at_the_checkpoint(demonstrations, settings, tmp_path, monkeypatch):
    """The same bits could as well come from beginning again: so the steps are counted."""
    monkeypatch.setattr(training, "CHECKPOINT_STEPS", 3)
    torch.set_num_threads(1)
    (tmp_path / "whole").mkdir()
    steps, loss_of = [0], training.loss_of

    def counted(policy, batch, last=None):
        if torch.is_grad_enabled():  # not in validation
            if steps[0] == last:
                raise Killed
            steps[0] += 1
        return loss_of(policy, batch)

    monkeypatch.setattr(training, "loss_of", counted)
    whole, _ = learn(demonstrations, settings, tmp_path / "whole", epochs=1)
    total, steps[0] = steps[0], 0
    monkeypatch.setattr(training, "loss_of", partial(counted, last=5))
    with pytest.raises(Killed):
        learn(demonstrations, settings, tmp_path, epochs=1)
    steps[0] = 0
    monkeypatch.setattr(training, "loss_of", counted)
    resumed, _ = learn(demonstrations, settings, tmp_path, epochs=1)
    assert total > 5 and steps[0] == total - 3  # killed in step 6, after a checkpoint in step 3
    for name, weights in whole.state_dict().items():
        assert torch.equal(weights, resumed.state_dict()[name]), name


@pytest.mark.parametrize("damage", ["garbage", "truncated", "flipped"])
def test_a_damaged_checkpoint_is_no_checkpoint(tmp_path, damage):
    policy, path = Policy(Sizes(8, 1, 1, 1, 1)), tmp_path / CHECKPOINT
    optimizer = torch.optim.AdamW(policy.parameters())
    torch.save((policy.state_dict(), optimizer.state_dict(), {"step": 7}), path)
    assert training._restore(path, policy, optimizer, "cpu") == {"step": 7}
    whole = bytearray(path.read_bytes())
    if damage == "flipped":
        whole[len(whole) // 2] ^= 255
    damaged = {"garbage": b"\x08\x00\x00\x00garbage", "truncated": whole[:-100], "flipped": whole}
    path.write_bytes(damaged[damage])
    assert training._restore(path, policy, optimizer, "cpu") == {} and not path.exists()


def test_a_checkpoint_that_is_whole_but_not_ours_is_not_dropped_silently(tmp_path):
    policy, path = Policy(Sizes(8, 1, 1, 1, 1)), tmp_path / CHECKPOINT
    optimizer = torch.optim.AdamW(policy.parameters())
    torch.save((policy.state_dict(), optimizer.state_dict(), {"rate": np.float64(1)}), path)
    with pytest.raises(pickle.UnpicklingError):
        training._restore(path, policy, optimizer, "cpu")


def test_it_learns_and_keeps_the_best_epoch(demonstrations, settings, tmp_path):
    policy, curve = learn(demonstrations, settings, tmp_path, epochs=12)
    assert curve["validation_loss"].iloc[-1] < curve["validation_loss"].iloc[0] - 0.2
    scores = validate(
        policy, Episodes.of(demonstrations["validation"], policy), torch.device("cpu")
    )
    assert scores["validation_loss"] == pytest.approx(curve["validation_loss"].min(), rel=1e-5)
    assert 0 < scores["accuracy GoToLocal"] < 1


def test_batches_cover_each_episode_once_and_pad_little(demonstrations):
    episodes = Episodes.of(demonstrations["train"], POLICY)
    batches = episodes.batches(16, seed=1, epoch=2)
    assert sorted(np.concatenate(batches).tolist()) == list(range(len(episodes)))
    assert all((a == b).all() for a, b in zip(batches, episodes.batches(16, seed=1, epoch=2)))
    assert not np.array_equal(batches[0], episodes.batches(16, seed=1, epoch=3)[0])
    lengths = episodes.lengths.numpy()
    padded = sum(len(batch) * lengths[batch].max() for batch in batches)
    assert padded < 1.35 * lengths.sum()


def test_a_batch_is_the_demonstrations(demonstrations):
    episodes = Episodes.of(demonstrations["train"], POLICY)
    chosen = np.array([3, 130])
    tokens, cells, previous, actions, mask = episodes.batch(chosen, torch.device("cpu"))
    demos = demonstrations["train"]["OpenDoor"]
    start, length = demos.lengths[:10].sum(), demos.lengths[10]
    assert mask[1].sum() == length and previous[1, 0] == START
    np.testing.assert_array_equal(actions[1, :length], demos.actions[start : start + length])
    assert torch.equal(previous[:, 1:], actions[:, :-1])


def test_shuffling_exchanges_instructions_within_a_level_only(demonstrations):
    def exchanged(number, part):
        return generator("shuffled instructions", 3, number).permutation(part.instructions)

    plain, shuffled = (Episodes.of(demonstrations["train"], POLICY, s) for s in (None, exchanged))
    assert torch.equal(plain.cells, shuffled.cells) and torch.equal(plain.actions, shuffled.actions)
    assert not torch.equal(plain.tokens, shuffled.tokens)
    for level in (0, 1):
        rows = plain.level == level
        one, two = (sorted(map(tuple, e.tokens[rows].tolist())) for e in (plain, shuffled))
        assert one == two


def test_held_out_compositions_are_never_shown(demonstrations):
    train = demonstrations["train"]
    held_out = ("red ball", "yellow door")
    kept = Episodes.of(train, POLICY, without=held_out)
    texts = [text for part in train.values() for text in part.instructions]
    stay = [not any(phrase in text for phrase in held_out) for text in texts]
    assert 0 < len(kept) == sum(stay) < len(texts)
    red, ball, green = (WORDS.index(word) for word in ("red", "ball", "green"))
    shown = [row.tolist() for row in kept.tokens]
    assert any(red in row for row in shown) and any(ball in row for row in shown)
    assert not any((red, ball) in zip(row, row[1:]) for row in shown)
    assert any((green, ball) in zip(row, row[1:]) for row in shown)
    # What is kept is what it was: the same views and actions belong to the same words.
    whole = Episodes.of(train, POLICY)
    row = int(np.flatnonzero(stay)[-1])
    for one, two in zip(
        kept.batch(np.array([len(kept) - 1]), torch.device("cpu")),
        whole.batch(np.array([row]), torch.device("cpu")),
    ):
        assert torch.equal(one, two)


def test_a_bilingual_agent_knows_both_names_and_no_other_agents_start():
    profile = Profile.load("smoke")
    policy = training.new_policy(profile, 0, "bilingual")
    assert policy.words[: len(WORDS)] == WORDS
    both = policy.embed(["go to the red ball", "approach the crimson sphere"])
    assert both.shape == (2, profile.cloning.width)
    with pytest.raises(ValueError, match="unknown word 'approach'"):
        training.new_policy(profile, 0, "trained").embed(["approach the crimson sphere"])
    seeds = {c: training.agent_seed(profile, 0, c) for c in training.SEED_OFFSETS}
    bilingual = [seed for c, seed in seeds.items() if c.startswith("bilingual")]
    assert len(set(bilingual)) == len(bilingual) and seeds["trained"] not in bilingual
