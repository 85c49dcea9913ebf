# %% [markdown]
# # 2 · Train an agent by imitation, and the agents it must be compared with
#
# An agent that follows instructions needs a vector for the instruction. Where does that vector come
# from? Here: from acting, and from nothing else. A small transformer starts from random weights, copies
# the expert's actions, and never sees a sentence outside its tasks.
#
# **What you'll do** — train the policy by behavioural cloning, evaluate it on fresh episodes, look at
# what it attends to, and build the control agents.
#
# **What you'll learn** — how the policy is wired so that *one* vector carries all the language; why the
# accuracy of single actions does not predict success; and what an agent can do that was trained with
# the wrong instructions.
#
# **What you'll need** — notebook 01's demonstrations (made here if missing). `smoke` takes seconds,
# `laptop` about four minutes on two cores, 1 GB of memory. A GPU is used if there is one
# (`device: auto`; that path has not been exercised by the published runs).
#
# > As committed, this notebook shows the quick `smoke` profile: it proves that everything runs, and its
# > numbers mean nothing. The prose reads the `laptop` profile, whose figures are in `figures/`.

# %% tags=["parameters"]
profile = "smoke"  # quick, numbers mean nothing; "laptop" for the real thing
seed = 0
overrides = {}  # for example {"cloning.epochs": 3}
out = ""  # where to write; empty: runs/<profile>-seed<seed>

# %%
import pandas as pd
import torch

from paper_utils import figures
from paper_utils.cloning import rollout
from paper_utils.cloning.policy import Policy, Sizes, cell_kinds, tokenize
from paper_utils.cloning.training import AGENT
from paper_utils.data import grammar, levels
from paper_utils.run import Run

run = Run.start("02_bc_training", profile, seed, overrides, out)
settings, names = run.profile.cloning, run.profile.data.levels
settings

# %% [markdown]
# ## The policy
#
# ```
# "put the red ball next to the blue key"
#       │ words → transformer → mean over words
#       ▼
#   sentence embedding  ◄── the vector that notebook 04 compares
#       │ + previous action
#       ▼
#   a few queries ──attend──► 49 visible cells (object + colour + state + position)
#       │
#       ▼
#   causal transformer over the steps so far ──► next action
# ```
#
# The sentence embedding is a bottleneck on purpose. If the scene could attend to single words, the
# meaning of the instruction would be spread over many vectors and there would be nothing well defined to
# compare. The paper does not say how its agent is built; this is our choice.

# %%
torch.manual_seed(0)
policy = Policy(Sizes.of(settings))
count = sum(weights.numel() for weights in policy.parameters())
language = sum(weights.numel() for weights in policy.instruction.parameters())
print(f"{count:,} parameters, {language:,} of them in the instruction encoder")
tokens = tokenize(["put the red ball next to the blue key", "open the door behind you"])
policy.instruction(tokens).shape  # (sentences, width)

# %% [markdown]
# One forward pass on a real view, to see the shapes. The attention says which of the 49 cells each query
# looks at; an untrained policy looks everywhere a little.

# %%
env = levels.make("GoToLocal")
observation, _ = env.reset(seed=1)
cells = torch.from_numpy(cell_kinds(observation["image"])).long()[None, None]  # (B, T, 49)
start = torch.full((1, 1), 7)  # "no action yet"
sentence = policy.instruction(tokenize([env.mission]))
logits, _, attention = policy(sentence, cells, start)
print("logits", tuple(logits.shape), "attention", tuple(attention.shape))
assert torch.allclose(attention.sum(-1), torch.ones(1, 1, settings.queries), atol=1e-5)

# %% [markdown]
# ## Training, and the control agents
#
# All agents go through the same code:
#
# - **trained**: cloned from the demonstrations, one agent per seed;
# - **shuffled**: cloned from the same episodes, but with instructions exchanged between episodes of the
#   same level, and for fewer epochs (`cloning.shuffled_epochs`). It sees the same words, scenes and actions,
#   only not together;
# - **untrained**: the first trained agent before its first step.
#
# The next line loads them, or trains them now, side by side, one thread each.

# %%
wanted = [{"agent": number, "condition": "trained"} for number in range(settings.agents)]
wanted += [{"agent": 0, "condition": "shuffled"}, {"agent": 0, "condition": "untrained"}]
agents = run.get_many(AGENT, wanted)
curves = pd.concat(
    agent.curve.assign(**which) for agent, which in zip(agents, wanted) if len(agent.curve)
)
run.figure(figures.training_curves(curves), "02_curves")

# %% [markdown]
# The held-out loss of the trained agents falls and then flattens, while the training loss goes on falling: some
# memorising, no harm yet. (Read each curve by itself: the held-out set has equally many episodes of each level,
# the training set has not.) The shuffled agent stays far above: its instruction tells it nothing but the kind
# of task, and what remains is what can be guessed from the scene. The weights kept are those of the epoch
# with the lowest held-out loss.

# %%
trained = curves[curves["condition"] == "trained"]
run.table(trained.groupby("agent").tail(1).round(4), "02_last_epoch").set_index("agent")

# %% [markdown]
# ## Does it do what it is told?
#
# Accuracy of single actions is not the goal. If every slip were fatal, an agent that is right 95 times of 100
# would finish a twelve-step errand about half the time (0.95¹² ≈ 0.54); but many "wrong" actions are just
# another good way, and others can be made good. So we play fresh episodes, with seeds that no demonstration
# used, taking the most probable action each time. The intervals are Wilson's for a proportion, 95 %; where
# agents are pooled they treat the agents' episodes as independent, which makes them somewhat too narrow.

# %%
players = [("expert", 0), *(("trained", n) for n in range(settings.agents))]
players += [("shuffled", 0), ("untrained", 0), ("random", 0)]
each = [{"player": p, "agent": a, "level": level} for p, a in players for level in names]
episodes = pd.concat(
    table.assign(player=which["player"], agent=which["agent"])
    for table, which in zip(run.get_many(rollout.EVALUATION, each), each)
)
success = run.table(rollout.summarize(episodes, ["player", "level"]), "02_success")
run.figure(figures.success(success), "02_success")

# %% tags=["nbval-check-output"]
shown = success.pivot(index="player", columns="level", values="success")
shown.loc[list(dict.fromkeys(success["player"])), names].round(2)

# %% [markdown]
# Read each group from the right. The **random** player already succeeds sometimes — it stumbles into "go to" — so
# success has a floor above zero; the **untrained** agent does worse, because it always takes its most probable
# action and so repeats itself. The **shuffled** agent does better than random although its instruction is
# useless: it has learned to walk up to things, pick things up and open doors, and now and then the thing is
# the right one. On `PutNextLocal`, where two particular things must be chosen, that does not help at all.
# What lies between *shuffled* and *trained* is, roughly, what the instruction is worth.
#
# By agent, to see how much the seed matters:

# %%
by_agent = rollout.summarize(episodes[episodes["player"] == "trained"], ["agent", "level"])
run.table(by_agent, "02_success_by_agent").pivot(index="agent", columns="level", values="success")[
    names
].round(3)

# %% [markdown]
# ## Which words are hard?
#
# We join the instruction's factors to the trained agents' episodes.

# %%
factors = grammar.instructions(names).set_index("text")
said = episodes[episodes["player"] == "trained"].copy()
said["text"] = said["instruction"].map(grammar.canonical)
said = said.join(factors[["verb", "colour", "type", "location"]], on="text")
run.figure(figures.success_by_factor(said, ["verb", "colour", "type", "location"]), "02_factors")

# %% [markdown]
# Nothing in the task makes one colour harder than another, so the differences between colours show how wide
# honest intervals are. Among verbs, *put* needs two errands and is the hardest. Look at the places as well: what
# is on the *left* or *behind* must first be found.
#
# ## Where does it look?
#
# One episode of the first agent, with the mean attention of its queries drawn over its view.

# %%
agent = agents[0].policy
film = rollout.film(agent, "PutNextLocal", levels.seeds("pictures", 8, run.profile.seed)[7])
run.figure(figures.filmstrip(film), "02_film")

# %%
moments = sorted({round(i * (len(film.actions) - 1) / 5) for i in range(6)})
run.figure(figures.attention(film, moments), "02_attention")

# %% [markdown]
# Orange cells are attended, the mean over queries, each frame scaled to its strongest. With training they are
# often the things that the instruction names, and often the free cells beside them. (In the `smoke` profile the agent has hardly
# been trained, and looks about.)
#
# ## The vector we came for
#
# The sentence embeddings of all instructions, one row each — the product of this notebook.

# %%
texts = factors.index.tolist()
with torch.inference_mode():
    vectors = agent.instruction(tokenize(texts))
print(f"{len(texts)} instructions, embeddings {tuple(vectors.shape)}")
assert torch.isfinite(vectors).all()

# %% [markdown]
# ## On your own
#
# 1. Train with `overrides = {"cloning.epochs": 1}`. Which level suffers most? Guess before you look.
# 2. Let the policy have a single query (`cloning.queries: 1`). Which instructions need two?
# 3. Evaluate the trained agent with every instruction replaced by another of the same level. Whose
#    success should it then resemble?
#
# **Further reading** — the agents published with BabyAI use FiLM: Perez et al. (arXiv
# 1709.07871); linear attention biases: Press et al. (arXiv 2108.12409); on why imitation errors compound:
# Ross & Bagnell (2010).
#
# ## Provenance

# %%
run.record(success=success, success_by_agent=by_agent)
run.finish()
