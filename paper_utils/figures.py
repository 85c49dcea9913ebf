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

from paper_utils.encoders.families import COLOURS as MODALITY
from paper_utils.encoders.families import ENCODERS, FAMILIES

ACCENTS = ["#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9"]
GREY = "#7F7F7F"
PLAYER = {
    "expert": "#000000",
    "trained": "#D55E00",
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
    from paper_utils.cloning.rollout import summarize

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


def maps(
    spaces: dict[str, np.ndarray],
    labels: pd.Series,
    named: bool = False,
    neighbours: bool = False,
) -> Figure:
    """Each space in two dimensions, a point per instruction, coloured by a factor.

    Two principal components, or with ``neighbours`` t-SNE; ``named`` draws colours as they are
    called.
    """
    from sklearn.decomposition import PCA
    from sklearn.manifold import TSNE

    values = sorted(dict.fromkeys(labels.replace("", "(none)")))
    colours = [NAMED[value] for value in values] if named else [*ACCENTS, GREY][: len(values)]
    shuffled = np.random.default_rng(0).permutation(len(labels))  # no colour always on top
    labels = labels.replace("", "(none)").iloc[shuffled]
    figure, axes = _panels(len(spaces), 4, 2.5, 2.4)
    for axis, (name, space) in zip(axes, spaces.items()):
        components = PCA(2, svd_solver="full")
        if neighbours:
            # Equal rows would lie on one point: t-SNE spreads them as one clump instead.
            points = TSNE(
                init="pca", random_state=0, perplexity=min(20, (len(space) - 1) / 3), max_iter=500
            ).fit_transform(space.astype(np.float64))
        else:
            points = components.fit_transform(space)
        points = points[shuffled]
        sns.scatterplot(
            x=points[:, 0], y=points[:, 1], hue=labels.to_numpy(), hue_order=values,
            palette=colours, s=9, linewidth=0, alpha=0.65,
            legend=axis is axes[0], ax=axis,
        )  # fmt: skip
        axis.set(xticks=[], yticks=[])
        axis.set_title(name, fontsize=9)
        if neighbours:
            continue
        share = components.explained_variance_ratio_
        axis.set_xlabel(f"{share[0]:.0%} of variance", fontsize=8)
        axis.set_ylabel(f"{share[1]:.0%}", fontsize=8)
    axes[0].get_legend().remove()
    _legend_above(figure, axes[0], ncols=len(values), markerscale=2)
    return figure


# Notebook 04 ----------------------------------------------------------------------------------


def heat(square: pd.DataFrame, k: int, chance: float) -> Figure:
    """The symmetric table of precision@k; names in their modality's colour."""
    hidden = pd.DataFrame(
        np.triu(np.ones(square.shape, bool), 1), index=square.index, columns=square.columns
    )
    # Columns that were compared with everything below them.
    below = ~(hidden | np.eye(len(square), dtype=bool))
    asked = square.columns[(square.notna() | ~below).all() & below.any()]
    square, hidden = square[asked], hidden[asked] | square[asked].isna()
    height, width = square.shape
    figure, axis = plt.subplots(figsize=(0.46 * width + 3.6, 0.4 * height + 1.6))
    sns.heatmap(
        square, mask=hidden, vmin=0, vmax=1, cmap="crest", annot=True, fmt=".2f",
        linewidths=0.5, annot_kws={"fontsize": 7}, ax=axis, cbar_kws={"shrink": 0.6},
    )  # fmt: skip
    axis.set_xticklabels([ENCODERS[name].label for name in square.columns], rotation=90)
    axis.set_yticklabels([ENCODERS[name].label for name in square.index], rotation=0)
    for names, labels in (
        (square.columns, axis.get_xticklabels()),
        (square.index, axis.get_yticklabels()),
    ):
        for name, label in zip(names, labels):
            label.set_color(MODALITY[ENCODERS[name].modality])
    bar = axis.collections[0].colorbar
    bar.ax.axhline(chance, color="#D55E00", linewidth=2)
    bar.ax.set_title(f"chance\n{chance:.2f}", fontsize=8, color="#D55E00", fontweight="normal")
    axis.set_title(f"held-out precision@{k} after Procrustes alignment")
    return figure


def beside_controls(headline: pd.DataFrame, k: int) -> Figure:
    """The agent's precision@k with each reference, beside what cannot know the meaning."""
    controls = {
        "lexical": ("best lexical control", "D", GREY),
        "bag_of_words": ("bag of words", "s", GREY),
        "untrained_agent": ("untrained agent", "o", PLAYER["untrained"]),
        "shuffled_agent": ("shuffled agent", "o", PLAYER["shuffled"]),
    }
    figure, axis = plt.subplots(figsize=(7.5, 0.75 * len(headline) + 1.5))
    y = np.arange(len(headline))[::-1]
    for row in y[::2]:
        axis.axhspan(row - 0.5, row + 0.4, color="#F2F2F2", zorder=0)
    for number, (column, (label, marker, colour)) in enumerate(controls.items()):
        fill = "none" if column == "lexical" else "full"
        axis.plot(headline[column], y - 0.08 * (number + 1), marker, color=colour, label=label,
                  markersize=5, linestyle="none", fillstyle=fill)  # fmt: skip
    _points(axis, y + 0.1, headline, "value", along="x", color=MODALITY["action"], capsize=3,
            markersize=6, label="trained agents")  # fmt: skip
    axis.axvline(headline["chance"].iloc[0], color="black", linestyle=":", linewidth=1)
    axis.text(headline["chance"].iloc[0], len(headline) - 0.45, " chance", fontsize=8)
    axis.set_yticks(y, headline["pair"])
    axis.set(xlim=(0, 1.02), ylim=(-0.6, len(headline) - 0.3), xlabel=f"held-out precision@{k}")
    axis.grid(axis="x", linewidth=0.4)
    axis.legend(ncols=3, loc="lower center", bbox_to_anchor=(0.5, 1.0), fontsize=8.5)
    return figure


def by_split(splits: pd.DataFrame, chance: float) -> Figure:
    """Precision@k under every split: agents, bag of words and untrained agent, one panel each."""
    pairs = list(dict.fromkeys(splits["pair"]))
    figure, axes = _panels(len(pairs), 3, 3.9, 2.9, sharey=True)
    for axis, pair in zip(axes, pairs):
        part = splits[splits["pair"] == pair]
        x = np.arange(len(part))
        axis.plot(
            x + 0.15, part["bag_of_words"], "s", color=GREY, markersize=4.5, label="bag of words"
        )
        axis.plot(x + 0.3, part["untrained_agent"], "o", color=PLAYER["untrained"], markersize=4.5,
                  label="untrained agent")  # fmt: skip
        _points(axis, x, part, "value", color=MODALITY["action"], label="trained agents")
        axis.plot([-0.4, 1.6], [chance, chance], color="black", linestyle=":", linewidth=1)
        axis.set_xticks(x, part["split"].str.replace("_", " "), rotation=40, ha="right")
        axis.set(title=pair, ylim=(-0.02, 1.05))
    for axis in axes[::3]:
        axis.set_ylabel("precision@k (dotted: k/N)")
    _legend_above(figure, axes[0])
    return figure


def beyond_words(beyond: pd.DataFrame) -> Figure:
    """What is left without the bag of words (and the verb), by kind of agent."""
    metrics = {
        "partial_rsa": "partial RSA given bag of words",
        "partial_rsa_given_verb": "... given the verb as well",
        "precision_at_k_residual": "precision@k of residuals",
    }
    pairs = list(dict.fromkeys(beyond["pair"]))
    figure, axes = plt.subplots(1, 3, figsize=(11.5, 0.55 * len(pairs) + 1.6), sharey=True)
    axes[1].sharex(axes[0])
    for axis, (metric, title) in zip(axes, metrics.items()):
        for number, player in enumerate(("trained", "shuffled", "untrained")):
            part = beyond[(beyond["metric"] == metric) & (beyond["player"] == player)]
            y = np.arange(len(part))[::-1] + 0.15 * (1 - number)
            _points(axis, y, part, "value", along="x", color=PLAYER[player],
                    label=f"{player} agent")  # fmt: skip
        best = beyond[(beyond["metric"] == metric) & (beyond["player"] == "lexical")]
        axis.plot(best["value"], np.arange(len(best))[::-1], "D", color=GREY, markersize=5,
                  fillstyle="none", label="best lexical control")  # fmt: skip
        reference = 0 if metric.startswith("partial_rsa") else beyond["chance"].max()
        axis.axvline(reference, color="black", linestyle=":", linewidth=1)
        axis.set(title=title, xlabel="dotted: " + ("zero" if reference == 0 else "chance"))
        axis.grid(axis="x", linewidth=0.4)
    axes[0].set_yticks(np.arange(len(pairs))[::-1], pairs)
    _legend_above(figure, axes[0], ncols=4)
    return figure


REFERENCE = dict(  # of reference models, by label: blue and violet read, green also see
    zip((family.label for family in FAMILIES.values()),
        cycle(("#08306B", "#2171B5", "#6BAED6", "#756BB1", "#74C476", "#006D2C")))
)  # fmt: skip


def _reference(label: str) -> dict[str, str]:
    """Colour of a reference by its label; public checkpoints are dashed."""
    family, _, public = label.partition(", ")
    return {"color": REFERENCE[family], "linestyle": "--" if public else "-"}


def bends(curves: pd.DataFrame) -> Figure:
    """Precision@k against k, and against the number of instructions, mean over references."""
    figure, axes = plt.subplots(1, 2, figsize=(10, 3.2), sharey=True)
    names = list(dict.fromkeys(curves["first"]))
    colours = dict(zip(names, (MODALITY["action"], GREY, "#000000")))
    from paper_utils.encoders.embeddings import encoder_of

    for axis, along, label in (
        (axes[0], "k", "k (all instructions)"),
        (axes[1], "N", "instructions drawn at random"),
    ):
        part = curves[curves["along"] == along]
        for name in names:
            rows = part[part["first"] == name].groupby("at")["value"].agg(["mean", "min", "max"])
            shown = encoder_of(name).label
            axis.plot(rows.index, rows["mean"], marker="o", markersize=4, color=colours[name],
                      label=shown)  # fmt: skip
            if name != names[-1]:  # a third band would hide the others
                axis.fill_between(rows.index, rows["min"], rows["max"], color=colours[name],
                                  alpha=0.15, linewidth=0)  # fmt: skip
        chance = part.groupby("at")["chance"].first()
        axis.plot(chance.index, chance, color="black", linestyle=":", linewidth=1, label="chance")
        axis.set(xlabel=label, ylim=(0, 1.02), xscale="log")
        ticks = sorted(part["at"].unique())
        axis.set_xticks(ticks, ticks)
        axis.minorticks_off()
        axis.grid(axis="y", linewidth=0.4)
    axes[0].set_ylabel("precision@k with the references")
    axes[1].legend(fontsize=8.5, loc="upper left", bbox_to_anchor=(1.0, 1.0))
    return figure


def choices(table: pd.DataFrame, k: int) -> Figure:
    """Precision@k of the agents, and how far it lies from the best control, by choice."""
    named = table.assign(label=table["reference"].map(lambda name: FAMILIES[name].label))
    order = list(dict.fromkeys(named["choice"])), list(dict.fromkeys(named["label"]))
    gaps, values = (
        named.pivot(index="label", columns="choice", values=column).loc[order[1], order[0]]
        for column in ("difference", "value")
    )
    words = values.map("{:.2f}".format) + "\n" + gaps.map("({:+.2f})".format)
    figure, axis = plt.subplots(figsize=(1.35 * len(order[0]) + 2.2, 0.55 * len(order[1]) + 1.3))
    sns.heatmap(
        gaps, annot=words.where(gaps.notna(), ""), fmt="", center=0, vmin=-0.6, vmax=0.6,
        cmap="vlag_r", linewidths=0.5, annot_kws={"fontsize": 8, "color": "black"}, ax=axis,
        cbar_kws={"label": "from the best control"},
    )  # fmt: skip
    axis.set(title=f"precision@{k} of the agents (from the best control)", xlabel="", ylabel="")
    axis.tick_params(axis="y", rotation=0)
    return figure


def shared(layout: pd.DataFrame, order: pd.DataFrame) -> Figure:
    """What lays out each space (share of its distances by factor), and who knows word order."""
    figure, (left, right) = plt.subplots(
        1, 2, figsize=(11, 0.36 * len(layout) + 1.6), width_ratios=[1.25, 1]
    )
    sns.heatmap(
        layout.rename(columns=lambda name: name.replace("_", " ")), vmin=0, vmax=1, cmap="crest",
        annot=True, fmt=".2f", linewidths=0.5, annot_kws={"fontsize": 7.5}, cbar=False, ax=left,
    )  # fmt: skip
    left.set(title="share of the distances explained", xlabel="", ylabel="")
    left.set_xticklabels(left.get_xticklabels(), rotation=40, ha="right")
    kinds = list(dict.fromkeys(order["encoder"]))
    references = list(dict.fromkeys(order["reference"]))
    for number, reference in enumerate(references):
        rows = order[order["reference"] == reference].set_index("encoder").loc[kinds]
        y = np.arange(len(kinds))[::-1] + 0.09 * ((len(references) - 1) / 2 - number)
        _points(right, y, rows, "accuracy", along="x", markersize=3.5, linewidth=1, capsize=0,
                color=_reference(reference)["color"], label=reference)  # fmt: skip
    right.axvline(0.5, color="black", linestyle=":", linewidth=1)
    right.set_yticks(np.arange(len(kinds))[::-1], kinds)
    right.set(title="who tells A-next-to-B from B-next-to-A?", xlabel="accuracy (dotted: chance)")
    right.grid(axis="x", linewidth=0.4)
    right.legend(fontsize=8, loc="upper left", bbox_to_anchor=(1.0, 1.0))
    return figure


def along_training(rows: pd.DataFrame) -> Figure:
    """Alignment by the share of the agents' training: means over agents, and two ranges."""
    titles = {
        "precision_at_k": "held-out precision@k",
        "partial_rsa": "partial RSA given bag of words",
    }
    figure, axes = plt.subplots(1, 2, figsize=(9.5, 3.3))
    shares = sorted(rows["share"].unique())
    ends = rows["pair"].str.removeprefix("agent ~ ").iloc[[0, -1]].tolist()
    for axis, (metric, title) in zip(axes, titles.items()):
        part = rows[rows["metric"] == metric]
        for pair, line in part.groupby("pair", sort=False):
            x, label = line["share"].map(shares.index), pair.removeprefix("agent ~ ")
            drawn = _reference(label)
            axis.plot(x, line["value"], marker="o", markersize=4, label=label, **drawn)
            if label in ends:  # more bands would hide each other
                axis.fill_between(
                    x, line["least"], line["most"], color=drawn["color"], alpha=0.15, linewidth=0
                )
        axis.set_xticks(range(len(shares)), [*(f"{s:.1%}" for s in shares[:-1]), "kept"])
        axis.set(title=title, xlabel="share of the training done")
        axis.grid(axis="y", linewidth=0.4)
    axes[1].axhline(0, color="black", linestyle=":", linewidth=1)
    axes[1].legend(fontsize=8.5, loc="upper left", bbox_to_anchor=(1.0, 1.0))
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
            half = (mine["high"] - mine["mean"]).fillna(0)
            axis.errorbar(at, mine["mean"], half, fmt="o", color=colour, label=setting)
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
