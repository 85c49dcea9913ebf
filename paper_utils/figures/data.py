"""Figures of notebook 01: rooms and films, what is seen of a room, and what is said there.

Rooms are Minigrid's own pictures on white, because black ones print badly."""

import textwrap
from collections.abc import Iterable, Sequence

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from minigrid.core.constants import OBJECT_TO_IDX
from minigrid.core.grid import Grid

from paper_utils.data import expert, levels
from paper_utils.data.expert import Recording
from paper_utils.figures.style import COLUMN, PAGE, panels, plt

TILE = 32  # pixels of a cell
STEPS = 7  # of a film, side by side
UP = 3  # the direction of an agent that looks up
LABEL = {"facecolor": "white", "alpha": 0.8, "linewidth": 0, "pad": 0.2}
INK = "#333333"
PALE = "#B0B0B0"
# The greys of a picture (floor, lit floor, wall, lit wall, white), and what they become.
GREYS = [0, 76, 100, 146, 255]
GREYS_ON_WHITE = [255, 226, 150, 130, 90]


def on_white(picture: np.ndarray) -> np.ndarray:
    """One of Minigrid's pictures uint8[H, W, 3] with a white floor; cells that are seen are grey.

    >>> on_white(np.array([[[0, 0, 0], [76, 76, 76]]], np.uint8))[0, :, 0].tolist()
    [255, 226]
    """
    values = picture.astype(float)
    brightest = values.max(axis=-1, keepdims=True)
    darkest = values.min(axis=-1, keepdims=True)
    greys = np.interp(brightest, GREYS, GREYS_ON_WHITE)
    # Where black shines through the edge of a thing, white does now.
    tints = values + 255 - brightest
    # A little darker, because yellow on white cannot be seen.
    tints *= 0.82
    is_grey = brightest - darkest < 12
    return np.where(is_grey, greys, tints).astype(np.uint8)


def room(env) -> np.ndarray:
    """The room that the agent of a level is in, uint8[H, W, 3]: of a maze, no more."""
    here = env.room_from_pos(*env.agent_pos)
    picture = env.get_frame(tile_size=TILE)
    # In cells, and so many pixels a cell.
    left, top, width, height = np.multiply([*here.top, *here.size], TILE)
    return on_white(picture[top : top + height, left : left + width])


def headline(figure: Figure, text: str) -> None:
    """What a figure shows, in bold above all of its panels."""
    letters = int(16 * figure.get_figwidth())  # of a line
    text = textwrap.fill(text, letters)
    figure.suptitle(text, x=0.01, ha="left", fontsize=9, fontweight="bold")


def pictures(
    images: Sequence, titles: Iterable[str], columns: int = 4, message: str = ""
) -> Figure:
    """A grid of pictures as wide as the page, each under its title; None leaves a place empty."""
    width = PAGE / columns
    figure, axes = panels(len(images), columns, PAGE, width + 0.35)
    letters = int(15 * width)  # of a line
    for axis, image, title in zip(axes, images, titles):
        axis.set_axis_off()
        if image is None:
            continue
        axis.imshow(image)
        # Lines of their own stay so: a level, and then its sentence.
        lines = [textwrap.fill(line, letters) for line in title.splitlines()]
        axis.set_title("\n".join(lines), fontsize=7.5, fontweight="normal", loc="center")
    headline(figure, message)
    return figure


def gallery(names: Sequence[str], world: int) -> Figure:
    """Two episodes of each level: the room, and what is asked there."""
    images = []
    titles = []
    # Row by row: first one episode of each level, then another.
    for seed in levels.seeds("pictures", 2, world):
        for name in names:
            env = levels.make(name, highlight=True)
            env.reset(seed=seed)
            images.append(room(env))
            titles.append(f"{name}\n“{env.mission}”")
    return pictures(images, titles, len(names), "The room does not tell what to do")


def worth_showing(level: str, seeds: Sequence[int], steps: range) -> int:
    """The first of some episodes that takes the expert one of ``steps``, in which four things are
    seen at first, and the agent looks up: so its view is turned as the room is.  Else the first."""
    env = levels.make(level)
    for seed in seeds:
        view = env.reset(seed=seed)[0]["image"]
        things = np.count_nonzero(view[..., 0] > OBJECT_TO_IDX["door"])
        # The cheap questions first: an episode takes a while.
        if env.agent_dir != UP or things < 4:
            continue
        if len(expert.rollout(env, level, seed).actions) in steps:
            return seed
    return seeds[0]


def _named_steps(film: Recording) -> list[str]:
    """What follows each frame of a film: an action, and at last how it ended."""
    end = "✓ done" if film.success else "✗ not done"
    return [*film.actions, end]


def filmstrip(films: dict[str, Recording], rows: int = 1) -> Figure:
    """Films frame by frame, each frame under the action that follows it; long ones skip frames.

    ``films``: name -> film, of one sentence; each has so many ``rows``."""
    images = []
    titles = []
    places = rows * STEPS
    for name, film in films.items():
        steps = _named_steps(film)
        last = len(steps) - 1
        # Of a long film evenly spaced frames, its first and last among them.
        shown = np.linspace(0, last, min(places, last + 1)).astype(int)
        for step in shown:
            images.append(on_white(film.frames[step]))
            titles.append(f"{step}: {steps[step]}")
        titles[-len(shown)] = f"{name}\n0: {steps[0]}"
        # The next film begins in a row of its own.
        empty = places - len(shown)
        images += [None] * empty
        titles += [""] * empty
    return pictures(images, titles, STEPS, f"“{film.instruction}”")


def moving(films: dict[str, Recording]) -> list[np.ndarray]:
    """Pictures uint8[H, W, 3] of films of one sentence that play side by side."""
    count = len(films)
    figure, axes = panels(count, count, 2.3 * count, 2.8)
    longest = max(len(film.frames) for film in films.values())
    shots = []
    for step in range(longest):
        for axis, (name, film) in zip(axes, films.items()):
            steps = _named_steps(film)
            # A film that has ended waits for the other.
            now = min(step, len(steps) - 1)
            axis.clear()
            axis.set_axis_off()
            axis.imshow(on_white(film.frames[now]))
            axis.set_title(f"{name}\n{now}: {steps[now]}")
        headline(figure, f"“{film.instruction}”")
        figure.canvas.draw()
        # A copy, because the next picture is drawn into the same memory.
        shot = np.array(figure.canvas.buffer_rgba())
        shots.append(shot[..., :3])
    plt.close(figure)
    return shots


def seen(env, view: np.ndarray) -> Figure:
    """A room in which the agent looks up, and its view uint8[7, 7, 3]: what is in each cell, and
    the three numbers that say so."""
    figure, axes = plt.subplots(1, 2, figsize=(PAGE, 3.9), width_ratios=[1, 1.3])
    left, right = axes
    left.imshow(room(env))
    left.set_title("the room (grey: seen)", fontweight="normal")
    # The view as Minigrid draws it: the agent in the middle of the last row.
    grid, is_seen = Grid.decode(view)
    picture = grid.render(2 * TILE, agent_pos=(3, 6), agent_dir=UP, highlight_mask=is_seen)
    # In units of cells, so that numbers find theirs.
    right.imshow(on_white(picture), extent=(0, 7, 7, 0))
    right.set_title("the view: object, colour, state (0 0 0: not seen)", fontweight="normal")
    for x, y in np.ndindex(7, 7):
        numbers = " ".join(map(str, view[x, y]))
        right.text(x + 0.5, y + 0.99, numbers, fontsize=7, ha="center", va="bottom", bbox=LABEL)
    left.set_axis_off()
    right.set_axis_off()
    headline(figure, "The agent gets no picture: it gets three small numbers for each cell")
    return figure


def lengths(episodes: pd.DataFrame) -> Figure:
    """How many steps demonstrations take, level by level.  ``episodes``: level and steps."""
    by_level = episodes.groupby("level")["steps"]
    medians = by_level.median().sort_values()
    figure, (axis,) = panels(1, 1, COLUMN, 0.3 * len(medians) + 1)
    axis.boxplot(
        [by_level.get_group(level) for level in medians.index],
        tick_labels=medians.index,
        orientation="horizontal",
        whis=(5, 95),
        showfliers=False,
        medianprops={"color": INK, "linewidth": 2},
    )
    axis.invert_yaxis()
    axis.set_xlabel("steps of the expert (middle 50 %, middle 90 %)")
    ratio = medians.iloc[-1] / medians.iloc[0]
    longest = medians.index[-1]
    headline(figure, f"{longest} takes {ratio:.1f} times the steps of {medians.index[0]} (medians)")
    return figure


def templates(instructions: pd.DataFrame) -> Figure:
    """How many sentences there are of each form."""
    forms = instructions["template"].replace(r"\{(second_)?(\w+)\}", r"‹\2›", regex=True)
    counts = forms.value_counts()
    figure, (axis,) = panels(1, 1, PAGE, 0.22 * len(counts) + 0.8)
    bars = axis.barh(counts.index, counts, color=PALE)
    # The title speaks of the commonest.
    bars[0].set_color(INK)
    axis.bar_label(bars, padding=3, fontsize=7.5)
    axis.invert_yaxis()
    share = counts.iloc[0] / len(forms)
    headline(figure, f"One form makes up {share:.0%} of the {len(forms)} sentences")
    return figure
