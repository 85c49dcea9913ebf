"""Does the policy look at what the instruction names?"""

from __future__ import annotations

import numpy as np
import pandas as pd
import torch
from minigrid.core.constants import COLOR_TO_IDX, OBJECT_TO_IDX

from paper_utils.cloning.policy import CELL_KINDS, CELLS, Policy
from paper_utils.cloning.training import Episodes
from paper_utils.data import grammar
from paper_utils.data.demonstrations import Demonstrations
from paper_utils.data.view import AGENT_CELL

THINGS = tuple(OBJECT_TO_IDX[name] for name in grammar.ANY_TYPE)


@torch.inference_mode()
def on_named_things(
    policy: Policy, demonstrations: dict[str, Demonstrations], factors: pd.DataFrame
) -> pd.DataFrame:
    """Attention per cell on the thing that is named and on others, along demonstrations.

    Counts the steps at which both the first thing of the instruction (where its colour and type are
    said) and another thing are in view, apart from what is carried.  One row per level: level,
    steps, named and other (mean over queries), uniform (what each cell would get: 1/49).
    """
    nouns = factors.set_index("text")[["colour", "type"]]
    kinds = torch.tensor(CELL_KINDS)
    is_thing = torch.isin(kinds[:, 0], torch.tensor(THINGS))
    rows = []
    for level, shown in demonstrations.items():
        episodes = Episodes.of({level: shown})
        found = []
        for number, said in enumerate(shown.instructions):
            colour, kind = nouns.loc[grammar.canonical(said)]
            if not colour or kind == "object":
                continue
            tokens, cells, previous, _, _ = episodes.batch(np.array([number]), torch.device("cpu"))
            _, _, attention = policy(policy.instruction(tokens), cells, previous)
            weight = attention[0].mean(1)  # (T, 49)
            wanted = (kinds[:, 0] == OBJECT_TO_IDX[kind]) & (kinds[:, 1] == COLOR_TO_IDX[colour])
            named, other = wanted[cells[0]], (is_thing & ~wanted)[cells[0]]  # bool (T, 49)
            named[:, AGENT_CELL] = other[:, AGENT_CELL] = False  # what the agent carries
            both = named.any(1) & other.any(1)
            found += [
                (weight[t][named[t]].mean(), weight[t][other[t]].mean())
                for t in both.nonzero()[:, 0]
            ]
        on_named, on_other = np.array(found, dtype=float).reshape(-1, 2).mean(0)
        rows.append((level, len(found), on_named, on_other, 1 / CELLS))
    return pd.DataFrame(rows, columns=["level", "steps", "named", "other", "uniform"])
