"""Figures of notebook 05: rooms of kinds, colour maps, who agrees, and what agents expect."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from sklearn.decomposition import KernelPCA

from paper_utils.alignment.retrieval import rotation
from paper_utils.data import kinds, levels
from paper_utils.figures.alignment import OWN, SHARED, WHOLE, draw, said, values_of
from paper_utils.figures.style import (
    CHANCE,
    COLUMN,
    PAGE,
    THINGS,
    chance_line,
    legend_above,
    panels,
)

BLIND = ["blind agent ~ LLaMA", "blind agent ~ blind CLIP", "LLaMA ~ blind CLIP"]
SEEING = [f"seeing agent ~ {other}" for other in ("design", "LLaMA", "blind CLIP")]
EXCLUSIVE = [f"exclusive agent ~ {other}" for other in ("design", "LLaMA", "blind CLIP")]
# Who learned in the same world, and everything that should fail.
CONDITIONS = [
    "own world",
    "other world",
    "exchangeable",
    "never_acted",
    "codebook",
    "edit_distance",
]
CLAIMS = [
    "blind agents share kinds with language and vision",
    "seeing agents have kinds with the opposite sign",
    "in exclusive rooms seeing agents agree again",
]
ROOMS = {"own world": "learned where colours have kinds", "exchangeable": "learned in flat rooms"}


def rooms(worlds: Sequence[int], count: int = 3) -> Figure:
    """A row per world: ``count`` of its rooms, and P(type | colour) as the areas of dots."""
    columns = count + 1
    figure, axes = panels(columns * len(worlds), columns, PAGE, PAGE / columns + 0.1)
    # Panels are filled one after another, whatever a row holds.
    remaining = iter(axes)
    for world in worlds:
        env = levels.make("GoToLocal", rooms="kinds", world=world)
        # Rooms that the stories tell of.
        for episode in levels.seeds("text", count, world, "kinds"):
            env.reset(seed=episode)
            axis = next(remaining)
            axis.imshow(env.get_frame(highlight=False, tile_size=16))
            axis.set_axis_off()
            axis.set_title(f"world {world}")
        _design(next(remaining), kinds.design(world))
    return figure


def _design(axis: Axes, design: pd.DataFrame) -> None:
    """P(type | colour), colours of one kind together."""
    # Sorted by its columns, so that colours of one kind are neighbours.
    ordered = design.sort_values(list(design))
    hues = ordered.index.map(THINGS)
    for kind, shares in ordered.items():
        axis.scatter(np.full(6, kind), ordered.index, s=90 * shares, c=hues)
    axis.margins(0.15)
    axis.set_title("how often")
    axis.tick_params(length=0)


def maps(
    axes: Sequence[Axes], measured: Mapping[str, pd.DataFrame], learners: Sequence[str], world: int
) -> None:
    """Distances (6, 6) of colours in two dimensions, a map per learner, turned onto the design's.
    Lines join the colours of a kind."""
    # What the rooms are made from is what all maps are turned to.
    target = _plane(measured["design"])
    kind_of = kinds.design(world).idxmax(axis=1)
    for axis, learner in zip(axes, learners):
        points = _plane(measured[learner])
        # A map may be turned and mirrored at will: only distances mean something.
        turned = points @ rotation(points.to_numpy(), target.to_numpy())
        for _, members in turned.groupby(kind_of):
            # Of two colours a line, of three a triangle.
            axis.fill(members[0], members[1], facecolor="none", edgecolor="#BBBBBB")
        for colour, (x, y) in turned.iterrows():
            axis.plot(x, y, "o", color=THINGS[colour])
            axis.text(x, y + 0.08, colour, ha="center", fontsize=7)
        axis.set(xticks=[], yticks=[], box_aspect=1, title=learner)
        # Two of five dimensions: how much of the learner does the picture show?
        axis.set_xlabel(f"{points.attrs['share']:.0%} of its structure")
        axis.margins(0.25)


def _plane(square: pd.DataFrame) -> pd.DataFrame:
    """Two dimensions (6, 2) of cosine distances, and in ``attrs`` the share that they hold."""
    # Cosines, one minus these distances, are a kernel: principal components need no vectors.
    components = KernelPCA(kernel="precomputed")
    points = components.fit_transform(1 - square.to_numpy())
    plane = pd.DataFrame(points[:, :2], index=square.index)
    strengths = components.eigenvalues_
    plane.attrs["share"] = strengths[:2].sum() / strengths.sum()
    return plane


def colour_maps(
    measured: Mapping[str, pd.DataFrame], learners: Sequence[str], world: int
) -> Figure:
    """A map of six colours for each of up to four learners."""
    figure, axes = panels(len(learners), 4, PAGE, 2.0)
    maps(axes, measured, learners, world)
    return figure


def agreement(differences: pd.DataFrame) -> Figure:
    """Those that must predict from colour: do they hold colours alike, beside every control?"""
    values = values_of(differences, "structure", "r")
    figure, (axis,) = panels(1, 1, PAGE, 3.2)
    # Above another world's models: kinds, not habits of an architecture, are shared.
    llama = said(values, SHARED, OWN, BLIND[0])
    clip = said(values, SHARED, OWN, BLIND[1])
    title = f"kinds of colours, blind agent with LLaMA: {llama}; with blind CLIP: {clip}"
    draw(axis, values, BLIND, CONDITIONS, xlim=WHOLE, title=title)
    axis.axvline(0, **CHANCE)
    axis.set_xlabel("r of the distances between six colours")
    legend_above(figure, axis, columns=6)
    return figure


def sign(differences: pd.DataFrame, measured: Mapping[str, pd.DataFrame], world: int) -> Figure:
    """Agents that see colours: their maps in one world, and r over worlds."""
    values = values_of(differences, "structure", "r")
    figure, axes = panels(3, 3, PAGE, 2.8, width_ratios=[1, 1, 1.6])
    # One world can be looked at; only several can be believed.
    maps(axes, measured, ["seeing agent", "exclusive agent"], world)
    seeing = said(values, SHARED, "own world", SEEING[0])
    exclusive = said(values, SHARED, "own world", EXCLUSIVE[0])
    title = f"kinds, seeing agent: {seeing};\nin exclusive rooms: {exclusive}"
    pairs = SEEING + EXCLUSIVE
    draw(axes[2], values, pairs, ["own world"], xlim=WHOLE, title=title)
    axes[2].axvline(0, **CHANCE)
    axes[2].set_xlabel("r of six colours")
    return figure


def visits(shares: pd.DataFrame) -> Figure:
    """What a blind agent that is told a colour walks to first: the share of its usual type.

    ``shares``: role, rooms where it learned, mean, low, high; ``design``, the type's frequency."""
    roles = list(shares["role"].unique())
    # Where an agent learned has the hue that it has in the other figures.
    shares = shares.assign(rooms=shares["rooms"].replace("kinds", "own world"))
    figure, (axis,) = panels(1, 1, COLUMN, 2.9)
    draw(axis, shares, roles, list(ROOMS), of="role", by="rooms", names=ROOMS)
    # Where points would lie, were visits as frequent as things are.
    frequent = shares.drop_duplicates("role")["design"]
    axis.plot(frequent, axis.get_yticks(), "|", color="black", label="how often in rooms")
    chance_line(axis, 1 / 3)
    axis.set_xlabel("first visits to the usual type")
    legend_above(figure, axis, columns=1)
    return figure
