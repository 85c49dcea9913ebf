# %% [markdown]
# # 10 · The meaning of a synonym, or its form? (an appendix)
#
# **What you'll do**: lie to a public model about what words mean.
#
# **What you'll learn**: to test a test by a wrong key.
#
# **What you'll need**: notebook 04 (unheard synonyms).
#
# **Found**: public models find colours by what a synonym *means*, against what our table says: three in ten, by
# chance one in six. Spelling, made-up words and untrained models stay at chance. Acting is not needed.

# %% tags=["parameters"]
# "release" is published and loads in seconds. For another seed or override take "laptop" (minutes).
profile = "release"
seed = 0
overrides = {}  # for example {"alignment.k": 5}
out = ""  # where to write; empty: runs/<profile>-seed<seed>

# %%
import numpy as np
import pandas as pd

from paper_utils import alignment
from paper_utils.data import grammar
from paper_utils.encoders import public
from paper_utils.figures import robustness as figures
from paper_utils.figures.spaces import of_world
from paper_utils.run import Run
from paper_utils.study import appendix, columns

run = Run.start("10_meaning", profile, seed, overrides, out)
table, settings = columns.instructions(run.profile), run.profile.alignment
texts = table["text"].tolist()
world = run.worlds[0]

# %% [markdown]
# ## Whoever passes the test of synonyms may not know their meaning
#
# Notebook 04 asks a model in synonyms: "approach the crimson sphere" should find "go to the red ball". Two public
# models had read these words long before. Do they find the colour because they know what "crimson" means, or by
# something else, such as its spelling?
#
# The models trained here cannot be asked: both names of a thing are labels to them, learned from our stories.

# %% [markdown]
# ## A lie
#
# So we lie: each word gets the synonym of another one of its kind. Say that "emerald" is now our word for red. A model to
# which words are labels should find the sentence with red (*as told*). A model that knows English should find the one
# with green (*by meaning*). (Only colours are asked.)
#
# **Guess first**, then **fill in**: which row of the table is meant, in English, by each sentence of the lie?

# %%
minilm = public.load("all-minilm-l6-v2")
lie = minilm.tables("swapped", texts)[0]  # its words, and the vectors of all sentences in them
meant = grammar.meanings(lie.words)  # "red" -> what its word in the lie means
colours = [colour for colour in grammar.COLOURS if colour in meant]
pd.DataFrame({"told": lie.words, "means": meant}).loc[colours]

# %% tags=["fill-in"]
row = pd.Series(table.index, index=texts)
english = [grammar.rename(text, meant, lambda word: word in grammar.COLOURS) for text in texts]
places = row[english]  # fill in
assert places.tolist() == appendix.by_meaning(texts, lie.words)
by_meaning = np.empty_like(lie.vectors)
by_meaning[places] = lie.vectors  # each sentence where its colour belongs in English
print(f"“{texts[0]}” is said as “{grammar.rename(texts[0], lie.words)}”;", end=" ")
print(f"by its colour it means “{english[0]}”")

# %% [markdown]
# The test is that of 04: the map is fitted in first names, then MiniLM is asked in the words of the lie. Is the
# image nearest to the sentence with the right one of six colours? Only the key differs: *as told*, or *by meaning*.

# %% tags=["nbval-check-output"]
X = minilm.embed(texts, minilm.about["layer"])  # in first names
A = of_world(run, world)["acted"][0]
questions = alignment.ContrastSets(table[columns.ROLES], settings.k, n_permutations=0)
how = {"cv": settings.folds, "n_components": settings.dimension, "random_state": world}
for key, X2 in {"as told": lie.vectors, "by meaning": by_meaning}.items():
    asked = alignment.synonyms(X, X2, A, contrasts=questions, **how)
    colour = asked.query("measure == 'colour'")["value"].mean()  # of both directions
    print(f"MiniLM, one lie, {key}: the right colour in {colour:.2f}, chance {1 / 6:.2f}")

# %% [markdown]
# **As published**: by meaning. MiniLM contradicts our table, and that is what should happen if it knows English. As
# told it is right no more often than chance.
#
# ## Twenty lies, and forty other tables
#
# One lie may be lucky. So there are twenty of each kind: *swapped*, as above; true *synonyms*, drawn from a long list
# ("drawn" in the code); and *made-up words*. And in the model's place we put what knows less.

# %%
tables = [run.get(appendix.TABLES, world=one) for one in run.worlds]
tables = pd.concat(tables, ignore_index=True)
tables = tables.query("measure == 'colour'").assign(panel=tables["model"])
tables["row"] = tables["kind"] + ": " + tables["source"]
tables = tables[tables["row"].isin(figures.QUESTIONS)]
each = tables.groupby(["panel", "row", "encoder", "table"], sort=False)["value"].mean()
over_tables = each.reset_index().drop(columns="table")
found = run.table(figures.over_all_worlds(over_tables), "10_tables")
shown = found.query("encoder == 'acted'")
acted = shown.pivot(index="panel", columns="row", values="mean").round(2)
acted = acted.loc[found["panel"].unique()]

# %% [markdown]
# - *Its word vectors*: the model's own, before any layer: a dictionary without sentences.
# - *Its subwords*: how often each piece of its tokenizer occurs; *letters alone*: one to four in a row. Both are
#   spelling.
# - *Random weights*: the same architecture, untrained.
#
# **Guess first**: which of these find colours, and does it take an agent that acted?

# %%
if "swapped: model" in acted:
    told = acted[["swapped, by meaning: model", "swapped: model"]].itertuples()
    titles = {one: f"{figures.short(one)}:\nby meaning {a}, as told {b}" for one, a, b in told}
    order = list(figures.QUESTIONS)
    figure = figures.rows(shown, titles, "colour of six", (), (0, 0.5), 1 / 6, order=order)
    caption = "95 % over tables. Blue: the model. Grey: true synonyms, asked of what knows less."
    run.figure(figure, "10_tables", caption)

# %%
means = found.pivot(index="row", columns=["panel", "encoder"], values="mean").round(2)
means.reindex(figures.QUESTIONS).rename(index=figures.short, columns=figures.short)

# %% [markdown]
# **Published worlds:** by meaning, swapped synonyms are found as often as true ones. Spelling, made-up words and random
# weights are at chance. *As told* is no more than chance: who goes by meaning goes wrong by our table.
#
# **Published worlds:** the agent need not have acted. With one that never did the models do as well or better, with a
# codebook nearly as well. So this test measures what the *model* knows.

# %% [markdown]
# ## Words, or sentences?
#
# Its own word vectors find colours, too. What has the model beyond them, on the same tables?
#
# **Guess first**: of what it has above chance, how much do the word vectors have: all, half, or nothing?

# %%
wide = each.unstack("row").query("encoder == 'acted'").droplevel("encoder")
if "drawn: model" in wide:
    beyond = (wide["drawn: model"] - wide["drawn: layer 0"]).rename("value").reset_index()
    gap = figures.over_all_worlds(beyond.drop(columns="table").assign(world=0))  # over tables
    print(gap[["panel", "mean", "low", "high"]].round(3).to_string(index=False))
    wins = (wide["drawn: model"] > wide["drawn: layer 0"]).groupby("panel").agg(["sum", "size"])
    print(wins.rename(columns={"sum": "tables with more", "size": "of"}).to_string())
    shares = wide[["drawn: layer 0", "drawn: model"]].groupby("panel").mean() - 1 / 6  # of chance
    print((shares["drawn: layer 0"] / shares["drawn: model"]).round(2).to_dict())

# %% [markdown]
# **Published worlds:** about half (last line). So a dictionary without sentences goes half of the way. The rest may come
# from the sentence around a word, or from how layers change the dictionary; this test cannot say. (Tables share words, so
# the true intervals are wider.)
#
# Three in ten are few. The decoders trained here, to which a name is a label, find more (04). And these are two
# models, six colours and one sort of sentence.

# %% [markdown]
# ## On your own
#
# Solutions are in `solutions.md`.
#
# 1. The study has one table of synonyms (04). In how many of the twenty drawn ones does MiniLM find colours better?
#    (Acted; `each`, `SCORES`.)
# 2. Write `key(words)`: from a lie (colour → word) to what it means (colour → colour), without `grammar.meanings`.
# 3. By meaning MiniLM is right in some share of twenty lies. If its errors fell evenly on the five other colours,
#    how often would it be right *as told*?

# %%
answers = {1: None, 2: None, 3: None}  # a whole number, a function, a share
run.check(answers)

# %% [markdown]
# ## Three things to take away
#
# Write three of your own first.
#
# 1. Make the key wrong: who still follows the key has learned the key.
# 2. A test in synonyms tests whoever is asked in synonyms, here the model, and not who is compared with it.
# 3. A model's own word vectors are its first rival.
#
# ## Provenance

# %%
run.finish()
