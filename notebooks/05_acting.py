# %% [markdown]
# # 5 · What acting teaches
#
# **What you'll do**: lie to an agent.
#
# **What you'll learn**: to ask for one thing at a time.
#
# **What you'll need**: notebook 04.
#
# **Found**: told "put B next to A" for "put A next to B", an agent fails, and its space holds these far apart. Told
# "pick up" for "go to" it succeeds, and these become one. Decoders and CLIP find the order again in its space, but in
# mere codes, too.

# %% tags=["parameters"]
# "release" is published and loads in seconds. For another seed or override take "laptop" (minutes).
profile = "release"
seed = 0
overrides = {}  # for example {"alignment.k": 5}
out = ""  # where to write; empty: runs/<profile>-seed<seed>

# %%
import re
from itertools import product

import numpy as np
import pandas as pd
from IPython.display import Markdown
from sklearn.preprocessing import normalize

from paper_utils import alignment
from paper_utils.alignment.cross_names import held_out_cosines
from paper_utils.alignment.retrieval import make_folds
from paper_utils.cloning import evaluation
from paper_utils.cloning.agents import AGENT, agent_parameters
from paper_utils.data import grammar, levels
from paper_utils.encoders import records
from paper_utils.figures import alignment as figures
from paper_utils.figures.robustness import over_all_worlds
from paper_utils.figures.spaces import of_world
from paper_utils.run import Run
from paper_utils.study import columns, results, scores
from paper_utils.study.claims import number
from paper_utils.study.differences import who_knows

run = Run.start("05_acting", profile, seed, overrides, out)
found = results.tables(run.profile, run.store.get)  # of all worlds
differences, claims = found["differences"], found["claims"].set_index("claim")
models, run.missing = records.models(run.profile), records.missing(run.profile)
table, world = columns.instructions(run.profile), run.worlds[0]
model, N = models[0], len(table)  # the first model, by hand
spaces = {w: of_world(run, w) for w in run.worlds}  # label -> in first names, in synonyms
known = who_knows(found["knows_synonyms"])
strangers = [one.label for one in models if one.label not in known]
options = scores.options(run.profile, table, world)  # of all tests: folds, components, contrasts

# %% [markdown]
# ## What decides success?
#
# Precision@k does not say which part of a sentence put it in its place. So we ask for one part at a time, first of
# behaviour (added after the results). We lie to the agent that acted: it is told one sentence, and judged by
# another.
#
# **Guess first**: a lie changes the verb, the place ("on your left"), type or colour, or exchanges A and B in "put A
# next to B". Which costs most, which nothing?


# %%
def next_of(*words):  # each of these words becomes the next one
    following = dict(zip(words, words[1:] + words[:1]))
    return lambda text: re.sub("|".join(words), lambda found: following[found[0]], text)


policy = run.get(AGENT, **agent_parameters(world, "acted")).policy
seeds = levels.seeds("evaluation", 128, world)
lies = {"nothing": str, "verb": next_of("go to", "pick up")}
lies["place"] = next_of("in front of you", "on your left", "behind you", "on your right")
lies["type"] = next_of("key", "ball", "box")
lies["colour"] = next_of(*grammar.COLOURS)
lies["order"] = lambda text: re.sub("put (.*) next to (.*)", r"put \2 next to \1", text)


# %%
def told(change):  # what the agent acts on when it is told a lie
    return lambda texts: policy.embed([change(text) for text in texts])


success = {}
for level, lie in product(run.profile.data.levels, lies):
    texts = grammar.instructions([level])["text"]
    if lie != "nothing" and (texts.map(lies[lie]) == texts).all():
        continue
    played = evaluation.evaluate(policy, level, seeds, told(lies[lie]))
    # Of sentences that the lie leaves as they are, it tells nothing.
    is_lied = played["instruction"] != played["instruction"].map(lies[lie])
    success[lie, level] = played["success"][is_lied | (lie == "nothing")].mean()
pd.Series(success).unstack().reindex(index=list(lies)).round(2)

# %% [markdown]
# **Published world** (one agent; NaN: no sentence there says it). Another verb costs nothing: told "go to", the agent
# picks the thing up all the same, and to pick it up it must go there. Another place costs a fifth of the episodes.
# Another type or colour costs half where it need only go there, elsewhere nearly everything. So does the other order: not
# one of 128 episodes succeeds.

# %% [markdown]
# ## Does its space keep these apart?
#
# Now we take a sentence and the lie about it, and compare their two vectors in one agent's space: a cosine of 1 says
# that they are one, 0 that they have nothing in common. No language model is asked yet.
#
# **Guess first**: which lies lie near the truth in the space of the agent that acted, and which far? And to one that
# never acted?
#
# **Fill in** the mean cosine.

# %% tags=["fill-in"]
row = pd.Series(table.index, index=table["text"])


def cosine(space, change):  # (N, D), a lie -> of all sentences with what the lie makes of them
    other = table["text"].map(change)
    there = other.isin(row.index) & (other != table["text"])  # some lies are no instruction
    unit = normalize(space - space.mean(axis=0))
    true, lied = unit[there], unit[row[other[there]]]
    return (true * lied).sum(axis=1).mean()  # fill in


# %% tags=["nbval-check-output"]
cosines = {}
names = [agent.label for agent in records.agents()] + ["codebook"]
for name, lie in product(names, [*lies][1:]):
    each = [cosine(spaces[one][name][0], lies[lie]) for one in run.worlds]
    cosines[lie, name] = np.mean(each)
verbs = found["verbs"].groupby("encoder")["value"].mean()
assert np.isclose(cosines["verb", "acted"], verbs["acted"], atol=1e-5)
cosines = pd.Series(cosines).unstack().reindex(index=[*lies][1:], columns=names)
cosines.rename(columns=figures.short).round(2)

# %% [markdown]
# **Published worlds:** to an agent that never acted two orders are
# nearly the same. Acting drives them and colours apart. It makes "go to" and "pick up" one (H4). Types do not fit:
# a wrong one costs as much as a wrong colour, but is no farther apart than untrained.
#
# **Published worlds:** a codebook holds orders apart, too; only acting merges verbs. After wrong instructions
# all lies but that of the verb are nearly the truth.

# %% [markdown]
# ## Order: what is put next to what?
#
# As in 04, the map is fitted in first names, and the *model* is told synonyms. Its "put A next to B" is mapped into the agent's space: does it lie nearer to the agent's "put A
# next to B" or "put B next to A"? And back, if the agent asks?
#
# **Guess first**: with which agent does it find the order: acted, never acted, wrong instructions?

# %% tags=["fill-in"]
swap = table["text"].map(lies["order"])
twin = row[swap].to_numpy()  # (N,): the row of "put B next to A" for "put A next to B"
twins = np.flatnonzero(twin != row.to_numpy())


def order(cosines):  # (N, N) -> in what share of cases is the partner nearer than its twin?
    partner = cosines[twins, twins]  # (cases,)
    swapped = cosines[twins, twin[twins]]
    return np.mean(partner > swapped)  # fill in


# %% tags=["nbval-check-output"]
mine = figures.values_of(found["scores"], "synonyms", "order").query("model == @model.label")
mine = mine.groupby("encoder")["value"].mean()  # over worlds
contrasts, width = options["contrasts"], options["n_components"]
for agent in records.agents():
    right = []
    for one in run.worlds:
        (X, X2), (A,) = spaces[one][model.label], spaces[one][agent.label]
        folds = make_folds(N, options["cv"], contrasts.groups, one)
        ways = held_out_cosines((X, A), (X2, A), contrasts, folds, width)
        right.append([order(way) for way in ways])  # a model asks, an agent asks
    assert np.isclose(np.mean(right), mine[agent.name], atol=1e-5)
    print(f"{figures.short(agent.name)}, {model.label}:", np.mean(right, axis=0).round(2))

# %% [markdown]
# The first number: the model asks; the second: the agent. From now on their mean, and all models. Even a model with random
# weights has some order by luck. The *wide band*, planned beforehand, is the range of all such models (not agents), each
# in one world.
#
# But our points are means over eight worlds, which vary less, as a mean of eight dice does. So the *narrow band*, added after the results, is the range of such means.

# %%
luck = found["order_null"].query("encoder == 'acted' and direction == 'both'")
lucky_means = luck.groupby(["family", "untrained"])["value"].mean()
bands = {"untrained models": luck["value"], "their means, for models trained here": lucky_means}
asks = {
    "Order of two, in synonyms": ("synonyms", "order", "both", 1 / 2),
    "Verb of two, in synonyms": ("synonyms", "verb", "both", 1 / 2),  # "go to X" or "pick up X"?
}
floors = {"Order of two, in synonyms": bands}
shown = ["acted", "never_acted", "exchanged", "edit_distance", "codebook"]
figure = figures.by_model(differences, models, asks, "share right", floors, strangers, shown)
caption = "95 % over worlds. Counted: p ≤ .05 (Holm). Star: knows no synonyms. Bands: whole range."
run.figure(figure, "05_order", caption)

# %%
means = figures.compared(differences, "synonyms", "mean", figures.CHOICES)  # of models trained here
gain = "test == 'synonyms' and model == 'mean' and contrast == 'acted - never_acted'"
adds = differences.query(f"{gain} and direction == 'both'").set_index("measure")
ends = [
    f"{number(a, signed=True)} to {number(b, signed=True)}" for a, b in adds[["low", "high"]].values
]
means["acting adds, 95 %"] = pd.Series(ends, adds.index, dtype=str)
means[[*map(figures.short, shown), "acting adds, 95 %"]].round(2)

# %% [markdown]
# **Published worlds:**
#
# - Acting adds order with six of seven models that know the synonyms. With decoders and CLIP no untrained model has as
#   much; BLIP lies above the narrow band only, MiniLM in the wide one.
# - On average a codebook and an edit distance have as much as the agent, within .02. So order needs words in their
#   places, no meaning.
# - Acting adds colour (H2 failed), and a little type. It takes away verbs and places, which cost it least.

# %% [markdown]
# ## Nearer to models, or farther?
#
# So far we asked for parts. Does acting make the space as a *whole* more like a language model's? CKA (03) tells,
# without any map: 1 for the same space, 0 for nothing in common.
#
# **Guess first**: does acting lead nearer to models, or farther: over all sentences; among those that begin with "put",
# where no verb differs; and over all, if each verb's mean is taken out?

# %%
verbs = table["verb"].to_numpy()
parts = {
    "all": lambda space: space,
    "put": lambda space: space[verbs == "put"],
    "less its verbs' means": lambda space: (
        space - pd.DataFrame(space).groupby(verbs).transform("mean").to_numpy()
    ),
}

# %%
names = ["acted", "never_acted", "word_count", "codebook"]
alike = []
for (part, of), one, reader, name in product(parts.items(), run.worlds, models, names):
    X, A = spaces[one][reader.label][0], spaces[one][name.replace("_", " ")][0]
    cka = float(alignment.linear_cka(of(A), of(X)))
    alike.append((one, f"linear_cka, {part}", reader.label, name, cka))
alike = pd.DataFrame(alike, columns=["world", "measure", "model", "contrast", "value"])
decoders = alike[alike["model"].isin(results.DECODERS)]
likeness = decoders.pivot_table("value", "measure", "contrast", sort=False)
likeness.rename(columns=figures.short).round(2)

# %%
codes = over_all_worlds(alike[alike["contrast"].isin(["word_count", "codebook"])])
values = pd.concat([differences, codes.assign(test="geometry", direction="both")])
asks = {
    "All sentences": ("geometry", "linear_cka, all", "both", 0),
    "“Put … next to …” alone": ("geometry", "linear_cka, put", "both", 0),
}
hues = ["acted", "never_acted", "exchanged", "word_count", "codebook"]
figure = figures.by_model(values, models, asks, "linear CKA", hues=hues)
caption = "95 % over worlds. Counted: acted and never acted, p ≤ .05 (Holm). Codes: added later."
run.figure(figure, "05_geometry", caption)

# %% [markdown]
# **Published worlds:** over all sentences farther, from all eight (H3). But nearest to our decoders lie *wrong
# instructions*, a space of nearly verbs alone. Without verbs' means most of the gap to decoders is gone, not all (table,
# added later). So this CKA mostly measures what a space spends on verbs.
#
# **Published worlds:** where no verb differs, acting leads *nearer* to our decoders, about as near as a codebook is. From
# the other five it leads away here, too.

# %% [markdown]
# ## Answers
#
# The rules were written down beforehand (`docs/preregistration.md`, with all changes). First what the paper claims: it
# says precision@15 in the same words; the answers ask synonyms, too, since in the same words codes agree as well.
#
# Then four hypotheses, and their differences: acting adds order (H1), leads away from our decoders (H3), and merges two
# verbs (H4); in colour acted, never acted and codebook are the same (H2). (A p with a direction is one-sided, at least
# 1/256.)

# %%
run.table(found["claims"], "05_claims")
asked = ["H1", "H2", "H3", "H4"]
display(Markdown(figures.as_table(claims[claims["paper"] != "not asked"])))
display(Markdown(figures.as_table(claims[claims["hypothesis"].isin(asked)])))
figures.tested(differences, asked)

# %% [markdown]
# ## On your own
#
# Solutions are in `solutions.md`.
#
# 1. Write a code, a function from sentences to vectors, that has as much order with the first model as the agent
#    that acted, also when all words are replaced by made-up ones.
# 2. With how many of the models has the agent more order than *edit distance* has, in synonyms (means over worlds)?
# 3. Tell the agent of the first world PutNextLocal's sentences without their colours. How often does it succeed?

# %%
answers = {1: None, 2: None, 3: None}  # a function, a whole number, a share
run.check(answers)

# %% [markdown]
# ## Three things to take away
#
# Write three of your own first.
#
# 1. Ask a space for one thing at a time: after acting it shows order more, two verbs less.
# 2. Ask behaviour, too: what an agent may confuse without harm, as two verbs, its space may lose. (Types fit badly.)
# 3. A code that knows words in their places has order, too.
#
# **Further reading**: Kornblith et al. (arXiv 1905.00414); Huh et al. (arXiv 2405.07987).
#
# ## Provenance

# %%
run.finish()
