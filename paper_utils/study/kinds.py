"""Structure in the world of kinds: who has learned which colours are alike, from data of their own.

Learners are compared by the distances between six colours, without a map and without a dictionary
(`alignment.structure`).  Everything here takes a profile with the sizes of kinds
(`Profile.of_kinds`).
"""

from itertools import combinations
from pathlib import Path

import numpy as np
import pandas as pd
from rapidfuzz.distance import Levenshtein
from rapidfuzz.process import cdist

from paper_utils import alignment
from paper_utils.cloning.agents import Condition
from paper_utils.config import Profile
from paper_utils.data import kinds
from paper_utils.data.corpus import STORIES, Documents
from paper_utils.encoders.embedding import EMBEDDING, parameters
from paper_utils.encoders.families import FAMILIES
from paper_utils.encoders.records import Encoder, Source
from paper_utils.store import Stage, write_table
from paper_utils.study import columns

NEVER_ACTED = 5  # agents with random weights: one alone may look like anything, by luck
OWN = "own world"
FLAT = "exchangeable"  # the same code, where all types are equally likely in every colour
OTHER = "other world"
CONDITIONS = (OWN, FLAT, OTHER, "never_acted", "codebook", "edit_distance")
# The levels of all but the first make the frames in which all six colours can stand.
FACTORS = ["colour", "verb", "type", "location"]


def learners(profile: Profile, world: int, rooms: str) -> dict[str, dict]:
    """Name -> parameters of EMBEDDING, of those that must predict from colour: they do not see it,
    or they read of it.  In rooms of kinds then those that see colours, to tell things apart."""
    blind = {"blind agent": Encoder(Source.AGENT, Condition.BLIND)}
    seeing = {"seeing agent": Encoder(Source.AGENT, Condition.ACTED)}
    for family in profile.encoders.families:
        label = FAMILIES[family].label
        if FAMILIES[family].modality == "language":
            blind[label] = Encoder(Source.SCRATCH, family)
        else:
            # Pictures in one colour: which colour a thing has stands in its caption alone.
            blind[f"blind {label}"] = Encoder(Source.SCRATCH, family, coloured=False)
            seeing[f"seeing {label}"] = Encoder(Source.SCRATCH, family)
    # Agents first, so that a pair of an agent and a model has the agent's name in front.
    chosen = seeing | blind if rooms == "kinds" else blind
    return {name: parameters(encoder, world, rooms=rooms) for name, encoder in chosen.items()}


def everyone(profile: Profile, world: int, other: int | None) -> dict[tuple[str, str], dict]:
    """(condition, name) -> parameters of EMBEDDING, of all whom STRUCTURE compares but those that
    are made from texts."""
    # The same training, where a room shows one colour of each kind.
    acted = Encoder(Source.AGENT, Condition.ACTED)
    groups = {
        OWN: {"exclusive agent": parameters(acted, world, rooms="exclusive")},
        FLAT: learners(profile, world, "exchangeable"),
        OTHER: {},
        "never_acted": {},
    }
    groups[OWN] |= learners(profile, world, "kinds")
    # A shuffled structure: the same learners, where other colours are alike.
    if other is not None:
        groups[OTHER] = learners(profile, other, "kinds")
    for draw in range(NEVER_ACTED):
        agent = Encoder(Source.AGENT, Condition.NEVER_ACTED, trained=False, draw=draw)
        groups["never_acted"][str(draw)] = parameters(agent, world, rooms="kinds")
    found = {}
    for condition, members in groups.items():
        for name, chosen in members.items():
            found[condition, name] = chosen
    return found


def bigrams(texts: list[str]) -> pd.DataFrame:
    """How often each type follows each colour in some texts, as shares (colours, types).

    This is a reference, which passes: the test shows structure, not depth.

    >>> counted = bigrams(["the red ball, the red key, the red key"])
    >>> counted.loc["red", ["ball", "key"]].round(2).tolist()
    [0.33, 0.67]
    """
    colours = sorted(kinds.colours_by_role(0))
    types = sorted(kinds.TYPES)
    pattern = rf"\b({'|'.join(colours)}) ({'|'.join(types)})\b"
    pairs = pd.Series(texts).str.extractall(pattern)
    shares = pd.crosstab(pairs[0], pairs[1], normalize="index")
    # Also of what a few stories never say.
    return shares.reindex(index=colours, columns=types, fill_value=0.0)


def agreement(condition: str, spaces: dict, factors: pd.DataFrame, world: int) -> list[dict]:
    """Every pair of learners, with all that `alignment.structure` says of it."""
    # A colour's kind is its commonest type; inside a kind colours differ by degrees.
    kind_of = kinds.design(world).idxmax(axis=1).to_dict()
    rows = []
    for first, second in combinations(spaces, 2):
        found = alignment.structure(spaces[first], spaces[second], factors, kinds=kind_of)
        row = {"condition": condition, "first": first, "second": second, "draw": 0}
        for name in ("r", "p", "withheld_pairs", "withheld_triples", "graded"):
            row[name] = float(getattr(found, name))
        rows.append(row)
    return rows


def controlled(condition: str, own: dict, draws: list[dict], factors: pd.DataFrame) -> list[dict]:
    """The r of each pair of ``own`` learners where either of the two is exchanged for a control's
    (the mean of both), for each draw of it; all are distances by name."""
    rows = []
    for draw, control in enumerate(draws):
        for first, second in combinations(own, 2):
            # Pearson's r of two matrices of distances: nothing else is asked of a control.
            ends = [
                alignment.structure(own[first], control[second], factors).r,
                alignment.structure(own[second], control[first], factors).r,
            ]
            row = {"condition": condition, "first": first, "second": second, "draw": draw}
            rows.append(row | {"r": np.mean(ends)})
    return rows


def _structure(
    profile: Profile,
    folder: Path,
    documents: Documents,
    *spaces: pd.DataFrame,
    world: int,
    other: int | None,
) -> None:
    table = columns.instructions(profile, "kinds")
    factors = table[FACTORS]
    groups: dict[str, dict] = {name: {} for name in CONDITIONS}
    asked = everyone(profile, world, other)
    for (condition, name), space in zip(asked, spaces, strict=True):
        groups[condition][name] = space.to_numpy()
    # What there is to learn, and who counts neighbours of words: a row for each colour.
    groups[OWN]["design"] = kinds.design(world)
    groups[OWN]["bigram counter"] = bigrams(documents.train)
    for draw in range(profile.alignment.draws):
        groups["codebook"][str(draw)] = columns.control("codebook", table, world, draw)
    # What is compared of everybody: six by six distances, over the frames that colours share.
    distances: dict[str, dict] = {condition: {} for condition in groups}
    for condition, members in groups.items():
        for name, X in members.items():
            distances[condition][name] = alignment.concept_distances(X, factors)
    # How many letters turn one colour's word into another's.
    names = kinds.design(world).index
    letters = cdist(names, names, scorer=Levenshtein.distance)
    distances["edit_distance"]["0"] = pd.DataFrame(letters, names, names)
    # Those that see colours have no controls: they are not expected to agree.
    own = {name: distances[OWN][name] for name in groups[FLAT]}
    rows = agreement(OWN, groups[OWN], factors, world)
    rows += agreement(FLAT, groups[FLAT], factors, world)
    if distances[OTHER]:
        rows += controlled(OTHER, own, [distances[OTHER]], factors)
    for condition in ("never_acted", "codebook", "edit_distance"):
        # The same draw for whoever is exchanged.
        draws = [dict.fromkeys(own, drawn) for drawn in distances[condition].values()]
        rows += controlled(condition, own, draws, factors)
    structure = pd.DataFrame(rows).assign(world=world)
    write_table(folder / "structure.csv.gz", structure.round(6))
    # Of those that notebooks draw.
    parts = []
    for condition in (OWN, FLAT):
        long = pd.concat(distances[condition], names=["learner", "colour"])
        long = long.rename_axis(columns="other").stack()
        long = long.rename("distance").reset_index()
        parts.append(long.assign(condition=condition, world=world))
    write_table(folder / "distances.csv.gz", pd.concat(parts).round(6))


def _load(folder: Path) -> dict[str, pd.DataFrame]:
    names = ("structure", "distances")
    return {name: pd.read_csv(folder / f"{name}.csv.gz") for name in names}


def _needs(profile: Profile, world: int, other: int | None) -> list[tuple[Stage, dict]]:
    needed = [(STORIES, {"world": world, "rooms": "kinds"})]
    for chosen in everyone(profile, world, other).values():
        needed.append((EMBEDDING, chosen))
    return needed


STRUCTURE = Stage(
    name="structure",
    make=_structure,
    load=_load,
    reads=("data.demonstrations", "alignment.draws", "encoders.families"),
    needs=_needs,
    cost=lambda profile, **_: 30.0,
)
"""Two tables of one world of kinds.

``structure``: world, condition, first, second, draw, r, and where both are learners p,
withheld_pairs, withheld_triples, graded.
``distances``: world, condition, learner, colour, other, distance (a 6 x 6 matrix per learner).
``other``: the world whose learners are a control, or None."""


def worlds_of(profile: Profile) -> list[dict]:
    """Parameters of STRUCTURE, of each world of a run: the next one is its control."""
    worlds = profile.world_numbers
    found = []
    for place, world in enumerate(worlds):
        # After the last comes the first; a run of one world has no other.
        other = worlds[(place + 1) % len(worlds)]
        found.append({"world": world, "other": other if other != world else None})
    return found
