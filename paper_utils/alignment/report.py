"""What an audit comes back with: a table, three sentences, a figure, a page."""

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
    SAME_WORDS: "in the same words,",
    SYNONYMS: "with synonyms,",
    STRUCTURE: "in the structure of factors,",
}
ALPHA = 0.01  # several measures are judged: one in a hundred is chance
MARGIN = 0.02  # of a value above a control: draws of one control differ by as much

NOTHING = "nothing shared"
UNTOLD = "too few levels or permutations to tell"
WORDS = "words explain this"
CODE = "a codebook explains it"
MORE_THAN_WORDS = "more than words"
MORE_BUT_CODE = f"{MORE_THAN_WORDS}, but {CODE}"
MORE_THAN_CODE = f"{MORE_THAN_WORDS} and more than a codebook"
UNEXPLAINED = "shared, and nothing to compare it with"
ORDER = [UNTOLD, NOTHING, UNEXPLAINED, WORDS, CODE, MORE_BUT_CODE, MORE_THAN_WORDS, MORE_THAN_CODE]

# Column of the table -> its name for people.
SHOWN = {
    "test": "test",
    "measure": "measure",
    "value": "value",
    "chance": "chance",
    "null": "null",
    "p": "p",
    "calibrated": "calibrated",
    "best_control": "best control",
    "control": "which",
    "codebook": "codebook",
    "verdict": "verdict",
}
# Column of the table -> its name in the figure, and how it is drawn.  Colours are the paper's: of
# random words, of word counts, of the codebook, and of language.
MARKS = {
    "null": ("at random", {"marker": "|", "color": "#B0B0B0", "markersize": 9}),
    "best_control": ("best control of words", {"marker": "s", "color": "#7F7F7F"}),
    "codebook": ("codebook", {"marker": "D", "color": "#000000", "markerfacecolor": "none"}),
    "value": ("the two", {"marker": "o", "color": "#0072B2"}),
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
    >>> verdict(row | {"best_control": 0.95, "codebook": np.nan})
    'words explain this'
    >>> verdict(row | {"best_control": 0.5, "codebook": np.nan})
    'more than words'
    """
    # What no permutation could have shown, none has.
    if row["smallest_p"] > ALPHA:
        return UNTOLD
    if not row["p"] <= ALPHA:
        return NOTHING
    # NaN is what was not measured: nothing is above or below it.
    above = row["value"] - MARGIN
    if above <= row["best_control"]:
        return WORDS
    # Words that were never met cannot help, also where nobody measured it.
    words_tried = row["test"] == SYNONYMS or row["best_control"] < above
    if above <= row["codebook"]:
        return MORE_BUT_CODE if words_tried else CODE
    if not words_tried:
        return UNEXPLAINED
    return MORE_THAN_CODE if row["codebook"] < above else MORE_THAN_WORDS


@dataclass(frozen=True)
class Audit:
    """What two encoders share.  Printed, it is three sentences.

    Attributes:
        table: a row per measure and direction; columns test, measure, direction, value, chance,
            null (its mean), p (one-sided), calibrated (0 to 1 above the null's threshold),
            best_control (the best encoder of words only in the place of either), control (its
            name), codebook (the best of its draws), n, layers (the best pair), verdict.
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
        return self.table[self.table["direction"] == "both"].reset_index(drop=True)

    def strongest(self, test):
        """The row of a test that says most."""
        rows = self.main[self.main["test"] == test]
        ranks = rows["verdict"].map(ORDER.index)
        rows = rows[ranks == ranks.max()]
        # Of equals, the one that differs most from what words do, and so the clearest.
        words = rows["best_control"].fillna(rows["chance"])
        gap = (rows["value"] - words).abs()
        return rows.loc[gap.idxmax()]

    def summary(self):
        """Three sentences: how far the two agree, what explains it, and what to doubt."""
        # The largest k, which is the last, has the least to do with luck.
        rows = self.main[self.main["measure"].str.startswith("precision@")]
        row = rows[rows["test"] == SAME_WORDS].iloc[-1]
        beside = f"chance {row['chance']:.2f}"
        if not np.isnan(row["p"]):
            beside += f", pairs at random {row['null']:.2f}, p = {row['p']:.2g}"
        beside += f"; {row['n']} items"
        # A maximum over layers must not be read as a single score.
        if self.settings["layers"] != [1, 1]:
            counts = " x ".join(map(str, self.settings["layers"]))
            beside += f", the best of {counts} pairs of layers against the same best at random"
        measured = f"held-out {row['measure']} is {row['value']:.2f} ({beside})"
        agreement = f"Between {self.names[0]} and {self.names[1]}, {measured}."

        # A clause for every test that was made.
        clauses = []
        for test in self.main["test"].unique():
            row = self.strongest(test)
            clauses.append(f"{OPENINGS[test]} {row['verdict']}: {_compared(row)}")
        explanation = "; ".join(clauses)
        explanation = f"{explanation[0].upper()}{explanation[1:]}."

        # Doubts are part of what is quoted, not a footnote.
        doubt = f"To doubt: {'; '.join(self.doubts)}."
        if not self.doubts:
            power = self.settings["power"]
            known = f" (power {power:.2f} for r = {self.settings['effect']})" if power else ""
            doubt = f"Nothing speaks against reading this as it stands{known}."
        return f"{agreement} {explanation} {doubt}"

    def plot(self):
        """One figure: each measure with chance, null, best control and codebook beside it."""
        # Loaded here: who only asks for numbers does not wait for it.
        from matplotlib import pyplot as plt

        rows = self.main[::-1]  # the first row on top
        height = 1.2 + 0.28 * len(rows)
        figure, axes = plt.subplots(figsize=(6.9, height), layout="constrained")
        places = np.arange(len(rows))
        for name, (label, style) in MARKS.items():
            # What nobody measured has no place in the legend either.
            if rows[name].notna().any():
                axes.plot(rows[name], places, label=label, linestyle="none", **style)
        axes.set_yticks(places, rows["test"] + ": " + rows["measure"])
        axes.set_xlabel("similarity (1: the same)")
        axes.set_xlim(min(-0.05, rows["value"].min() - 0.05), 1.05)
        axes.grid(axis="x", alpha=0.3)
        axes.spines[["top", "right"]].set_visible(False)
        axes.set_title(" and ".join(self.names))
        figure.legend(loc="outside lower center", ncols=len(MARKS), frameon=False)
        # Closed, so that a notebook shows the figure once: as what this returns.
        plt.close(figure)
        return figure

    def to_json(self):
        """Everything as JSON; what is not known is null."""
        # By pandas first, which writes NaN as null.
        parts = {
            "names": self.names,
            "summary": self.summary(),
            "doubts": self.doubts,
            "settings": self.settings,
            "table": json.loads(self.table.to_json(orient="records")),
        }
        return json.dumps(parts, indent=1)

    def save(self, folder):
        """Writes table.csv, figure.png, figure.pdf, audit.json and the page index.html."""
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        self.table.to_csv(folder / "table.csv", index=False)
        (folder / "audit.json").write_text(self.to_json(), encoding="utf-8")
        figure = self.plot()
        # Without dates and versions, so that equal audits are equal files.
        figure.savefig(folder / "figure.png", dpi=200, metadata={"Software": None})
        figure.savefig(folder / "figure.pdf", metadata={"CreationDate": None, "Producer": None})
        # Names come from files: they are no HTML.
        title = html.escape(" and ".join(self.names))
        page = PAGE.format(title=title, body=self._repr_html_())
        (folder / "index.html").write_text(page, encoding="utf-8")

    def __repr__(self):
        return self.summary()

    def _repr_html_(self):
        shown = self.main[list(SHOWN)].rename(columns=SHOWN)
        table = shown.to_html(index=False, float_format="{:.2f}".format, na_rep="")
        return f"<p>{html.escape(self.summary())}</p>\n{table}"


def _compared(row):
    """``linear CKA .95 (best control .47, tf-idf; codebook .73)``."""
    # Beside what explains it; where nothing was measured, beside chance.
    beside = []
    if row["control"]:
        beside.append(f"{row['control']} {row['best_control']:.2f}")
    if not np.isnan(row["codebook"]):
        beside.append(f"codebook {row['codebook']:.2f}")
    if not beside:
        beside.append(f"chance {row['chance']:.2f}")
    return f"{row['measure']} {row['value']:.2f} ({', '.join(beside)})"
