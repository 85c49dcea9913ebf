"""Figures of notebook 06: rooms of kinds, colour maps, who agrees, and what agents expect."""

import numpy as np
import pandas as pd
from sklearn.decomposition import KernelPCA

from paper_utils.alignment.concepts import agreement_draws
from paper_utils.alignment.retrieval import rotation
from paper_utils.data import kinds, levels
from paper_utils.figures.alignment import SEEN, WHOLE, drawn, shared, values_of
from paper_utils.figures.alignment import as_table as as_table
from paper_utils.figures.alignment import tested as tested
from paper_utils.figures.data import on_white
from paper_utils.figures.style import (
    COLOURS,
    COLUMN,
    DODGE,
    NAMES,
    PALE,
    SHARE,
    THINGS,
    headline,
    panels,
    rows,
)
from paper_utils.study.claims import number
from paper_utils.study.kinds import DRAWN

BLIND = ["blind agent ~ LLaMA", "blind agent ~ blind CLIP", "LLaMA ~ blind CLIP"]
COUNTER = "blind agent ~ bigram counter"  # which has learned, and knows nothing else
SEEING = ["seeing agent ~ design", "seeing agent ~ LLaMA", "seeing agent ~ blind CLIP"]
EXCLUSIVE = ["exclusive agent ~ design", "exclusive agent ~ LLaMA", "exclusive agent ~ blind CLIP"]
VIEWERS = ["seeing CLIP ~ design", "seeing BLIP ~ design"]
# Who learned in the same world, and everything that should fail.
CONDITIONS = ["own world", "other world", "exchangeable", *DRAWN]


def rooms(worlds):
    """A row per world: three of its rooms, the most typical of twenty, and P(type | colour) as the
    areas of dots."""
    figure, axes = panels(4 * len(worlds), 1.9)
    for world, (*places, last) in zip(worlds, np.reshape(axes, (-1, 4))):
        env = levels.make("GoToLocal", rooms="kinds", world=world)
        design = kinds.design(world)
        # Rooms that the stories tell of.
        episodes = levels.seeds("text", 20, world, "kinds")
        usual = sorted(episodes, key=lambda episode: -_typical(env, episode, design))
        for axis, episode in zip(places, usual):
            env.reset(seed=episode)
            axis.imshow(on_white(env.get_frame(highlight=False, tile_size=16)))
            axis.set_axis_off()
        # Sorted by its columns, so that colours of one kind are neighbours.
        shares = design.sort_values(list(design)).stack()
        colours, types = zip(*shares.index)
        last.scatter(types, colours, s=90 * shares, c=[THINGS[colour] for colour in colours])
        last.set_title(f"world {world}: how often")
        last.margins(0.15)
    headline(figure, "Which colours are of which type differs from world to world")
    return figure


def _typical(env, episode, design):
    """How usual the types of a room's things are for their colours, on average."""
    env.reset(seed=episode)
    things = [thing for thing in env.unwrapped.grid.grid if thing and thing.type in design]
    return np.mean([design.loc[thing.color, thing.type] for thing in things])


def colour_maps(measured, learners, world):
    """A map of six colours for each of up to four learners, from their distances (6, 6), turned
    onto the map of the design.  Lines join the colours of a kind."""
    figure, axes = panels(len(learners), 2.5)
    kind_of = kinds.design(world).idxmax(axis=1)
    # What the rooms are made from is what all maps are turned to.
    target, _ = _plane(measured["design"])
    for axis, learner in zip(axes, learners):
        places, share = _plane(measured[learner])
        # A map may be turned and mirrored at will: only distances mean something.
        turned = pd.DataFrame(places @ rotation(places, target), index=kind_of.index)
        for _, members in turned.groupby(kind_of):
            # Of two colours a line, of three a triangle.
            axis.fill(members[0], members[1], facecolor="none", edgecolor=PALE)
        # Two colours may lie on one place: hollow marks of other shapes show both.
        for marker, (colour, place) in zip("os^vDP", turned.iterrows()):
            axis.plot(*place, marker, mfc="none", mec=THINGS[colour], mew=1.5, ms=9, label=colour)
        r, *_ = agreement_draws(measured[learner].to_numpy(), measured["design"].to_numpy())
        # Two of five dimensions: how much of the learner does the picture show?
        axis.set(
            xticks=[],
            yticks=[],
            box_aspect=1,
            title=f"{learner}: r = {number(r)}",
            xlabel=f"{share:.0%} of variance shown",
        )
        axis.margins(0.2)
    headline(figure, "Six colours; r: correlation of their distances with the design's")
    return figure


def _plane(distances):
    """Two dimensions (6, 2) of cosine distances, and the share of structure that they hold."""
    # Cosines, one minus these distances, are a kernel: principal components need no vectors.
    components = KernelPCA(kernel="precomputed")
    places = components.fit_transform(1 - distances.to_numpy())
    strengths = components.eigenvalues_
    return places[:, :2], strengths[:2].sum() / strengths.sum()


def agreement(differences, structure):
    """r of pairs of learners that predict from colour, a row each, beside all that should fail;
    strokes are single worlds (rows of ``structure``)."""
    pairs = [*BLIND, COUNTER]
    # Beside a codebook, which is in every run.
    found = [shared(differences, pair, "own world - codebook") for pair in pairs].count("shared")
    title = f"Of {len(pairs)} pairs, one with a mere counter, {found} share the kinds of colours"
    return _pairs(differences, structure, pairs, CONDITIONS, title)


def sign(differences, structure):
    """r of pairs with agents that see colours: where they must tell them apart, and need not;
    strokes are single worlds (rows of ``structure``)."""
    design, exclusive = (shared(differences, each[0], "own world") for each in (SEEING, EXCLUSIVE))
    # A run may lack models of pictures.
    viewers = [pair for pair in VIEWERS if pair in set(differences["model"])]
    return _pairs(
        differences,
        structure,
        SEEING + EXCLUSIVE + viewers,
        SEEN,
        f"Seeing agent and design: {design};\nin exclusive rooms: {exclusive}",
    )


def _pairs(differences, structure, pairs, conditions, title):
    figure = rows(
        drawn(values_of(differences, "structure", "r"), panel=""),
        {"": title},
        "r of the distances between six colours",
        conditions,
        WHOLE,
        0,
        order=pairs,
    )
    learned = structure.query("condition == 'own world'")
    # Where the points of their means lie; pairs that are not drawn have no place.
    row = pd.Series(range(len(pairs)), pairs)
    heights = (learned["first"] + " ~ " + learned["second"]).map(row) - DODGE / 2
    figure.axes[0].plot(learned["r"], heights, "|", color=COLOURS["own world"])
    return figure


def visits(shares):
    """What a blind agent that is told a colour walks to first: the share of its usual type.

    ``shares``: role, rooms where it learned, mean, low, high; ``design``, the type's frequency."""
    # Where an agent learned has the hue that it has in the other figures.
    walked = shares.assign(hue=shares["rooms"].replace("kinds", "own world"), row=shares["role"])
    # Where points would lie, were visits as frequent as things are.
    design = walked[["row"]].assign(hue="design", mean=shares["design"]).drop_duplicates()
    kinds_of, flat = walked.groupby("hue")["mean"].mean()[["own world", "exchangeable"]]
    return rows(
        pd.concat([walked, design]).assign(panel=""),
        {"": ""},
        "first visits to the usual type",
        ["own world", "exchangeable", "design"],
        SHARE,
        1 / 3,
        message=f"Told a colour, a blind agent walks to its usual type in {kinds_of:.0%}; "
        f"without kinds, {flat:.0%}",
        width=COLUMN,
        names=NAMES | {"own world": "rooms of kinds"},
    )
