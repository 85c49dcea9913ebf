"""The exercises at the end of each notebook: what a right answer is, worked out when it is checked.

The questions stand in the notebooks, ways to the answers in ``solutions.md`` beside this file.
Each notebook has a section of its own below, which ends in its tuple of exercises."""

import re
from collections import Counter
from collections.abc import Callable
from functools import cache
from itertools import combinations
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from sklearn.model_selection import LeaveOneGroupOut

from paper_utils import alignment
from paper_utils.alignment import cross_names, retrieval
from paper_utils.cloning import evaluation
from paper_utils.cloning.agents import AGENT, Condition, agent_parameters
from paper_utils.data import expert, grammar, levels
from paper_utils.data.corpus import STORIES
from paper_utils.data.demonstrations import EPISODES
from paper_utils.encoders import public, records
from paper_utils.encoders.embedding import EMBEDDING, parameters
from paper_utils.run import Run
from paper_utils.study import appendix, columns, kinds, transfer
from paper_utils.study.scores import SCORES, options


class Exercise(NamedTuple):
    """One question: how an answer is read, and whether it is right."""

    read: Callable[[Any], Any]  # makes sense of an answer, or raises
    right: Callable[[Run, Any], bool]
    form: str  # of an answer, in words
    hint: str


def check(run: Run, answers: dict[int, Any]) -> None:
    """Prints a line per exercise of the run's notebook: right, not yet (and a hint), or open.

    ``answers``: number of the exercise -> answer, None where there is none yet."""
    for number, exercise in enumerate(EXERCISES[run.notebook], 1):
        print(f"{number}: {_verdict(run, exercise, answers.get(number))}")


def _verdict(run: Run, exercise: Exercise, answer: Any) -> str:
    if answer is None:
        return f"open; the answer is {exercise.form}"
    try:
        answer = exercise.read(answer)
    except Exception:  # whatever a reader may write there
        return f"not readable; the answer is {exercise.form}"
    try:
        right = exercise.right(run, answer)
    except Exception as error:  # a function of theirs may do anything
        line = " ".join(f"{type(error).__name__}: {error}".split())
        return f"your answer raised {line[:200]}"
    return "right" if right else f"not yet; {exercise.hint}"


def a_function(answer: Any) -> Callable:
    """Reads an answer that has to be a function."""
    if not callable(answer):
        raise TypeError("not a function")
    return answer


def a_word(answer: str) -> str:
    """Reads an answer that is a name, however it is written."""
    return answer.strip().lower()


def two_words(answer: set[str]) -> frozenset[str]:
    """Reads an answer that is a set of two names."""
    one, other = answer
    return frozenset({a_word(one), a_word(other)})


def texts_of(run: Run) -> list[str]:
    """All sentences of a run's levels."""
    return grammar.instructions(run.profile.data.levels)["text"].tolist()


def with_made_up_words(texts: list[str]) -> list[str]:
    """The same sentences where every word is a made-up one: nobody can know what it means."""
    words = sorted({word for text in texts for word in text.split()})
    made_up = {word: f"x{number}" for number, word in enumerate(words)}
    return [" ".join(made_up[word] for word in text.split()) for text in texts]


def _scores_of(run: Run, code: Callable, score: Callable) -> list[float]:
    """What a function of sentences scores, and what it scores if all words are made up."""
    texts = texts_of(run)
    both = texts, with_made_up_words(texts)
    return [score(run, np.asarray(code(said), dtype=float)) for said in both]


def first_model(run: Run) -> tuple[np.ndarray, np.ndarray]:
    """Vectors of the first model in the first world: first names, synonyms."""
    chosen = parameters(records.models(run.profile)[0], run.worlds[0], "both")
    return columns.both_names(run.get(EMBEDDING, **chosen))


def acting_agent(run: Run) -> np.ndarray:
    """Vectors of the agent that acted, in the first world."""
    return run.get(EMBEDDING, **parameters(records.agents()[0], run.worlds[0])).to_numpy()


# 01 · Data --------------------------------------------------------------------------------------

ROOMS = 20  # in which the answer has to hold
LONG = 25


def turns_with_the_agent(run: Run, turned: Callable) -> bool:
    """Whether what is at (x, y) of a view is at turned(x, y) after a turn to the right."""
    env = levels.make(run.profile.data.levels[0])
    compared = 0
    for seed in levels.seeds("pictures", ROOMS, run.worlds[0]):
        before = env.reset(seed=seed)[0]["image"]
        after = env.step(env.actions.right)[0]["image"]
        for x, y in np.argwhere(before[..., 0] > 1):  # 0: not seen, 1: empty
            column, row = turned(int(x), int(y))
            # What the agent turned away from has left the view.
            if not (0 <= column < 7 and 0 <= row < 7):
                continue
            # A thing may hide behind another one now.
            if after[column, row, 0] == 0:
                continue
            if (before[x, y] != after[column, row]).any():
                return False
            compared += 1
    # Who sends everything out of the view has told nothing.
    return compared >= ROOMS


def rarest(run: Run) -> int:
    """How many training demonstrations of the first world say the sentence that fewest say."""
    recorded = run.get(EPISODES, world=run.worlds[0], rooms="babyai").episodes
    said = recorded.loc[recorded["split"] == "train", "instruction"]
    times = said.map(grammar.canonical).value_counts()
    # A sentence that is never said counts, too.
    return int(times.reindex(texts_of(run), fill_value=0).min())


def steps_of(answer: tuple[str, int]) -> int:
    """Reads (level, seed): how many steps the expert takes there."""
    level, seed = answer
    (episode,) = expert.rollouts(level, [int(seed)])
    return len(episode.actions)


DATA = (
    Exercise(
        read=a_function,
        right=turns_with_the_agent,
        form="a function of (x, y) that returns a pair",
        hint="what was ahead is to the left now; what was to the right is ahead",
    ),
    Exercise(
        read=float,
        right=lambda run, answer: answer == rarest(run),
        form="a whole number",
        hint='episodes say "a" where several things match: grammar.canonical(text) says "the"',
    ),
    Exercise(
        read=steps_of,
        right=lambda run, steps: steps > LONG,
        form='("level", seed)',
        hint=f"that one has {LONG} steps or fewer; expert.rollouts(level, seeds) plays many",
    ),
)


# 02 · Behavioural cloning -----------------------------------------------------------------------

EPISODE_COUNT = 32
LIMIT = 128  # steps of an episode
NEAR = 0.1  # how far from the true share an answer may be


def _policy(run: Run):
    return run.get(AGENT, **agent_parameters(run.worlds[0], Condition.ACTED)).policy


def _seeds(run: Run) -> range:
    return levels.seeds("evaluation", EPISODE_COUNT, run.worlds[0])


def _success_told(run: Run, change: Callable, level: str = "") -> float:
    """Success on a level (the first) of an agent that hears sentences as ``change`` makes them."""
    policy = _policy(run)
    level = level or run.profile.data.levels[0]
    played = evaluation.evaluate(
        policy, level, _seeds(run), lambda texts: policy.embed(change(texts)), limit=LIMIT
    )
    return float(played["success"].mean())


def told_the_next_instruction(run: Run) -> float:
    """Success on the first level where each episode is told the instruction of the next one."""
    return _success_told(run, lambda texts: [*texts[1:], texts[0]])


def told_backwards(run: Run) -> float:
    """Success on the first level where the words come in reverse order."""
    return _success_told(run, lambda texts: [" ".join(reversed(text.split())) for text in texts])


def levels_that_need_memory(run: Run) -> set[str]:
    """The levels that lose most without memory; several may lose about equally much."""
    # It brings torch along, which takes seconds: only where it is needed.
    from paper_utils.cloning.policy import GreedyPolicy

    class Forgetful(GreedyPolicy):
        """An agent that begins each step as if it were its first."""

        def __call__(self, observations: np.ndarray, running: np.ndarray) -> np.ndarray:
            self.kv_cache = []
            return super().__call__(observations, running)

    policy = _policy(run)
    lost = {}
    for level in run.profile.data.levels:
        rates = []
        for kind in (GreedyPolicy, Forgetful):
            played = evaluation.play(
                level,
                _seeds(run),
                lambda texts, _, kind=kind: kind(policy, policy.embed(texts)),
                LIMIT,
            )
            rates.append(played["success"].mean())
        lost[level] = rates[0] - rates[1]
    most = max(lost.values())
    return {level.lower() for level in lost if lost[level] >= most - 2 / EPISODE_COUNT}


CLONING = (
    Exercise(
        read=float,
        right=lambda run, answer: abs(answer - told_the_next_instruction(run)) <= NEAR,
        form="a share between 0 and 1",
        hint="it is sure of itself, and wrong: does it try a second thing?",
    ),
    Exercise(
        read=float,
        right=lambda run, answer: abs(answer - told_backwards(run)) <= NEAR,
        form="a share between 0 and 1",
        hint="what would an agent need word order for, on this level?",
    ),
    Exercise(
        read=a_word,
        right=lambda run, answer: answer in levels_that_need_memory(run),
        form="the name of a level",
        hint="where must the agent remember what it saw, or what it has done?",
    ),
)


# 03 · Embeddings --------------------------------------------------------------------------------

FACTORS = ("verb", "colour", "type", "location")
SENTENCES, STATE = 60, 64  # made-up sentences that a pooling is tried on, and their width
SURVIVE = 0.9  # of them have to be told apart from all others


def last_words(run: Run) -> int:
    """How many vectors an encoder gives that keeps the last word alone."""
    return len({text.split()[-1] for text in texts_of(run)})


def most_spent_on(run: Run) -> str:
    """The factor between whose values most of the acting agent's variance lies."""
    table = columns.instructions(run.profile)
    space = acting_agent(run)
    rows = pd.DataFrame(space - space.mean(axis=0))
    between = {}
    for name in FACTORS:
        means = rows.groupby(table[name].to_numpy()).transform("mean")
        between[name] = (means**2).to_numpy().sum()
    return max(between, key=between.get)


def survives_a_sink(run: Run, pool: Callable) -> bool:
    """Whether pooled sentences are nearest to their own words where a sink stands among these."""
    random = np.random.default_rng(0)
    sink = 150 * random.normal(size=STATE)
    meant = random.normal(size=(SENTENCES, STATE))
    pooled = []
    for meaning in meant:
        words = meaning + 0.5 * random.normal(size=(random.integers(5, 10), STATE))
        # Not only in front: a model may use any word.
        place = random.integers(len(words) + 1)
        states = np.insert(words, place, sink, axis=0)
        pooled.append(np.asarray(pool(states), dtype=float))
    pooled = np.array(pooled)
    if pooled.shape != meant.shape or not np.isfinite(pooled).all():
        return False
    a, b = (retrieval.unit_rows(side - side.mean(axis=0)) for side in (pooled, meant))
    nearest = (a @ b.T).argmax(axis=1)
    return bool(np.mean(nearest == np.arange(SENTENCES)) >= SURVIVE)


EMBEDDINGS = (
    Exercise(
        read=float,
        right=lambda run, answer: answer == last_words(run),
        form="a whole number",
        hint="two sentences with the same last word have the same vector",
    ),
    Exercise(
        read=a_word,
        right=lambda run, answer: answer == most_spent_on(run),
        form="verb, colour, type or location",
        hint='measured() groups by table["verb"]: group by another column',
    ),
    Exercise(
        read=a_function,
        right=survives_a_sink,
        form="a function from states (T, D) to a vector (D,)",
        hint="one state is huge, and need not be the first: what is not moved by one of many?",
    ),
)


# 04 · Alignment ---------------------------------------------------------------------------------

CLOSE = 0.02  # how far from the true precision an answer may be: it depends on the folds


def left_at_one(run: Run) -> float:
    """Precision@1 of the acting agent with the first model, same words, the model asks."""
    model = records.models(run.profile)[0].label
    table = run.get(SCORES, world=run.worlds[0])
    asked = table[(table["model"] == model) & (table["encoder"] == "acted")]
    asked = asked.query("test == 'same_words' and direction == 'model_to_agent'")
    return asked.loc[asked["measure"] == "precision_at_1", "value"].item()


def _asked_by_the_first_model(run: Run, target: np.ndarray) -> float:
    """Precision@k of a space with the first model, same words, the model asks."""
    table = columns.instructions(run.profile)
    asked = options(run.profile, table, run.worlds[0])
    found = alignment.same_words(first_model(run)[0], target, **asked)
    return found.set_index(["measure", "direction"])["value"]["precision_at_k", "forward"]


def beats_the_agent(run: Run, control: Callable) -> bool:
    """Whether a function of sentences beats the acting agent, with made-up words, too."""
    agent = _asked_by_the_first_model(run, acting_agent(run))
    return min(_scores_of(run, control, _asked_by_the_first_model)) > agent


def tells_colours(run: Run, encoder: Callable) -> bool:
    """Whether a function tells most colours (of six) by a sentence's two names."""
    table = columns.instructions(run.profile)
    texts = [*table["text"], *table["second_text"]]
    first, second = np.split(np.asarray(encoder(texts), dtype=float), 2)
    contrasts = options(run.profile, table, run.worlds[0])["contrasts"]
    own = alignment.own_names(first, second, contrasts=contrasts)
    return bool(own.loc[own["measure"] == "colour", "value"].mean() > 0.5)


ALIGNMENT = (
    Exercise(
        read=float,
        right=lambda run, answer: abs(answer - left_at_one(run)) <= CLOSE,
        form="a share between 0 and 1",
        hint="the image of row i is right if no other row is nearer: k = 1",
    ),
    Exercise(
        read=a_function,
        right=beats_the_agent,
        form="a function from a list of sentences to vectors",
        hint="made-up words, too: what tells the same words in another order apart?",
    ),
    Exercise(
        read=a_function,
        right=tells_colours,
        form="a function from a list of sentences to vectors",
        hint="what would a translator need?",
    ),
)


# 05 · Acting ------------------------------------------------------------------------------------

COLOUR = re.compile(rf"\b({'|'.join(grammar.COLOURS)}) ")
LITTLE = 0.03  # how far below the agent's order, which depends on the folds, a code may lie


def _order_with_the_first_model(run: Run, target: np.ndarray) -> float:
    """Order of a space with the first model, asked in synonyms, both directions."""
    table = columns.instructions(run.profile)
    asked = options(run.profile, table, run.worlds[0])
    found = alignment.synonyms(*first_model(run), target, **asked)
    return found.loc[found["measure"] == "order", "value"].mean()


def has_order(run: Run, code: Callable) -> bool:
    """Whether a function of sentences has as much order as the agent, with made-up words, too."""
    agent = _order_with_the_first_model(run, acting_agent(run))
    return min(_scores_of(run, code, _order_with_the_first_model)) >= agent - LITTLE


def more_order_than_edits(run: Run) -> int:
    """With how many models the agent has more order than edit distance: means over worlds."""
    scores = pd.concat([run.get(SCORES, world=world) for world in run.worlds])
    asked = scores.query("test == 'synonyms' and measure == 'order' and direction == 'both'")
    means = asked.groupby(["model", "encoder"])["value"].mean().unstack()
    return int((means["acted"] > means["edit_distance"]).sum())


def told_no_colours(run: Run) -> float:
    """Success on the last level of the agent that hears no colours."""
    level = run.profile.data.levels[-1]
    return _success_told(run, lambda texts: [COLOUR.sub("", text) for text in texts], level)


ACTING = (
    Exercise(
        read=a_function,
        right=has_order,
        form="a function from a list of sentences to vectors",
        hint="the same word in another place has to be something else",
    ),
    Exercise(
        read=float,
        right=lambda run, answer: answer == more_order_than_edits(run),
        form="a whole number",
        hint='contrasts "acted" and "edit_distance" of test "synonyms", measure "order", both ways',
    ),
    Exercise(
        read=float,
        right=lambda run, answer: abs(answer - told_no_colours(run)) <= NEAR,
        form="a share between 0 and 1",
        hint="told(change) tells what a function makes of a sentence: leave the colours out",
    ),
)


# 06 · Structure ---------------------------------------------------------------------------------

FIFTEEN = np.triu_indices(6, 1)  # the pairs of six colours
HIDDEN = 3  # how many times less of the kinds a counter may find
SAME = 1e-4  # how far from the least loss another one counts as the least


def _structure(run: Run) -> dict[str, pd.DataFrame]:
    """Tables of the world of kinds: the first world."""
    return run.kinds.get(kinds.STRUCTURE, **kinds.worlds_of(run.profile)[0])


def as_good(run: Run) -> int:
    """How many of 720 relabellings fit the blind agent and blind CLIP as well as the true one."""
    asked = "condition == 'own world' and first == 'blind agent' and second == 'blind CLIP'"
    return round(720 * _structure(run)["structure"].query(asked)["p"].item())


def _distances(run: Run, learner: str) -> pd.DataFrame:
    """Of six colours by six, in the learner's own world."""
    own = _structure(run)["distances"].query("condition == 'own world' and learner == @learner")
    return own.pivot(index="colour", columns="other", values="distance")


def least_loss(run: Run, answer: frozenset[str]) -> bool:
    """Whether the exchange of two colours costs the blind agent least of its r with the design."""
    agent = _distances(run, "blind agent")
    design = _distances(run, "design").to_numpy()
    left = {}
    for pair in combinations(range(6), 2):
        order = np.arange(6)
        order[list(pair)] = pair[::-1]
        swapped = agent.to_numpy()[np.ix_(order, order)]
        r = np.corrcoef(swapped[FIFTEEN], design[FIFTEEN])[0, 1]
        left[frozenset(agent.index[list(pair)])] = r
    return answer in left and left[answer] >= max(left.values()) - SAME


def _kindness(stories: list[str]) -> float:
    """How far the types of a colour differ from the types of all, to a counter of word pairs."""
    shares = kinds.bigrams(stories)
    return float((shares - shares.mean()).abs().to_numpy().mean())


def hides_the_kinds(run: Run, change: Callable) -> bool:
    """Whether stories keep all words as frequent, and a counter finds no kinds any more."""
    stories = run.kinds.get(STORIES, world=run.worlds[0], rooms="kinds").train
    changed = list(change(list(stories)))
    before, after = (Counter(" ".join(texts).split()) for texts in (stories, changed))
    return before == after and _kindness(changed) < _kindness(stories) / HIDDEN


STRUCTURE = (
    Exercise(
        read=float,
        right=lambda run, answer: answer == as_good(run),
        form="a whole number",
        hint="count the draws that are at least as large as the first",
    ),
    Exercise(
        read=two_words,
        right=least_loss,
        form="a set of two colours",
        hint="exchange two rows, and the same columns, of its distances: fifteen pairs",
    ),
    Exercise(
        read=a_function,
        right=hides_the_kinds,
        form="a function from a list of stories to a list of stories",
        hint="each colour stays as frequent; which one stands before a key must not matter",
    ),
)


# 07 · Your own ----------------------------------------------------------------------------------

PUBLIC = ("smollm2-135m-instruct-q4", "all-minilm-l6-v2")
# As in the notebook, but without a simulation of power, on which no verdict depends.
AUDIT = {"n_permutations": 99, "n_draws": 5, "effect": None}


@cache
def _public(texts: tuple[str, ...]) -> list[np.ndarray]:
    """Vectors of SmolLM2 and of MiniLM."""
    return [public.load(name).embed(list(texts)) for name in PUBLIC]


def needing_no_minilm(run: Run) -> int:
    """By how many measures, in synonyms, words in MiniLM's place are as good as MiniLM."""
    table = columns.instructions(run.profile)
    texts, synonyms = table["text"].tolist(), table["second_text"].tolist()
    X, Y = _public(tuple(texts))
    X2, _ = _public(tuple(synonyms))
    factors = table[columns.ROLES]
    report = alignment.audit(X, Y, texts, factors, X2, texts2=synonyms, **AUDIT)
    rows = report.main.query("test == 'synonyms'")
    return int((rows["words_for_Y"] >= rows["value"]).sum())


def knows_words_only(run: Run, control: Callable) -> bool:
    """Whether a control agrees with SmolLM2 more than MiniLM does, also with made-up words."""
    texts = texts_of(run)
    X, Y = _public(tuple(texts))
    wanted = alignment.precision_at_k(X, Y, k=1)
    for said in (texts, with_made_up_words(texts)):
        vectors = np.asarray(control(said), dtype=float)
        if alignment.precision_at_k(X, vectors, k=1) <= wanted:
            return False
    return True


def can_be_audited(run: Run, path: Path) -> bool:
    """Whether a file holds a vector for each sentence."""
    with np.load(path, allow_pickle=False) as file:
        vectors = file["vectors"]
    return len(vectors) == len(texts_of(run)) and bool(np.isfinite(vectors).all())


YOUR_OWN = (
    Exercise(
        read=float,
        right=lambda run, answer: answer == needing_no_minilm(run),
        form="a whole number",
        hint='told.main has a row per measure, and columns "value" and "words_for_Y"',
    ),
    Exercise(
        read=a_function,
        right=knows_words_only,
        form="a function from a list of sentences to vectors",
        hint="made-up words, too: it may know which sentences share words, and no more",
    ),
    Exercise(
        read=Path,
        right=can_be_audited,
        form="the path of an .npz with an array vectors",
        hint="a row per sentence of the notebook, in its order",
    ),
)


# 08 · Robustness --------------------------------------------------------------------------------

REPORTED = 0.72  # precision@15 with decoders, about as the paper's abstract gives it
FEWER = 0.5  # of the precision of random folds may be left
ROUNDED = 0.005  # how far from the true share an answer may be


def _nearer(run: Run, cv) -> np.ndarray:
    """(2, N): how many sentences are nearer to a held-out image than its partner is."""
    table = columns.instructions(run.profile)
    settings = run.profile.alignment
    pair = (first_model(run)[0], acting_agent(run))
    X, A = (np.array(space, dtype=float, order="C") for space in pair)
    sets = alignment.ContrastSets(table[columns.ROLES], settings.k, n_permutations=0)
    folds = retrieval.make_folds(len(X), cv, sets.groups, run.worlds[0])
    cosines = cross_names.held_out_cosines((X, A), (X, A), sets, folds, settings.dimension)
    partner = np.diagonal(cosines, axis1=1, axis2=2)[..., None]
    return (cosines > partner + 1e-9).sum(axis=2)


def smallest_k(run: Run) -> int:
    """The least k at which precision@k is as high as the paper reports."""
    nearer = _nearer(run, run.profile.alignment.folds)
    return next(k for k in range(1, nearer.shape[1] + 1) if (nearer < k).mean() >= REPORTED)


def best_by_chance(run: Run) -> float:
    """Precision at the null's own best layer: mean over worlds, models and draws."""
    layers = pd.concat([run.get(appendix.LAYERS, world=world) for world in run.worlds])
    null = layers.query("encoder == 'permuted' and measure == 'precision_at_k'")
    return float(null.groupby(["world", "model", "draw"])["value"].max().mean())


def halves_precision(run: Run, labels: Callable) -> bool:
    """Whether leaving out one label after the other halves what random folds give."""
    table = columns.instructions(run.profile)
    given = np.asarray(labels(table))
    splits = list(LeaveOneGroupOut().split(table, groups=given))
    k = run.profile.alignment.k
    random = (_nearer(run, run.profile.alignment.folds) < k).mean()
    return bool((_nearer(run, splits) < k).mean() <= FEWER * random)


ROBUSTNESS = (
    Exercise(
        read=float,
        right=lambda run, answer: answer == smallest_k(run),
        form="a whole number",
        hint="tried(X, X2, A, world, k) for k = 1, 2, 3..., and the mean of both directions",
    ),
    Exercise(
        read=float,
        right=lambda run, answer: abs(answer - best_by_chance(run)) < ROUNDED,
        form="a share between 0 and 1",
        hint="each draw of each model and world takes its own best layer; then the mean",
    ),
    Exercise(
        read=a_function,
        right=halves_precision,
        form="a function from the table of instructions to a label per row",
        hint="what must a map have seen, that a whole group of sentences can take away?",
    ),
)


# 09 · Transfer ----------------------------------------------------------------------------------

ROUNDING = 0.01  # how far from the true share an answer may be


def _mapped_to_the_agent(run: Run, vectors: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Images of vectors, each by a map fitted without it, and the agent's own vectors."""
    own = _policy(run).embed(texts_of(run)).astype(float)
    folds = run.profile.alignment.folds
    return transfer.mapped(vectors, vectors, own, folds, run.worlds[0]), own


def found_again(run: Run) -> float:
    """How often the image of the first model's vector, in first names, is nearest to the agent's
    own vector of the same sentence."""
    image, own = _mapped_to_the_agent(run, first_model(run)[0].astype(float))
    centre = own.mean(axis=0)
    cosines = retrieval.unit_rows(image - centre) @ retrieval.unit_rows(own - centre).T
    return float((cosines.argmax(axis=1) == np.arange(len(own))).mean())


def loses_most(run: Run) -> str:
    """The level where success on models' vectors falls most from first names to synonyms."""
    chosen = [one for one in transfer.sources(run.profile).values() if isinstance(one, dict)]
    parts = [
        run.get(transfer.TRANSFER, world=world, source=one)
        for world in run.worlds
        for one in chosen
    ]
    means = pd.concat(parts).groupby(["said", "level"])["success"].mean()
    return str((means[transfer.FIRST] - means[transfer.SYNONYMS]).idxmax()).lower()


def _success_on(run: Run, vectors: np.ndarray) -> float:
    """Success of the agent on the last level, if it acts on vectors mapped into its space."""
    images = _mapped_to_the_agent(run, vectors)[0].astype(np.float32)
    row = {text: number for number, text in enumerate(texts_of(run))}
    played = evaluation.evaluate(
        _policy(run),
        run.profile.data.levels[-1],
        _seeds(run),
        lambda texts: images[[row[grammar.canonical(text)] for text in texts]],
        limit=LIMIT,
    )
    return float(played["success"].mean())


def can_be_acted_on(run: Run, code: Callable) -> bool:
    """Whether the agent acts on a function of sentences as well as on the first model's vectors,
    with made-up words, too."""
    model = _success_on(run, first_model(run)[0].astype(float))
    return min(_scores_of(run, code, _success_on)) >= model


TRANSFERRING = (
    Exercise(
        read=float,
        right=lambda run, answer: abs(answer - found_again(run)) <= ROUNDING,
        form="a share between 0 and 1",
        hint="cosines (N, N) of mapped(X, X) with own, both centred on own: the largest of a row",
    ),
    Exercise(
        read=a_word,
        right=lambda run, answer: answer == loses_most(run),
        form="the name of a level",
        hint="the table of success has a row for models in either words: subtract",
    ),
    Exercise(
        read=a_function,
        right=can_be_acted_on,
        form="a function from a list of sentences to vectors",
        hint="a vector per word; what else must the agent hear, to know what goes next to what?",
    ),
)


# 10 · Meaning -----------------------------------------------------------------------------------

WITH_MEANING = "all-MiniLM-L6-v2"


def _colours_in_tables(run: Run, kind: str) -> pd.Series:
    """How often MiniLM finds colours with the agent that acted, by its table of synonyms."""
    tables = pd.concat([run.get(appendix.TABLES, world=world) for world in run.worlds])
    asked = tables.query("measure == 'colour' and encoder == 'acted' and source == 'model'")
    asked = asked[(asked["model"] == WITH_MEANING) & (asked["kind"] == kind)]
    return asked.groupby("table")["value"].mean()


def better_tables(run: Run) -> int:
    """How many drawn tables of synonyms do better than the study's own, with MiniLM."""
    scores = pd.concat([run.get(SCORES, world=world) for world in run.worlds])
    asked = scores.query("test == 'synonyms' and measure == 'colour' and direction == 'both'")
    asked = asked[(asked["model"] == WITH_MEANING) & (asked["encoder"] == "acted")]
    return int((_colours_in_tables(run, "drawn") > asked["value"].mean()).sum())


def knows_the_key(run: Run, key: Callable) -> bool:
    """Whether a function tells what the colours of each published lie mean."""
    for lie in public.load("all-minilm-l6-v2").tables("swapped", texts_of(run)):
        words = {colour: lie.words[colour] for colour in grammar.COLOURS}
        meanings = grammar.meanings(lie.words)
        if dict(key(words)) != {colour: meanings[colour] for colour in words}:
            return False
    return True


def spread_evenly(run: Run) -> float:
    """How often MiniLM would be right as told, if all other colours took as many of its errors."""
    by_meaning = _colours_in_tables(run, appendix.MEANING).mean()
    return float((1 - by_meaning) / (len(grammar.COLOURS) - 1))


MEANING = (
    Exercise(
        read=float,
        right=lambda run, answer: answer == better_tables(run),
        form="a whole number",
        hint="the study's own: test synonyms, measure colour, encoder acted, direction both",
    ),
    Exercise(
        read=a_function,
        right=knows_the_key,
        form="a function from a dictionary of colours to one",
        hint='minilm.tables("drawn", texts) have true synonyms in .words: turn them round',
    ),
    Exercise(
        read=float,
        right=lambda run, answer: abs(answer - spread_evenly(run)) < ROUNDED,
        form="a share between 0 and 1",
        hint="five colours are wrong by meaning, and one of these is right as told",
    ),
)


EXERCISES: dict[str, tuple[Exercise, ...]] = {
    "01_data": DATA,
    "02_bc_training": CLONING,
    "03_embeddings": EMBEDDINGS,
    "04_alignment": ALIGNMENT,
    "05_acting": ACTING,
    "06_structure": STRUCTURE,
    "07_your_own": YOUR_OWN,
    "08_robustness": ROBUSTNESS,
    "09_transfer": TRANSFERRING,
    "10_meaning": MEANING,
}
