"""What an audit comes back with: a table, a few sentences, a figure, a page."""

import html
import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

KEYS = ["test", "measure", "direction"]  # what a row of the table is about
SAME_WORDS = "same words"
SYNONYMS = "synonyms"
STRUCTURE = "structure"
# Test -> how the clause about it begins.
OPENINGS = {
    SAME_WORDS: "In the same words,",
    SYNONYMS: "In synonyms,",
    STRUCTURE: "In how levels of a factor are spaced,",
}
RIVALS = ["best_control", "words_for_Y", "codebook"]  # what a value is held against
ALPHA = 0.01  # several measures are judged: one in a hundred is chance
MARGIN = 0.02  # of a value above a control: draws of one control differ by as much

NOTHING = "nothing found"
UNTOLD = "too few levels or permutations to tell"
WORDS = "words are enough"
CODE = "a codebook is enough"
MORE_THAN_WORDS = "more than words"
MORE_BUT_CODE = "more than words, but a codebook is enough"
WORDS_FOR_Y = "words are enough in the place of Y"
MORE_THAN_CODE = "more than words and more than a codebook"
UNEXPLAINED = "shared, and nothing to compare it with"
ORDER = [
    UNTOLD,
    NOTHING,
    UNEXPLAINED,
    WORDS,
    CODE,
    WORDS_FOR_Y,
    MORE_BUT_CODE,
    MORE_THAN_WORDS,
    MORE_THAN_CODE,
]

# Column of the table -> how it is drawn.  Colours are the paper's: of
# random words, of word counts, of the codebook, and of language.
MARKS = {
    "null": {"label": "at random", "marker": "|", "color": "#B0B0B0"},
    "best_control": {"label": "best control of words", "marker": "s", "color": "#7F7F7F"},
    "codebook": {"label": "codebook", "marker": "x", "color": "#000000"},
    "words_for_Y": {
        "label": "words in the place of Y",
        "marker": "s",
        "color": "#7F7F7F",
        "mfc": "none",
    },
    # Hollow, so that what lies behind it can be seen.
    "value": {
        "label": "the two encoders",
        "marker": "o",
        "color": "#0072B2",
        "mfc": "none",
        "ms": 9,
    },
}
PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>{title}</title>
<meta name="viewport" content="width=device-width, initial-scale=1">
<style>
body {{ font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem;
       color-scheme: light dark }}
table {{ border-collapse: collapse; font-size: .85rem; display: block; overflow-x: auto }}
td, th {{ border: 0; padding: .2rem .6rem; text-align: left }}
img {{ max-width: 100%; background: white }}
</style></head><body><h1>{title}</h1>
<img src="figure.png" alt="Each measure beside chance, null, best control and codebook">
{body}
<p><a href="table.csv">table.csv</a> · <a href="audit.json">audit.json</a> ·
<a href="figure.pdf">figure.pdf</a></p>
</body></html>
"""


def verdict(row):
    """What a value says, beside its null, the best control and the codebook.

    >>> row = {"test": "same words", "value": 0.9, "p": 0.005, "smallest_p": 0.005}
    >>> verdict(pd.Series(row | {"best_control": 0.95, "codebook": np.nan}))
    'words are enough'
    >>> verdict(pd.Series(row | {"best_control": 0.5, "codebook": np.nan}))
    'more than words'
    """
    if not row.p <= ALPHA:
        # What no permutation could have shown, none has.
        return UNTOLD if row.smallest_p > ALPHA else NOTHING
    # NaN is what was not measured: nothing is above or below it.
    above = row.value - MARGIN
    if above <= row.best_control:
        return WORDS
    if row.test == SYNONYMS and above <= row.words_for_Y:
        return WORDS_FOR_Y
    # Words that were never met cannot help, also where nobody measured it.
    words_tried = row.test == SYNONYMS or row.best_control < above
    if above <= row.codebook:
        return MORE_BUT_CODE if words_tried else CODE
    if not words_tried:
        return UNEXPLAINED
    return MORE_THAN_CODE if row.codebook < above else MORE_THAN_WORDS


@dataclass(frozen=True)
class Audit:
    """What two encoders share.  Printed, it is its summary.

    Attributes:
        table: a row per measure and direction; columns test, measure, direction, value, chance,
            null (its mean), p (one-sided), calibrated (0 to 1 above the null's threshold),
            best_control (the best encoder of words only in the place of either; in the synonym
            test, of X), control (its name), words_for_Y (there, the best in the place of Y),
            control_for_Y (its name), codebook (the best of its draws), n, layers (the best pair),
            verdict.
        names: of the two encoders.
        doubts: sentences.
        settings: what was asked, for the record.
    """

    table: pd.DataFrame
    names: tuple
    doubts: list
    settings: dict

    @property
    def main(self):
        """The rows without directions: their means."""
        return self.table.query("direction == 'both'").reset_index(drop=True)

    @property
    def title(self):
        """The names of both."""
        return " and ".join(self.names)

    @property
    def headline(self):
        """The row of precision at the largest k, which has the least to do with luck."""
        precise = "test == @SAME_WORDS and measure.str.startswith('precision@')"
        return self.main.query(precise).iloc[-1]

    def strongest(self, test):
        """The row of a test that says most; of equals the measure of the headline."""
        rows = self.main.query("test == @test")
        is_headline = rows["measure"] == self.headline["measure"]
        return rows.loc[(rows["verdict"].map(ORDER.index) + is_headline / 2).idxmax()]

    def summary(self):
        """Sentences, a line each: how far the two agree, what each test says, what to doubt."""
        clauses = [_clause(self.strongest(test)) for test in self.main["test"].unique()]
        text = (
            "Between {title}, held-out {measure} is {value:.2f} (chance {chance:.2f}, "
            "pairs at random {null:.2f}, p = {p:.2g}; {n} items"
        )
        # A maximum over layers must not be read as a single score.
        if self.settings["layers"] != "1 x 1":
            text += ", the best of {layers} pairs of layers against the same best at random"
        # Doubts are part of what is quoted, not a footnote.
        fine = "Neither rows nor size give reason to doubt"
        text += ").\n{clauses}\n" + ("To doubt: {doubts}" if self.doubts else fine)
        if self.settings["power"] and not self.doubts:
            text += (
                " (of simulated pairs of this size that share a signal of r = {effect}, "
                "{power:.0%} are told from pairs at random)"
            )
        return (text + ".").format(
            title=self.title,
            clauses="\n".join(clauses),
            doubts="; ".join(self.doubts),
            **self.headline.to_dict() | self.settings,
        )

    def plot(self, test=None):
        """One figure: each measure (of one test: "same words", "synonyms", "structure"; None: of
        all) with null, best controls and codebook beside it.  Raises ValueError, one line, for a
        test that the audit has not."""
        # Loaded here: who only asks for numbers does not wait for it.
        from matplotlib import pyplot as plt

        rows = self.main[::-1]  # the first row on top
        if test:
            rows = rows.query("test == @test")
        if rows.empty:
            raise ValueError(f"this audit has no test {test!r}")
        # Of one test alone the title says which.
        several = rows["test"].nunique() > 1
        labels = rows["test"] + ": " + rows["measure"] if several else rows["measure"]
        size = 6.9, 1.2 + 0.28 * len(rows)
        figure, axes = plt.subplots(figsize=size, layout="constrained")
        for name, style in MARKS.items():
            # What nobody measured has no place in the legend either.
            if rows[name].notna().any():
                axes.plot(rows[name], labels, linestyle="none", **style)
        axes.set_xlabel("score (1: the most)")
        axes.grid(axis="x", alpha=0.3)
        test = test or SAME_WORDS
        row = self.strongest(test)
        title = f"{self.title}, {test}: {row.measure} {row.value:.2f}"
        best = row[RIVALS].max()
        # NaN where nothing stands beside it.
        title += "" if np.isnan(best) else f", controls at most {best:.2f}"
        axes.set_title(f"{title}:\n{row.verdict}", loc="left")
        figure.legend(loc="outside upper left", ncols=len(MARKS), frameon=False)
        # Closed, so that a notebook shows the figure once: as what this returns.
        plt.close(figure)
        return figure

    def to_json(self):
        """Everything as JSON; what is not known is null."""
        # By pandas first, which writes NaN as null.
        rows = json.loads(self.table.to_json(orient="records"))
        return json.dumps(vars(self) | {"summary": self.summary(), "table": rows}, indent=1)

    def save(self, folder):
        """Writes table.csv, figure.png, figure.pdf, audit.json and the page index.html."""
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        figure = self.plot()
        # Without dates and versions, so that equal audits are equal files.
        figure.savefig(folder / "figure.png", dpi=200, metadata={"Software": None})
        figure.savefig(folder / "figure.pdf", metadata={"CreationDate": None, "Producer": None})
        # Names come from files: they are no HTML.
        page = PAGE.format(title=html.escape(self.title), body=self._repr_html_())
        (folder / "index.html").write_text(page, encoding="utf-8")
        (folder / "audit.json").write_text(self.to_json(), encoding="utf-8")
        self.table.to_csv(folder / "table.csv", index=False)

    def __repr__(self):
        return self.summary()

    def _repr_html_(self):
        # Columns that say little are not shown: there is little room.
        shown = self.main.drop(columns=["direction", "n", "layers"])
        shown = shown.rename(columns=lambda name: name.replace("_", " "))
        table = shown.to_html(index=False, float_format="{:.2f}".format, na_rep="")
        said = html.escape(self.summary())
        return f'<p style="white-space: pre-line">{said}</p>\n{table}'


def _clause(row):
    """``In the same words, more than words: linear CKA 0.95 (tf-idf 0.47, chance 0.00).``"""
    # Beside all that could explain it, as far as it was measured.
    values = {
        row.control: row.best_control,
        f"{row.control_for_Y} in the place of Y": row.words_for_Y,
        "codebook": row.codebook,
        "chance": row.chance,
    }
    beside = [f"{name} {value:.2f}" for name, value in values.items() if not np.isnan(value)]
    measured = f"{row.measure} {row.value:.2f} ({', '.join(beside)})"
    # How much more is for readers to weigh: the margin is no test.
    more = f", by {row.value - row[RIVALS].max():.2f}" if row.verdict.startswith("more") else ""
    return f"{OPENINGS[row.test]} {row.verdict}{more}: {measured}."
