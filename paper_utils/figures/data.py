"""Figures of notebook 01: rooms and films, what is seen of a room, and what is said there.

Rooms are Minigrid's own pictures on white, because black ones print badly."""

import textwrap
from itertools import product

import numpy as np
from minigrid.core.constants import OBJECT_TO_IDX
from minigrid.core.grid import Grid

from paper_utils.data import levels
from paper_utils.figures.style import PAGE, headline, panels, plt

TILE = 32  # pixels of a cell
UP = 3  # the direction of an agent that looks up
# The greys of a picture (floor, lit floor, wall, lit wall, white), and what they become.
GREYS = [0, 76, 100, 146, 255]
GREYS_ON_WHITE = [255, 226, 150, 130, 90]


def on_white(picture):
    """One of Minigrid's pictures uint8[H, W, 3] with a white floor; cells that are seen are grey.

    >>> on_white(np.array([[[0, 0, 0], [76, 76, 76]]], np.uint8))[0, :, 0].tolist()
    [255, 226]
    """
    brightest = picture.max(axis=-1, keepdims=True)
    # Where black shines through the edge of a thing, white does now; a little darker, because
    # yellow on white cannot be seen.
    tints = 0.82 * (255.0 - brightest + picture)
    is_grey = np.ptp(picture, axis=-1, keepdims=True) < 12
    greys = np.interp(brightest, GREYS, GREYS_ON_WHITE)
    return np.where(is_grey, greys, tints).astype(np.uint8)


def room(env):
    """The room that the agent of a level is in, uint8[H, W, 3]: of a maze, no more."""
    here = env.room_from_pos(*env.agent_pos)
    # In cells, and so many pixels a cell.
    left, top, width, height = np.multiply([*here.top, *here.size], TILE)
    return on_white(env.get_frame(tile_size=TILE)[top:, left:][:height, :width])


def pictures(images, titles, columns, message):
    """A grid of pictures as wide as the page, each under its title."""
    width = PAGE / columns
    wrapper = textwrap.TextWrapper(int(15 * width))
    # Lines of their own stay so: a level, and then its sentence.
    titles = ["\n".join(map(wrapper.fill, title.splitlines())) for title in titles]
    lines = 1 + max(title.count("\n") for title in titles)
    figure, axes = panels(len(images), width + 0.14 * lines + 0.5, columns)
    for axis, image, title in zip(axes, images, titles):
        axis.set_axis_off()
        axis.imshow(image)
        axis.set_title(title, fontsize=7.5, fontweight="normal", loc="center")
    headline(figure, message)
    return figure


def gallery(names, world):
    """Two episodes of each level: the room, and what is asked there."""
    shown = []
    # Row by row: first one episode of each level, then another.
    for seed, name in product(levels.seeds("pictures", 2, world), names):
        env = levels.make(name, highlight=True)
        env.reset(seed=seed)
        shown.append((room(env), f"{name}\n“{env.mission}”"))
    return pictures(*zip(*shown), len(names), "The room does not say what to do")


def worth_showing(level, seeds):
    """The first of some episodes in which four things are seen at first, and the agent looks up:
    so its view is turned as the room is.  Else the first."""
    env = levels.make(level)
    for seed in seeds:
        things = env.reset(seed=seed)[0]["image"][..., 0] > OBJECT_TO_IDX["door"]
        if env.agent_dir == UP and things.sum() >= 4:
            return seed
    return seeds[0]


def moving(films):
    """Pictures uint8[H, W, 3] of films of one sentence that play side by side, each frame under
    the action that follows it."""
    count = len(films)
    figure, axes = panels(count, 2.8, width=2.3 * count)
    longest = max(films.values(), key=lambda film: len(film.frames))
    headline(figure, f"“{longest.instruction}”")
    screens = []
    for axis, film in zip(axes, films.values()):
        axis.set_axis_off()
        screens.append(axis.imshow(on_white(film.frames[0])))
    shots = []
    for step in range(len(longest.frames)):
        for screen, (name, film) in zip(screens, films.items()):
            # A film that has ended waits for the other, and says how it ended.
            now = min(step, len(film.actions))
            said = [*film.actions, "✓ done" if film.success else "✗ not done"]
            screen.set_data(on_white(film.frames[now]))
            screen.axes.set_title(f"{name}\n{now}: {said[now]}")
        figure.canvas.draw()
        # Laid out once: pictures that move about are hard to watch, and take longer.
        figure.set_layout_engine("none")
        # A copy, because the next picture is drawn into the same memory.
        shots.append(np.array(figure.canvas.buffer_rgba())[..., :3])
    plt.close(figure)
    return shots


def seen(env, view):
    """A room in which the agent looks up, and its view uint8[7, 7, 3]: what is in each cell, and
    the three numbers that say so."""
    figure, (left, right) = panels(2, 3.9, width_ratios=[1, 1.3])
    left.imshow(room(env))
    left.set_title("the room (grey: seen)", fontweight="normal")
    # The view as Minigrid draws it: the agent in the middle of the last row.
    grid, is_seen = Grid.decode(view)
    picture = grid.render(2 * TILE, agent_pos=(3, 6), agent_dir=UP, highlight_mask=is_seen)
    # In units of cells, whose middles are whole numbers, so that numbers find theirs.
    # Pale, since what the agent gets is the numbers.
    right.imshow(on_white(picture), extent=(-0.5, 6.5, 6.5, -0.5), alpha=0.5)
    right.set_title("the view: object, colour, state (white: 0 0 0, not seen)", fontweight="normal")
    for x, y in np.argwhere(view[..., 0]):
        right.text(x, y, " ".join(map(str, view[x, y])), size=7.5, ha="center", va="center")
    left.set_axis_off()
    # Where x and y of the view count from.
    right.set(xticks=range(7), yticks=range(7), xlabel="x", ylabel="y")
    headline(figure, "The agent gets no picture: it gets three small numbers for each cell")
    return figure
