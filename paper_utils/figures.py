"""Every plot of the paper, in one style: a fixed colour per modality, intervals and references."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from itertools import cycle

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib import pyplot as plt
from matplotlib.figure import Figure

from paper_utils.cloning.evaluation import summarize

MODALITY = {  # of Okabe and Ito, safe for colour-blind readers
    "action": "#D55E00",
    "language": "#0072B2",
    "vision-language": "#009E73",
    "lexical": "#7F7F7F",
}
PAPER = (0.70, 0.73)  # precision@15 with decoders and BLIP, as the paper's abstract gives it
ACCENTS = ["#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9"]
GREY = "#7F7F7F"
PLAYER = {
    "expert": "#000000",
    "trained": "#D55E00",
    "bilingual": "#0072B2",
    "bilingual-shuffled": "#009E73",
    "held-out": "#CC79A7",
    "shuffled": "#E69F00",
    "untrained": "#56B4E9",
    "random": "#7F7F7F",
}

sns.set_theme(
    style="ticks",
    context="paper",
    font_scale=1.1,
    rc={
        "axes.spines.right": False,
        "axes.spines.top": False,
        "axes.titleweight": "bold",
        "axes.titlesize": "medium",
        "axes.titlelocation": "left",
        "axes.prop_cycle": plt.cycler(color=ACCENTS),
        "errorbar.capsize": 2.5,
        "figure.constrained_layout.use": True,
        "legend.frameon": False,
        "pdf.fonttype": 42,
        "svg.hashsalt": "paper",
    },
)


def _points(axis, at, rows: pd.DataFrame, column: str, along: str = "y", **how) -> None:
    """Values of a column with their intervals (low, high), at places on the other axis."""
    error = np.clip([rows[column] - rows["low"], rows["high"] - rows[column]], 0, None)
    x, y = (at, rows[column]) if along == "y" else (rows[column], at)
    axis.errorbar(x, y, **{f"{along}err": error}, **({"fmt": "o", "markersize": 4.5} | how))


def _panels(count: int, columns: int, width: float, height: float, **how):
    """A figure and its first ``count`` axes, in rows; the others are empty."""
    columns = min(columns, count)
    rows = -(-count // columns)
    size = width * columns, height * rows
    figure, axes = plt.subplots(rows, columns, figsize=size, squeeze=False, **how)
    for axis in axes.flat[count:]:
        axis.set_axis_off()
    return figure, list(axes.flat[:count])


def _legend_above(figure: Figure, axis, ncols: int = 3, **how) -> None:
    named = axis.get_legend_handles_labels()
    figure.legend(*named, loc="outside upper center", ncols=ncols, **how)


# Notebook 01 ----------------------------------------------------------------------------------


def pictures(
    frames: Sequence[np.ndarray], titles: Sequence[str], columns: int = 4, size: float = 2.0
) -> Figure:
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
    end = "done" if film.success else "not done"
    captions = [*film.actions, end][: len(film.frames)]
    titles = [f"{step}: {captions[step]}" for step in shown]
    columns = -(-len(shown) // -(-len(shown) // 7))  # rows of equal length, at most seven
    figure = pictures([film.frames[i] for i in shown], titles, columns, size=1.5)
    figure.suptitle(f"“{film.instruction}”", fontsize=10, fontweight="bold")
    return figure


def channels(frame: np.ndarray, view: np.ndarray) -> Figure:
    """The scene beside the three channels of the agent's 7 x 7 view (agent at the bottom)."""
    figure, axes = plt.subplots(1, 4, figsize=(10, 3.0), width_ratios=[1.15, 1, 1, 1])
    axes[0].imshow(frame, interpolation="nearest")
    axes[0].set_title("scene (agent: red; lit: its view)")
    axes[0].set_axis_off()
    for channel, (axis, name) in enumerate(zip(axes[1:], ("object", "colour", "door state"))):
        values = view[:, :, channel].T  # the array is (x, y); a picture is (row, column)
        sns.heatmap(
            values, annot=True, fmt="d", cbar=False, square=True, cmap="crest", ax=axis,
            linewidths=0.5, annot_kws={"fontsize": 8}, xticklabels=False, yticklabels=False,
        )  # fmt: skip
        axis.add_patch(plt.Rectangle((3, 6), 1, 1, fill=False, edgecolor="#D55E00", linewidth=2))
        axis.set_title(f"channel {channel}: {name}")
    return figure


def episode_lengths(steps: pd.DataFrame) -> Figure:
    """Distribution of episode lengths per level (columns ``level`` and ``steps``)."""
    figure, axis = plt.subplots(figsize=(6.5, 3.0))
    order = steps.groupby("level")["steps"].mean().sort_values().index
    colours = dict(zip(order, cycle(ACCENTS)))
    sns.ecdfplot(steps, x="steps", hue="level", hue_order=order, palette=colours, ax=axis)
    for level, colour in colours.items():
        mean = steps.loc[steps["level"] == level, "steps"].mean()
        axis.axvline(mean, color=colour, linestyle=":", linewidth=1)
    sns.move_legend(axis, "lower right", title=None)
    axis.set(xlabel="steps of the expert (dotted: mean)", ylabel="share of demonstrations")
    return figure


def factor_counts(table: pd.DataFrame) -> Figure:
    """How many instructions say each verb, colour, type and location."""
    names = {"verb": "verb", "colour": "colour", "type": "type", "location": "location"}
    figure, axes = plt.subplots(1, len(names), figsize=(10, 2.6))
    for axis, (column, title) in zip(axes, names.items()):
        counts = table[column].replace("", "(none)").value_counts()
        axis.barh(counts.index, counts, color=MODALITY["language"])
        axis.bar_label(axis.containers[0], padding=2, fontsize=8)
        axis.invert_yaxis()
        axis.set(title=title, xlim=(0, counts.max() * 1.25))
        axis.tick_params(axis="y", length=0)
        axis.xaxis.set_visible(False)
        axis.spines[["bottom"]].set_visible(False)
    return figure


# Notebook 02 ----------------------------------------------------------------------------------


def training_curves(curves: pd.DataFrame) -> Figure:
    """Losses and the accuracy of single actions by epoch (columns ``agent``, ``condition``…)."""
    figure, (left, right) = plt.subplots(1, 2, figsize=(9, 3.2))
    for (condition, _), curve in curves.groupby(["condition", "agent"], sort=False):
        colour = PLAYER[condition]
        left.plot(curve["step"], curve["validation_loss"], color=colour, marker=".", markersize=4)
        left.plot(curve["step"], curve["train_loss"], color=colour, linestyle=":", linewidth=1)
    for condition in dict.fromkeys(curves["condition"]):
        left.plot([], [], color=PLAYER[condition], marker=".", label=condition)
    left.legend()
    left.set(title="loss: validation (solid), training (dotted)", xlabel="optimiser step",
             ylabel="cross-entropy (nats)", ylim=(0, None))  # fmt: skip
    trained = curves[curves["condition"] == "trained"]
    for column, colour in zip([c for c in curves if c.startswith("accuracy ")], cycle(ACCENTS)):
        mean = trained.groupby("step")[column].mean()
        right.plot(
            mean.index, mean, color=colour, marker=".", label=column.removeprefix("accuracy ")
        )
    right.legend()
    right.set(title="single actions, trained agents", xlabel="optimiser step",
              ylabel="validation accuracy")  # fmt: skip
    return figure


def success(summary: pd.DataFrame) -> Figure:
    """Success per level and player, with Wilson intervals (columns level, player, success…)."""
    levels = list(dict.fromkeys(summary["level"]))
    players = [name for name in PLAYER if name in set(summary["player"])]
    figure, axis = plt.subplots(figsize=(8.5, 3.2))
    width = 0.8 / len(players)
    for number, player in enumerate(players):
        rows = summary[summary["player"] == player].set_index("level").loc[levels]
        x = np.arange(len(levels)) + (number - (len(players) - 1) / 2) * width
        _points(axis, x, rows, "success", color=PLAYER[player], label=player)
    axis.set_xticks(range(len(levels)), levels)
    axis.set(ylabel="success on fresh episodes", ylim=(-0.03, 1.05))
    axis.grid(axis="y", linewidth=0.4)
    axis.legend(ncols=len(players), loc="lower center", bbox_to_anchor=(0.5, 1.0))
    return figure


def progress(summary: pd.DataFrame) -> Figure:
    """Success of one agent per level, by the share of its training (columns share, level…)."""
    figure, axis = plt.subplots(figsize=(7, 3.2))
    shares = sorted(summary["share"].unique())
    for number, (level, rows) in enumerate(summary.groupby("level", sort=False)):
        rows = rows.sort_values("share")
        x, colour = rows["share"].map(shares.index) + 0.06 * number, ACCENTS[number % len(ACCENTS)]
        _points(axis, x, rows, "success", color=colour, fmt="o-", linewidth=1, label=level)
    axis.set_xticks(range(len(shares)), [*(f"{share:.1%}" for share in shares[:-1]), "kept"])
    axis.set(xlabel="share of the training done", ylabel="success", ylim=(-0.03, 1.05))
    axis.grid(axis="y", linewidth=0.4)
    axis.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0))
    return figure


def failures(counts: pd.DataFrame) -> Figure:
    """How failed episodes ended: a row per level, a column per kind of ending, counts."""
    figure, axis = plt.subplots(figsize=(8.5, 0.45 * len(counts) + 1.5))
    left = np.zeros(len(counts))
    counts = counts.loc[:, counts.any()]
    for colour, (kind, number) in zip(ACCENTS, counts.items()):
        axis.barh(counts.index, number, left=left, color=colour, label=kind, height=0.7)
        left += number.to_numpy()
    for row, total in enumerate(left):
        axis.text(total, row, f" {total:.0f}", va="center", fontsize=8)
    axis.set_yticks(range(len(counts)), counts.index)
    axis.invert_yaxis()
    axis.set(xlabel="failed episodes", xlim=(0, max(1.0, left.max()) * 1.08))
    axis.legend(ncols=2, loc="lower center", bbox_to_anchor=(0.5, 1.0), fontsize=8.5)
    return figure


def compositions(summary: pd.DataFrame) -> Figure:
    """Success with (hollow) and without (full) a held-out composition in the instruction."""
    levels = list(dict.fromkeys(summary["level"]))
    figure, axis = plt.subplots(figsize=(8, 3.2))
    for number, player in enumerate(("trained", "held-out")):
        ends = []
        for place, (said, fill) in enumerate((("without", "full"), ("with", "none"))):
            rows = summary[(summary["player"] == player) & (summary["composition"] == said)]
            rows = rows.set_index("level").reindex(levels)
            x = np.arange(len(levels)) + 0.4 * (number - 0.5) + 0.16 * (place - 0.5)
            _points(axis, x, rows, "success", color=PLAYER[player], markersize=5, fillstyle=fill,
                    label=f"{player} agent, {said}")  # fmt: skip
            ends.append((x, rows["success"]))
        axis.plot(*zip(*ends), color=PLAYER[player], linewidth=1, alpha=0.5)
    axis.set_xticks(range(len(levels)), levels)
    axis.set(ylabel="success", ylim=(-0.03, 1.05))
    axis.grid(axis="y", linewidth=0.4)
    axis.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0), fontsize=8.5)
    return figure


def attention(film, steps: Sequence[int]) -> Figure:
    """Where the policy looks (orange frames): mean attention over queries, by step."""
    from minigrid.core.grid import Grid

    figure, axes = plt.subplots(1, len(steps), figsize=(1.9 * len(steps), 2.5))
    for axis, step in zip(np.atleast_1d(axes), steps):
        grid, visible = Grid.decode(film.views[step])
        picture = grid.render(16, agent_pos=(3, 6), agent_dir=3, highlight_mask=visible)
        axis.imshow(picture, interpolation="nearest")
        weight = film.attention[step].mean(0).T  # (y, x)
        for (y, x), share in np.ndenumerate(weight / weight.max()):
            axis.add_patch(
                plt.Rectangle((16 * x + 1, 16 * y + 1), 13, 13, fill=False, linewidth=3,
                              edgecolor=ACCENTS[4], alpha=share)
            )  # fmt: skip
        axis.set_title(
            f"{step}: {film.actions[step]}", fontsize=9, fontweight="normal", loc="center"
        )
        axis.set_axis_off()
    figure.suptitle(f"“{film.instruction}”", fontsize=10, fontweight="bold")
    return figure


def success_by_factor(episodes: pd.DataFrame, factors: Sequence[str]) -> Figure:
    """Success by word of the instruction, with Wilson intervals."""
    tables = {
        factor: summarize(episodes[episodes[factor] != ""], [factor]).sort_values("success")
        for factor in factors
        if (episodes[factor] != "").any()
    }
    least = min(table["low"].min() for table in tables.values())
    figure, axes = plt.subplots(1, len(tables), figsize=(10, 2.8))
    for axis, (factor, rows) in zip(np.atleast_1d(axes), tables.items()):
        _points(axis, rows[factor], rows, "success", along="x", color=PLAYER["trained"])
        axis.set(title=factor, xlabel="success", xlim=(least - 0.02, 1.01), ylim=(-0.6, None))
        axis.grid(axis="x", linewidth=0.4)
    return figure


# Notebook 03 ----------------------------------------------------------------------------------


NAMED = {"red": "#D62728", "green": "#2CA02C", "blue": "#1F77B4", "purple": "#7B3FA0",
         "yellow": "#E6C200", "grey": "#7F7F7F", "(none)": "#000000"}  # fmt: skip


def maps(spaces: dict[str, np.ndarray], labels: pd.Series, named: bool = False) -> Figure:
    """Two principal components of each space, a point per instruction, coloured by a factor.

    Points are jittered by a hundredth of the map, so that equal ones show.  ``named`` draws colours
    as they are called.
    """
    from sklearn.decomposition import PCA

    values = sorted(dict.fromkeys(labels.replace("", "(none)")))
    colours = [NAMED[value] for value in values] if named else [*ACCENTS, GREY][: len(values)]
    random = np.random.default_rng(0)
    order = random.permutation(len(labels))  # no colour always on top
    labels = labels.replace("", "(none)").iloc[order]
    figure, axes = _panels(len(spaces), 4, 2.8, 2.8)
    for axis, (name, space) in zip(axes, spaces.items()):
        components = PCA(2, svd_solver="full")
        points = components.fit_transform(space)[order]
        points += random.normal(size=points.shape) * np.ptp(points, axis=0) / 100
        sns.scatterplot(
            x=points[:, 0], y=points[:, 1], hue=labels.to_numpy(), hue_order=values,
            palette=colours, s=14, linewidth=0, alpha=0.55, legend=axis is axes[0], ax=axis,
        )  # fmt: skip
        axis.set(xticks=[], yticks=[])
        axis.set_title(name, fontsize=9)
        share = components.explained_variance_ratio_
        axis.set_xlabel(f"{share[0]:.0%} of variance", fontsize=8)
        axis.set_ylabel(f"{share[1]:.0%}", fontsize=8)
    axes[0].get_legend().remove()
    _legend_above(figure, axes[0], ncols=len(values), markerscale=2)
    return figure


# Notebook 04 ----------------------------------------------------------------------------------


def paper_measure(headline: pd.DataFrame, k: int) -> Figure:
    """The agents' precision@k with each reference beside what cannot know the meaning, and at 1."""
    figure, axes = plt.subplots(1, 2, figsize=(9.5, 0.5 * len(headline) + 1.6), sharey=True,
                                width_ratios=[1.6, 1])  # fmt: skip
    y = np.arange(len(headline))[::-1]
    axis = axes[0]
    axis.axvspan(*PAPER, color=MODALITY["action"], alpha=0.15, linewidth=0)
    axis.text(np.mean(PAPER), len(headline) - 0.45, "the paper", fontsize=8, ha="center")
    for column, label, marker, colour in (
        ("lexical", "best lexical control", "D", GREY), ("bag_of_words", "bag of words", "s", GREY),
        ("untrained_agent", "untrained agents", "o", PLAYER["untrained"]),
    ):  # fmt: skip
        axis.plot(headline[column], y - 0.12, marker, color=colour, label=label, linestyle="none",
                  markersize=5, fillstyle="none" if column == "lexical" else "full")  # fmt: skip
    _points(axis, y + 0.1, headline, "value", along="x", color=MODALITY["action"], markersize=6,
            label="trained agents")  # fmt: skip
    chance = headline["chance"].iloc[0]
    axis.axvline(chance, color="black", linestyle=":", linewidth=1)
    axis.set_yticks(y, headline["reference"])
    axis.set(xlim=(0, 1.02), ylim=(-0.6, len(headline) - 0.2), xlabel=f"held-out precision@{k}")
    axis.legend(ncols=2, loc="lower left", bbox_to_anchor=(0, 1.0), fontsize=8)
    axes[1].plot(headline["precision_at_1"], y, "o", color=MODALITY["action"])
    axes[1].set(xlim=(0, 1.02), xlabel="the same pairs, precision@1")
    for axis in axes:
        axis.grid(axis="x", linewidth=0.4)
    return figure


def rows_of_points(
    table: pd.DataFrame, measures: dict[str, str], chances: dict[str, float], order: Sequence[str],
    colours: dict[str, str],
) -> Figure:  # fmt: skip
    """A panel per measure, a row per encoder: each pair of seeds a small dot, their mean a large.

    ``table``: columns encoder, measure, value; ``measures``: name -> title.
    """
    figure, axes = plt.subplots(
        1, len(measures), figsize=(2.6 * len(measures) + 1.4, 0.27 * len(order) + 1.2), sharey=True
    )
    y = dict(zip(order, range(len(order))[::-1]))
    for axis, (measure, title) in zip(np.atleast_1d(axes), measures.items()):
        part = table[(table["measure"] == measure) & table["encoder"].isin(order)]
        means = part.groupby("encoder")["value"].mean()
        for name, value in means.items():
            each = part.loc[part["encoder"] == name, "value"]
            axis.plot(each, [y[name]] * len(each), "o", color=colours[name], alpha=0.3,
                      markersize=3)  # fmt: skip
            axis.plot(value, y[name], "o", color=colours[name], markersize=6)
        axis.axvline(chances[measure], color="black", linestyle=":", linewidth=1)
        axis.set(title=title, xlim=(-0.03, 1.03), xlabel="dotted: chance")
        axis.grid(axis="x", linewidth=0.4)
    np.atleast_1d(axes)[0].set_yticks(list(y.values()), list(y))
    return figure


def transfer(table: pd.DataFrame, levels: Sequence[str], order: Sequence[str], colours) -> Figure:
    """Success of agents on mapped sentence vectors, per level, with Wilson intervals."""
    figure, axes = plt.subplots(
        1, len(levels), figsize=(2.6 * len(levels) + 2, 0.27 * len(order) + 1.2), sharey=True
    )
    y = dict(zip(order, range(len(order))[::-1]))
    for axis, level in zip(np.atleast_1d(axes), levels):
        part = table[(table["level"] == level) & table["source"].isin(order)]
        for name, rows in part.groupby("source"):
            _points(axis, [y[name]] * len(rows), rows, "success", along="x", color=colours[name])
        axis.set(title=level, xlim=(-0.03, 1.03), xlabel="success")
        axis.grid(axis="x", linewidth=0.4)
    np.atleast_1d(axes)[0].set_yticks(list(y.values()), list(y))
    return figure


def verb(table: pd.DataFrame) -> Figure:
    """CKA of each agent, untrained and trained, with each reference: all verbs, and within one."""
    withins = list(dict.fromkeys(table["within"]))
    figure, axes = plt.subplots(1, len(withins), figsize=(4.2 * len(withins), 3.2), sharey=True)
    references = list(dict.fromkeys(table["reference"]))
    for axis, within in zip(np.atleast_1d(axes), withins):
        part = table[table["within"] == within]
        means = part.groupby(["reference", "kind", "seed"])["linear_cka"].mean()
        for x, reference in enumerate(references):
            ends = means[reference].unstack("seed").loc[["untrained", "trained"]]
            for seed in ends:
                axis.plot([x - 0.15, x + 0.15], ends[seed], color=GREY, linewidth=0.8, zorder=0)
            for shift, kind in ((-0.15, "untrained"), (0.15, "trained")):
                axis.plot([x + shift] * ends.shape[1], ends.loc[kind], "o", markersize=4.5,
                          color=PLAYER[kind], label=kind if x == 0 else None)  # fmt: skip
        axis.set_xticks(range(len(references)), references, rotation=30, ha="right")
        axis.set_title(f"{within} ({part['N'].iloc[0]} instructions)")
        axis.grid(axis="y", linewidth=0.4)
    np.atleast_1d(axes)[0].set_ylabel("linear CKA with the reference")
    _legend_above(figure, np.atleast_1d(axes)[0], ncols=2)
    return figure


# Notebook 05 ----------------------------------------------------------------------------------


def by_reference(table: pd.DataFrame, panels: str, order: Sequence[str], chance: float) -> Figure:
    """A panel per value of column ``panels``: kinds of encoder with each reference, means."""
    names = list(dict.fromkeys(table[panels]))
    figure, axes = _panels(len(names), 4, 2.9, 2.6, sharey=True)
    colours = dict(zip(order, [PLAYER["trained"], PLAYER["untrained"], PLAYER["shuffled"], GREY,
                               "#000000"]))  # fmt: skip
    references = list(dict.fromkeys(table["reference"]))
    for axis, name in zip(axes, names):
        part = table[table[panels] == name]
        for number, encoder in enumerate(order):
            rows = part[part["encoder"] == encoder].set_index("reference").reindex(references)
            axis.plot(np.arange(len(references)) + 0.12 * number, rows["value"], "o", markersize=4,
                      color=colours[encoder], label=encoder)  # fmt: skip
        axis.axhline(chance, color="black", linestyle=":", linewidth=1)
        axis.set_xticks(range(len(references)), references, rotation=40, ha="right", fontsize=8)
        axis.set_title(str(name).replace("_", " "), fontsize=9)
        axis.grid(axis="y", linewidth=0.4)
    _legend_above(figure, axes[0], ncols=len(order))
    return figure


def along_training(rows: pd.DataFrame) -> Figure:
    """Alignment by the share of the agents' training: a line per reference, mean over agents."""
    titles = {"precision_at_k": "held-out precision@k",
              "partial_rsa": "partial RSA given bag of words"}  # fmt: skip
    figure, axes = plt.subplots(1, 2, figsize=(9.5, 3.3))
    shares = sorted(rows["share"].unique())
    for axis, (metric, title) in zip(axes, titles.items()):
        part = rows[rows["metric"] == metric]
        for (reference, line), colour in zip(part.groupby("reference", sort=False), cycle(ACCENTS)):
            axis.plot(line["share"].map(shares.index), line["value"], marker="o", markersize=4,
                      color=colour, label=reference)  # fmt: skip
        axis.set_xticks(range(len(shares)), [*(f"{s:.1%}" for s in shares[:-1]), "kept"])
        axis.set(title=title, xlabel="share of the training done")
        axis.grid(axis="y", linewidth=0.4)
    axes[1].legend(fontsize=8.5, loc="upper left", bbox_to_anchor=(1.0, 1.0))
    return figure


def layout(shares: pd.DataFrame) -> Figure:
    """Share of each space's distances that each factor explains by itself."""
    figure, axis = plt.subplots(figsize=(7, 0.36 * len(shares) + 1.4))
    sns.heatmap(
        shares.rename(columns=lambda name: name.replace("_", " ")), vmin=0, vmax=1, cmap="crest",
        annot=True, fmt=".2f", linewidths=0.5, annot_kws={"fontsize": 7.5}, cbar=False, ax=axis,
    )  # fmt: skip
    axis.set(title="share of the distances explained", xlabel="", ylabel="")
    return figure


# Batches of runs ------------------------------------------------------------------------------


def batch(rows: pd.DataFrame, summary: pd.DataFrame) -> Figure:
    """A panel per measure: each run a point, each setting's mean over seeds with its interval."""
    measures = list(dict.fromkeys(summary["measure"]))
    settings = list(dict.fromkeys(summary["setting"]))
    widths = [summary.loc[summary["measure"] == m, "of"].nunique() for m in measures]
    figure, axes = plt.subplots(
        1, len(measures), figsize=(2.0 + 0.8 * sum(widths), 3.4), width_ratios=widths, squeeze=False
    )
    for axis, measure in zip(axes[0], measures):
        shown = summary[summary["measure"] == measure]
        names = list(dict.fromkeys(shown["of"]))
        for number, setting in enumerate(settings):
            shift = 0.6 * ((number + 0.5) / len(settings) - 0.5)
            colour = ACCENTS[number % len(ACCENTS)]
            mine = shown[shown["setting"] == setting].set_index("of").reindex(names)
            at = np.arange(len(names)) + shift
            for end in ("low", "high"):
                mine[end] = mine[end].fillna(mine["mean"])
            _points(axis, at, mine, "mean", color=colour, label=setting)
            single = rows[(rows["measure"] == measure) & (rows["setting"] == setting)]
            axis.plot(
                [names.index(name) + shift for name in single["of"]], single["value"],
                "o", color=colour, alpha=0.35, markersize=3, zorder=0,
            )  # fmt: skip
        labels = [name.removeprefix("agent ~ ") for name in names]
        axis.set_xticks(range(len(names)), labels, rotation=35, ha="right")
        axis.set_title(measure)
    if len(settings) > 1:
        figure.legend(*axes[0, 0].get_legend_handles_labels(), loc="outside lower center",
                      ncols=min(4, len(settings)))  # fmt: skip
    return figure
