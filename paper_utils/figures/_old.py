"""Every plot of the paper, in one style: a fixed colour per modality, intervals and references."""

import warnings
from collections.abc import Sequence
from itertools import cycle

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib import pyplot as plt
from matplotlib.figure import Figure
from sklearn.decomposition import PCA

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
          "in_sample": "in sample"}  # fmt: skip

# Grids of seaborn lay themselves out, and say so.
warnings.filterwarnings("ignore", message="The figure layout has changed to tight")
sns.set_theme(style="ticks", context="paper", font_scale=1.1, rc={
    "axes.spines.right": False, "axes.spines.top": False, "axes.titleweight": "bold",
    "axes.titlesize": "medium", "axes.titlelocation": "left",
    "axes.prop_cycle": plt.cycler(color=ACCENTS), "errorbar.capsize": 2.5,
    "figure.constrained_layout.use": True, "legend.frameon": False,
    "pdf.fonttype": 42})  # fmt: skip


def _panels(count: int, columns: int, width: float, height: float, **how):
    """A figure and its first ``count`` axes, in rows; the others are empty."""
    columns, rows = min(columns, count), -(-count // min(columns, count))
    size = width * columns, height * rows
    figure, axes = plt.subplots(rows, columns, figsize=size, squeeze=False, **how)
    for axis in axes.flat[count:]:
        axis.set_axis_off()
    return figure, list(axes.flat[:count])


def points(
    table: pd.DataFrame, of: str, value: str, hue: str, panel: str | None = None, *,
    order: Sequence[str] | None = None, titles: dict[str, str] = PANELS, columns: int = 4,
    colours: dict[str, str] | None = None, chance: dict[str, float] | float | None = None,
    limits: tuple[float, float] | None = None, label: str = "",
    size: tuple[float, float] = (2.9, 2.7),
) -> Figure:  # fmt: skip
    """Values by category ``of``, a row each, a colour per ``hue``, a panel per ``panel``.
    Intervals are drawn where the table has them (low, high); else several values are small dots,
    and their mean is a large one.  ``order``: of the rows, in all panels; ``chance``: dotted, one
    or by panel; ``label``: what the values are."""
    names, hues = (list(dict.fromkeys(table[by])) if by else [""] for by in (panel, hue))
    colours = colours or dict(zip(hues, cycle([*ACCENTS, GREY])))
    apart = 0 if hue == of else 0.7 / len(hues)
    figure, axes = _panels(len(names), columns, *size, sharey=order is not None)
    for axis, name in zip(axes, names):
        part = table[table[panel] == name] if panel else table
        places = list(dict.fromkeys(part[of]) if order is None else order)
        for number, one in enumerate(hues):
            rows = part[part[hue] == one]
            at = apart * ((len(hues) - 1) / 2 - number) - rows[of].map(places.index)
            x, how = rows[value], {"color": colours[one], "label": one}
            if "low" in rows:
                error = np.clip([x - rows["low"], rows["high"] - x], 0, None)
                axis.errorbar(x, at, xerr=error, fmt="o", markersize=4.5, **how)
            else:
                axis.plot(x, at, "o", color=colours[one], alpha=0.3, markersize=3)
                mean = x.groupby(at).mean()
                axis.plot(mean, mean.index, "o", markersize=5, **how)
        if chance is not None:
            axis.axvline(chance[name] if isinstance(chance, dict) else chance, **CHANCE)
        axis.set_yticks(-np.arange(len(places)), places)
        axis.set(xlim=limits, xlabel=label or value, title=titles.get(name, str(name)))
        axis.grid(axis="x", linewidth=0.4)
    if len(hues) > 1 and hue != of:
        figure.legend(*axes[0].get_legend_handles_labels(), loc="outside right upper")
    return figure


def _plane(space: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Two principal components (N, 2), jittered so that equal points show; shares of variance."""
    components = PCA(2, svd_solver="full")
    points = components.fit_transform(space)
    jitter = np.random.default_rng(0).normal(size=points.shape) * np.ptp(points, axis=0) / 100
    return points + jitter, components.explained_variance_ratio_


def maps(spaces: dict[str, np.ndarray], labels: pd.Series, named: bool = False) -> Figure:
    """Two principal components of each space, a point per instruction, coloured by a factor;
    ``named`` draws colours as they are called."""
    labels = labels.replace("", "(none)")
    names = sorted(set(labels))
    tints = dict(zip(names, map(NAMED.get, names) if named else ACCENTS))
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
    named = axes[0].get_legend_handles_labels()
    figure.legend(*named, loc="outside right upper", markerscale=2)
    return figure


def hover(spaces: dict[str, np.ndarray], labels: pd.Series, texts: Sequence[str]) -> str:
    """HTML: `maps` whose points show their sentences when the mouse rests on them."""
    tints, parts = dict(zip(sorted(set(labels)), ACCENTS)), []
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
    order, action = list(headline["reference"]), MODALITY["action"]
    chance = headline["chance"].iloc[0]
    first = headline.assign(control=headline[["lexical", "untrained_agent"]].max(axis=1))
    agents = pd.concat([first.assign(test="First names: the paper's measure"),
                        second.assign(test="Second names: shared words cannot help")])  # fmt: skip
    best = agents.assign(value=agents["control"], low=agents["control"], high=agents["control"])
    figure = points(
        pd.concat([agents.assign(who="agents"), best.assign(who="best control")]),
        "reference", "value", "who", "test", order=order, chance=chance, limits=(-0.02, 1.02),
        colours={"agents": action, "best control": GREY}, label=f"precision@{k}",
        size=(4.7, 0.42 * len(order) + 1.7),
    )  # fmt: skip
    axis = figure.axes[0]
    for row in np.flatnonzero(headline["reference"].isin(REPORTED)):
        band = [-row - 0.5, -row + 0.5]
        axis.fill_betweenx(band, *PAPER, color=action, alpha=0.15, linewidth=0)
    axis.text(np.mean(PAPER), 0.53, "as reported", fontsize=8, ha="center")
    axis.text(chance + 0.01, 0.5 - len(order), "chance", fontsize=8)
    axis.set_ylim(0.4 - len(order), 0.8)
    return figure
