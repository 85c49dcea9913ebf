"""The tables of a run, and results.json."""

import json
from collections import defaultdict

import pandas as pd

from paper_utils.cloning.evaluation import EVALUATION, success_rates
from paper_utils.encoders.families import FAMILIES
from paper_utils.study import columns, products, transfer
from paper_utils.study.claims import claims
from paper_utils.study.differences import differences
from paper_utils.study.scores import mean_over

MEASURES = ("precision_at_1", "precision_at_k", "colour", "order")
ENCODERS = (*columns.AGENTS, "word_count", "codebook", "random_tokens", "edit_distance")
DECODERS = [family.label for family in FAMILIES.values() if family.is_decoder]


def tables(profile, load):
    """All tables of a run over its worlds, by name; ``load``: as `Store.get`.

    scores, pairs, order_null, knows_synonyms, geometry, verbs, success, transfer, structure,
    distances: as their stages say.  differences and claims: as their modules do."""
    each = defaultdict(list)
    for stage, sizes, chosen in products.study(profile):
        made = load(stage, sizes, **chosen)
        if stage is EVALUATION:
            made = made.assign(world=chosen["world"], player=chosen["player"])
        # Some stages give one table of a world, some several.
        named = made if isinstance(made, dict) else {stage.name.replace("-", "_"): made}
        for name, table in named.items():
            each[name].append(table)
    found = {name: pd.concat(parts, ignore_index=True) for name, parts in each.items()}
    found["success"] = success_rates(found.pop("evaluation"), ["world", "player", "level"])
    found["transfer"] = transfer.success(found["transfer"])
    # These two look over all worlds at once.
    found["differences"] = differences(found, DECODERS)
    found["claims"] = claims(found, DECODERS)
    return found


def results(profile, load):
    """Lists of rows for results.json, and what they are read against: instructions N, k, chance."""
    found = tables(profile, load)
    # Pictures need them; no sentence does.
    del found["distances"]
    # What readers are told of; the rest stays in the tables of a run.
    scores = found.pop("scores").query("measure in @MEASURES and encoder in @ENCODERS")
    # Each direction stands in the tables of a run.
    found["pairs"] = found["pairs"].query("measure in @MEASURES and direction == 'both'")
    # Draws of a control are one row: twenty of each would be most of the file.
    for test, part in mean_over(scores, "draw").groupby("test"):
        found[test] = part.drop(columns="test")
    by = ["world", "model", "model_kind", "part", "encoder"]
    found["geometry"] = found["geometry"].set_index(by)["value"].unstack().reset_index()
    by = ["world", "first", "second", "condition"]
    structure = found["structure"].drop(columns="draw")
    found["structure"] = structure.groupby(by, sort=False, as_index=False).mean()
    # By pandas first, which writes NaN as null.
    rows = {
        name: json.loads(table.round(4).to_json(orient="records")) for name, table in found.items()
    }
    count = len(columns.instructions(profile))
    k = profile.alignment.k
    return rows | {
        "instructions": count,
        "k": k,
        "chance": round(k / count, 4),
        "worlds": profile.world_numbers,
    }
