"""The stage of notebook 04: every encoder of a profile compared with every other."""

from __future__ import annotations

from itertools import combinations
from pathlib import Path

import numpy as np
import pandas as pd

from paper_utils.alignment.compare import compare
from paper_utils.alignment.splits import SPLITS
from paper_utils.artifacts import Report, Stage
from paper_utils.config import Profile
from paper_utils.data import grammar
from paper_utils.encoders import embeddings
from paper_utils.encoders.embeddings import encoder_of
from paper_utils.encoders.families import ENCODERS

LEXICAL = [name for name, encoder in ENCODERS.items() if encoder.source == "control"]


def _make(profile: Profile, folder: Path, report: Report, *vectors: pd.DataFrame) -> None:
    names = embeddings.names(profile)
    settings = profile.alignment
    controls = [name for name in LEXICAL if name in names]
    same = {
        "factors": grammar.instructions(profile.data.levels),
        "k": settings.k,
        "dimension": settings.dimension,
        "folds": settings.folds,
        "permutations": settings.permutations,
        "bootstrap": settings.bootstrap,
        "preprocess": "centred",  # cosines of language models are dominated by their mean
        "seed": profile.seed,
    }
    spaces = dict(zip(names, vectors))
    known = [name for name in names if encoder_of(name).trained and name not in controls]
    wanted = [pair for pair in combinations(names, 2) if set(pair) & set(known)]
    everything = compare(
        spaces, **same, pairs=wanted, metrics=settings.metrics, splits=["random"], lexical=controls
    )
    # The other splits ask the headline's question only: agents and their rivals with references.
    ones = [name for name in names if name.startswith("action-")] + ["bag_of_words"]
    pairs = [(one, reference) for one in ones for reference in profile.encoders.families]
    asked = {name: spaces[name] for name in [*ones, *profile.encoders.families]}
    harder = [name for name in SPLITS if name != "random"]
    split = compare(
        asked, **(same | {"permutations": 1}), pairs=pairs, metrics=["precision_at_k"],
        splits=harder, lexical=["bag_of_words"],
    )  # fmt: skip
    split[["p", "p_adjusted", "calibrated"]] = np.nan  # nothing is claimed from one permutation
    frame = pd.concat([everything, split], ignore_index=True)
    frame.to_csv(folder / "comparison.csv", index=False)


COMPARISON = Stage(
    name="comparison",
    version=1,
    make=_make,
    load=lambda folder: pd.read_csv(folder / "comparison.csv"),
    reads=("seed", "data.demonstrations", "alignment"),
    needs=lambda profile: [
        (embeddings.EMBEDDING, {"encoder": name}) for name in embeddings.names(profile)
    ],
    fans_out=True,
)
