"""Every plot of the paper, in one style: a fixed colour per modality, intervals and references."""

import re
import textwrap
import warnings
from collections.abc import Sequence
from itertools import cycle

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib import pyplot as plt
from matplotlib.animation import FuncAnimation
from matplotlib.figure import Figure

# Colours are of Okabe and Ito, safe for colour-blind readers.
MODALITY = {"action": "#D55E00", "language": "#0072B2", "vision-language": "#009E73",
            "lexical": "#7F7F7F"}  # fmt: skip
PAPER = (0.70, 0.73)  # precision@15 with decoders and BLIP, as the paper's abstract gives it
REPORTED = ("LLaMA", "Qwen", "DeepSeek", "BLIP")
ACCENTS = ["#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9"]
GREY, TOLD = "#7F7F7F", "#CC79A7"  # TOLD: controls that were told the dictionary
PLAYER = {"expert": "#000000", "trained": "#D55E00", "bilingual": "#8C3B00",
          "bilingual-shuffled": "#009E73", "held-out": "#CC79A7", "shuffled": "#E69F00",
          "untrained": "#56B4E9", "random": "#7F7F7F"}  # fmt: skip
NAMED = {"red": "#D62728", "green": "#2CA02C", "blue": "#1F77B4", "purple": "#7B3FA0",
         "yellow": "#E6C200", "grey": "#7F7F7F", "(none)": "#000000"}  # fmt: skip
CHANCE = {"color": "black", "linestyle": ":", "linewidth": 1}
LEARNED = ("trained", "bilingual")  # kinds of encoders that are no controls
PANELS = {"mutual_knn": "mutual k-NN", "linear_cka": "linear CKA", "rsa": "RSA",
          "in_sample": "in sample", "verb_type": "verb with type"}  # fmt: skip

# Grids of seaborn lay themselves out, and say so.
warnings.filterwarnings("ignore", message="The figure layout has changed to tight")
sns.set_theme(style="ticks", context="paper", font_scale=1.1, rc={
    "axes.spines.right": False, "axes.spines.top": False, "axes.titleweight": "bold",
    "axes.titlesize": "medium", "axes.titlelocation": "left",
    "axes.prop_cycle": plt.cycler(color=ACCENTS), "errorbar.capsize": 2.5,
    "figure.constrained_layout.use": True, "legend.frameon": False, "pdf.fonttype": 42,
    "svg.hashsalt": "paper",
})  # fmt: skip


def tint(encoder) -> str:
    """The colour of an encoder's record: its modality's, or a control's, told or not."""
    if encoder.kind == "told":
        return TOLD
    return MODALITY[encoder.modality if encoder.kind in LEARNED else "lexical"]


def _points(axis, at, rows: pd.DataFrame, column: str, along: str = "y", **how) -> None:
    """Values of a column with their intervals (low, high), if any, at places on the other axis."""
    error = None
    if "low" in rows:
        error = np.clip([rows[column] - rows["low"], rows["high"] - rows[column]], 0, None)
    x, y = (at, rows[column]) if along == "y" else (rows[column], at)
    axis.errorbar(x, y, **{f"{along}err": error}, **({"fmt": "o", "markersize": 4.5} | how))


def _panels(count: int, columns: int, width: float, height: float, **how):
    """A figure and its first ``count`` axes, in rows; the others are empty."""
    columns, rows = min(columns, count), -(-count // min(columns, count))
    size = width * columns, height * rows
    figure, axes = plt.subplots(rows, columns, figsize=size, squeeze=False, **how)
    for axis in axes.flat[count:]:
        axis.set_axis_off()
    return figure, list(axes.flat[:count])


def points(
    table: pd.DataFrame, x: str, y: str, hue: str, panel: str | None = None, *,
    colours: dict[str, str] | None = None, line: float | None = None, columns: int = 4,
    size: tuple[float, float] = (2.9, 2.7), limits: tuple[float, float] | None = None,
    label: str = "",
) -> Figure:  # fmt: skip
    """Values of column ``y`` by category ``x``, a colour per ``hue``, a panel per ``panel``.

    Intervals are drawn where the table has them (low, high); ``line``: dotted across, as chance;
    ``label``: what ``y`` is."""
    names = list(dict.fromkeys(table[panel])) if panel else [""]
    hues = list(dict.fromkeys(table[hue]))
    colours = colours or dict(zip(hues, cycle([*ACCENTS, GREY])))
    figure, axes = _panels(len(names), columns, *size, sharey=limits is not None)
    for i, (axis, name) in enumerate(zip(axes, names)):
        part = table[table[panel] == name] if panel else table
        places = list(dict.fromkeys(part[x]))
        for number, one in enumerate(hues):
            rows = part[part[hue] == one]
            at = rows[x].map(places.index) + 0.7 * ((number + 0.5) / len(hues) - 0.5)
            _points(axis, at, rows, y, color=colours[one], label=one)
        if line is not None:
            axis.axhline(line, **CHANCE)
        slant = {"rotation": 35, "ha": "right"} if len(names) > 1 or len(places) > 6 else {}
        axis.set_xticks(range(len(places)), places, fontsize=8.5, **slant)
        axis.set(ylim=limits, title=PANELS.get(name, str(name)))
        axis.set_ylabel("" if i % columns else label or y)
        axis.grid(axis="y", linewidth=0.4)
    if len(hues) > 1:
        widest = max(3, round(size[0] * len(axes) / 1.4))
        _legend_above(figure, axes[0], ncols=min(len(hues), widest))
    return figure


def _legend_above(figure: Figure, axis, ncols: int = 3, **how) -> None:
    named = axis.get_legend_handles_labels()
    figure.legend(*named, loc="outside upper center", ncols=ncols, **how)


def pictures(frames: Sequence[np.ndarray], titles: Sequence[str], columns: int = 4,
             size: float = 2.0) -> Figure:  # fmt: skip
    """A grid of pictures, each under its caption."""
    figure, axes = _panels(len(frames), columns, size, size + 0.45)
    for axis, frame, title in zip(axes, frames, titles):
        axis.set_axis_off()
        axis.imshow(frame, interpolation="nearest")
        lines = "\n".join(textwrap.fill(line, int(13 * size)) for line in title.splitlines())
        axis.set_title(lines, fontsize=8.5, fontweight="normal", loc="center")
    return figure


def filmstrip(film) -> Figure:
    """An episode frame by frame, at most 14, each frame under the action that follows it."""
    shown = np.unique(np.linspace(0, len(film.frames) - 1, min(14, len(film.frames))).astype(int))
    captions = [*film.actions, "done" if film.success else "not done"][: len(film.frames)]
    titles = [f"{step}: {captions[step]}" for step in shown]
    columns = -(-len(shown) // -(-len(shown) // 7))  # rows of equal length, at most seven
    figure = pictures([film.frames[i] for i in shown], titles, columns, size=1.5)
    figure.suptitle(f"“{film.instruction}”", fontsize=10, fontweight="bold")
    return figure


def channels(frame: np.ndarray, view: np.ndarray) -> Figure:
    """The scene beside the three channels of the agent's 7 x 7 view (agent at the bottom): numbers
    of the array and what they mean; hidden cells are hatched, walls grey."""
    from minigrid.core.constants import IDX_TO_COLOR, IDX_TO_OBJECT

    figure, axes = plt.subplots(1, 4, figsize=(11, 3.2), width_ratios=[1.15, 1, 1, 1])
    axes[0].imshow(frame, interpolation="nearest")
    axes[0].set_title("scene (agent: red; lit: its view)")
    states = {0: "open", 1: "closed", 2: "locked"}
    for channel, (axis, title) in enumerate(zip(axes[1:], ("object", "colour", "door state"))):
        for x, y in np.ndindex(7, 7):  # the array is (x, y), as a picture is
            kind, colour = IDX_TO_OBJECT[view[x, y, 0]], IDX_TO_COLOR[view[x, y, 1]]
            thing = kind in ("door", "key", "ball", "box")
            face = {"unseen": "#3A3A3A", "wall": "#BDBDBD"}.get(kind, "white")
            axis.add_patch(plt.Rectangle(
                (x, y), 1, 1, facecolor=NAMED[colour] if channel == 1 and thing else face,
                edgecolor="#8A8A8A", linewidth=0.6, hatch="////" if kind == "unseen" else None,
            ))  # fmt: skip
            if thing:
                text = (kind, colour, states[view[x, y, 2]] if kind == "door" else "–")[channel]
                dark = channel == 1 and colour not in ("yellow", "grey")
                axis.text(x + 0.5, y + 0.5, f"{text}\n{view[x, y, channel]}", ha="center",
                          va="center", fontsize=7, color="white" if dark else "black")  # fmt: skip
        axis.add_patch(plt.Rectangle((3, 6), 1, 1, fill=False, edgecolor="#D55E00", linewidth=2.5))
        axis.set(xlim=(0, 7), ylim=(7, 0), aspect="equal", title=f"channel {channel}: {title}")
    for axis in axes:
        axis.set_axis_off()
    return figure


def look(axis, film, step: int) -> None:
    """Where the policy looks at a step (orange frames): mean attention over queries."""
    from minigrid.core.grid import Grid

    grid, visible = Grid.decode(film.views[step])
    picture = grid.render(16, agent_pos=(3, 6), agent_dir=3, highlight_mask=visible)
    axis.clear()
    axis.imshow(picture, interpolation="nearest")
    weight = film.attention[step].mean(0).T  # (y, x)
    for (y, x), share in np.ndenumerate(weight / weight.max()):
        axis.add_patch(plt.Rectangle((16 * x + 1, 16 * y + 1), 13, 13, fill=False, linewidth=3,
                                     edgecolor=ACCENTS[4], alpha=share))  # fmt: skip
    axis.set_title(f"{step}: {film.actions[step]}", fontsize=9, fontweight="normal", loc="center")
    axis.set_axis_off()


def attention(film, steps: Sequence[int]) -> Figure:
    """`look` at several steps, side by side."""
    figure, axes = _panels(len(steps), len(steps), 1.9, 2.5)
    for axis, step in zip(axes, steps):
        look(axis, film, step)
    figure.suptitle(f"“{film.instruction}”", fontsize=10, fontweight="bold")
    return figure


def slider(film) -> str:
    """HTML: `look` at every step of an episode (at most 60), with a slider to move through it."""
    figure, axis = plt.subplots(figsize=(3, 3.2))
    steps = min(len(film.actions), 60)
    moving = FuncAnimation(figure, lambda step: look(axis, film, step), frames=steps)
    page = moving.to_jshtml(fps=2, default_mode="once")
    plt.close(figure)
    # Its buttons need icons from elsewhere; a random name would differ in every run.
    page = re.sub("<link[^>]*>", "<style>.anim-buttons,.anim-state{display:none}</style>", page)
    return re.sub("[0-9a-f]{32}", "episode", page)


def _plane(space: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Two principal components (N, 2), jittered so that equal points show; shares of variance."""
    from sklearn.decomposition import PCA

    components = PCA(2, svd_solver="full")
    points = components.fit_transform(space)
    jitter = np.random.default_rng(0).normal(size=points.shape) * np.ptp(points, axis=0) / 100
    return points + jitter, components.explained_variance_ratio_


def _tints(labels: pd.Series, named: bool) -> dict[str, str]:
    values = sorted(set(labels))
    return {value: NAMED[value] for value in values} if named else dict(zip(values, ACCENTS))


def maps(spaces: dict[str, np.ndarray], labels: pd.Series, named: bool = False) -> Figure:
    """Two principal components of each space, a point per instruction, coloured by a factor;
    ``named`` draws colours as they are called."""
    labels = labels.replace("", "(none)")
    tints = _tints(labels, named)
    order = np.random.default_rng(0).permutation(len(labels))  # no colour always on top
    figure, axes = _panels(len(spaces), 4, 2.8, 2.8)
    for axis, (name, space) in zip(axes, spaces.items()):
        points, share = _plane(space)
        sns.scatterplot(
            x=points[order, 0], y=points[order, 1], hue=labels.to_numpy()[order], palette=tints,
            hue_order=list(tints), s=14, linewidth=0, alpha=0.55, legend=axis is axes[0], ax=axis,
        )  # fmt: skip
        axis.set(xticks=[], yticks=[])
        axis.set_title(name, fontsize=9)
        axis.set_xlabel(f"{share[0]:.0%} of variance", fontsize=8)
        axis.set_ylabel(f"{share[1]:.0%}", fontsize=8)
    axes[0].get_legend().remove()
    _legend_above(figure, axes[0], ncols=len(tints), markerscale=2)
    return figure


def hover(spaces: dict[str, np.ndarray], labels: pd.Series, texts: Sequence[str]) -> str:
    """HTML: `maps` whose points show their sentences when the mouse rests on them."""
    tints, parts = _tints(labels, named=False), []
    for name, space in spaces.items():
        points, _ = _plane(space)
        low, high = points.min(axis=0), points.max(axis=0)
        dots = "".join(
            f'<circle cx="{x:.0f}" cy="{y:.0f}" r="4" fill="{tints[label]}" fill-opacity=".55">'
            f"<title>{text}</title></circle>"
            for (x, y), label, text in zip(10 + 280 * (points - low) / (high - low), labels, texts)
        )
        picture = f"<svg width='300' height='300'>{dots}</svg><figcaption>{name}</figcaption>"
        parts.append(f"<figure style='display:inline-block;margin:4px'>{picture}</figure>")
    return "".join(parts)


def answer(headline: pd.DataFrame, second: pd.DataFrame, k: int) -> Figure:
    """The paper's measure beside second names, a row per reference.

    ``headline``: `study.headline`; ``second``: columns reference, value, low, high (of agents) and
    control (the best of all controls with that reference), in second names."""
    figure, axes = plt.subplots(1, 2, figsize=(9.5, 0.42 * len(headline) + 1.7), sharey=True)
    y, action = np.arange(len(headline))[::-1], MODALITY["action"]
    second = second.set_index("reference").reindex(headline["reference"]).reset_index()
    for row in y[headline["reference"].isin(REPORTED)]:
        axes[0].fill_betweenx([row - 0.5, row + 0.5], *PAPER, color=action, alpha=0.15, linewidth=0)
    axes[0].text(np.mean(PAPER), len(headline) - 0.45, "as reported", fontsize=8, ha="center")
    axes[0].text(headline["chance"].iloc[0] + 0.01, -0.5, "chance", fontsize=8)
    best = headline[["lexical", "untrained_agent"]].max(axis=1)
    for axis, rows, control in ((axes[0], headline, best), (axes[1], second, second["control"])):
        axis.plot(control, y - 0.12, "D", color=GREY, markersize=5, label="best control")
        _points(axis, y + 0.1, rows, "value", along="x", color=action, markersize=6, label="agents")
        axis.axvline(headline["chance"].iloc[0], **CHANCE)
        axis.set(xlim=(-0.02, 1.02), ylim=(-0.6, len(headline) - 0.2), xlabel=f"precision@{k}")
        axis.grid(axis="x", linewidth=0.4)
    axes[0].set_title("First names: the paper's measure")
    axes[1].set_title("Second names: shared words cannot help")
    axes[0].set_yticks(y, headline["reference"])
    axes[1].legend(loc="best", fontsize=8.5)
    return figure


def dots(table: pd.DataFrame, panels: dict[str, str], order: Sequence[str], label: str,
         colours: dict[str, str], chances: dict[str, float]) -> Figure:  # fmt: skip
    """A panel per measure, a row per encoder: seeds as small dots and their mean as a large one, or
    intervals.  ``table``: columns encoder, measure, value; low and high, where there are any;
    ``label``: what the values are."""
    size = (2.5 * len(panels) + 2, 0.25 * len(order) + 1.1)
    figure, axes = plt.subplots(1, len(panels), figsize=size, sharey=True, squeeze=False)
    y = dict(zip(order, range(len(order))[::-1]))
    for axis, (measure, title) in zip(axes[0], panels.items()):
        part = table[(table["measure"] == measure) & table["encoder"].isin(order)]
        for name, each in part.groupby("encoder"):
            place = [y[name]] * len(each)
            if "low" in each:
                _points(axis, place, each, "value", along="x", color=colours[name])
                continue
            axis.plot(each["value"], place, "o", color=colours[name], alpha=0.3, markersize=3)
            axis.plot(each["value"].mean(), y[name], "o", color=colours[name], markersize=6)
        if measure in chances:
            axis.axvline(chances[measure], **CHANCE)
        axis.set(title=title, xlim=(-0.03, 1.03), xlabel=label)
        axis.grid(axis="x", linewidth=0.4)
    axes[0, 0].set_yticks(list(y.values()), list(y))
    return figure
