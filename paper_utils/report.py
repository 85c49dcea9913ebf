"""The report of a run: its notebooks as pages, an index that opens from disk, the headline."""

import html
import json
import re
from collections.abc import Mapping
from pathlib import Path

import pandas as pd

STYLE = """
body{font:16px/1.6 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem;color:#222}
h1,h2{line-height:1.25} h2{margin-top:2.5rem} a{color:#0072B2} small,figcaption{color:#555}
.box{overflow-x:auto;border:1px solid #ddd;border-radius:.5rem;padding:.3rem .6rem}
table{border-collapse:collapse;font-size:.9rem} figure{margin:1.5rem 0} img{max-width:100%}
td,th{padding:.25rem .7rem;border-bottom:1px solid #ddd;text-align:left;vertical-align:top}
"""
# What is added to nbconvert's page: a readable column, tables that scroll, code that folds.
PAGE = """<style>
body.jp-Notebook{max-width:58rem;margin:0 auto;padding:.5rem 1rem 4rem;box-sizing:border-box}
.jp-InputPrompt,.jp-OutputPrompt,.jp-Collapser{display:none} .jp-RenderedHTMLCommon table{margin:0}
.jp-OutputArea-output,.jp-MarkdownOutput pre{overflow-x:auto}
.jp-OutputArea-output pre,.jp-MarkdownOutput code{font-size:.82em;white-space:pre!important}
.jp-RenderedImage img,.jp-RenderedHTML img{max-width:100%!important;height:auto}
details.code>summary{cursor:pointer;color:#666;font:12px/1.8 ui-monospace,monospace}
nav.paper a{color:#0072B2;margin-right:1rem;font:14px system-ui,sans-serif}
</style><script>
addEventListener("DOMContentLoaded",()=>{
  document.body.insertAdjacentHTML("afterbegin",`<nav class="paper">LINKS</nav>`);
  for(const area of document.querySelectorAll(".jp-CodeCell .jp-Cell-inputWrapper")){
    const fold=document.createElement("details");fold.className="code";
    fold.innerHTML="<summary>code</summary>";area.before(fold);fold.append(area)}
});
</script>
"""


def pages(files: Mapping[str, Path | bytes], results: dict, facts: dict) -> dict[str, bytes]:
    """``NN_name.html`` for each notebook among the files of a run, and ``index.html``."""
    from nbconvert import HTMLExporter

    # Nothing is fetched: no formulas, no widgets.
    exporter = HTMLExporter(template_name="lab", mathjax_url="", require_js_url="")
    notebooks = {Path(name).stem: path for name, path in files.items() if name.endswith(".ipynb")}
    links = {"index": "report"} | {stem: stem.replace("_", " ") for stem in notebooks}
    bar = " ".join(f'<a href="{stem}.html">{text}</a>' for stem, text in links.items())
    made, titles = {}, {}
    for stem, path in notebooks.items():
        body, _ = exporter.from_filename(str(path))
        body = body.replace("</head>", PAGE.replace("LINKS", bar) + "</head>", 1)
        made[f"{stem}.html"] = body.encode()
        first = json.loads(path.read_text())["cells"][0]["source"]
        titles[stem] = "".join(first).splitlines()[0].lstrip("# ")
    return made | {"index.html": _index(files, results, facts, titles).encode()}


def _index(files: Mapping, results: dict, facts: dict, titles: dict[str, str]) -> str:
    """The answer and the verdicts first, then figures in reading order, tables, and files."""
    show = html.escape
    verdicts, *others = (
        f"<h2>{show(title)}</h2><div class='box'>{table.to_html(index=False, border=0)}</div>"
        for title, table in tables(results)
    )
    images = {Path(name).stem: name for name in files if name.endswith((".png", ".gif"))}
    figures = "".join(
        f'<figure><img src="{images[stem]}" alt="{show(text or stem)}" loading="lazy">'
        f"<figcaption>{show(text or stem.replace('_', ' '))}</figcaption></figure>"
        for stem, text in results["captions"].items() if stem in images
    )  # fmt: skip
    notebooks = "".join(
        f'<li><a href="{stem}.html">{show(title)}</a> '
        f'<small>(<a href="{stem}.ipynb">notebook</a>)</small></li>'
        for stem, title in titles.items()
    )
    names = [*sorted(n for n in files if n.startswith("tables/")), "results.json",
             "provenance.json", "manifest.json"]  # fmt: skip
    shown = "".join(f'<li><a href="{name}">{Path(name).name}</a></li>' for name in names)
    lines = (re.sub(BOLD, r"<b>\1</b>", show(line)) for line in answer(results))
    said = "".join(f"<p>{line}</p>" for line in lines)
    code = facts["code"].get("commit", "not a clone")[:12]
    code += " with changes" if facts["code"].get("dirty") else ""
    versions = " · ".join(f"{name} {version}" for name, version in facts["versions"].items())
    return f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8">
<meta name="viewport" content="width=device-width,initial-scale=1">
<title>Alignment among language, vision and action</title><style>{STYLE}</style></head><body>
<h1>Alignment among language, vision and action representations</h1>
{said}{verdicts}
<p>Profile <b>{show(results["profile"])}</b>, seed {results["seed"]}, {results["instructions"]}
instructions. {show(models(results))}</p>
<h2>Notebooks</h2><ol>{notebooks}</ol>
<h2>Figures</h2>{figures}<h2>Tables</h2>{"".join(others)}<h2>Files</h2><ul>{shown}</ul>
<p><small>{facts["time"]} · commit {code} · {versions}</small></p></body></html>
"""


BOLD = r"\*\*(.+?)\*\*"  # Markdown, as the README shows the answer


def answer(results: dict) -> list[str]:
    """What the run found, in a few sentences that hold for whatever it found."""
    k, rows = results["k"], pd.DataFrame(results["alignment"])
    rivals = rows[["lexical", "untrained_agent"]].max(axis=1)
    above = f"{sum(rows['gap_low'] > 0)} of {len(rows)} models"
    sentences = [
        f"**The paper's measure cannot tell.** By held-out precision@{k} (is an instruction's "
        f"partner among the {k} nearest, after rotating one space onto the other?) agents score "
        f"{_span(rows['value'])} with the reference models; the paper's abstract reports 0.70 to "
        f"0.73. But the best control that knows no meaning scores {_span(rivals)}: the agents are "
        f"clearly above it for {above}."
    ]
    second = pd.DataFrame(results["second_names"])
    second = second[(second["names"] == "second") & (second["layer"] == "last")]
    learned = second["second_kind"].isin(["trained", "bilingual"])
    models = learned & (second["second_source"] != "cloning")
    free = ~learned & (second["second"] != "bag of concepts")  # which was told the dictionary
    colour, order = (second["measure"] == name for name in ("colour", "order"))
    if (models & colour).any():
        known, controls = second[models & colour], second[free & colour]["value"]
        beyond = f"{sum(known['p'] <= 0.01)} of {len(known)} models"
        sentence = (
            "**Second names can.** In words that the rotation has never seen, agents agree with "
            f"{beyond} on the colour of six (p at most 0.01 for every pair of seeds): "
            f"{_span(known['value'])}; chance is {known['chance'].mean():.2f}, and controls "
            f"without meaning reach {_span(controls)}."
        )
        if (models & order).any():
            sentence += (
                ' They tell "put A next to B" from "put B next to A" in '
                f"{_span(second[models & order]['value'])} of pairs; controls in "
                f"{_span(second[free & order]['value'])}, chance is 0.50."
            )
        sentences.append(sentence)
    acts = pd.DataFrame(results["transfer"])
    acts = acts[(acts["names"] == "second") & (acts["level"] == "PickupLoc")]
    models, free = (acts[acts["kind"] == kind] for kind in ("reference", "control"))
    if len(models) and len(free):
        best, rival = (part.loc[part["success"].idxmax()] for part in (models, free))
        sentences.append(
            f"**An agent can act on another model's sentence.** Given {best['source']}'s vector of "
            f"an instruction in words that it never heard, an agent picks up the right thing in "
            f"{best['success']:.0%} of fresh episodes; given that of the best control "
            f"({rival['source']}), in {rival['success']:.0%}."
        )
    counts = pd.Series([row["verdict"] for row in results["verdicts"]]).value_counts()
    said = ", ".join(f"{number} {verdict}" for verdict, number in counts.items())
    sentence = f"Of the {len(results['verdicts'])} claims, judged by rule: {said}."
    if unsure := [r for r in results["verdicts"] if r["verdict"] == "no power here"]:
        sentence += (" *No power here*: the rules judge only where the positive controls passed "
                     f"(in this run: {unsure[0]['positive_control']}), and differences between "
                     "models need three seeds of each.")  # fmt: skip
    sentences.append(sentence)
    return sentences


def _span(values: pd.Series) -> str:
    low, high = f"{values.min():.2f}", f"{values.max():.2f}"
    return low if low == high else f"{low} to {high}"


def verdict_table(results: dict) -> pd.DataFrame:
    """The paper's claims, what its own measure says of them here, and what the tests say."""
    columns = {"claim": "the paper's claim", "paper_measure": "its own measure, here",
               "verdict": "second names and acting: verdict", "because": "because",
               "verdict_gate_layer": "at the layer that knows the names best"}  # fmt: skip
    return pd.DataFrame(results["verdicts"])[list(columns)].rename(columns=columns)


def alignment_table(results: dict) -> pd.DataFrame:
    """Precision@k of the agent with each reference, beside what it takes to read the number."""
    rows, number = pd.DataFrame(results["alignment"]), "{:.3f}".format
    return pd.DataFrame({
        "pair": rows["pair"],
        "precision@k": rows["value"].map(number),
        "95 % interval": [f"{a:.3f} to {b:.3f}" for a, b in zip(rows["low"], rows["high"])],
        "chance": rows["chance"].map(number),
        "bag of words": rows["bag_of_words"].map(number),
        "best lexical": rows["lexical"].map(number),
        "untrained agent": rows["untrained_agent"].map(number),
    })  # fmt: skip


def second_names_table(results: dict) -> pd.DataFrame:
    """Second names: the agents with each reference and control, mean over seeds."""
    rows = pd.DataFrame(results["second_names"])
    if rows.empty:
        return rows
    rows = rows[(rows["names"] == "second") & (rows["layer"] == "last")]
    table = rows.pivot_table(index="second", columns="measure", values="value", sort=False)
    return table.map("{:.2f}".format).reset_index().rename_axis(columns=None)


def success_table(results: dict) -> pd.DataFrame:
    """Success of every player on every level, with its interval."""
    rows = pd.DataFrame(results["success"])
    rows["text"] = [
        f"{row.success:.3f} ({row.low:.3f} to {row.high:.3f})" for row in rows.itertuples()
    ]
    table = rows.pivot(index="player", columns="level", values="text")
    table = table.loc[rows["player"].unique(), rows["level"].unique()]
    return table.reset_index().rename_axis(columns=None)


def tables(results: dict) -> list[tuple[str, pd.DataFrame]]:
    """The tables of a report, the take-away first, each with its heading."""
    k, count = results["k"], results["instructions"]
    return [
        ("The paper's claims, judged by rule", verdict_table(results)),
        (f"Second names: bilingual agents with everyone (k = {k} of {count}; choices of 6 colours, "
         "3 types, verb, place, order of 2)",
         second_names_table(results)),
        (f"The paper's measure: held-out precision@{k} with the trained agents, N = {count}",
         alignment_table(results)),
        ("Success of the agents on fresh episodes, 95 % Wilson interval", success_table(results)),
    ]  # fmt: skip


def models(results: dict) -> str:
    """A sentence about which models these are, and which the run had to do without."""
    text = "Reference models were trained from scratch on this world, unless called public."
    names = ", ".join(results["missing"])
    return f"{text} Without {names}, which could not be had." if names else text


def headline(folder: Path) -> str:
    """What a run prints when it is done."""
    results = json.loads((folder / "results.json").read_text())
    lines = ["", *(re.sub(BOLD, r"\1", line) for line in answer(results)), ""]
    for title, table in tables(results):
        if title.startswith("The paper's claims"):
            table = table.drop(columns="because")
        lines += [title, table.to_string(index=False), ""]
    lines += [models(results), f"report   {folder / 'index.html'}"]
    return "\n".join(lines)
