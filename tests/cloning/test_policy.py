import numpy as np
import pytest
import torch
from minigrid.core.constants import OBJECT_TO_IDX
from torch.nn import functional as F

from paper_utils.cloning.policy import (
    CELL_KINDS,
    START,
    WORDS,
    CellAttention,
    Policy,
    Sizes,
    cell_kinds,
)
from paper_utils.data import expert, grammar, levels

SIZES = Sizes(width=32, heads=4, instruction_layers=2, queries=3, history_layers=2)
TEXTS = ["go to the red ball", "put the red ball next to the blue key", "open the door behind you"]


@pytest.fixture
def policy():
    torch.manual_seed(0)
    return Policy(SIZES).eval()


def some_steps(batch=3, steps=9):
    rng = np.random.default_rng(0)
    cells = torch.from_numpy(rng.integers(len(CELL_KINDS), size=(batch, steps, 49)))
    return cells, torch.from_numpy(rng.integers(START + 1, size=(batch, steps)))


def test_cell_attention_equals_attention_over_49_written_out_keys_and_values():
    torch.manual_seed(1)
    layer = CellAttention(width=16, queries=2)
    x, cells = torch.randn(5, 16), some_steps(5, 1)[0][:, 0]
    read, attention = layer(x, cells)
    objects, colours, states = layer.kinds[cells].unbind(-1)  # (N, 49)
    rows = layer.object(objects) + layer.colour(colours) + layer.state(states)
    key, value = (rows + layer.position.weight).chunk(2, dim=-1)  # (N, 49, C)
    queries = layer.q_proj(x).view(5, 2, 16)
    expected = F.scaled_dot_product_attention(queries, key, value)
    torch.testing.assert_close(read, layer.out_proj(expected.flatten(1)), atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(attention.sum(-1), torch.ones(5, 2))


@torch.inference_mode()
def test_no_step_sees_the_future(policy):
    cells, previous = some_steps()
    sentence = policy.instruction(policy.tokenize(TEXTS))
    whole, _, _ = policy(sentence, cells, previous)
    changed = cells.clone()
    changed[:, 5:] = (changed[:, 5:] + 1) % len(CELL_KINDS)
    other, _, _ = policy(sentence, changed, previous)
    torch.testing.assert_close(whole[:, :5], other[:, :5])
    assert not torch.allclose(whole[:, 5:], other[:, 5:])


@pytest.mark.parametrize("cuts", [list(range(1, 40)), [13, 14, 30]])
@torch.inference_mode()
def test_step_by_step_with_a_cache_equals_all_at_once(policy, cuts):
    cells, previous = some_steps(steps=40)
    sentence = policy.instruction(policy.tokenize(TEXTS))
    whole, whole_cache, _ = policy(sentence, cells, previous)
    cache, parts = (), []
    for first, last in zip([0, *cuts], [*cuts, 40], strict=True):
        logits, cache, attention = policy(
            sentence, cells[:, first:last], previous[:, first:last], cache
        )
        assert attention.shape == (3, last - first, SIZES.queries, 49)
        parts.append(logits)
    torch.testing.assert_close(torch.cat(parts, dim=1), whole, atol=1e-5, rtol=1e-5)
    for one, other in zip(cache, whole_cache, strict=True):
        torch.testing.assert_close(one, other, atol=1e-5, rtol=1e-5)


@torch.inference_mode()
def test_padding_words_does_not_change_a_sentence(policy):
    together = policy.instruction(policy.tokenize(TEXTS))
    alone = torch.cat([policy.instruction(policy.tokenize([text])) for text in TEXTS])
    torch.testing.assert_close(together, alone, atol=1e-5, rtol=1e-5)


@torch.inference_mode()
def test_an_embedding_is_the_normed_mean_of_word_states(policy):
    own = policy.embed(TEXTS)
    assert own.shape == (3, SIZES.width) and own.dtype == np.float32
    for row, text in zip(own, TEXTS, strict=True):
        states = policy.instruction.states(policy.tokenize([text]))
        normed = policy.instruction.norm(states[0].mean(0))
        np.testing.assert_allclose(normed.numpy(), row, atol=1e-4)


def test_embedding_does_not_change_the_policy(policy):
    assert policy.train().training
    policy.embed(TEXTS)
    assert policy.training


def test_every_instruction_can_be_said_and_nothing_else(policy):
    for level in grammar.GRAMMARS:
        policy.tokenize(grammar.instructions([level])["text"].head(2000))
    assert len(set(WORDS)) == len(WORDS)
    for text in ("go to the pink ball", "", "the " * 65):
        with pytest.raises(ValueError, match=f"not an instruction that .* knows: '{text}'"):
            policy.tokenize([text])


def test_cells_are_the_observations_with_and_without_colours():
    episode = expert.rollouts("OpenDoor", [0])[0]
    for level in ("OpenDoor", "PutNextLocal"):
        (episode,) = expert.rollouts(level, [0])
        for seen in (episode.observations, levels.hide_colours(episode.observations)):
            kinds = cell_kinds(seen)
            assert kinds.dtype == np.uint8 and kinds.shape == (len(seen), 49)
            rebuilt = np.array(CELL_KINDS)[kinds].reshape(seen.shape)
            np.testing.assert_array_equal(rebuilt, seen)


@pytest.mark.parametrize("cell", [(9, 0, 0), (250, 0, 0), (5, 7, 0), (255, 255, 255), (4, 6, 0)])
def test_a_cell_that_no_level_contains_is_of_no_kind(cell):
    view = np.zeros((1, 7, 7, 3), dtype=np.uint8)
    view[0, 3, 3] = cell
    assert cell_kinds(view)[0, 3 * 7 + 3] == 255 > len(CELL_KINDS)


def test_colours_can_be_hidden_of_things_only():
    hidden = [kind for kind in CELL_KINDS if kind[1] == levels.HIDDEN]
    assert hidden == [(OBJECT_TO_IDX[name], 6, 0) for name in ("key", "ball", "box")]
    assert len(set(CELL_KINDS)) == len(CELL_KINDS) == 3 + 3 * 7 + 3 * 6


def test_a_policy_survives_the_disk(policy, tmp_path):
    policy.save(tmp_path)
    loaded = Policy.load(tmp_path)
    assert loaded.sizes == policy.sizes and not loaded.training
    for name, weights in policy.state_dict().items():
        assert torch.equal(weights, loaded.state_dict()[name]), name
    assert {path.suffix for path in tmp_path.iterdir()} == {".json", ".safetensors"}


@torch.inference_mode()
def test_the_same_seed_gives_the_same_policy_as_ever(policy):
    """Weights that have been published were trained from this start: a changed order of layers
    would lose it."""
    cells, previous = some_steps()
    logits, _, _ = policy(policy.instruction(policy.tokenize(TEXTS)), cells, previous)
    assert float(logits.double().abs().sum()) == pytest.approx(28.41284630820155, rel=1e-4)
