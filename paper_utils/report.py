"""The report of a run: its notebooks as pages, an index that opens from disk, the headline."""

from io import StringIO
from pathlib import Path
from textwrap import fill

from jinja2 import Environment, PackageLoader, select_autoescape

from paper_utils.store import MANIFEST, read_json
from paper_utils.study.claims import HEADLINES

TEMPLATES = Environment(loader=PackageLoader("paper_utils"), autoescape=select_autoescape())


def pages(files, results, facts):
    """``NN_name.html`` for each notebook among the files of a run, and ``index.html``: the answers
    first, then figures in reading order, and files."""
    from nbconvert import HTMLExporter

    # Nothing is fetched: no formulas, no widgets.
    exporter = HTMLExporter(template_name="lab", mathjax_url="", require_js_url="")
    stems = [Path(name).stem for name in files if name.endswith(".ipynb")]
    # Into each page: links, and code that folds.
    added = TEMPLATES.get_template("page.html").render(stems=stems)
    made = {}
    for stem in stems:
        # The notebook as it was executed, nothing computed again.
        notebook = StringIO(files[f"{stem}.ipynb"].decode())
        body, _ = exporter.from_file(notebook, {"metadata": {"name": stem}})
        made[f"{stem}.html"] = body.replace("</head>", added, 1)
    made["index.html"] = TEMPLATES.get_template("index.html").render(
        results=results,
        facts=facts,
        stems=stems,
        files=[*sorted(files), MANIFEST],
        headlines=HEADLINES,
    )
    return {name: page.encode() for name, page in made.items()}


def headline(folder):
    """What a run prints when it is done: a sentence for each claim, and where the report is."""
    claims = read_json(folder / "results.json")["claims"]
    lines = [
        fill(f"{row['claim']}: {row['answer']}", width=100, break_on_hyphens=False)
        for row in claims
    ]
    return "\n\n".join(["", *lines, f"report   {folder / 'index.html'}"])
