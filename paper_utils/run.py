"""What a notebook holds: its profile, its products, and where figures and tables go."""

import json
import runpy
from base64 import b64encode
from dataclasses import dataclass, field, replace
from pathlib import Path

from paper_utils import parallel, store
from paper_utils.code import ROOT
from paper_utils.config import Profile
from paper_utils.store import Store

NOTEBOOKS = ROOT / "notebooks"
RUNS = ROOT / "runs"
PUBLISHED = ROOT / "artifacts" / "published"
DEFAULT = "release"  # the profile that notebooks show as they are opened, whose products these are


class RunError(RuntimeError):
    """A run, or a notebook of it, that failed; the message is one line."""


class UsageError(RunError, ValueError):
    """A run that cannot start as it was asked for; the message is one line."""


def store_of(profile):
    """The store that a profile's ``compute`` names, behind what is published."""
    root = Path(profile.compute.store or RUNS / "store").resolve()
    return Store(root, PUBLISHED if profile.compute.published else None)


@dataclass
class Run:
    """What a notebook needs: train-or-load, and where results go."""

    notebook: str
    profile: Profile
    folder: Path
    store: Store
    missing: dict = field(default_factory=dict)
    """Encoders (name -> why) that this run has to do without; every table says so."""
    captions: dict = field(default_factory=dict)

    @classmethod
    def start(cls, notebook, profile, seed=0, overrides=None, out=""):
        """Validates a notebook's parameters, and makes what the notebook lacks, side by side.
        Raises ProfileError, one line, on a bad parameter."""
        # A checked profile: packages register what they know of it.  Figures have the paper's
        # style from the first cell on, whatever a reader's own settings are.
        from paper_utils import Profile, plan
        from paper_utils.figures import style  # noqa: F401
        from paper_utils.study.products import products

        parallel.one_thread()
        loaded = Profile.load(profile, overrides, seed)
        # Whoever opens a notebook alone finds its results where a run puts them.
        folder = Path(out or RUNS / f"{loaded.name}-seed{loaded.seed}").resolve()
        run = cls(notebook, loaded, folder, store_of(loaded))
        plan.make(run.store, products(loaded, notebook), loaded.compute)
        return run

    @property
    def worlds(self):
        """The numbers of this run's worlds."""
        return self.profile.world_numbers

    @property
    def kinds(self):
        """The same run with the sizes of the world of kinds."""
        return replace(self, profile=self.profile.of_kinds())

    def get(self, stage, **parameters):
        """Loads a stage's product, or makes it first: the one line of train-or-load."""
        return self.store.get(stage, self.profile, **parameters)

    def figure(self, figure, name, caption):
        """Saves a figure as PDF and PNG, the same bytes each time; shows it and its caption."""
        from IPython.display import Image
        from matplotlib import pyplot

        # Laid out once for both files, which takes most of the time.
        figure.draw_without_rendering()
        figure.set_layout_engine("none")
        # Without dates and versions, equal figures are equal files.
        undated = {"CreationDate": None, "Software": None}
        for kind in ("pdf", "png"):
            path = self._place(f"figures/{name}.{kind}")
            figure.savefig(path, metadata=undated, bbox_inches="tight", dpi=160)
        pyplot.close(figure)
        width = int(figure.get_figwidth() * 100)  # pixels
        self._show(Image(filename=path, width=width), name, caption)

    def animation(self, frames, name, caption):
        """Saves frames (uint8[H, W, 3]) as a GIF that plays for ever, and shows it."""
        import PIL.Image
        from IPython.display import Image

        # A palette keeps the file small; the scene has few colours.
        first, *others = [PIL.Image.fromarray(frame).quantize(64) for frame in frames]
        durations = [500] * len(others) + [2000]  # milliseconds
        path = self._place(f"figures/{name}.gif")
        first.save(path, save_all=True, append_images=others, duration=durations, loop=0)
        data = b64encode(path.read_bytes()).decode()
        # By its address, which every page of HTML can show, as a GIF alone is not by all.
        self._show(Image(url=f"data:image/gif;base64,{data}", alt=caption), name, caption)

    def _show(self, picture, name, caption):
        from IPython.display import Markdown, display

        self.captions[name] = caption
        display(picture, Markdown(f"*{caption}*"))

    def _place(self, name):
        """Where a file of this run goes, in a folder that is there."""
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        return path

    def table(self, table, name):
        """Saves a table as CSV and gives it back to be shown."""
        table.to_csv(self._place(f"tables/{name}.csv"), index=False)
        # A table that lacks a model says so where it is read.
        if self.missing:
            print(f"without {', '.join(self.missing)}, which could not be had here")
        return table

    def check(self, answers):
        """Tells which answers to the exercises are right (``notebooks/exercises.py``)."""
        runpy.run_path(str(NOTEBOOKS / "exercises.py"))["check"](self, answers)

    def finish(self):
        """Writes what this notebook tells of its figures; returns its provenance, folded."""
        import pandas as pd
        from IPython.display import HTML

        from paper_utils.study.products import products

        # A run gathers them when all notebooks have ended.
        self._place(f"captions/{self.notebook}.json").write_text(json.dumps(self.captions))
        facts = {**store.versions(), "profile": f"{self.profile.name}, seed {self.profile.seed}"}
        for stage, profile, parameters in products(self.profile, self.notebook):
            facts[stage.label(parameters)] = f"key {stage.key(profile, parameters)[:16]}"
        table = pd.Series(facts, name="which").rename_axis("what").to_frame().to_html()
        return HTML(f"<details><summary>versions and keys</summary>{table}</details>")
