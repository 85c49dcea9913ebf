"""The report of a run: its notebooks as pages, an index that opens from disk, the headline."""

import json
from collections.abc import Mapping
from html import escape
from pathlib import Path
from textwrap import fill

import pandas as pd
from jinja2 import Environment, PackageLoader, select_autoescape

from paper_utils.store import MANIFEST

TEMPLATES = Environment(loader=PackageLoader("paper_utils"), autoescape=select_autoescape())


def pages(files: Mapping[str, Path | bytes], results: dict, facts: dict) -> dict[str, bytes]:
    """``NN_name.html`` for each notebook among the files of a run, and ``index.html``: the answer
    and the verdicts first, then figures in reading order, tables, and files."""
    from nbconvert import HTMLExporter  # slow to import, and not always needed
    from nbconvert.filters import markdown2html

    # Nothing is fetched: no formulas, no widgets.
    exporter = HTMLExporter(template_name="lab", mathjax_url="", require_js_url="")
    notebooks = {Path(name).stem: path for name, path in files.items() if name.endswith(".ipynb")}
    links = {"index": "report"} | {stem: stem.replace("_", " ") for stem in notebooks}
    added, made, titles = TEMPLATES.get_template("page.html").render(links=links), {}, {}
    for stem, path in notebooks.items():
        body, _ = exporter.from_filename(str(path))
        made[f"{stem}.html"] = body.replace("</head>", added, 1).encode()
        titles[stem] = json.loads(path.read_text())["cells"][0]["source"][0].strip("# \n")
    index = TEMPLATES.get_template("index.html").render(
        results=results, facts=facts, titles=titles, tables=tables(results),
        answer=markdown2html(escape("\n\n".join(answer(results)))),
        files=[*sorted(name for name in files if name.startswith("tables/")), "results.json",
               "provenance.json", MANIFEST],
        images={Path(n).stem: n for n in files if n.endswith((".png", ".gif"))})  # fmt: skip
    return made | {"index.html": index.encode()}


def answer(results: dict) -> list[str]:
    """What the run found: the paragraphs of ``templates/answer.md``."""
    rows, second, acts, verdicts = (pd.DataFrame(results[name]) for name in (
        "alignment", "second_names", "transfer", "verdicts"))  # fmt: skip
    second = second.query("names == 'second' and measure in ['colour', 'order']")
    learned = second["second_kind"].isin(["trained", "bilingual"])
    models = second[learned & (second["second_source"] != "cloning")]
    free = second[~learned & (second["second_kind"] != "told") & (second["layer"] == "last")]
    layers = []
    for layer in ("last", "gate") if (models["measure"] == "colour").any() else ():
        here = models[models["layer"] == layer]
        at, order = (here[here["measure"] == name] for name in ("colour", "order"))
        passed = at["p"] <= 0.01
        order = order[order["second"].isin(at["second"][passed])]
        layers.append((layer, at[passed], at[~passed], order["value"]))
    acts = acts.query("names == 'second' and level in ['PickupLoc', 'PutNextLocal']")
    best, acted, compared, moves = {}, {}, [], []
    if {"reference", "control"} <= set(acts["kind"]):
        rates = acts.pivot_table("success", ["kind", "source"], "level")
        moves = [f"{rate:.0%}" for rate in rates.loc["control", "random moves"]]
        rates = rates.drop("random moves", level="source")
        for kind in ("reference", "control", "told"):
            best[kind] = rates.loc[kind].iloc[:, 0].idxmax()
            each = rates.loc[kind, best[kind]].items()
            acted[kind] = ", ".join(f"{rate:.0%} on {level}" for level, rate in each)
        for level, part in acts[acts["kind"] == "reference"].groupby("level"):
            compared.append((level, len(part), part["source"][part["p"] <= 0.01].tolist()))
    text = TEMPLATES.get_template("answer.md").render(
        k=results["k"], rows=rows, layers=layers, verdicts=verdicts, best=best, acted=acted,
        chance=second["chance"][second["measure"] == "colour"], compared=compared,
        free=[part["value"] for _, part in free.groupby("measure")], moves=", ".join(moves),
        agents=acts["agents"].max(), missing=results["missing"])  # fmt: skip
    return [" ".join(part.split()) for part in text.split("\n\n") if part.strip()]


def tables(results: dict) -> list[tuple[str, pd.DataFrame]]:
    """The tables of a report, all text, each with its heading; the paper's claims come first."""
    k, count, number = results["k"], results["instructions"], "{:.3f}".format
    claims = {"claim": "claim", "paper_measure": "the paper's measure, here",
              "verdict": "verdict, last layer", "because": "because",
              "verdict_gate_layer": "verdict, preferred layer"}  # fmt: skip
    scores = {"pair": "pair", "value": "precision@k", "interval": "95 % interval",
              "chance": "chance", "bag_of_words": "bag of words", "lexical": "best lexical",
              "untrained_agent": "untrained agent"}  # fmt: skip
    verdicts = pd.DataFrame(results["verdicts"])
    second = pd.DataFrame(results["second_names"]).query("names == 'second' and layer == 'last'")
    second = second.pivot_table("value", "second", "measure", sort=False)
    alignment, success = (pd.DataFrame(results[name]).apply(
        lambda c: c.map(number) if c.dtype == float else c)
        for name in ("alignment", "success"))  # fmt: skip
    alignment["interval"] = alignment["low"] + " to " + alignment["high"]
    success["text"] = success["success"] + " (" + success["low"] + " to " + success["high"] + ")"
    success = success.pivot_table("text", "player", "level", aggfunc="first", sort=False)
    return [
        ("The paper's claims, and one of ours, judged by rule",
         verdicts[list(claims)].rename(columns=claims)),
        (f"Second names: bilingual agents with everyone, last layer (k = {k} of {count}; chance of "
         "colour 1/6, type 1/3, verb 1/2, place 1/4, order 1/2; where agents with each other are "
         "at chance, a column tests nothing)",
         second.map("{:.2f}".format).reset_index().rename_axis(columns=None)),
        (f"The paper's measure: held-out precision@{k} with the trained agents, N = {count}",
         alignment[list(scores)].rename(columns=scores)),
        ("Success of the agents on fresh episodes, 95 % Wilson interval",
         success.reset_index().rename_axis(columns=None)),
    ]  # fmt: skip


def headline(folder: Path) -> str:
    """What a run prints when it is done."""
    results = json.loads((folder / "results.json").read_text())
    parts = [fill(part.replace("*", ""), 100, break_on_hyphens=False) for part in answer(results)]
    return "\n" + "\n\n".join([*parts, f"report   {folder / 'index.html'}"])
