"""What acting does to an agent's own space, and what models know: without any map.

Does a model know its synonyms?  Are an agent's sentences spread out as a model's are (linear CKA)?
Are "go to X" and "pick up X" one?
"""

from pathlib import Path

import numpy as np
import pandas as pd
from sklearn.preprocessing import normalize

from paper_utils import alignment
from paper_utils.config import Profile
from paper_utils.store import Stage, write_table
from paper_utils.study import columns
from paper_utils.study.scores import READS, options, readings

TABLES = ("knows_synonyms", "geometry", "verbs")
VERBS = ("go to", "pick up")  # both end in front of a thing


def verb_cosine(space: np.ndarray, table: pd.DataFrame) -> float:
    """Mean cosine, of centred rows, of "go to X" and "pick up X" over all things X; NaN where
    there is none."""
    numbered = table.reset_index(names="row")
    first, second = (numbered[numbered["verb"] == verb] for verb in VERBS)
    pairs = first.merge(second, on=["colour", "type", "location"])
    if pairs.empty:
        return np.nan
    # Centred: what all sentences have in common would make everything alike.
    unit = normalize(space - space.mean(axis=0))
    one = unit[pairs["row_x"]]
    other = unit[pairs["row_y"]]
    return float(np.sum(one * other, axis=1).mean())


def _describe(profile: Profile, folder: Path, *spaces: pd.DataFrame, world: int) -> None:
    table = columns.instructions(profile)
    contrasts = options(profile, table, world)["contrasts"]
    agents = {name: A for (name, _), A in columns.agents(spaces).items()}
    # Verbs take most of the space of models that read, so CKA over all sentences is much about
    # them; within one verb it is not.
    commonest = table["verb"].mode()[0]
    parts = {"all": table["verb"] != "", commonest: table["verb"] == commonest}
    # Beside agents: words alone, and a perfect code, which has "go to" apart from "pick up".
    spaces_by_name = dict(agents)
    for name in ("word_count", "codebook"):
        spaces_by_name[name] = columns.control(name, table, world)
    knows = []
    geometry = []
    for facts, X, X2 in readings(profile, spaces):
        spaces_by_name[facts["model"]] = X
        if X2 is not None:
            own = alignment.own_names(X, X2, contrasts=contrasts)
            by = own.groupby("measure", sort=False)
            knows.append(by[["value", "chance"]].mean().assign(**facts))
        for part, rows in parts.items():
            for name, A in agents.items():
                cka = float(alignment.linear_cka(A[rows], X[rows]))
                geometry.append({**facts, "part": part, "encoder": name, "value": cka})
    cosines = [(name, verb_cosine(X, table)) for name, X in spaces_by_name.items()]
    # A run of one verb has no cosine, and its table no row.
    found = {
        "knows_synonyms": pd.concat(knows).reset_index(),
        "geometry": pd.DataFrame(geometry),
        "verbs": pd.DataFrame(cosines, columns=["encoder", "value"]).dropna(),
    }
    for name, each in found.items():
        write_table(folder / f"{name}.csv.gz", each.assign(world=world).round(6))


def _load(folder: Path) -> dict[str, pd.DataFrame]:
    return {name: pd.read_csv(folder / f"{name}.csv.gz") for name in TABLES}


SPACES = Stage(
    name="spaces",
    make=_describe,
    load=_load,
    reads=READS,
    needs=columns.needs_everyone,
    cost=lambda profile, **_: 5.0,
)
"""Three tables of a world.

``knows_synonyms``: how far a model's own two names agree (model, model_kind, measure, value,
chance; mean of both directions).
``geometry``: linear CKA of each agent with each model (model, model_kind, part: all sentences or
those of the commonest verb; encoder, value).
``verbs``: `verb_cosine` of every encoder (encoder, value)."""
