"""One run of the paper as a notebook sees it: a profile, the store, and a folder to write to."""

from __future__ import annotations

import io
import json
import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from paper_utils import parallel, provenance
from paper_utils.artifacts import (
    PUBLISHED_VARIABLE,
    Stage,
    Store,
    write_atomically,
    write_json,
)
from paper_utils.config import Profile

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from IPython.display import HTML, Image
    from matplotlib.figure import Figure

RUNS = provenance.ROOT / "runs"
RELEASE = provenance.ROOT / "artifacts" / "release"
PARTS = "parts"  # one file per notebook, gathered into results.json


def folder_of(profile: Profile, out: str | Path = "") -> Path:
    """Where a run writes unless it is told: ``runs/<profile>-seed<seed>`` in the project."""
    return Path(out) if out else RUNS / f"{profile.name}-seed{profile.seed}"


@dataclass
class Run:
    """What a notebook needs from the house: train-or-load, and where results go."""

    notebook: str
    profile: Profile
    folder: Path
    store: Store
    missing: dict[str, str] = field(default_factory=dict)
    """Encoders that this run has to do without, and why; every table says so."""
    used: dict[str, dict[str, Any]] = field(default_factory=dict)
    results: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def start(
        cls,
        notebook: str,
        profile: str,
        seed: int = 0,
        overrides: dict[str, Any] | None = None,
        out: str = "",
    ) -> Run:
        """Validates a notebook's parameters.  Raises ProfileError, one line, on a bad one."""
        loaded = Profile.load(profile, overrides=overrides, seed=seed)
        parallel.one_thread()  # what is worth more than one is spread over workers
        published = () if os.environ.get(PUBLISHED_VARIABLE) == "ignore" else (RELEASE,)
        return cls(
            notebook,
            loaded,
            folder_of(loaded, out or os.environ.get("PAPER_OUT", "")),
            Store(Path(os.environ.get("PAPER_STORE") or RUNS / "store"), published),
        )

    def get(self, stage: Stage, **parameters: Any) -> Any:
        """Loads a stage's product, or makes it first: the one line of train-or-load."""
        return self.get_many(stage, [parameters])[0]

    def get_many(self, stage: Stage, each: Sequence[dict[str, Any]]) -> list[Any]:
        """Like :meth:`get` for several parameters; what is missing is made side by side."""
        found = self.store.get_many(stage, self.profile, each)
        for parameters in each:
            self._note(stage, parameters)
        return found

    def remake(self, stage: Stage, **parameters: Any) -> Any:
        """Makes a stage's product once more, in passing, to be compared with what there is."""
        return self.store.remake(stage, self.profile, **parameters)

    def _note(self, stage: Stage, parameters: dict[str, Any]) -> None:
        """Remembers an artifact that is used, and what it was made from."""
        name = self.store.path(stage, self.profile, **parameters).parent.name
        manifest = self.store.manifest(stage, self.profile, **parameters)
        if name in self.used or manifest is None:
            return
        self.used[name] = {key: manifest[key] for key in ("key", "files", "wall_seconds")}
        for needed, chosen in stage.needs(self.profile, **parameters):
            self._note(needed, chosen)

    def figure(self, figure: Figure, name: str) -> Image:
        """Saves a figure as PDF and PNG, with the same bytes each time, and shows the PNG."""
        import matplotlib.pyplot as plt
        from IPython.display import Image

        pictures = {}
        for kind, metadata in (("pdf", {"CreationDate": None}), ("png", {"Software": None})):
            buffer = io.BytesIO()
            figure.savefig(buffer, format=kind, metadata=metadata, bbox_inches="tight", dpi=160)
            pictures[kind] = buffer.getvalue()
            write_atomically(self.folder / "figures" / f"{name}.{kind}", pictures[kind])
        plt.close(figure)
        return Image(data=pictures["png"], width=int(figure.get_figwidth() * 100))

    def animation(self, frames: Sequence[np.ndarray], name: str) -> HTML:
        """Saves frames as a GIF that plays for ever, and shows it."""
        from base64 import b64encode

        from IPython.display import HTML
        from PIL import Image as Picture

        pictures = [Picture.fromarray(frame).quantize(64) for frame in frames]
        lasting = [500] * (len(frames) - 1) + [2000]  # milliseconds
        buffer = io.BytesIO()
        pictures[0].save(
            buffer, "GIF", save_all=True, append_images=pictures[1:], duration=lasting, loop=0
        )
        write_atomically(self.folder / "figures" / f"{name}.gif", buffer.getvalue())
        data = b64encode(buffer.getvalue()).decode()
        return HTML(f'<img alt="{name}" src="data:image/gif;base64,{data}">')

    def table(self, table: pd.DataFrame, name: str) -> pd.DataFrame:
        """Saves a table as CSV and gives it back to be shown."""
        write_atomically(self.folder / "tables" / f"{name}.csv", table.to_csv(index=False))
        if self.missing:
            print(f"without {', '.join(self.missing)}, which could not be had here")
        return table

    def record(self, **results: Any) -> None:
        """Adds plain data, or a table as rows, to this notebook's part of results.json."""
        for name, value in results.items():
            if hasattr(value, "to_json"):
                value = json.loads(value.to_json(orient="records", double_precision=12))
            self.results[name] = value

    def finish(self) -> pd.DataFrame:
        """Writes this notebook's part of the results; returns what it used, with hashes."""
        import pandas as pd

        write_json(
            self.folder / PARTS / f"{self.notebook}.json",
            {"results": {"missing": self.missing, **self.results}, "artifacts": self.used},
        )
        facts = provenance.versions() | {
            "profile": f"{self.profile.name}, seed {self.profile.seed}"
        }
        rows = [{"what": name, "which": value} for name, value in facts.items()]
        rows += [{"what": n, "which": f"key {e['key'][:16]}"} for n, e in self.used.items()]
        return pd.DataFrame(rows).set_index("what")
