import numpy as np
import pytest
import torch

from paper_utils.cloning import episodes
from paper_utils.cloning.agents import Condition, shown_to
from paper_utils.cloning.episodes import Episodes
from paper_utils.cloning.policy import CELL_KINDS, START, WORDS
from paper_utils.cloning.training import loss_of
from paper_utils.data import levels

CPU = torch.device("cpu")
NAMES = ("GoToLocal", "OpenDoor")


@pytest.fixture
def train(demonstrations):
    return demonstrations["train"]


@pytest.fixture
def whole(train, tiny):
    return Episodes.of(train, NAMES, tiny)


def test_batches_cover_each_episode_once_and_pad_little(whole):
    batches = whole.batches(16, world=1, epoch=2)
    assert sorted(np.concatenate(batches).tolist()) == list(range(len(whole)))
    assert len(batches) == -(-len(whole) // 16)
    lengths = whole.lengths.numpy()
    padded = sum(len(batch) * lengths[batch].max() for batch in batches)
    assert padded < 1.25 * lengths.sum()


def test_batches_depend_on_world_and_epoch_alone(whole):
    first = whole.batches(16, world=1, epoch=2)
    for one, other in zip(first, whole.batches(16, world=1, epoch=2), strict=True):
        np.testing.assert_array_equal(one, other)
    for other in (whole.batches(16, world=1, epoch=3), whole.batches(16, world=2, epoch=2)):
        assert not np.array_equal(first[0], other[0])


def test_a_batch_is_the_demonstrations(train, whole):
    chosen = np.array([3, 130])  # the eleventh episode of the second level
    batch = whole.batch(chosen, CPU)
    part = train[1]
    length = part.lengths[10]
    steps = slice(part.lengths[:10].sum(), part.lengths[:11].sum())
    assert batch.mask[1].sum() == length and batch.mask[1, :length].all()
    np.testing.assert_array_equal(batch.actions[1, :length], part.actions[steps])
    assert (batch.previous[:, 0] == START).all()
    assert torch.equal(batch.previous[:, 1:], batch.actions[:, :-1])
    views = np.array(CELL_KINDS)[batch.cells[1, :length]].reshape(length, 7, 7, 3)
    np.testing.assert_array_equal(views, part.observations[steps])
    words = [WORDS[word] for word in batch.tokens[1] if word]
    assert " ".join(words) == part.instructions[10]
    assert whole.level[chosen].tolist() == [0, 1] and whole.levels == NAMES


@torch.inference_mode()
def test_what_fills_up_a_batch_does_not_matter(whole, tiny):
    order = whole.lengths.argsort()
    chosen = np.array([order[0], order[-1], order[40]])  # of very different lengths
    together, right = loss_of(tiny, whole.batch(chosen, CPU))
    total = 0.0
    for row, number in enumerate(chosen):
        steps = int(whole.lengths[number])
        loss, alone = loss_of(tiny, whole.batch(np.array([number]), CPU))
        total += float(loss) * steps
        assert torch.equal(alone[0], right[row, :steps]) and not right[row, steps:].any()
    assert float(together) == pytest.approx(total / int(whole.lengths[chosen].sum()), rel=1e-5)


def test_exchanging_instructions_changes_nothing_else(train, tiny, whole):
    exchanged = shown_to(Condition.EXCHANGED, train, None, world=3)
    for before, after in zip(train, exchanged, strict=True):
        assert sorted(before.instructions) == sorted(after.instructions)
        assert np.mean(before.instructions == after.instructions) < 0.3
    other = Episodes.of(exchanged, NAMES, tiny)
    assert torch.equal(whole.cells, other.cells) and torch.equal(whole.actions, other.actions)
    assert torch.equal(whole.lengths, other.lengths)
    # So the same batches in the same order, and as many steps of the optimiser.
    for one, same in zip(whole.batches(16, 7, 0), other.batches(16, 7, 0), strict=True):
        np.testing.assert_array_equal(one, same)


def test_what_is_left_out_is_never_shown_and_the_rest_is_as_it_was(train, tiny, whole):
    phrases = ("red ball", "yellow door")
    kept = Episodes.of([episodes.leave_out(part, phrases) for part in train], NAMES, tiny)
    texts = np.concatenate([part.instructions for part in train])
    stay = [not any(phrase in text for phrase in phrases) for text in texts]
    assert 0 < len(kept) == sum(stay) < len(texts)
    rows = kept.tokens.tolist()
    red, ball, green = (WORDS.index(word) for word in ("red", "ball", "green"))
    assert any(red in row for row in rows) and any(ball in row for row in rows)
    assert not any((red, ball) in zip(row, row[1:]) for row in rows)
    assert any((green, ball) in zip(row, row[1:]) for row in rows)
    for number, same in ((0, np.flatnonzero(stay)[0]), (len(kept) - 1, np.flatnonzero(stay)[-1])):
        batch = kept.batch(np.array([number]), CPU)
        for one, other in zip(batch, whole.batch(np.array([same]), CPU), strict=True):
            assert torch.equal(one, other)


def test_leaving_everything_out_is_refused(train, tiny):
    nothing = [episodes.leave_out(part, ["the", "a "]) for part in train]
    assert sum(map(len, nothing)) == 0
    with pytest.raises(ValueError, match="no episode to learn from"):
        Episodes.of(nothing, NAMES, tiny)


def test_blindfolds_hide_colours_in_a_share_of_whole_episodes(train):
    part = train[0]
    before = part.observations.copy()
    blind = episodes.blindfold(part, 0.6, np.random.default_rng(0))
    np.testing.assert_array_equal(part.observations, before)  # a copy was changed
    things = np.isin(before[..., 0], (5, 6, 7))
    hidden = blind.observations[..., 1] == levels.HIDDEN
    assert not hidden[~things].any()
    changed = 0
    for steps in np.split(np.arange(len(before)), np.cumsum(part.lengths)[:-1]):
        seen = hidden[steps][things[steps]]
        assert seen.all() or not seen.any()
        changed += bool(seen.size and seen.all())
    assert 0.45 < changed / len(part) < 0.75
    for name in ("actions", "lengths", "instructions", "seeds"):
        np.testing.assert_array_equal(getattr(part, name), getattr(blind, name))
    everywhere = episodes.blindfold(part, 1.0, np.random.default_rng(0))
    np.testing.assert_array_equal(everywhere.observations, levels.hide_colours(before))
