"""Figures of notebook 02: how agents are trained, and how often they do what they are told."""

from IPython.display import DisplayHandle

from paper_utils.cloning.evaluation import success_rates
from paper_utils.figures.robustness import over_all_worlds
from paper_utils.figures.style import COLOURS, COLUMN, SHARE, panels, plt, rows

EVERY = 25  # steps between two drawings of a live curve
PLAYERS = ["expert", "acted", "exchanged", "never_acted", "random"]  # from the best


class LiveLoss:
    """A loss curve in a notebook that grows while a loop runs; ``losses`` holds all so far."""

    def __init__(self):
        self.losses = []
        self.shown = DisplayHandle()  # where the notebook shows it
        self.shown.display({}, raw=True)

    def add(self, loss):
        """Takes the loss of a step, and draws the curve now and then."""
        self.losses.append(loss)
        # Not always: drawing takes longer than a step.
        if len(self.losses) % EVERY == 0:
            figure, (axis,) = panels(1, 2, width=COLUMN)
            axis.plot(self.losses, color=COLOURS["acted"])
            axis.set(xlabel="step of the optimiser", ylabel="loss, nats per action")
            self.shown.update(figure)
            # Else the notebook shows it once more when the cell ends.
            plt.close(figure)


def success(episodes, names):
    """Success of each player by level, with 95 % intervals: over worlds, or if there is one world
    over episodes (Wilson).

    ``episodes``: a row each, with world, player, level and success."""
    values = success_rates(episodes, ["player", "level", "world"])
    values = values.rename(columns={"player": "row", "level": "panel", "success": "mean"})
    # Worlds are the unit, as soon as there are several.
    if values["world"].nunique() > 1:
        values = over_all_worlds(values[["row", "panel", "world"]].assign(value=values["mean"]))
    means = values.groupby("row")["mean"].mean()
    return rows(
        values,
        dict(zip(names, names)),
        "success",
        limits=SHARE,
        order=PLAYERS,
        message=f"Agents that acted succeed in {means['acted']:.0%} of fresh episodes; "
        f"after wrong instructions, in {means['exchanged']:.0%}",
    )
