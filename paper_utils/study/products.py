"""Every product of a run, so that one plan of work can make them side by side before notebooks load
them."""

from collections.abc import Iterator

from paper_utils.cloning.agents import AGENT, CURVES, Condition, agent_parameters
from paper_utils.cloning.evaluation import EVALUATION, EXPERT, FIRST_VISITS, RANDOM
from paper_utils.config import Profile
from paper_utils.data.corpus import PICTURES, STORIES
from paper_utils.data.demonstrations import DEMONSTRATIONS, EPISODES
from paper_utils.encoders import records
from paper_utils.encoders.embedding import EMBEDDING, UNTRAINED, parameters
from paper_utils.encoders.families import FAMILIES
from paper_utils.encoders.records import Source
from paper_utils.encoders.scratch import MODEL_SCORES, REFERENCE, reference_parameters
from paper_utils.store import Stage
from paper_utils.study import columns, kinds, transfer
from paper_utils.study.appendix import LAYERS, TABLES
from paper_utils.study.kinds import STRUCTURE
from paper_utils.study.scores import ORDER_NULL, PAIRS, SCORES
from paper_utils.study.spaces import SPACES
from paper_utils.study.transfer import TRANSFER

Product = tuple[Stage, Profile, dict]
STAGES = {
    stage.name: stage
    for stage in (
        *(DEMONSTRATIONS, EPISODES, STORIES, PICTURES),
        *(AGENT, CURVES, EVALUATION, FIRST_VISITS),
        *(REFERENCE, MODEL_SCORES, EMBEDDING, UNTRAINED),
        *(SCORES, PAIRS, SPACES, ORDER_NULL, TRANSFER, STRUCTURE, LAYERS, TABLES),
    )
}
"""Stages of all rooms by name, for a worker that is told a name."""

# Who plays for success: the columns that are agents, what cloning could reach, and luck.
PLAYERS = (*columns.AGENTS, EXPERT, RANDOM)


def evaluations(profile: Profile) -> list[dict]:
    """Parameters of EVALUATION: every player on every level of every world; the agent with held-out
    compositions in the first world only."""
    found = []
    for world in profile.world_numbers:
        held_out = [Condition.HELD_OUT.value] if world == profile.world_numbers[0] else []
        for player in (*PLAYERS, *held_out):
            for level in profile.data.levels:
                chosen = {"world": world, "player": player, "level": level, "rooms": "babyai"}
                found.append(chosen)
    return found


def transfers(profile: Profile) -> list[dict]:
    """Parameters of TRANSFER: every source of every world."""
    found = []
    for world in profile.world_numbers:
        for source in transfer.sources(profile).values():
            found.append({"world": world, "source": source})
    return found


def visits(profile: Profile) -> list[dict]:
    """Parameters of FIRST_VISITS: blind agents that learned in rooms of kinds, or in flat ones."""
    found = []
    for world in profile.world_numbers:
        for rooms in ("kinds", "exchangeable"):
            found.append({"world": world, "condition": Condition.BLIND.value, "rooms": rooms})
    return found


# --- what each notebook loads -------------------------------------------------------------------


def _data(profile: Profile) -> Iterator[Product]:
    # A world is shown from near: its episodes, stories and pictures are as large as the first's.
    yield EPISODES, profile, {"world": profile.world_numbers[0], "rooms": "babyai"}


def _cloning(profile: Profile) -> Iterator[Product]:
    # Two agents play before the reader's eyes; of the others the episodes are counted.
    first = profile.world_numbers[0]
    for condition in (Condition.ACTED, Condition.HELD_OUT):
        yield AGENT, profile, agent_parameters(first, condition)
    for world in profile.world_numbers:
        yield CURVES, profile, {"world": world}
    for chosen in evaluations(profile):
        yield EVALUATION, profile, chosen


def _encoders(profile: Profile) -> Iterator[Product]:
    for world in profile.world_numbers:
        yield MODEL_SCORES, profile, {"world": world}
    # Spaces are drawn in one world: another would look much the same, and take its room.
    first = profile.world_numbers[0]
    for stage, chosen in columns.needs_everyone(profile, first):
        yield stage, profile, chosen
    # Notebook 03 asks the models themselves, too.
    for family in profile.encoders.families:
        yield REFERENCE, profile, reference_parameters(first, family)


def last_layers(profile: Profile) -> list[dict]:
    """Parameters of EMBEDDING: the last layer of each decoder trained in the first world."""
    world = profile.world_numbers[0]
    found = []
    for model in records.models(profile):
        if model.source is Source.SCRATCH and FAMILIES[model.name].is_decoder:
            found.append(parameters(model, world, "both", profile.encoders.layers))
    return found


def _study(profile: Profile) -> Iterator[Product]:
    """What `results.tables` loads."""
    for world in profile.world_numbers:
        for stage in (SCORES, PAIRS, SPACES, ORDER_NULL):
            yield stage, profile, {"world": world}
    for chosen in transfers(profile):
        yield TRANSFER, profile, chosen
    for chosen in evaluations(profile):
        yield EVALUATION, profile, chosen
    # Kinds have sizes of their own.
    for chosen in kinds.worlds_of(profile):
        yield STRUCTURE, profile.of_kinds(), chosen


def _alignment(profile: Profile) -> Iterator[Product]:
    yield from _study(profile)
    for chosen in last_layers(profile):
        yield EMBEDDING, profile, chosen


def _structure(profile: Profile) -> Iterator[Product]:
    # Tables of all tests are made together, so whoever loads one has all.
    yield from _study(profile)
    yield STORIES, profile.of_kinds(), {"world": profile.world_numbers[0], "rooms": "kinds"}
    for chosen in visits(profile):
        yield FIRST_VISITS, profile.of_kinds(), chosen


def _appendix(profile: Profile) -> Iterator[Product]:
    yield from _study(profile)
    for world in profile.world_numbers:
        yield LAYERS, profile, {"world": world}
        yield TABLES, profile, {"world": world}


# Readers' own data (06) needs nothing of ours.
NOTEBOOKS = {
    "01_data": _data,
    "02_bc_training": _cloning,
    "03_embeddings": _encoders,
    "04_alignment": _alignment,
    "05_structure": _structure,
    "07_robustness": _appendix,
}


def products(profile: Profile, notebook: str | None = None) -> list[Product]:
    """What a notebook loads, or (None) what all of them do; nothing for a notebook that loads
    nothing."""
    asked = NOTEBOOKS if notebook is None else [notebook]
    # What two notebooks load is there twice; a plan of work makes it once.
    found = []
    for name in asked:
        if name in NOTEBOOKS:
            found += NOTEBOOKS[name](profile)
    return found
