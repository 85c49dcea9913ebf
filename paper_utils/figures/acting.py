"""Figures of notebook 02: how agents are trained, and how often they do what they are told."""

import io
from collections.abc import Sequence

import numpy as np
import pandas as pd
import seaborn as sns
from IPython.display import Image, display
from matplotlib.figure import Figure

from paper_utils.cloning.evaluation import success_rates
from paper_utils.figures.data import INK, PALE, headline
from paper_utils.figures.style import (
    COLOURS,
    COLUMN,
    NAMES,
    PAGE,
    interval_points,
    panels,
    plt,
    rows_of_points,
)

EVERY = 25  # steps between two drawings of a live curve
PALER = "#F0A66E"  # the hue of who has acted, for one who was told less
AGENTS = ["acted", "exchanged", "never_acted"]
# Who plays, from the best: those who are no agents are grey.
PLAYERS = {"expert": INK}
PLAYERS |= {player: COLOURS[player] for player in AGENTS}
PLAYERS["random"] = PALE


class LiveLoss:
    """A loss curve in a notebook that grows while a loop runs; ``losses`` holds all so far."""

    def __init__(self):
        self.losses = []
        self.shown = None  # where the notebook shows it
        self.figure, (self.axis,) = panels(1, 1, COLUMN, 2)
        # Else the notebook shows it once more when the cell ends.
        plt.close(self.figure)

    def add(self, loss: float) -> None:
        """Takes the loss of a step, and draws the curve now and then."""
        self.losses.append(loss)
        # Not always: drawing takes longer than a step.
        if len(self.losses) % EVERY == 0:
            self._draw()

    def _draw(self) -> None:
        self.axis.clear()
        self.axis.plot(self.losses, color=COLOURS["acted"])
        self.axis.set(xlabel="step of the optimiser", ylabel="loss, nats per action")
        buffer = io.BytesIO()
        self.figure.savefig(buffer, format="png")
        picture = Image(buffer.getvalue())
        if self.shown is None:
            # Outside of a notebook this is None again, and every picture is one of its own.
            self.shown = display(picture, display_id=True)
        else:
            self.shown.update(picture)


def curves(table: pd.DataFrame) -> Figure:
    """Loss on held-out episodes while agents are cloned, a line for each world.

    ``table``: world, condition, epoch, step, validation_loss."""
    table = table[table["condition"].isin(AGENTS)]
    figure, (axis,) = panels(1, 1, COLUMN, 2.2)
    sns.lineplot(
        table,
        x="step",
        y="validation_loss",
        hue="condition",
        # A band of a few worlds would look more certain than it is.
        units="world",
        estimator=None,
        palette=COLOURS,
        marker=".",
        linewidth=0.8,
        legend=False,
        ax=axis,
    )
    # By epoch, because worlds differ by a few steps.
    last = table[table["epoch"] == table["epoch"].max()]
    ends = last.groupby("condition")["validation_loss"].mean()
    # Names stand at the lines' ends: no legend has to be looked up.
    for condition, loss in ends.items():
        axis.annotate(
            NAMES[condition],
            (last["step"].max(), loss),
            xytext=(6, 0),
            textcoords="offset points",
            va="center",
            color=COLOURS[condition],
        )
    axis.set(xlabel="step of the optimiser", ylabel="loss on held-out episodes")
    # From zero, so that a small gain looks small.
    axis.set_ylim(bottom=0)
    cost = ends["exchanged"] - ends["acted"]
    headline(figure, f"Trained equally long, wrong instructions cost {cost:.2f} nats per action")
    return figure


def success(episodes: pd.DataFrame, names: Sequence[str]) -> Figure:
    """Success of each player by level, a point with its Wilson interval for each world.

    ``episodes``: a row each, with world, player, level and success."""
    rates = success_rates(episodes, ["player", "level", "world"])
    figure, axes = panels(len(names), 4, PAGE, 2.1, sharey=True)
    for axis, level in zip(axes, names):
        for row, player in enumerate(PLAYERS):
            part = rates.query("player == @player and level == @level")
            # Worlds lie one below the other inside of a row.
            apart = np.arange(len(part)) - (len(part) - 1) / 2
            places = -row - 0.08 * apart
            interval_points(axis, part, "success", places, PLAYERS[player], capsize=0)
        axis.set(title=level, xlabel="success", xlim=(-0.05, 1.05))
    labels = [NAMES.get(player, player) for player in PLAYERS]
    axes[0].set_yticks([-row for row in range(len(labels))], labels)
    means = rates.groupby("player")["success"].mean()
    headline(
        figure,
        f"Agents do what they are told in {means['acted']:.0%} of fresh episodes; "
        f"cloned from wrong instructions, in {means['exchanged']:.0%}",
    )
    return figure


def compositions(rates: pd.DataFrame, names: Sequence[str]) -> Figure:
    """Success where a pair of words is said that the held-out agent never heard together.

    ``rates``: player, level, success, low, high."""
    figure, (axis,) = panels(1, 1, COLUMN, 0.35 * len(names) + 1.3)
    rows_of_points(
        axis,
        rates,
        of="level",
        value="success",
        hue="player",
        order=names,
        hues=["acted", "held_out"],
        colours={"acted": COLOURS["acted"], "held_out": PALER},
        names={"acted": "told such pairs", "held_out": "never told them"},
    )
    axis.set(xlabel="success where such a pair is said", xlim=(-0.05, 1.05))
    axis.legend(loc="center left")
    means = rates.groupby("player")["success"].mean()
    told = f"{means['held_out']:.0%}; told them: {means['acted']:.0%}"
    headline(figure, f"Never told such pairs of words: success {told}")
    return figure
