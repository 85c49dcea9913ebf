# %% [markdown]
# # 2 · Train an agent by imitation, and the agents it must be compared with
#
# An agent that follows instructions needs a vector for the instruction. Where does that vector come from?
# Here it comes from acting, and from nothing else. A small transformer starts from random weights, copies
# the expert's actions, and never sees a sentence outside its tasks.
#
# **What you'll do** — rebuild the two steps of the policy that matter by hand, train it by behavioural
# cloning, play fresh episodes with it, and do the same with the control agents.
#
# **What you'll learn** — how *one* vector carries all the language; why the accuracy of single actions does
# not tell the success of episodes; what an agent trained on the wrong instructions can do.
#
# **What you'll find** — how often each agent does what it is told, beside an expert, a random player and
# agents whose instructions were useless; and what an agent makes of combinations of
# words that it was never told.
#
# **What you'll need** — less than a minute and 1 GB of memory with the published `release` agents. `laptop`
# trains its own in about four minutes on two cores; `release` from nothing takes an hour or more. A GPU is
# used if there is one (`device: auto`; the published runs did not exercise that path).

# %% tags=["parameters"]
# "release" is published and loads in seconds; with another seed or override it trains for hours: for
# these take "laptop" (about 10 minutes for all notebooks) or "smoke" (three).
profile = "release"
seed = 0
overrides = {}  # for example {"cloning.epochs": 3}
out = ""  # where to write; empty: runs/<profile>-seed<seed>

# %%
import numpy as np
import pandas as pd
import seaborn as sns
import torch
from IPython.display import HTML

from paper_utils import figures
from paper_utils.cloning import evaluation
from paper_utils.cloning.policy import START, Policy, cell_kinds
from paper_utils.cloning.training import AGENT, CURVES
from paper_utils.data import grammar, levels
from paper_utils.run import Run

run = Run.start("02_bc_training", profile, seed, overrides, out)
settings, names = run.profile.cloning, run.profile.data.levels
settings

# %% [markdown]
# ## The policy
#
# The sketch shows how an instruction becomes an action.
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
# The sentence embedding is a bottleneck on purpose. If the scene could attend to single words, the meaning
# of the instruction would be spread over many vectors, and there would be nothing well defined to compare.
# The paper's abstract does not say how its agent is built; this is our choice.
#
# The next cell does two steps by hand, on a policy before training. It pools one sentence, and it lets one
# query attend. Both must equal what the policy computes (asserted).

# %%
torch.manual_seed(0)
policy = Policy(settings).eval()
env = levels.make("GoToLocal")
view = env.reset(seed=1)[0]["image"]
cells = torch.from_numpy(cell_kinds(view)).long()  # (49,) one number per visible cell
with torch.no_grad():
    tokens = policy.tokenize([env.mission])  # (1, L) one number per word
    states = policy.instruction.states(tokens)[-1]  # (1, L, C) each word, having seen the others
    sentence = policy.instruction.norm(states.mean(1))  # (1, C) the mean over words, normalised
    assert np.allclose(sentence, policy.embed([env.mission]), atol=1e-5)

    look, C = policy.look, settings.width
    object_, colour, state = look.kinds[cells].T  # (49,) each
    row = look.object(object_) + look.colour(colour) + look.state(state) + look.position.weight
    key, value = row.chunk(2, dim=1)  # (49, C) each
    query = look.q_proj(sentence + policy.previous.weight[START])[0, :C]  # the first of the queries
    attention = torch.softmax(key @ query / C**0.5, dim=0)  # (49,) where it looks
    read = attention @ value  # (C,) what it reads there

    start = torch.tensor([[START]])  # "no action yet"
    logits, _, looks = policy(sentence, cells[None, None], start)  # (1, 1, 7), ..., (1, 1, Q, 49)
    assert torch.allclose(attention, looks[0, 0, 0], atol=1e-5)
count = sum(weights.numel() for weights in policy.parameters())
language = sum(weights.numel() for weights in policy.instruction.parameters())
print(f"“{env.mission}”: {tokens.shape[1]} words pooled into {C} numbers")
print(f"first query: most attended cell gets {attention.max():.3f}, even attention {1 / 49:.3f}")
print(f"{count:,} parameters, {language:,} of them in the instruction encoder")

# %% [markdown]
# The printed lines give the size of the vector and of the policy. All that the rest of the policy ever hears
# of the instruction is that one vector.
#
# ## Training, and the control agents
#
# The figures show each agent's losses over training, and how often single actions of the trained agents are
# the expert's. All agents go through the same code:
#
# - **trained**: cloned from the demonstrations, one agent per seed;
# - **shuffled**: cloned from the same episodes, but with instructions exchanged between episodes of the same
#   level, and for `cloning.shuffled_epochs` epochs. It sees the same words, scenes and actions, only not
#   together;
# - **held-out**: cloned from the episodes whose instruction names none of the compositions printed below, so
#   it may hear *red* and it may hear *ball*, but never *red ball*. Having fewer episodes, it makes
#   more passes, and so takes about as many steps;
# - **untrained**: an agent before its first step;
# - **bilingual**: like the trained ones, but each episode's instruction is in first names or, as often, in
#   second names (notebook 01). Never in both: only the scene and the actions can tell that both name one
#   colour. A *bilingual-shuffled* agent is the control for these.
#
# The next line loads their curves, or trains them now, side by side, one thread each.

# %%
curves = run.get(CURVES)
agents = run.get_many(AGENT, [{"agent": 0, "condition": c} for c in ("trained", "untrained")])
print("held out:", ", ".join(settings.held_out))
best = curves.loc[curves.groupby(["condition", "agent"], sort=False)["validation_loss"].idxmin()]
display(
    best.groupby("condition", sort=False)[["epoch", "train_loss", "validation_loss"]]
    .mean()
    .round(3)
)
losses = curves.rename(columns={"validation_loss": "validation", "train_loss": "training"})
losses = losses.melt(["condition", "agent", "step"], ["validation", "training"], "episodes", "loss")
grid = sns.relplot(
    losses, x="step", y="loss", hue="condition", style="episodes", units="agent", estimator=None,
    kind="line", palette=figures.PLAYER, height=3.2, aspect=1.6,
)  # fmt: skip
grid.set_axis_labels("step of the optimiser", "loss, nats per action")
run.figure(
    grid.figure,
    "02_curves",
    "Cross-entropy of the expert's actions; the instructions of shuffled agents belong to other episodes.",
)
right = curves[curves["condition"] == "trained"].filter(regex="step|accuracy")
right.columns = right.columns.str.removeprefix("accuracy ")
grid = sns.relplot(
    right.melt("step", var_name="level", value_name="validation accuracy"), x="step",
    y="validation accuracy", hue="level", kind="line", errorbar=("pi", 100), marker="o", height=2.8,
    aspect=1.8,
)  # fmt: skip
run.figure(
    grid.figure,
    "02_accuracy",
    "The share of single actions that are the expert's: trained agents, mean and range over seeds.",
)

# %% [markdown]
# The table gives, for each kind of agent, the epoch of the lowest validation loss and the losses there (means
# over agents). Those are the weights that are kept. Read each curve by itself: the validation set has equally
# many episodes of each level, while the training set need not, so the two losses of one agent do not measure
# the same mixture. The shuffled agents' instruction tells them nothing but the kind of task, and they train
# for `cloning.shuffled_epochs` epochs, so their curves may be shorter.
#
# ## Does it do what it is told?
#
# The figure shows how often each player succeeds on fresh episodes, level by level. Accuracy of single
# actions is not the goal. If every slip were fatal, an agent that is right 95 times of 100 would finish a
# twelve-step errand about half the time (0.95¹² ≈ 0.54). But many "wrong" actions are just another good way,
# and others can be made good. So we play episodes with seeds that no demonstration used, and take the most
# probable action each time.

# %%
BY = ["level", "seed"]
seeds = levels.seeds("evaluation", settings.evaluation_episodes, run.profile.seed)
players = [("expert", 0), *(("trained", n) for n in range(settings.agents))]
players += [("bilingual", n) for n in range(settings.bilingual)]
players += [(name, 0) for name in ("held-out", "shuffled", "untrained", "random")]
columns = ("player", "agent")
each = [dict(zip(columns, who)) | {"level": level} for who in players for level in names]
played = pd.concat(
    table.assign(**{column: which[column] for column in columns})
    for table, which in zip(run.get_many(evaluation.EVALUATION, each), each)
).reset_index(drop=True)
episodes = played[played["player"] != "held-out"]
success = run.table(evaluation.summarize(episodes, ["player", "level"]), "02_success")
run.figure(
    figures.points(
        success,
        "level",
        "success",
        "player",
        colours=figures.PLAYER,
        size=(8.5, 3.4),
        limits=(-0.03, 1.05),
    ),
    "02_success",
    "Success on fresh episodes by player and level; intervals: Wilson, 95 %, agents' episodes pooled "
    "as if independent.",
)

# %% tags=["nbval-check-output"]
shown = success.pivot(index="player", columns="level", values="success")
print(shown.loc[list(dict.fromkeys(success["player"])), names].round(2).to_string())
again = [evaluation.evaluate(agents[0].policy, name, seeds[:64]) for name in names]
again = pd.concat(again).merge(episodes.query("player == 'trained' and agent == 0"), on=BY)
same = (again["success_x"] == again["success_y"]).groupby(again["level"]).mean()
print(f"{len(again)} episodes played again, at least 95 % end the same way: {(same >= 0.95).all()}")

# %% [markdown]
# Read the table from the bottom row up. The **random** player shows what random moves achieve on
# that level. The **untrained** agent always takes its most probable action, so it tends to
# repeat itself. The **shuffled** agent can learn to walk up to things, to pick things up and to open doors, but
# not which ones. What it reaches beyond the random player therefore comes from habit, not from the
# instruction. Where a wrong try costs nothing but time, trying one thing after another can succeed, and takes
# long; the next table shows the median steps. So the distance between *shuffled* and *trained* understates
# what the instruction is worth where there is time to try. But it also trained for less time,
# which makes the gap look larger.
#
# The second table goes by agent, to show how much the seed matters. Below our agents stands what others report
# for these levels. Their agents (convolutions modulated by the instruction, and an LSTM) learned from
# 1,000,000 demonstrations per level, ours from as many as the first row shows. Their rates are often the best
# of a running mean; ours are those of the weights with the lowest validation loss. We quote theirs, and have
# not re-run them.

# %%
steps = success.pivot(index="player", columns="level", values="steps")[names]
display(steps.loc[list(dict.fromkeys(success["player"]))].rename_axis("median steps"))
by_agent = evaluation.summarize(episodes[episodes["player"] == "trained"], ["agent", "level"])
ours = by_agent.pivot(index="agent", columns="level", values="success").round(3)
published = {  # Chevalier-Boisvert et al., arXiv 1810.08272; Hui et al., arXiv 2007.12770
    "BabyAI 1.0, 1 M": {"GoToLocal": 0.998, "PutNextLocal": 0.992},
    "BabyAI 1.1, 1 M": {"GoToLocal": 1.0, "PutNextLocal": 1.0},
}
rows = {"our demonstrations": run.profile.data.demonstrations}
rows |= {f"our agent {n}": ours.loc[n].to_dict() for n in ours.index} | published
run.table(by_agent, "02_success_by_agent")
pd.DataFrame(
    {name: {level: str(row.get(level, "–")) for level in names} for name, row in rows.items()}
).T

# %% [markdown]
# ## Words it was never told together
#
# The figure shows each agent's success on episodes without and with a held-out composition. The trained agent,
# which was told all compositions, plays the same episodes for comparison.

# %%
said = played[played["player"].isin(["held-out", "trained"]) & (played["agent"] == 0)]
new = said["instruction"].map(lambda text: any(words in text for words in settings.held_out))
said = said.assign(composition=new.map({True: "with", False: "without"}))
compositions = evaluation.summarize(said, ["player", "composition", "level"])
run.table(compositions, "02_compositions")
ends = compositions.pivot(index=["player", "level"], columns="composition", values="success")
lost = (ends["without"] - ends["with"]).unstack("player").reindex(names)
lost["price"] = lost["held-out"] - lost["trained"]
print("success lost where a held-out composition is named:", lost.round(3).to_string(), sep="\n")
run.figure(
    figures.points(
        compositions.assign(agent=compositions["player"] + ", " + compositions["composition"]),
        "level",
        "success",
        "agent",
        size=(8.5, 3.4),
    ),
    "02_compositions",
    "Success without and with a composition that the held-out agent was never told (mind the scale); "
    "intervals: Wilson, 95 %.",
)

# %% [markdown]
# The printed column *price* is what it costs never to have heard the words *together*: how much more the
# held-out agent loses than the trained agent does on the same episodes. Where the price is near 0, the agent
# has learned what *red* and *ball* mean apart from each other, and puts them together by itself — on these
# levels, and for colours with types only. A price below the width of the figure's intervals says nothing
# either way. A price well above it is the cost of never hearing
# the words together, for this one agent: other seeds may pay another. How does it change with
# fewer demonstrations (`laptop`), or with less weight decay (`cloning.weight_decay`)?
#
# ## Which words are hard?
#
# The figure shows the trained agents' success by word of the instruction. (A verb belongs to one level, so its dot is
# that level's; so does *door*.) The printed lines name the hardest word of each factor, with its interval.

# %%
factors = grammar.instructions(names).set_index("text")
told = episodes[episodes["player"] == "trained"].copy()
told["text"] = told["instruction"].map(grammar.canonical)
told = told.join(factors[["verb", "colour", "type", "location"]], on="text")
by_word = []
for factor in ("verb", "colour", "type", "location"):
    if not (told[factor] != "").any():
        continue  # these levels never say it
    rates = evaluation.summarize(told[told[factor] != ""], [factor]).sort_values("success")
    by_word.append(rates.rename(columns={factor: "word"}).assign(factor=factor, player="trained"))
    ends = [rates.iloc[0], rates.iloc[-1]]
    print(
        f"{factor:9}",
        " | ".join(
            f"{which}: {row[factor]} {row['success']:.3f} [{row['low']:.3f}, {row['high']:.3f}]"
            for which, row in zip(("hardest", "easiest"), ends)
        ),
    )
by_word = pd.concat(by_word)
least = by_word["low"].min()
run.figure(
    figures.points(by_word, "word", "success", "player", "factor", limits=(1.05 * least - 0.05, 1)),
    "02_factors",
    f"Success of the trained agents by word (the scale begins near {least:.2f}); intervals: Wilson, 95 %.",
)

# %% [markdown]
# Nothing in the task makes one colour harder than another. The differences between colours therefore show
# how far apart equal rates come to lie by chance, and by seed. A difference between verbs or places that is
# no larger means nothing. (A place is said on some of the levels only.)
#
# ## Films
#
# The figures show the first episode of the last level that the first agent solved and, if there is one, the
# first that it failed.

# %%
agent = agents[0].policy
mine = told[(told["agent"] == 0) & (told["level"] == names[-1])]
solved, failed = (
    mine.loc[mine["success"] == how, "seed"].head(1).tolist() for how in (True, False)
)
print(f"{names[-1]}: {mine['success'].sum()} of {len(mine)} episodes solved by the first agent")
films = [evaluation.film(agent, names[-1], number, max_steps=200) for number in [*solved, *failed]]
for film, name in zip(films, ("02_film", "02_film_failed")):
    caption = f"The first agent on an episode that it {'solved' if film.success else 'failed'}."
    run.figure(figures.filmstrip(film), name, caption)

# %% [markdown]
# ## Where does it look?
#
# The figure shows the first film again, through the agent's eyes. Orange frames are drawn around attended
# cells: the mean over queries, each picture scaled to its strongest cell. The printed line compares attention
# on the cells where a thing or a door is seen with what even attention would give them.

# %%
film = films[0]
things = film.views[..., 0] >= 4  # door, key, ball, box: (T, 7, 7)
weight = film.attention.mean(1)  # (T, 7, 7), sums to 1 at each step
on_things = (weight * things).sum((1, 2)).mean()
print(f"attention on things: {on_things:.2f}; even attention would give {things.mean():.2f}")
seen = figures.attention(film)
titles = [f"{step}: {action}" for step, action in enumerate(film.actions)]
moments = sorted({round(i * (len(film.actions) - 1) / 5) for i in range(6)})
run.figure(
    figures.pictures([seen[i] for i in moments], [titles[i] for i in moments], columns=6),
    "02_attention",
    f"Where the first agent looks at six moments of “{film.instruction}”: mean attention over its queries.",
)

# %% [markdown]
# Here is the whole episode. Move the slider (once the cell has run): do the frames find the first thing, and then the second?

# %%
HTML(figures.slider(seen, titles))

# %% [markdown]
# One film is an illustration, not a measurement. What we came for, the sentence embeddings of all
# instructions, is taken from these agents in notebook 03.
#
# ## On your own
#
# Guess first. Then change one thing, put your answer below and run the cell: it tells whether you got there.
# Worked solutions are in `solutions.md`, beside this notebook.
#
# 1. Tell the first agent, in each of the first 32 evaluation episodes of the first level, the instruction of
#    the *next* episode (`evaluation.evaluate` takes `vectors`, a function of the instructions). What is its
#    success? Whose does it resemble?
# 2. Tell it the right instruction with its words *in reverse order*. Its success on the same episodes?
# 3. Make it forget: empty `past` of an `evaluation.Cloned` before each step (`limit=128` steps are enough).
#    Which level suffers most?
#
# **Further reading** — the agents published with BabyAI use FiLM: Perez et al. (arXiv 1709.07871); linear
# attention biases: Press et al. (arXiv 2108.12409); on why imitation errors compound: Ross & Bagnell (2010).

# %%
answers = {1: None, 2: None, 3: None}
run.check(answers)

# %% [markdown]
# ## Provenance
#
# The last cell shows what this notebook used, with hashes.

# %%
run.record(success=success, success_by_agent=by_agent, compositions=compositions)
run.finish()
