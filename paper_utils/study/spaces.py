"""What acting does to an agent's own space, and what models know: without any map.

Does a model know its synonyms?  Are an agent's sentences spread out as a model's are (linear CKA)?
Are "go to X" and "pick up X" one?
"""

from itertools import product

import pandas as pd
from sklearn.preprocessing import normalize

from paper_utils import alignment
from paper_utils.study import columns
from paper_utils.study.scores import READS, options, readings

VERBS = ("go to", "pick up")  # both end in front of a thing


def verb_cosine(space, table):
    """Mean cosine, of centred rows, of "go to X" and "pick up X" over all things X; NaN where
    there is none."""
    things = pd.MultiIndex.from_frame(table[["colour", "type", "location"]])
    # Centred: what all sentences have in common would make everything alike.
    unit = pd.DataFrame(normalize(space - space.mean(axis=0)), index=things)
    one, other = (unit[table["verb"].to_numpy() == verb] for verb in VERBS)
    # A thing that is only gone to has no partner, and no product.
    return (one * other).sum(axis=1, min_count=1).mean()


def _describe(profile, *spaces, world):
    table = columns.instructions(profile)
    contrasts = options(profile, table, world)["contrasts"]
    agents = {name: A for (name, _), A in columns.agents(spaces).items()}
    # Verbs take most of the space of models that read, so CKA over all sentences is much about
    # them; within one verb it is not.
    commonest = table["verb"].mode()[0]
    parts = {"all": slice(None), commonest: table["verb"] == commonest}
    everyone = dict(agents)
    # Beside agents: words alone, and a perfect code, which has "go to" apart from "pick up".
    for name in ("word_count", "codebook"):
        everyone[name] = columns.control(name, table, world)
    knows = []
    geometry = []
    for facts, X, X2 in readings(profile, spaces):
        everyone[facts["model"]] = X
        if X2 is not None:
            own = alignment.own_names(X, X2, contrasts=contrasts).groupby("measure", sort=False)
            knows.append(own[["value", "chance"]].mean().assign(**facts))
        for (part, rows), (name, A) in product(parts.items(), agents.items()):
            cka = float(alignment.linear_cka(A[rows], X[rows]))
            geometry.append(facts | {"part": part, "encoder": name, "value": cka})
    verbs = [(name, verb_cosine(X, table)) for name, X in everyone.items()]
    return {
        "knows_synonyms": pd.concat(knows).reset_index(),
        "geometry": pd.DataFrame(geometry),
        # A run of one verb has no cosine, and its table no row.
        "verbs": pd.DataFrame(verbs, columns=["encoder", "value"]).dropna(),
    }


SPACES = columns.table_stage("spaces", _describe, reads=READS, needs=columns.needs_everyone)
"""Three tables of a world.

``knows_synonyms``: how far a model's own two names agree (model, model_kind, measure, value,
chance; mean of both directions).
``geometry``: linear CKA of each agent with each model (model, model_kind, part: all sentences or
those of the commonest verb; encoder, value).
``verbs``: `verb_cosine` of every encoder (encoder, value)."""
