# %% [markdown]
# # 7 · Audit two encoders, and then your own
#
# **What you'll do**: ask what two public models share. Take one score apart. Put in your own vectors.
#
# **What you'll learn**: that a score can only be read beside its rivals.
#
# **What you'll need**: notebook 04.
#
# **Found**: in the same words their precision@15 is 1, but so is that of a count of words. In synonyms
# they agree less, and tf-idf (a word statistic) in MiniLM's place agrees nearly as well.

# %% tags=["parameters"]
# Whatever the profile, nothing is trained here: it says which instructions are embedded.
profile = "release"
seed = 0
overrides = {}
out = ""  # where to write; empty: runs/<profile>-seed<seed>

# %%
from pathlib import Path

import numpy as np
import pandas as pd
from sklearn.feature_extraction.text import CountVectorizer

from paper_utils import alignment
from paper_utils.alignment.cross_names import held_out_cosines
from paper_utils.alignment.retrieval import make_folds
from paper_utils.encoders import public
from paper_utils.run import Run
from paper_utils.study import columns

run = Run.start("07_your_own", profile, seed, overrides, out)
table = columns.instructions(run.profile)  # a row per sentence: text, second_text, what it says
texts, synonyms = table["text"].tolist(), table["second_text"].tolist()
smollm, minilm = (public.load(name) for name in ("smollm2-135m-instruct-q4", "all-minilm-l6-v2"))
X, X2 = smollm.embed(texts), smollm.embed(synonyms)  # (N, 576); row i is texts[i], synonyms[i]
Y = minilm.embed(texts)  # (N, 384); the same sentences in the same order

# %% [markdown]
# ## In the same words
#
# SmolLM2 learned to predict the next word, MiniLM to tell which sentences mean the same. Both now embed our
# instructions. `audit` compares the two spaces, and puts two kinds of rivals beside each score:
#
# - *null*: the same two spaces, but sentences are paired at random;
# - *control*: something that knows only the words (counts, letters, length, random vectors ...) takes the place of
#   one of the two models. The table shows the best.

# %% [markdown]
# A score is called *nothing found* if pairs at random reach it (p above .01). It is called *words are enough* if a
# control comes within .02 of it, or above. Only otherwise is it *more than words*. (The .02 is a threshold that we
# set, no test.)
#
# **Guess first**, and fill in: which of the three is precision@15 of SmolLM2 and MiniLM?

# %% tags=["nbval-check-output"]
guess = ...  # fill in
options = {"names": ("SmolLM2", "MiniLM"), "n_permutations": 199, "n_draws": 5}
report = alignment.audit(X, Y, texts=texts, **options)
run.table(report.table, "07_audit")
run.figure(report.plot(), "07_audit", "Beside random pairs, and the best control made of words.")
if guess is not ...:
    print("right:", guess == report.main.set_index("measure")["verdict"].get("precision@15"))
report.main[["measure", "value", "null", "best_control", "control", "verdict"]].round(2)

# %% [markdown]
# **As published**: words are enough, by every measure. At precision@15 both are at 1, so there is no room for more.
# At precision@1 there is room: the models reach .69, and random vectors for words, added up by their places, reach
# .99 with one of them.
#
# **As published**: this does *not* say that the models share nothing but words. It says that these tests, in the same
# words, did not show more. (Mutual k-NN, CKA, RSA: notebook 08.)

# %% [markdown]
# ## In synonyms: one score and its rivals, by hand
#
# So we take the words away. The map is fitted in first names, as in 04. Then SmolLM2 is told synonyms ("approach the
# crimson sphere"), and MiniLM still has "go to the red ball". Is the partner among the 15 nearest?
#
# **Fill in** the word counts (`vocabulary.transform`, as arrays), for first names and for synonyms.

# %% tags=["fill-in"]
factors = table[columns.ROLES]  # verb, colour, type... of each sentence
sets = alignment.ContrastSets(factors, 15, n_permutations=0)
folds = make_folds(len(X), 5, sets.groups, 0)
vocabulary = CountVectorizer().fit([*texts, *synonyms])
counts = vocabulary.transform(texts).toarray()  # fill in
counts2 = vocabulary.transform(synonyms).toarray()  # fill in


def near(first, second, other, partner=None):  # (N,): share of both ways, as in 04
    cosines = held_out_cosines((first, other), (second, other), sets, folds, 32)  # (2, N, N)
    cosines += 1e-9 * np.random.default_rng(0).random(cosines.shape)  # breaks ties of counts
    rows = np.arange(len(X))
    of_partner = cosines[:, rows, rows if partner is None else partner]  # (2, N)
    return ((cosines > of_partner[..., None]).sum(axis=2) < 15).mean(axis=0)


# %% [markdown]
# The score has three rivals.
#
# 1. *Random pairs.* Each sentence gets the partner of another one that is built alike. Whoever knows only how a
#    sentence is built gets this far.
# 2. *A word count in the place of SmolLM2*, which is told synonyms.
# 3. *A word count in the place of MiniLM*, which is not. (*tf-idf*: a count in which rare words weigh more.)
#
# **Guess first**: which of the three comes nearest to the two models, and why?

# %% tags=["nbval-check-output"]
build = (factors != "").apply(tuple, axis=1)
shuffle = np.random.default_rng(0).permutation
others = pd.Series(range(len(X))).groupby(build).transform(shuffle)
tf_idf = alignment.controls.tf_idf([*texts, *synonyms])[: len(X)]
found = {
    "SmolLM2 and MiniLM": near(X, X2, Y),
    "1. random pairs": near(X, X2, Y, others),
    "2. word count and MiniLM": near(counts, counts2, Y),
    "3. SmolLM2 and word count": near(X, X2, counts),
    "3. SmolLM2 and tf-idf": near(X, X2, tf_idf),
}
pd.Series({name: each.mean() for name, each in found.items()}).round(2)

# %% [markdown]
# **Answer**: the third. Whoever is told "crimson" has to know that it means "red". A count does not: the second
# rival is near chance. But MiniLM never hears the synonyms. In its place it is enough to keep sentences apart and
# similar ones close, and a count does that.
#
# **As published**: so most of this agreement is what *SmolLM2* knows.
#
# What is left for MiniLM? (Sentences share words, so the true interval is wider than the one below.)

# %%
more = found["SmolLM2 and MiniLM"] - found["3. SmolLM2 and tf-idf"]
drawn = np.random.default_rng(0).choice(more, (2000, len(X))).mean(axis=1)
low, high = np.quantile(drawn, [0.025, 0.975])
print(f"MiniLM minus tf-idf: {more.mean():.2f}; 95 % of samples: {low:.2f} to {high:.2f}")

# %% [markdown]
# ## In synonyms: all scores at once
#
# `audit` does this for each score if it is given the synonyms and `factors`, which say what each sentence is about.
# It adds forced choices (which of six colours? which of two orders?) and a fourth rival: a *codebook* (04), which
# knows what is said but no language.
#
# **Guess first**: is there more than words in *colour*, in *order*? **Fill in** how far a score lies *beyond* its
# highest rival.

# %% tags=["nbval-check-output"]
options["effect"] = None  # power was told above: it needs no second simulation
told = alignment.audit(X, Y, texts, factors, X2, texts2=synonyms, **options)
run.table(told.table, "07_audit_synonyms")
rows = told.main.query("test == 'synonyms'").set_index("measure")
assert np.isclose(rows["value"]["precision@15"], found["SmolLM2 and MiniLM"].mean(), atol=1e-5)
untold = rows["verdict"].str.startswith("too few")
few = ", ".join(rows.index[untold].str.replace("choice of ", ""))
caption = f"Hollow squares: words in MiniLM's place. Too few words to tell: {few}."
run.figure(told.plot("synonyms"), "07_synonyms", caption)
rivals = ["null", "best_control", "words_for_Y", "codebook"]
beyond = rows["value"] - rows[rivals].max(axis=1)  # fill in
rows.assign(beyond=beyond).loc[~untold, ["value", *rivals, "beyond"]].round(2)

# %% [markdown]
# *best_control* stands in the place of SmolLM2, *words_for_Y* in that of MiniLM.
#
# **As published**: precision@15 is beyond every rival, barely. Colours are found far more often than by chance (one
# in six), but with words in MiniLM's place still more often. Of order there is nothing. Verbs, places and types are
# too few: two verbs can be renamed in one way only, three types in five, so no p can be small.
#
# The same in sentences:

# %%
print(told.summary())

# %% [markdown]
# The fourth line asks whether the six colours are *spaced* alike in both models (as 06 asks agents). The last one
# tells doubts: sentences that come twice, one that dominates, too few sentences. Here there are none.
#
# ## Put in your own
#
# `python -m paper_utils texts > sentences.csv` writes our sentences to a file. The script beside this notebook embeds
# them where your model is: `python embed_anywhere.py sentences.csv MODEL mine.npz`. Or save vectors yourself. Here,
# the first 64 of SmolLM2's 576 numbers:

# %%
file = run.folder / "mine.npz"
mine = {"vectors": X[:, :64], "texts": texts, "second_vectors": X2[:, :64]}
np.savez(file, second_texts=synonyms, **mine)
names = ("64 numbers of SmolLM2", "MiniLM")
print(alignment.audit(file, Y, factors=factors, **options | {"names": names}).summary())

# %% [markdown]
# **As published**: by precision@15 in the same words the 64 numbers do as well as all 576. In synonyms they have lost
# nearly everything.

# %% [markdown]
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
# 1. A score means nothing until you know what its rivals reach.
# 2. Ask in whose place a rival stands: only the one that is told synonyms has to know them.
# 3. "Words are enough" is about the test. It does not say that nothing else is shared.
#
# ## Provenance

# %%
run.finish()
