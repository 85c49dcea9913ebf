"""The report of a run: four notebooks as pages, an index that opens from disk, the headline."""

from __future__ import annotations

import html
import json
from pathlib import Path

import pandas as pd

from paper_utils import provenance
from paper_utils.artifacts import write_atomically

STYLE = """
body{font:16px/1.6 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem;color:#222}
h1{line-height:1.2} table{border-collapse:collapse;display:block;overflow-x:auto}
td,th{white-space:nowrap;padding:.25rem .7rem;border-bottom:1px solid #ddd;text-align:right}
td:first-child,th:first-child{text-align:left}
figure{margin:1.5rem 0} img{max-width:100%} a{color:#0072B2} small{color:#666}
.pages{display:grid;grid-template-columns:repeat(auto-fit,minmax(13rem,1fr));gap:1rem;padding:0}
.pages li{list-style:none;border:1px solid #ddd;border-radius:.5rem;padding:.8rem}
"""


# What is added to nbconvert's page: a readable column, code that folds, figures that open large.
PAGE = """
<style>
body.jp-Notebook{max-width:58rem;margin:0 auto;padding:.5rem 1rem 4rem;box-sizing:border-box}
.jp-InputPrompt,.jp-OutputPrompt,.jp-Collapser{display:none}
.jp-OutputArea-output{overflow-x:auto}
.jp-OutputArea-output pre,.jp-MarkdownOutput pre{overflow-x:auto;font-size:.82em}
.jp-OutputArea-output pre,.jp-MarkdownOutput pre,.jp-MarkdownOutput pre code{
  white-space:pre!important}
.jp-RenderedHTMLCommon table{display:block;overflow-x:auto;margin-left:0}
.jp-RenderedHTMLCommon td,.jp-RenderedHTMLCommon th{white-space:nowrap}
.jp-RenderedImage img,.jp-RenderedHTML img{max-width:100%!important;height:auto;cursor:zoom-in}
details.code>summary{cursor:pointer;color:#666;font:12px/1.8 ui-monospace,monospace}
nav.paper{display:flex;flex-wrap:wrap;gap:.3rem 1rem;align-items:center;
  font:14px system-ui,sans-serif}
nav.paper a{color:#0072B2} nav.paper button{margin-left:auto}
#large{position:fixed;inset:0;background:#fffffff5;overflow:auto;display:none;z-index:9;
  cursor:zoom-out;padding:1rem;box-sizing:border-box}
#large img{display:block;margin:auto;min-width:100%}
@media(min-width:60rem){#large img{min-width:0;max-width:none}}
</style>
<script>
addEventListener("DOMContentLoaded",()=>{
  const nav=document.createElement("nav");nav.className="paper";nav.innerHTML=`LINKS`;
  document.body.prepend(nav);
  for(const area of document.querySelectorAll(".jp-CodeCell .jp-Cell-inputWrapper")){
    const fold=document.createElement("details");fold.className="code";
    fold.innerHTML="<summary>code</summary>";area.before(fold);fold.append(area)}
  const button=document.createElement("button");nav.append(button);
  const say=open=>{button.textContent=open?"hide all code":"show all code"};say(false);
  button.onclick=()=>{const all=[...document.querySelectorAll("details.code")];
    const open=!all.every(one=>one.open);all.forEach(one=>one.open=open);say(open)};
  const large=document.createElement("div");large.id="large";document.body.append(large);
  large.onclick=()=>{large.style.display="none"};
  addEventListener("keydown",e=>{if(e.key==="Escape")large.onclick()});
  for(const img of document.querySelectorAll(".jp-OutputArea-output img"))
    img.onclick=()=>{large.innerHTML="";const copy=img.cloneNode();copy.removeAttribute("width");
      copy.removeAttribute("style");large.append(copy);large.style.display="block"};
});
</script>
"""


def bind(folder: Path) -> Path:
    """Writes ``NN_name.html`` for each notebook and ``index.html``; returns the index."""
    from nbconvert import HTMLExporter

    # Nothing is fetched: no formulas, no widgets.
    exporter = HTMLExporter(template_name="lab", mathjax_url="", require_js_url="")
    notebooks = sorted(folder.glob("[0-9][0-9]_*.ipynb"))
    links = ['<a href="index.html">report</a>']
    links += [f'<a href="{n.stem}.html">{n.stem.replace("_", " ")}</a>' for n in notebooks]
    page = PAGE.replace("LINKS", " ".join(links))
    pages = []
    for notebook in notebooks:
        body, _ = exporter.from_filename(str(notebook))
        write_atomically(
            notebook.with_suffix(".html"), body.replace("</head>", page + "</head>", 1)
        )
        first = json.loads(notebook.read_text())["cells"][0]["source"]
        pages.append((notebook.stem, "".join(first).splitlines()[0].lstrip("# ")))
    write_atomically(folder / "index.html", _index(folder, pages))
    return folder / "index.html"


def headline_table(results: dict) -> pd.DataFrame:
    """Precision@k of the agent with each reference, beside what it takes to read the number."""
    rows = pd.DataFrame(results["alignment"])
    rows = rows[(rows["metric"] == "precision_at_k") & (rows["split"] == "random")]
    number = "{:.3f}".format
    return pd.DataFrame(
        {
            "pair": rows["pair"],
            "precision@k": rows["value"].map(number),
            "95 % interval": [f"{a:.3f} to {b:.3f}" for a, b in zip(rows["low"], rows["high"])],
            "chance": rows["chance"].map(number),
            "bag of words": rows["bag_of_words"].map(number),
            "best lexical": rows["lexical"].map(number),
            "untrained agent": rows["untrained_agent"].map(number),
            "gap to the best control": [
                f"{d:+.3f} ({a:+.3f} to {b:+.3f})"
                for d, a, b in zip(rows["gap"], rows["gap_low"], rows["gap_high"])
            ],
        }
    )


def without(results: dict) -> str:
    """A sentence about what the run had to do without; empty if nothing."""
    names = ", ".join(results["missing"])
    return f"Without {names}, which could not be had." if names else ""


def success_table(results: dict) -> pd.DataFrame:
    """Success of every player on every level, with its interval."""
    rows = pd.DataFrame(results["success"])
    rows["text"] = [
        f"{s:.3f} ({a:.3f} to {b:.3f})"
        for s, a, b in zip(rows["success"], rows["low"], rows["high"])
    ]
    table = rows.pivot(index="player", columns="level", values="text")
    order = dict.fromkeys(rows["player"]), dict.fromkeys(rows["level"])
    return table.loc[list(order[0]), list(order[1])].reset_index().rename_axis(columns=None)


def headline(folder: Path) -> str:
    """What a run prints when it is done."""
    results = json.loads((folder / "results.json").read_text())
    return "\n".join(
        [
            "",
            "Success of the agents on fresh episodes (95 % interval)",
            success_table(results).to_string(index=False),
            "",
            f"Alignment with the trained agent: held-out precision@{results['k']}, "
            f"N = {results['instructions']}",
            headline_table(results).to_string(index=False),
            without(results),
            f"report   {folder / 'index.html'}",
            f"figures  {folder / 'figures'}",
            f"results  {folder / 'results.json'}",
        ]
    )


PUBLISHED = provenance.ROOT / "figures"
BEGIN, END = "<!-- results: begin -->", "<!-- results: end -->"


def with_results(readme: str) -> str:
    """The README with the numbers of ``figures/results.json`` between its markers."""
    results = json.loads((PUBLISHED / "results.json").read_text())
    before, rest = readme.split(BEGIN)
    after = rest.split(END)[1]
    return f"{before}{BEGIN}\n{_markdown(results)}\n{END}{after}"


def _markdown(results: dict) -> str:
    def table(frame: pd.DataFrame) -> str:
        lines = [list(frame.columns), ["---"] * len(frame.columns), *frame.astype(str).to_numpy()]
        return "\n".join("| " + " | ".join(line) + " |" for line in lines)

    seconds = results["wall_seconds"]
    minutes = ", ".join(f"{name} {value / 60:.1f}" for name, value in seconds.items())
    verdicts = pd.DataFrame(results["verdicts"])
    return "\n".join(
        [
            f"From `figures/results.json`: profile `{results['profile']}`, seed {results['seed']}, "
            f"N = {results['instructions']} instructions, k = {results['k']}. {_models(results)}",
            "",
            f"**Held-out precision@{results['k']} with the trained agents**, beside what cannot "
            "know the meaning of an instruction",
            "",
            table(headline_table(results)),
            "",
            "**Success of the agents** on fresh episodes, 95 % Wilson interval",
            "",
            table(success_table(results)),
            "",
            "**The paper's claims, judged by rule** (notebook 04)",
            "",
            table(
                verdicts.pivot(index="claim", columns="models", values="verdict")
                .loc[list(dict.fromkeys(verdicts["claim"]))]
                .reset_index()
                .rename(
                    columns={"from scratch": "models from scratch", "public": "public checkpoints"}
                )
            ),
            "",
            f"Work in this run, in minutes of one core, by stage: {minutes}; "
            f"{sum(seconds.values()) / 60:.1f} in all.",
        ]
    )


def _models(results: dict) -> str:
    if any(row["reference"].endswith("-hub") for row in results["alignment"]):
        said = "Reference models are from scratch, on this world, unless they are called public."
    else:
        said = (
            "Every reference model was trained from scratch on this world; none is the public "
            "checkpoint."
        )
    return f"{said} {without(results)}".strip()


def _index(folder: Path, pages: list[tuple[str, str]]) -> str:
    results = json.loads((folder / "results.json").read_text())
    facts = json.loads((folder / "provenance.json").read_text())
    links = "".join(
        f'<li><a href="{stem}.html">{html.escape(title)}</a><br>'
        f'<small><a href="{stem}.ipynb">notebook</a></small></li>'
        for stem, title in pages
    )
    figures = "".join(
        f'<figure><a href="figures/{path.stem}.pdf">'
        f'<img src="figures/{path.name}" alt="{path.stem}" loading="lazy"></a>'
        f"<figcaption><small>{path.stem} (click: PDF)</small></figcaption></figure>"
        for path in sorted((folder / "figures").glob("*.png"))
    )
    tables = "".join(
        f'<li><a href="tables/{path.name}">{path.name}</a></li>'
        for path in sorted((folder / "tables").glob("*.csv"))
    )
    commit = facts["code"].get("commit", "not a clone")[:12]
    dirty = " with changes" if facts["code"].get("dirty") else ""
    return f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8">
<meta name="viewport" content="width=device-width,initial-scale=1">
<title>Alignment among language, vision and action</title><style>{STYLE}</style></head><body>
<h1>Alignment among language, vision and action representations</h1>
<p>Profile <b>{html.escape(results["profile"])}</b>, seed {results["seed"]},
{results["instructions"]} instructions. {html.escape(_models(results))}</p>
<ul class="pages">{links}</ul>
<h2>Success on fresh episodes</h2>{success_table(results).to_html(index=False, border=0)}
<h2>Alignment with the trained agent (held-out precision@{results["k"]})</h2>
{headline_table(results).to_html(index=False, border=0)}
<h2>Figures</h2>{figures}
<h2>Tables and files</h2><ul>{tables}
<li><a href="results.json">results.json</a></li>
<li><a href="provenance.json">provenance.json</a></li>
<li><a href="manifest.json">manifest.json</a></li></ul>
<p><small>{facts["time"]} · commit {commit}{dirty} ·
{" · ".join(f"{name} {version}" for name, version in facts["versions"].items())}</small></p>
</body></html>
"""
