"""The tables of a run, and results.json."""

from collections.abc import Callable

import pandas as pd

from paper_utils.cloning.evaluation import EVALUATION, success_rates
from paper_utils.config import Profile
from paper_utils.encoders.families import FAMILIES
from paper_utils.store import Store
from paper_utils.study import columns, kinds, products, transfer
from paper_utils.study.claims import claims
from paper_utils.study.differences import differences, over_draws
from paper_utils.study.kinds import STRUCTURE
from paper_utils.study.scores import ORDER_NULL, PAIRS, SCORES
from paper_utils.study.spaces import SPACES
from paper_utils.study.transfer import TRANSFER

# load(stage, profile, **parameters), as `Store.get`.
Load = Callable[..., object]
MEASURES = ("precision_at_1", "precision_at_k", "colour", "order")
ENCODERS = (*columns.AGENTS, "word_count", "codebook", "random_tokens")
DECODERS = [family.label for family in FAMILIES.values() if family.is_decoder]


def _success(profile: Profile, load: Load) -> pd.DataFrame:
    """Success of every player of every world on every level, with its interval."""
    parts = []
    for chosen in products.evaluations(profile):
        facts = {name: chosen[name] for name in ("world", "player")}
        parts.append(load(EVALUATION, profile, **chosen).assign(**facts))
    return success_rates(pd.concat(parts), ["world", "player", "level"])


def _transfer(profile: Profile, load: Load) -> pd.DataFrame:
    """Success of the acting agents on every source's sentences."""
    episodes = {}
    for world in profile.world_numbers:
        for name, source in transfer.sources(profile).items():
            episodes[world, name] = load(TRANSFER, profile, world=world, source=source)
    return transfer.success(episodes)


def tables(profile: Profile, load: Load) -> dict[str, pd.DataFrame]:
    """All tables of a run over its worlds, by name.

    scores, pairs, order_null, knows_synonyms, geometry, verbs, success, transfer, structure,
    distances: as their stages say.  differences and claims: as their modules do."""
    # Some stages give one table of a world, some several.
    each: dict[str, list] = {}
    for world in profile.world_numbers:
        for name, stage in (("scores", SCORES), ("pairs", PAIRS), ("order_null", ORDER_NULL)):
            each.setdefault(name, []).append(load(stage, profile, world=world))
        for name, table in load(SPACES, profile, world=world).items():
            each.setdefault(name, []).append(table)
    for chosen in kinds.worlds_of(profile):
        for name, table in load(STRUCTURE, profile.of_kinds(), **chosen).items():
            each.setdefault(name, []).append(table)
    found = {name: pd.concat(parts, ignore_index=True) for name, parts in each.items()}
    found["success"] = _success(profile, load)
    found["transfer"] = _transfer(profile, load)
    # These two look over all worlds at once.
    found["differences"] = differences(found, DECODERS)
    found["claims"] = claims(found, DECODERS)
    return found


def results(profile: Profile, load: Load) -> dict:
    """Lists of rows for results.json, and what they are read against: instructions N, k, chance."""
    found = tables(profile, load)
    # Draws of a control are one row: twenty of each would be most of the file.
    scores = over_draws(_asked(found.pop("scores")))
    scores = scores[scores["encoder"].isin(ENCODERS)]
    found["pairs"] = _asked(found["pairs"])
    for test in ("same_words", "synonyms"):
        found[test] = scores[scores["test"] == test].drop(columns=["test", "layer"])
    by = ["world", "model", "model_kind", "part"]
    geometry = found["geometry"].pivot(index=by, columns="encoder", values="value").reset_index()
    found["geometry"] = geometry.rename(columns={"never_acted": "before", "acted": "after"})
    by = ["world", "first", "second", "condition"]
    found["structure"] = found["structure"].groupby(by, sort=False).mean().reset_index()
    # Pictures need them; no sentence does.
    del found["distances"]
    rows = {name: _rows(table) for name, table in found.items()}
    count = len(columns.instructions(profile))
    k = profile.alignment.k
    facts = {"instructions": count, "k": k, "chance": round(k / count, 4)}
    return rows | facts | {"worlds": profile.world_numbers}


def results_of(profile: Profile, artifacts: Store) -> dict:
    """`results` of a profile whose products are in a store."""
    return results(profile, artifacts.get)


def _asked(scores: pd.DataFrame) -> pd.DataFrame:
    """Rows of the measures that readers are told of; others stay in the tables of a run."""
    return scores[scores["measure"].isin(MEASURES)]


def _rows(table: pd.DataFrame) -> list[dict]:
    """Plain rows: numbers rounded, None for what is not known."""
    # JSON has no NaN.
    rounded = table.round(4).astype(object)
    return rounded.where(table.notna(), None).to_dict("records")
