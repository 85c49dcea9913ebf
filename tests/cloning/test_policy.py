import numpy as np
import pytest
import torch
from torch.nn import functional as F

from paper_utils.cloning.policy import CELL_KINDS, START, WORDS, Look, Policy, Sizes, cell_kinds
from paper_utils.data import expert, grammar

GOLDEN = 30.752018231432885
SIZES = Sizes(width=32, heads=4, instruction_layers=2, queries=3, history_layers=2)
TEXTS = ["go to the red ball", "put the red ball next to the blue key", "open the door behind you"]


@pytest.fixture
def policy():
    torch.manual_seed(0)
    return Policy(SIZES).eval()


def some_steps(batch=3, steps=9, seed=0):
    rng = np.random.default_rng(seed)
    cells = torch.from_numpy(rng.integers(len(CELL_KINDS), size=(batch, steps, 49)))
    return cells, torch.from_numpy(rng.integers(START + 1, size=(batch, steps)))


def test_looking_equals_attention_over_49_written_out_keys_and_values():
    torch.manual_seed(1)
    look = Look(width=16, queries=2)
    x, cells = torch.randn(5, 16), some_steps(5, 1)[0][:, 0]
    read, attention = look(x, cells)
    o, c, s = look.kinds[cells].unbind(-1)  # (N, 49)
    rows = look.object(o) + look.colour(c) + look.state(s) + look.position.weight  # (N, 49, 2C)
    key, value = rows.chunk(2, dim=-1)
    queries = look.q_proj(x).view(5, 2, 16)
    expected = F.scaled_dot_product_attention(queries, key, value)
    torch.testing.assert_close(read, look.out_proj(expected.flatten(1)), atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(attention.sum(-1), torch.ones(5, 2))


def test_no_step_sees_the_future(policy):
    cells, previous = some_steps()
    sentence = policy.instruction(policy.tokenize(TEXTS))
    whole, _, _ = policy(sentence, cells, previous)
    changed = cells.clone()
    changed[:, 5:] = (changed[:, 5:] + 1) % len(CELL_KINDS)
    other, _, _ = policy(sentence, changed, previous)
    torch.testing.assert_close(whole[:, :5], other[:, :5])
    assert not torch.allclose(whole[:, 5:], other[:, 5:])


def test_step_by_step_equals_all_at_once(policy):
    cells, previous = some_steps(steps=40)
    sentence = policy.instruction(policy.tokenize(TEXTS))
    whole, _, _ = policy(sentence, cells, previous)
    past, parts = None, []
    for step in range(40):
        logits, past, _ = policy(
            sentence, cells[:, step : step + 1], previous[:, step : step + 1], past
        )
        parts.append(logits)
    torch.testing.assert_close(torch.cat(parts, dim=1), whole, atol=1e-5, rtol=1e-5)


def test_padding_words_does_not_change_a_sentence(policy):
    together = policy.instruction(policy.tokenize(TEXTS))
    alone = torch.cat([policy.instruction(policy.tokenize([text])) for text in TEXTS])
    torch.testing.assert_close(together, alone, atol=1e-5, rtol=1e-5)
    states = policy.instruction.states(policy.tokenize(TEXTS))
    assert states.shape == (SIZES.instruction_layers + 1, 3, 9, SIZES.width)


def test_every_instruction_can_be_said_and_nothing_else(policy):
    for level in grammar.GRAMMARS:
        policy.tokenize(grammar.instructions([level], articles=True)["text"].head(2000))
    assert len(set(WORDS)) == len(WORDS)
    for text in ("go to the pink ball", "", "the " * 65):
        with pytest.raises(ValueError, match="not an instruction"):
            policy.tokenize([text])


def test_cells_are_the_observations():
    episode = expert.rollouts("OpenDoor", [0])[0]
    kinds = cell_kinds(episode.observations)
    rebuilt = np.array(CELL_KINDS)[kinds].reshape(episode.observations.shape)
    np.testing.assert_array_equal(rebuilt, episode.observations)
    for wrong in (9, 250):  # lava, and a number that is no object
        broken = episode.observations.copy()
        broken[0, 0, 0, 0] = wrong
        with pytest.raises(ValueError, match="no BabyAI level contains"):
            cell_kinds(broken)


def test_a_policy_survives_the_disk(policy, tmp_path):
    policy.save(tmp_path)
    loaded = Policy.load(tmp_path)
    cells, previous = some_steps()
    for one in (policy, loaded):
        one.out, _, _ = one(one.instruction(one.tokenize(TEXTS)), cells, previous)
    assert torch.equal(policy.out, loaded.out)
    assert {path.suffix for path in tmp_path.iterdir()} == {".json", ".safetensors"}


@torch.inference_mode()
def test_the_same_seed_gives_the_same_policy_as_ever(policy):
    """Published weights were trained from this start; a changed order of layers would lose it."""
    cells, previous = some_steps()
    logits, _, _ = policy(policy.instruction(policy.tokenize(TEXTS)), cells, previous)
    assert float(logits.double().abs().sum()) == pytest.approx(GOLDEN, rel=1e-4)
