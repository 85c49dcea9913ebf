"""Structure in the world of kinds: who has learned which colours are alike, from data of their own.

Learners are compared by the distances between six colours, without a map and without a dictionary
(`alignment.structure`).  Everything here takes a profile with the sizes of kinds
(`Profile.of_kinds`).
"""

from dataclasses import replace
from itertools import combinations

import numpy as np
import pandas as pd
from rapidfuzz.distance import Levenshtein
from rapidfuzz.process import cdist

from paper_utils import alignment
from paper_utils.cloning.agents import Condition
from paper_utils.data import kinds
from paper_utils.data.corpus import STORIES
from paper_utils.encoders.embedding import EMBEDDING, parameters
from paper_utils.encoders.records import Encoder, Source
from paper_utils.study import columns

NEVER_ACTED = 5  # agents with random weights: one alone may look like anything, by luck
OWN = "own world"
FLAT = "exchangeable"  # the same code, where all types are equally likely in every colour
OTHER = "other world"
DRAWN = ["never_acted", "codebook", "edit_distance"]  # a draw is the same for whoever is exchanged
# The levels of all but the first make the frames in which all six colours can stand.
FACTORS = ["colour", "verb", "type", "location"]
FIFTEEN = np.triu_indices(6, 1)  # pairs of six colours
PAIR = ["condition", "first", "second", "draw"]  # what a row of the table is about
MEASURES = ("r", "p", "withheld_pairs", "withheld_triples", "graded")


def learners(profile, rooms):
    """Name -> encoder, of those that must predict from colour: they do not see it, or they read of
    it.  In rooms of kinds also those that see colours, to tell things apart."""
    blind = {"blind agent": Encoder(Source.AGENT, Condition.BLIND)}
    seeing = {"seeing agent": Encoder(Source.AGENT, Condition.ACTED)}
    for name in profile.encoders.families:
        model = Encoder(Source.SCRATCH, name)
        if model.modality == "language":
            blind[model.label] = model
        else:
            # Pictures in one colour: which colour a thing has stands in its caption alone.
            blind[f"blind {model.label}"] = replace(model, coloured=False)
            seeing[f"seeing {model.label}"] = model
    # Agents first, so that a pair of an agent and a model has the agent's name in front.
    return seeing | blind if rooms == "kinds" else blind


def everyone(profile, world, other):
    """(condition, name) -> parameters of EMBEDDING, of all whom STRUCTURE compares but those that
    are made from texts."""
    # The same training, where a room shows one colour of each kind.
    acted = Encoder(Source.AGENT, Condition.ACTED)
    found = {(OWN, "exclusive agent"): parameters(acted, world, rooms="exclusive")}
    groups = [(OWN, world, "kinds"), (FLAT, world, FLAT)]
    # A shuffled structure: the same learners, where other colours are alike.
    if other is not None:
        groups.append((OTHER, other, "kinds"))
    for condition, number, rooms in groups:
        for name, encoder in learners(profile, rooms).items():
            found[condition, name] = parameters(encoder, number, rooms=rooms)
    for draw in range(NEVER_ACTED):
        never = Encoder(Source.AGENT, Condition.NEVER_ACTED, trained=False, draw=draw)
        found["never_acted", str(draw)] = parameters(never, world, rooms="kinds")
    return found


def bigrams(texts):
    """How often each type follows each colour in some texts, as shares (colours, types).

    This is a reference, which passes: the test shows structure, not depth.

    >>> counted = bigrams(["the red ball, the red key, the red key"])
    >>> counted.loc["red", ["ball", "key"]].round(2).tolist()
    [0.33, 0.67]
    """
    colours = sorted(kinds.colours_by_role(0))
    types = sorted(kinds.TYPES)
    pairs = pd.Series(texts).str.extractall(rf"\b({'|'.join(colours)}) ({'|'.join(types)})\b")
    shares = pd.crosstab(pairs[0], pairs[1], normalize="index")
    # Also of what a few stories never say.
    return shares.reindex(index=colours, columns=types, fill_value=0.0)


def _structure(profile, documents, *spaces, world, other):
    table = columns.instructions(profile, "kinds")
    factors = table[FACTORS]
    design = kinds.design(world)
    # (condition, name) -> vectors of all sentences, or what is known of six colours.
    known = {key: space.to_numpy() for key, space in zip(everyone(profile, world, other), spaces)}
    # What there is to learn, and who counts neighbours of words.
    known[OWN, "design"] = design
    known[OWN, "bigram counter"] = bigrams(documents.train)
    for draw in range(profile.alignment.draws):
        known["codebook", str(draw)] = columns.control("codebook", table, world, draw)
    # How many letters turn one colour's word into another's.
    words = design.index
    letters = cdist(words, words, scorer=Levenshtein.distance)
    known["edit_distance", "0"] = pd.DataFrame(letters, words, words)
    distances = {key: alignment.concept_distances(X, factors) for key, X in known.items()}
    # A colour's kind is its commonest type.
    kind_of = design.idxmax(axis=1).to_dict()
    structure = pd.concat([between_learners(known, factors, kind_of), under_controls(distances)])
    # Of those that notebooks draw.
    squares = pd.concat(distances, names=["condition", "learner", "colour"]).loc[[OWN]]
    long = squares.rename_axis(columns="other").stack().rename("distance").reset_index()
    return {"structure": structure, "distances": long}


def between_learners(known, factors, kind_of):
    """Every pair of learners in their own world, and in rooms without kinds, with all that
    `alignment.structure` says of it."""
    rows = []
    for here, there in combinations(known, 2):
        if here[0] == there[0] and here[0] in (OWN, FLAT):
            # Inside a kind colours differ by degrees.
            r, *others = alignment.structure(known[here], known[there], factors, kinds=kind_of)
            rows.append((*here, there[1], 0, r, r.p, *others))
    return pd.DataFrame(rows, columns=[*PAIR, *MEASURES])


def under_controls(distances):
    """The r of each pair of learners where either of the two is exchanged for a control's (the
    mean of both), for each draw of it."""
    # Pearson's r of distances, of everybody with everybody.
    r = pd.DataFrame({key: square.to_numpy()[FIFTEEN] for key, square in distances.items()}).corr()
    own = r[OWN]  # everybody, by the learners of a world
    rows = []
    for first, second in combinations(own, 2):
        found = own.loc[DRAWN, [first, second]].mean(axis=1).to_dict()
        # A run of one world has no other, and not everybody learns in it.
        if (OTHER, first) in r and (OTHER, second) in r:
            found[OTHER, 0] = (own[first][OTHER, second] + own[second][OTHER, first]) / 2
        for (condition, draw), value in found.items():
            rows.append((condition, first, second, draw, value))
    return pd.DataFrame(rows, columns=[*PAIR, "r"])


def _needs(profile, world, other):
    found = [(STORIES, {"world": world, "rooms": "kinds"})]
    return found + [(EMBEDDING, chosen) for chosen in everyone(profile, world, other).values()]


STRUCTURE = columns.table_stage(
    "structure",
    _structure,
    reads=("data.demonstrations", "alignment.draws", "encoders.families"),
    needs=_needs,
    cost=lambda *_, **__: 9.0,
)
"""Two tables of one world of kinds.

``structure``: world, condition, first, second, draw, r, and where both are learners p,
withheld_pairs, withheld_triples, graded.
``distances``: of learners in their own world: world, condition, learner, colour, other, distance
(a 6 x 6 matrix per learner).
``other``: the world whose learners are a control, or None."""


def worlds_of(profile):
    """Parameters of STRUCTURE, of each world of a run: the next one is its control."""
    worlds = profile.world_numbers
    # After the last comes the first; a run of one world has no other.
    others = worlds[1:] + worlds[:1] if worlds[1:] else [None]
    return [{"world": world, "other": other} for world, other in zip(worlds, others)]
