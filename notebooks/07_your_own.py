# %% [markdown]
# # 7 · Audit two encoders, and then your own
#
# **What you'll do**: ask what two public models share; change the sentences.
#
# **What you'll learn**: why a score needs controls and a null (random pairs).
#
# **What you'll need**: notebook 04; half a minute.
#
# **Found**: in the same words two public models agree almost perfectly (precision@15), and so do word controls. In
# synonyms less is left, and a word count in MiniLM's place reaches most of it: that part needs no MiniLM.

# %% tags=["parameters"]
# Whatever the profile, nothing is trained here: it says which instructions are embedded.
profile = "release"
seed = 0
overrides = {}
out = ""  # where to write; empty: runs/<profile>-seed<seed>

# %%
from pathlib import Path

import pandas as pd

from paper_utils import alignment
from paper_utils.encoders import public
from paper_utils.run import Run
from paper_utils.study import columns

run = Run.start("07_your_own", profile, seed, overrides, out)
table = columns.instructions(run.profile)  # a row per sentence: text, second_text, what it says
texts = table["text"].tolist()
smollm, minilm = (public.load(name) for name in ("smollm2-135m-instruct-q4", "all-minilm-l6-v2"))
X = smollm.embed(texts)  # (N, 576); row i is texts[i]
Y = minilm.embed(texts)  # (N, 384); the same sentences in the same order

# %% [markdown]
# ## What do a decoder and a sentence encoder share?
#
# SmolLM2 learned to predict words, MiniLM to compare sentences. `audit` takes the vectors of any two encoders. It
# compares them with random pairs, and with controls made from the texts, in the place of either: word counts,
# letters, edit distance, random words (*ordered*: weighted by their places).
#
# **Guess first**, and fill in: of precision@15, is it *nothing found*, *words are enough* (a control is within
# .02), or *more than words*?

# %% tags=["nbval-check-output"]
guess = ...  # fill in
options = {"names": ("SmolLM2", "MiniLM"), "n_permutations": 199, "n_draws": 5}
report = alignment.audit(X, Y, texts=texts, **options)
run.table(report.table, "07_audit")
run.figure(report.plot(), "07_audit", "Beside random pairs, and the best control made of words.")
print(report.summary())
if guess is not ...:
    print("right:", guess == report.main.set_index("measure")["verdict"].get("precision@15"))
report.main[["measure", "value", "null", "best_control", "control", "verdict"]].round(2)

# %% [markdown]
# The verdicts: *nothing found* (p above .01), *more than words* (more than .02 above the best control: two draws of
# one control differ by as much), else *words are enough*, however large the value: the two may share more, but this
# score cannot show it. Near 1 there is no room: read precision@1. (Mutual k-NN, CKA, RSA: notebook 08.)
#
# The last line printed is about *rows* (no duplicates, none that dominates) and *size*.

# %% [markdown]
# ## Change the sentences
#
# Now give SmolLM2's sentences in synonyms, and say what each sentence is about (`factors`).
#
# It matters whose place a control takes. In SmolLM2's (*best_control*) it would have to know the synonyms. In
# MiniLM's (*words_for_Y*) it only has to keep sentences apart, similar ones close; if it does as well as MiniLM,
# *words are enough in the place of Y*.
#
# **Guess first**: what is the verdict on precision@15 now? And on *order*?

# %% tags=["nbval-check-output"]
factors = table[columns.ROLES]  # verb, colour, type... of each sentence
synonyms = table["second_text"].tolist()
X2 = smollm.embed(synonyms)
options["effect"] = None  # what size of signal would be found was printed above
told = alignment.audit(X, Y, texts, factors, X2, texts2=synonyms, **options)
run.table(told.table, "07_audit_synonyms")
run.figure(told.plot("synonyms"), "07_synonyms", "Hollow squares: words in MiniLM's place, Y.")
print(told.summary())
rows = told.main[told.main["test"] == "synonyms"]
beyond = rows["value"] - rows[["best_control", "words_for_Y", "codebook"]].max(axis=1)
rows = rows.assign(beyond=beyond)  # the best control: barely, or far?
rows[["measure", "value", "words_for_Y", "control_for_Y", "beyond", "verdict"]].round(2)

# %% [markdown]
# Chance is 1/2 for verbs and orders, 1/3 for types, 1/4 for places, 1/6 for colours. *Beyond*: value minus the best
# control in any place. *Too few levels*: few words have few relabellings, so p cannot be small.
#
# **As published**: no order is found at this layer of SmolLM2 (at others: notebook 08). (*How levels are spaced*:
# r of colours' distances; single codes get high by luck.)
#
# **Fill in** a control in MiniLM's place: word counts of `texts` (`alignment.controls`).

# %% tags=["fill-in"]
tested = {}
counts = alignment.controls.word_count(texts)  # fill in
for name, other in {"MiniLM": Y, "word count": counts}.items():
    values = alignment.synonyms(X, X2, other, factors=factors)  # a row per measure and direction
    tested[name] = values.groupby("measure", sort=False)["value"].mean()
pd.DataFrame(tested).round(2)

# %% [markdown]
# **Answer**: what a word count reaches, too, needs no MiniLM: it comes from what SmolLM2 knows of the synonyms, or
# from the form of a sentence. What counts for the *pair* is what MiniLM has beyond that.
#
# **As published**: in colour nothing. Precision is *beyond* the best control (tf-idf, which is a weighted count) by
# little: *more than words*, but barely. For verb, type and place there are too few words to tell.

# %% [markdown]
# ## Put in your own
#
# `python -m paper_utils texts > sentences.csv`, then `python embed_anywhere.py sentences.csv Qwen/Qwen2.5-0.5B
# mine.npz`, beside this notebook. Or `np.savez("mine.npz", vectors=Z, texts=texts)`.
#
# ## On your own
#
# Solutions are in `solutions.md`.
#
# 1. By how many measures of the second audit, in synonyms, does some control in MiniLM's place do as well as MiniLM,
#    or better?
# 2. Write `control(texts)`: vectors without any meaning that agree with SmolLM2 (precision@1) more than MiniLM
#    does.
# 3. Give the path of a file of your own.

# %%
answers = {1: None, 2: None, 3: None}  # a whole number, a function, a path
mine = answers[3]  # for example "mine.npz", with an array vectors (N, D), and perhaps texts
if mine:
    own = alignment.audit(mine, Y, texts=texts, names=(Path(mine).stem, "MiniLM"))
    print(own.summary())
run.check(answers)

# %% [markdown]
# ## Three things to take away
#
# Write three of your own first.
#
# - A score means nothing until its controls are known, and in whose place they stand.
# - Even without shared words a sentence has a length and a form, by which controls can find its verb.
# - Before you say what two encoders share, ask what either knows alone. (And two models are only two.)
#
# ## Provenance

# %%
run.finish()
