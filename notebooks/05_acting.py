# %% [markdown]
# # 5 · What acting teaches
#
# **What you'll do**: lie to an agent; ask spaces for order; take verbs out.
#
# **What you'll learn**: to ask for one thing at a time.
#
# **What you'll need**: notebook 04 (held-out map, synonyms).
#
# **Found**: an agent keeps apart what decides its success. With A and B of "put A next to B" exchanged it fails, and
# its space gains that order. With "go to" and "pick up" exchanged it succeeds, and these become one.

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
from paper_utils.data import levels
from paper_utils.encoders import records
from paper_utils.figures import alignment as figures
from paper_utils.figures.robustness import over_all_worlds
from paper_utils.figures.spaces import of_world
from paper_utils.run import Run
from paper_utils.study import columns, results, scores
from paper_utils.study.claims import number, verdict
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

# %% [markdown]
# ## What decides success?
#
# Precision@k does not say which part of a sentence put it in its place. So ask for one part at a time, and first of
# behaviour (added after the results). We lie to the agent that acted: it is told one sentence, and judged by
# another.
#
# **Guess first**, of 256 episodes: how often does it do what the level asks, if told the other of two verbs? If A
# and B are exchanged?


# %%
def changed(pattern, by):  # sentences in which one thing is another
    return lambda texts: policy.embed([re.sub(pattern, by, text) for text in texts])


two, exchanged = "put (.*) next to (.*)", r"put \2 next to \1"
policy = run.get(AGENT, **agent_parameters(world, "acted")).policy
lies = {"GoToLocal": changed("go to", "pick up"), "PickupLoc": changed("pick up", "go to")}
lies["PutNextLocal"] = changed(two, exchanged)

# %%
seeds = levels.seeds("evaluation", 256, world)
for level, lie in lies.items():
    told = {"the truth": None, "a lie": lie}
    played = {said: evaluation.evaluate(policy, level, seeds, told[said]) for said in told}
    print(level, *[f"told {said}: {played[said]['success'].mean():.2f}" for said in told], sep=", ")

# %% [markdown]
# **Published world** (the first): verbs can be exchanged. "Go to" ends on arrival, so an agent that always picks up
# does both. Places cannot: not one of 256 succeeds. So an agent has to know order, and need not know these two
# verbs. Does its *space* show it?

# %% [markdown]
# ## Order: what is put next to what? (hypothesis 1)
#
# As in 04, the map is fitted in first names; then the *model's* sentence is given in synonyms. *Order*: is the
# image of "put A next to B" nearer to its own partner, or to that of "put B next to A"?
#
# **Guess first**: acted, never acted, wrong instructions: which tell the two apart, and which toss a coin?

# %% tags=["fill-in"]
row = pd.Series(table.index, index=table["text"])
turned = table["text"].str.replace(two, exchanged, regex=True)
twin = row[turned].to_numpy()  # (N,): "put B next to A" of "put A next to B"
twins = np.flatnonzero(twin != row.to_numpy())


def order(cosines):  # (ways, N, N) -> in what share of cases is the partner nearer than its twin?
    partner = cosines[:, twins, twins]  # (ways, cases)
    swapped = cosines[:, twins, twin[twins]]
    return np.mean(partner > swapped)  # fill in


# %% tags=["nbval-check-output"]
mine = found["scores"].query("model == @model.label and measure == 'order' and direction == 'both'")
mine = mine.query("test == 'synonyms'").groupby("encoder")["value"].mean()  # over worlds
options = scores.options(run.profile, table, world)
contrasts, width = options["contrasts"], options["n_components"]
for agent in records.agents():
    right = []
    for one in run.worlds:
        (X, X2), (A,) = spaces[one][model.label], spaces[one][agent.label]
        folds = make_folds(N, options["cv"], contrasts.groups, one)
        right.append(order(held_out_cosines((X, A), (X2, A), contrasts, folds, width)))
    assert np.isclose(np.mean(right), mine[agent.name], atol=1e-5)
    print(f"{figures.short(agent.name)}, {model.label}: {np.mean(right):.2f}")

# %% [markdown]
# And with all models? A model that never read anything can have some order by luck. So two bands show *untrained
# models*, each with the agent that acted. (*Never acted* is something else: an untrained agent, with a model that
# has learned.) Wide, as planned: single ones in single worlds. Narrow, added after the results: their means over
# worlds, for models trained here, whose points are such means.

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
adds = differences.query(f"{gain} and direction == 'both'").set_index("measure").round(2)
means["acting adds, 95 %"] = adds["low"].astype(str) + " to " + adds["high"].astype(str)
means[[*map(figures.short, shown), "acting adds, 95 %"]].round(2)

# %% [markdown]
# **Published worlds:**
#
# - Acting adds order, with all but SmolLM2. Our decoders and CLIP lie above the wide band, so luck does not explain
#   them; BLIP lies above the narrow one alone, MiniLM in the band.
# - Edit distance and codebook have as much. So order is no proof of more than a code of words in their places.
# - Verbs are lost: these two, which need no telling apart. Colour and type gain a little, locations lose a little.

# %% [markdown]
# ## Two verbs with one consequence (hypothesis 4)
#
# Now without any model: cosines inside an agent's space.
#
# **Guess first**: after acting, which two are more alike, "go to X" and "pick up X", or "go to the red X" and "go
# to the blue X"?


# %%
def pairs(one, other):  # rows of sentences with one thing, and of the same with another
    others = table["text"].str.replace(one, other, regex=True)
    there = others.isin(row.index) & (others != table["text"])
    return table.index[there], row[others[there]]


compared = {"two verbs": pairs("pick up ", "go to ")}
compared["two colours"] = pairs("^go to the red ", "go to the blue ")
verbs = found["verbs"].set_index(["world", "encoder"])["value"]

# %% tags=["nbval-check-output"]
for agent in records.agents():
    (space,) = spaces[world][agent.label]
    unit = normalize(space - space.mean(axis=0))
    cosine = {name: (unit[a] * unit[b]).sum(axis=1).mean() for name, (a, b) in compared.items()}
    assert np.isclose(cosine["two verbs"], verbs[world, agent.name], atol=1e-5)
    told = [f"{name} {value:.2f}" for name, value in cosine.items()]
    print(f"world {world}, {figures.short(agent.name)}:", *told)

# %% [markdown]
# **Published worlds:** right instructions make these two verbs nearly one. (That they merge *because* they have one
# consequence is not shown: no others were compared.)
#
# ## Nearer to models, or farther? (hypothesis 3)
#
# CKA (03) compares whole spaces, without a map. Models spend much of theirs on the verb, an agent that acted hardly
# any. So we expected acting to lead *away*.
#
# How much of that is the verb alone? **Fill in** how to take it out.

# %% tags=["fill-in"]
verb_of = table["verb"].to_numpy()


def without_verbs(space):  # (N, D): from each sentence, take what all sentences of its verb share
    rows = pd.DataFrame(space)
    return (rows - rows.groupby(verb_of).transform("mean")).to_numpy()  # fill in


left = pd.DataFrame(without_verbs(spaces[world]["acted"][0])).groupby(verb_of).mean()
assert np.allclose(left, 0, atol=1e-4)  # no verb is told from another by its mean

# %%
put = verb_of == "put"
ways = {"all": np.asarray, "verbs taken out": without_verbs, "put": lambda space: space[put]}
names = ["acted", "never_acted", "word_count", "codebook"]
alike = []
for (way, change), one, reader, name in product(ways.items(), run.worlds, models, names):
    X, A = spaces[one][reader.label][0], spaces[one][name.replace("_", " ")][0]
    cka = float(alignment.linear_cka(change(A), change(X)))
    alike.append((one, f"linear_cka, {way}", reader.label, name, cka))
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
# **Published worlds:** over all sentences acting leads away from every model. With our decoders (table) most of that
# gap is the verb: without it, acted lies near a codebook, still below never acted.
#
# **Published worlds:** in one verb, "put", acting leads *nearer* to our decoders, and farther from the other five.
# Over all sentences *wrong instructions*, a space of nearly verbs alone, lie nearest to our decoders: so CKA does
# not measure what was understood.

# %% [markdown]
# ## Answers
#
# First the four hypotheses, by rules written down before the published worlds were run
# (`docs/preregistration.md`, with all changes). H2 expected three pairs within .05 of each other
# (*p_equivalent*). One is: acted and codebook.

# %%
asked = ["H1", "H2", "H3", "H4"]
run.table(found["claims"], "05_claims")
display(Markdown(figures.as_table(claims[claims["hypothesis"].isin(asked)])))
figures.tested(differences, asked)

# %% [markdown]
# Then what the paper claims, and the public models: precision@15 of acted, and what it has more than *never acted*
# and than a *codebook*. *More*, *less*: p ≤ .05 (Holm over models); *same*: surely within .05; *open*: neither.

# %%
asked = {"acted": "acted", "acted - never_acted": "− never acted", "acted - codebook": "− codebook"}
labels = ["decoders", *[one.label for one in models if one.label not in results.DECODERS]]
rows = differences.query("measure == 'precision_at_k' and direction == 'both'")
rows = rows.query("test in @scores.TESTS and model in @labels and contrast in @asked").copy()
signed = rows["mean"].map(lambda mean: number(mean, signed=True))
differ = signed + " " + rows.apply(verdict, axis=1)
rows["said"] = np.where(rows["contrast"] == "acted", rows["mean"].map(number), differ)
said = rows.pivot(index="model", columns=["test", "contrast"], values="said")
said = said.reindex(labels)[list(product(scores.TESTS, asked))]
display(said.rename(index=figures.short, columns=asked | {"same_words": "same words"}))
for claim in claims[claims["paper"] != "not asked"].itertuples():
    print(f"{claim.Index}: {claim.answer.partition(' (')[0]}")

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
# 1. Ask for one thing at a time: acting makes a space show order more, two verbs less.
# 2. Agents keep what decides success. It fits all we saw; it was not tested.
# 3. A code that knows words in their places has order, too: it shows no meaning.
#
# **Further reading**: Kornblith et al. (arXiv 1905.00414); Huh et al. (arXiv 2405.07987).
#
# ## Provenance

# %%
run.finish()
