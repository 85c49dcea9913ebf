"""The report of a run: its notebooks as pages, an index that opens from disk, the headline."""

import json
import re
from collections.abc import Mapping
from pathlib import Path

import pandas as pd

from paper_utils.store import MANIFEST

TEMPLATES = Path(__file__).parent / "templates"
EMPHASIS = r"(\*+)(.+?)\1"  # **bold** and *italic*, as the README shows the answer
LAYERS = {
    "last": "the last layer, fixed beforehand",
    "gate": "the preferred layer (exploratory: of those above the word embeddings, the one where a "
            "model's own vectors best match the two names)",
}  # fmt: skip


def pages(files: Mapping[str, Path | bytes], results: dict, facts: dict) -> dict[str, bytes]:
    """``NN_name.html`` for each notebook among the files of a run, and ``index.html``: the answer
    and the verdicts first, then figures in reading order, tables, and files."""
    from jinja2 import Environment, FileSystemLoader
    from markupsafe import Markup, escape
    from nbconvert import HTMLExporter

    # Nothing is fetched: no formulas, no widgets.
    exporter = HTMLExporter(template_name="lab", mathjax_url="", require_js_url="")
    templates = Environment(loader=FileSystemLoader(TEMPLATES), autoescape=True)
    notebooks = {Path(name).stem: path for name, path in files.items() if name.endswith(".ipynb")}
    links = {"index": "report"} | {stem: stem.replace("_", " ") for stem in notebooks}
    added, made, titles = templates.get_template("page.html").render(links=links), {}, {}
    for stem, path in notebooks.items():
        body, _ = exporter.from_filename(str(path))
        made[f"{stem}.html"] = body.replace("</head>", added, 1).encode()
        titles[stem] = json.loads(path.read_text())["cells"][0]["source"][0].strip("# \n")
    listed = sorted(name for name in files if name.startswith("tables/"))
    index = templates.get_template("index.html").render(
        results=results, facts=facts, titles=titles, tables=tables(results),
        answer=[Markup(re.sub(EMPHASIS, r"<b>\2</b>", str(escape(line))))  # noqa: S704  (escaped)
                for line in answer(results)],
        models=models(results), files=[*listed, "results.json", "provenance.json", MANIFEST],
        images={Path(n).stem: n for n in files if n.endswith((".png", ".gif"))},
    )  # fmt: skip
    return made | {"index.html": index.encode()}


def answer(results: dict) -> list[str]:
    """What the run found, in a few sentences that hold for whatever it found."""
    k, rows = results["k"], pd.DataFrame(results["alignment"])
    lexical, naive = rows["lexical"], rows["untrained_agent"]
    sentences = [
        f"**The paper's measure.** Held-out precision@{k}: is an instruction's partner among the "
        f"{k} nearest, after one space was rotated onto the other? Agents score "
        f"{_span(rows['value'])} with the models; the paper's abstract reports 0.70 to 0.73 with "
        "decoders and BLIP, less with CLIP and BERT. The best controls that have learned nothing "
        "(word counts, edit distance, random vectors, untrained agents) score "
        f"{_span(pd.concat([lexical, naive], axis=1).max(axis=1))}. Agents are clearly above them "
        f"for {sum(rows['gap_low'] > 0)} of {len(rows)} models. With the same models before any "
        f"training, agents score {_span(rows['untrained_reference'])}. The direction matters, and "
        f"the abstract gives none: from agent to model {_each(rows, 'reference', 'forward')}, "
        f"where the best lexical controls score {_span(rows['lexical_forward'])}; from model to "
        f"agent {_span(rows['backward'])}, and those controls {_span(rows['lexical_backward'])}."
    ]
    second = pd.DataFrame(results["second_names"]).query("names == 'second'")
    learned = second["second_kind"].isin(["trained", "bilingual"])
    controls = second[~learned & (second["second_kind"] != "told")]
    models = second[learned & (second["second_source"] != "cloning")]
    if (models["measure"] == "colour").any():
        parts = []
        for layer, where in LAYERS.items():
            here = models[models["layer"] == layer]
            at, order = (here[here["measure"] == name] for name in ("colour", "order"))
            passed = at["p"] <= 0.01
            parts.append(f"At {where}, agents choose it above chance with "
                         f"{_each(at[passed], 'second', 'value')}")  # fmt: skip
            if not passed.all():
                parts[-1] += f", not with {_each(at[~passed], 'second', 'value')}"
            order = order[order["second"].isin(at["second"][passed])]
            if len(order):
                parts[-1] += (f"; with the former they tell who is put next to whom (chance 0.50) "
                              f"in {_span(order['value'])}")  # fmt: skip
        chance = models.query("measure == 'colour'")["chance"].mean()
        free = controls.query("layer == 'last' and measure in ['colour', 'order']")
        reach = " and ".join(_span(part["value"]) for _, part in free.groupby("measure"))
        sentences.append(
            "**Second names.** The rotation is fitted on sentences in first names (red ball) and "
            "tested on other sentences in second names (crimson sphere), so that shared words "
            f"cannot help. One measure is the right colour out of six (chance {chance:.2f}). "
            f"{'. '.join(parts)}. "
            f"Controls that were given no tie between the names reach {reach}, as means over seeds."
        )
    acts = pd.DataFrame(results["transfer"]).query("names == 'second'")
    acts = acts[acts["level"].isin(["PickupLoc", "PutNextLocal"])]
    if {"reference", "control"} <= set(acts["kind"]):
        rates = acts.pivot_table("success", ["kind", "source"], "level")
        best, rival, told = (rates.loc[kind].iloc[:, 0].idxmax()
                             for kind in ("reference", "control", "told"))  # fmt: skip
        said = [", ".join(f"{rate:.0%} on {level}" for level, rate in rates.loc[which].items())
                for which in (("reference", best), ("control", rival), ("told", told))]  # fmt: skip
        success = pd.DataFrame(results["success"]).query("player == 'random'").set_index("level")
        compared = []
        for level in rates.columns:
            each = acts[(acts["kind"] == "reference") & (acts["level"] == level)]
            ahead = each["source"][each["p"] <= 0.01]
            compared.append(f"{len(ahead)} of {len(each)} models are ahead of the best control on "
                            f"{level}" + f" ({', '.join(ahead)})" * bool(len(ahead)))  # fmt: skip
        chance = ", ".join(f"{success['success'][level]:.0%}" for level in rates.columns)
        sentences.append(
            "**Acting on another model's sentence.** An agent is given a mapped vector of an "
            f"instruction in words that it never heard. With {best}'s vectors it succeeds in "
            f"{said[0]}; with those of the best control ({rival}) in {said[1]}; by random moves in "
            f"{chance}; with those of {told}, told which names are one thing, in {said[2]}. "
            f"{'; '.join(compared)}. At most two agents act, each on one seed of every model."
        )
    verdicts = pd.DataFrame(results["verdicts"])
    columns = {"last": "verdict", "preferred": "verdict_gate_layer"}
    said = [f"at the {layer} layer: {_counts(verdicts[column].iloc[:-1])}"
            for layer, column in columns.items()]  # fmt: skip
    sentences.append(f"**Verdicts, by rule.** Of the paper's {len(verdicts) - 1} claims, "
                     f"{'; '.join(said)}. Our own, that an agent can act on another model's "
                     f"sentence (two models suffice): {verdicts['verdict'].iloc[-1]}.")  # fmt: skip
    if (verdicts == "no power here").any(axis=None):
        sentences[-1] += (
            " *No power here* means that the test does not pass its own controls there (some pair "
            "of agents or of decoders does not agree clearly), so that by our rule nothing is "
            "judged, agreement above chance included; or that a model did not learn the second "
            "names; or that there are fewer than three seeds of each."
        )
    return sentences


def _counts(verdicts: pd.Series) -> str:
    return ", ".join(f"{number} {verdict}" for verdict, number in verdicts.value_counts().items())


def _each(rows: pd.DataFrame, name: str, value: str) -> str:
    """As "LLaMA 0.71, Qwen 0.68", or "none"."""
    pairs = zip(rows[name], rows[value], strict=True)
    return ", ".join(f"{one} {number:.2f}" for one, number in pairs) or "none"


def _span(values: pd.Series) -> str:
    low, high = f"{values.min():.2f}", f"{values.max():.2f}"
    return low if low == high else f"{low} to {high}"


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
    alignment, success = (
        pd.DataFrame(results[name]).apply(lambda c: c.map(number) if c.dtype == float else c)
        for name in ("alignment", "success")
    )
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


def models(results: dict) -> str:
    """A sentence about which models these are, and which the run had to do without."""
    text = "Reference models were trained from scratch on this world, unless called public."
    names = ", ".join(results["missing"])
    return f"{text} Without {names}, which could not be had." if names else text


def headline(folder: Path) -> str:
    """What a run prints when it is done."""
    results = json.loads((folder / "results.json").read_text())
    lines = ["", *(re.sub(EMPHASIS, r"\2", line) for line in answer(results)), ""]
    for title, table in tables(results):
        shown = table.drop(columns="because", errors="ignore")
        lines += [title, shown.to_string(index=False), ""]
    return "\n".join([*lines, models(results), f"report   {folder / 'index.html'}"])
