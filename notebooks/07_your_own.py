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

import numpy as np
from sklearn.feature_extraction.text import CountVectorizer

from paper_utils import alignment
from paper_utils.alignment.cross_names import held_out_cosines
from paper_utils.alignment.retrieval import make_folds
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
# compares them with random pairs and controls made from the texts, in the place of either: word counts, tf-idf,
# letters, length, edit distance, random words (*ordered*: weighted by their places).
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
# The verdicts: *nothing found* (p above .01), *more than words* (more than .02 above the best control: a
# threshold, no test), else *words are enough*, however large the value: the two may share more, but this score
# cannot show it. Near 1 there is no room: read precision@1. (Mutual k-NN, CKA, RSA: notebook 08.)
#
# The last line printed is about *rows* (no duplicates, none that dominates) and *size*.

# %% [markdown]
# ## Change the sentences
#
# Now SmolLM2 is told synonyms, and `factors` say what each sentence is about.
#
# | in the place of | a control must | if it does as well |
# |---|---|---|
# | SmolLM2: *best_control* | know what means the same | nothing but words is shared |
# | MiniLM, Y: *words_for_Y* | keep sentences apart, similar ones close | *words are enough in the place of Y* |
#
# **Guess first**: what are the verdicts on precision@15 and *order*? Then **fill in** how far a value lies
# *beyond* its highest rival.

# %% tags=["nbval-check-output"]
factors = table[columns.ROLES]  # verb, colour, type... of each sentence
synonyms = table["second_text"].tolist()
X2 = smollm.embed(synonyms)
options["effect"] = None  # its power was told above
told = alignment.audit(X, Y, texts, factors, X2, texts2=synonyms, **options)
run.table(told.table, "07_audit_synonyms")
run.figure(told.plot("synonyms"), "07_synonyms", "Hollow squares: words in MiniLM's place, Y.")
print(told.summary())
rows = told.main.query("test == 'synonyms'").set_index("measure")
rows[["value", "null", "best_control", "control", "words_for_Y", "control_for_Y"]].round(2)

# %% tags=["fill-in"]
rivals = ["best_control", "words_for_Y", "codebook"]
beyond = rows["value"] - rows[rivals].max(axis=1)  # fill in
rows[["value", *rivals]].assign(beyond=beyond, verdict=rows["verdict"]).round(2)

# %% [markdown]
# Chance is 1/2 for verbs and orders, 1/3 for types, 1/4 for places, 1/6 for colours. The null exchanges sentences
# alike in build, or renames a factor's words. So it knows builds (.07), and of two verbs it is a single renaming (.43):
# *too few levels*. *Spaced*: do colours lie alike (06)? (Fifteen distances, codes best of five draws: luck goes far.)
#
# **Fill in** word counts (`CountVectorizer`); then words stand in MiniLM's place, sentence by sentence.

# %% tags=["fill-in"]
counts = CountVectorizer().fit_transform(texts).toarray()  # fill in
sets = alignment.ContrastSets(factors, 15, n_permutations=0)
folds = make_folds(len(X), 5, sets.groups, 0)


def near(other):  # (N,): is a partner among the 15 nearest, if `other` is in MiniLM's place?
    cosines = held_out_cosines((X, other), (X2, other), sets, folds, 32)  # both ways, as in 04
    partner = np.diagonal(cosines, axis1=1, axis2=2)[..., None]
    return ((cosines > partner).sum(axis=2) < 15).mean(axis=0)


# %%
tf_idf = alignment.controls.tf_idf([*texts, *synonyms])[: len(X)]  # as in the audit
for name, other in {"MiniLM": Y, "word count": counts, "tf-idf": tf_idf}.items():
    print(f"precision@15 with {name}: {near(other).mean():.2f}")
drawn = np.random.default_rng(0).choice(near(Y) - near(tf_idf), (2000, len(X))).mean(axis=1)
low, high = np.quantile(drawn, [0.025, 0.975])
print(f"MiniLM minus tf-idf: {low:.2f} to {high:.2f} (95 % of samples of sentences)")

# %% [markdown]
# **Answer**: what a count reaches, too, comes from what SmolLM2 knows of the synonyms, or from a sentence's form.
#
# **As published**: in colour nothing beyond words. In precision@15 little, but more than tf-idf in nearly all
# samples (of sentences, which share words). Verbs, places and types are too few to tell.
#
# ## Put in your own
#
# `python -m paper_utils texts > sentences.csv`, then `python embed_anywhere.py sentences.csv MODEL mine.npz`,
# beside this notebook. Or save vectors yourself, as here some of SmolLM2's numbers:

# %%
file = run.folder / "mine.npz"
mine = {"vectors": X[:, :64], "texts": texts, "second_vectors": X2[:, :64]}
np.savez(file, second_texts=synonyms, **mine)
names = ("64 numbers of SmolLM2", "MiniLM")
print(alignment.audit(file, Y, factors=factors, **options | {"names": names}).summary())

# %% [markdown]
# **As published**: 64 numbers tell the same sentences apart, and have lost most of the synonyms.
#
# ## On your own
#
# Solutions are in `solutions.md`.
#
# 1. By how many measures of the second audit, in synonyms, does some control in MiniLM's place reach MiniLM's
#    value, or more?
# 2. Write `control(texts)`: vectors without any meaning that agree with SmolLM2 (precision@1) more than MiniLM
#    does.
# 3. Give the path of a file of your own; with `second_vectors`, if your model can embed synonyms.

# %%
answers = {1: None, 2: None, 3: None}  # a whole number, a function, a path
mine = answers[3]  # for example "mine.npz", with an array vectors (N, D), and perhaps texts
if mine:
    own = alignment.audit(mine, Y, texts, factors, names=(Path(mine).stem, "MiniLM"))
    print(own.summary())
run.check(answers)

# %% [markdown]
# ## Three things to take away
#
# Write three of your own first.
#
# - A score means nothing until its controls are known, and in whose place they stand.
# - Even without shared words a sentence has a form, which a control may use.
# - Before you say what two encoders share, ask what either knows alone. (And two models are only two.)
#
# ## Provenance

# %%
run.finish()
