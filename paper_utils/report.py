"""The report of a run: its notebooks as pages, an index that opens from disk, the headline."""

import json
from collections.abc import Mapping
from pathlib import Path
from textwrap import fill

import pandas as pd
from jinja2 import Environment, PackageLoader, select_autoescape

from paper_utils.store import MANIFEST

TEMPLATES = Environment(loader=PackageLoader("paper_utils"), autoescape=select_autoescape())
WIDTH = 100  # letters of a line on the terminal
PICTURES = (".png", ".gif")
Files = Mapping[str, Path | bytes]


def pages(files: Files, results: dict, facts: dict) -> dict[str, bytes]:
    """``NN_name.html`` for each notebook among the files of a run, and ``index.html``: the answers
    first, then figures in reading order, tables, and files."""
    from nbconvert import HTMLExporter

    # Nothing is fetched: no formulas, no widgets.
    exporter = HTMLExporter(template_name="lab", mathjax_url="", require_js_url="")
    notebooks = {Path(name).stem: path for name, path in files.items() if name.endswith(".ipynb")}
    links = {"index": "report"}
    for stem in notebooks:
        links[stem] = stem.replace("_", " ")
    # Into each page: links, and code that folds.
    added = TEMPLATES.get_template("page.html").render(links=links)
    made: dict[str, bytes] = {}
    titles: dict[str, str] = {}
    for stem, path in notebooks.items():
        # The notebook as it was executed, nothing computed again.
        body, _ = exporter.from_filename(str(path))
        made[f"{stem}.html"] = body.replace("</head>", added, 1).encode()
        titles[stem] = _title(path)
    made["index.html"] = _index(files, results, facts, titles).encode()
    return made


def _title(notebook: Path) -> str:
    first = json.loads(notebook.read_text(encoding="utf-8"))["cells"][0]
    return first["source"][0].strip("# \n")


def _index(files: Files, results: dict, facts: dict, titles: dict[str, str]) -> str:
    shown = sorted(name for name in files if name.startswith("tables/"))
    images = {Path(name).stem: name for name in files if name.endswith(PICTURES)}
    return TEMPLATES.get_template("index.html").render(
        results=results,
        facts=facts,
        titles=titles,
        claims=results["claims"],
        tables=tables(results),
        files=[*shown, "results.json", "provenance.json", MANIFEST],
        images=images,
    )


def answer(results: dict) -> list[str]:
    """What the run found: a sentence for each claim."""
    return [f"{row['claim']}: {row['answer']}" for row in results["claims"]]


def tables(results: dict) -> list[tuple[str, pd.DataFrame]]:
    """The tables of a report, all text, each with its heading."""
    success = pd.DataFrame(results["success"])
    success["text"] = [_with_interval(row) for row in success.itertuples()]
    success = success.pivot_table("text", "player", "level", aggfunc="first", sort=False)
    differences = pd.DataFrame(results["differences"])
    # Single models are in the tables of notebook 04.
    means = differences[differences["model"] == "mean"].drop(columns="model")
    worlds = results["worlds"]
    return [
        (f"Differences, mean over models, in {len(worlds)} worlds", means.map(_short)),
        ("Success on fresh episodes, with its 95 % Wilson interval", success.reset_index()),
    ]


def _with_interval(row) -> str:
    return f"{row.success:.3f} ({row.low:.3f} to {row.high:.3f})"


def _short(value) -> str:
    """A number with three digits, everything else as it is; nothing where there is no value."""
    if isinstance(value, float):
        return "" if pd.isna(value) else f"{value:.3f}"
    return "" if value is None else str(value)


def headline(folder: Path) -> str:
    """What a run prints when it is done."""
    results = json.loads((folder / "results.json").read_text(encoding="utf-8"))
    parts = [fill(line, WIDTH, break_on_hyphens=False) for line in answer(results)]
    parts.append(f"report   {folder / 'index.html'}")
    return "\n" + "\n\n".join(parts)
