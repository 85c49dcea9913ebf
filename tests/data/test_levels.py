import gymnasium
import numpy as np
import pytest

from paper_utils.data import expert, grammar, levels


def test_levels_with_a_grammar_and_the_longest_are_offered_and_solvable():
    for name in (*grammar.GRAMMARS, "GoToSeq", "SynthSeq", "BossLevel"):
        assert expert.rollouts(name, [0])[0].success, name


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("GoToLocl", "unknown level 'GoToLocl': did you mean 'GoToLocal'?"),
        ("PutNextS5N2Carrying", "already carries"),
        ("UnlockToUnlock", "hangs"),
        ("../../etc", "unknown level"),
    ],
)
def test_other_levels_are_refused_with_the_reason(name, words):
    with pytest.raises(levels.LevelError, match=words):
        levels.make(name)


def test_uses_and_run_seeds_never_share_an_episode():
    ranges = [
        levels.seeds(use, 10**7, run_seed)
        for use in ("train", "validation", "text", "pictures", "evaluation")
        for run_seed in (0, 1, 99_999)
    ]
    spans = sorted((r.start, r.stop) for r in ranges)
    assert all(a[1] <= b[0] for a, b in zip(spans, spans[1:]))
    assert levels.seeds("evaluation", 1).start >= 10**9
    with pytest.raises(ValueError, match="at most"):
        levels.seeds("train", 10**7 + 1)


@pytest.mark.filterwarnings("ignore:.*:UserWarning")
def test_the_fast_view_equals_minigrids_along_random_walks():
    """Carried things, open doors and corners included, in a level with many rooms."""
    rng = np.random.default_rng(0)
    for name in ("BossLevel", "PutNextS6N3", "GoToLocal"):
        fast, slow = levels.make(name), gymnasium.make(levels.offered()[name]).unwrapped
        for seed in range(3):
            first, other = fast.reset(seed=seed)[0], slow.reset(seed=seed)[0]
            assert first["mission"] == other["mission"]
            np.testing.assert_array_equal(first["image"], other["image"])
            for action in rng.choice(6, size=150, p=[0.15, 0.15, 0.4, 0.1, 0.1, 0.1]):
                one, two = fast.step(action), slow.step(action)
                np.testing.assert_array_equal(one[0]["image"], two[0]["image"])
                assert one[1:4] == two[1:4]
                if one[2] or one[3]:
                    break
