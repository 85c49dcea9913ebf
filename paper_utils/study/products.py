"""Every product of a run (stage, profile, parameters), so that one plan of work can make them side
by side before notebooks load them."""

from itertools import product

from paper_utils.cloning.agents import AGENT, CURVES, Condition, agent_parameters
from paper_utils.cloning.evaluation import EVALUATION, EXPERT, FIRST_VISITS, RANDOM
from paper_utils.data.corpus import STORIES
from paper_utils.data.demonstrations import EPISODES
from paper_utils.encoders.embedding import EMBEDDING, parameters
from paper_utils.encoders.families import FAMILIES
from paper_utils.encoders.records import Encoder, Source
from paper_utils.encoders.scratch import MODEL_SCORES, REFERENCE, reference_parameters
from paper_utils.study import columns, kinds, transfer
from paper_utils.study.appendix import LAYERS, TABLES
from paper_utils.study.kinds import STRUCTURE
from paper_utils.study.scores import ORDER_NULL, PAIRS, SCORES
from paper_utils.study.spaces import SPACES
from paper_utils.study.transfer import TRANSFER

# Who plays for success: the columns that are agents, what cloning could reach, and luck.
PLAYERS = (*columns.AGENTS, EXPERT, RANDOM)


def evaluations(profile):
    """Parameters of EVALUATION: every player on every level of every world; the agent with held-out
    compositions in the first world only."""
    worlds = profile.world_numbers
    players = [*product(worlds, PLAYERS), (worlds[0], Condition.HELD_OUT.value)]
    return [
        {"world": world, "player": player, "level": level, "rooms": "babyai"}
        for (world, player), level in product(players, profile.data.levels)
    ]


def evaluations_of_kinds(profile):
    """Parameters of EVALUATION: agents of rooms of kinds, in their own rooms; blind ones play
    without colours."""
    agents = [
        (Condition.BLIND, "kinds"),
        (Condition.ACTED, "kinds"),
        (Condition.ACTED, "exclusive"),
    ]
    return [
        {"world": world, "player": str(player), "level": level, "rooms": rooms}
        for world, (player, rooms), level in product(
            profile.world_numbers, agents, profile.of_kinds().data.levels
        )
    ]


def visits(profile):
    """Parameters of FIRST_VISITS: blind agents that learned in rooms of kinds, or in flat ones."""
    return [
        {"world": world, "condition": Condition.BLIND.value, "rooms": rooms}
        for world, rooms in product(profile.world_numbers, ("kinds", "exchangeable"))
    ]


def each_of(stage, profile, parameters):
    """A product of a stage for each of some parameters."""
    return [(stage, profile, chosen) for chosen in parameters]


def in_worlds(profile, *stages):
    """A product of each of some stages for each world."""
    return [
        (stage, profile, {"world": world})
        for world, stage in product(profile.world_numbers, stages)
    ]


def study(profile):
    """What `results.tables` loads."""
    acted = [
        {"world": world, "source": source}
        for world, source in product(profile.world_numbers, transfer.sources(profile).values())
    ]
    return [
        *in_worlds(profile, SCORES, PAIRS, SPACES, ORDER_NULL),
        *each_of(TRANSFER, profile, acted),
        *each_of(EVALUATION, profile, evaluations(profile)),
        # Kinds have sizes of their own.
        *each_of(STRUCTURE, profile.of_kinds(), kinds.worlds_of(profile)),
    ]


def by_notebook(profile):
    """What each notebook loads; readers' own data (07) needs nothing of ours."""
    first = profile.world_numbers[0]
    of_kinds = profile.of_kinds()
    last = [
        parameters(Encoder(Source.SCRATCH, family), first, "both", profile.encoders.layers)
        for family in profile.encoders.families
        if FAMILIES[family].is_decoder
    ]
    shown = [agent_parameters(first, name) for name in (Condition.ACTED, Condition.HELD_OUT)]
    asked = [reference_parameters(first, family) for family in profile.encoders.families]
    # Tables of all tests are made together, so whoever loads one has all.
    everything = study(profile)
    return {
        # A world is shown from near: episodes, stories and pictures of the first.
        "01_data": [(EPISODES, profile, {"world": first, "rooms": "babyai"})],
        # Two agents play before the reader's eyes; of the others the episodes are counted.
        "02_bc_training": [
            *each_of(AGENT, profile, shown),
            *in_worlds(profile, CURVES),
            *each_of(EVALUATION, profile, evaluations(profile)),
        ],
        # Spaces are drawn in one world: another would look much the same, and take its room.
        "03_embeddings": [
            *in_worlds(profile, MODEL_SCORES),
            *((stage, profile, chosen) for stage, chosen in columns.needs_everyone(profile, first)),
            *each_of(REFERENCE, profile, asked),
        ],
        "04_alignment": everything + each_of(EMBEDDING, profile, last),
        "05_acting": everything + each_of(AGENT, profile, shown[:1]),
        "06_structure": [
            *everything,
            (STORIES, of_kinds, {"world": first, "rooms": "kinds"}),
            *each_of(FIRST_VISITS, of_kinds, visits(profile)),
            *each_of(EVALUATION, of_kinds, evaluations_of_kinds(profile)),
        ],
        "08_robustness": [
            *everything,
            *in_worlds(profile, LAYERS),
            *each_of(REFERENCE, profile, asked[:1]),
        ],
        "09_transfer": everything + each_of(AGENT, profile, shown[:1]),
        "10_meaning": everything + in_worlds(profile, TABLES),
    }


def products(profile, notebook=None):
    """What a notebook loads, or (None) what all of them do; nothing for a notebook that loads
    nothing."""
    loaded = by_notebook(profile)
    # What two notebooks load is there twice; a plan of work makes it once.
    return sum(loaded.values(), []) if notebook is None else loaded.get(notebook, [])
