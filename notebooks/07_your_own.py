# %% [markdown]
# # 7 · Audit two encoders, and then your own
#
# **What you'll do**: ask what two public models share; change sentences; put in a file.
#
# **What you'll learn**: why a score needs a null, controls and a codebook beside it.
#
# **What you'll need**: two arrays and a list of sentences; half a minute.
#
# **Found**: in the same words, words reach as much. In synonyms the decoder's find colour, and the sentence
# among 15, more often than a codebook's; in order, nothing.

# %% tags=["parameters"]
# Whatever the profile, nothing is trained here: it says which instructions are embedded.
profile = "release"
seed = 0
overrides = {}
out = ""  # where to write; empty: runs/<profile>-seed<seed>

# %%
from pathlib import Path

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
# SmolLM2 foresees words; MiniLM tells sentences apart. Both are public, read at a layer fixed
# beforehand. `audit` takes arrays of any two encoders. It compares them with pairs at random, and
# with controls that it makes from the texts: counts of words, letters, edit distance, random words.
#
# **Guess first**, and fill in: of their precision@15, is *nothing found*, *words are enough*, or is it
# *more than words*?

# %% tags=["nbval-check-output", "fill-in"]
guess = "words are enough"  # fill in
options = {"names": ("SmolLM2", "MiniLM"), "n_permutations": 99, "n_draws": 5}
report = alignment.audit(X, Y, texts=texts, **options)
run.table(report.table, "07_audit")
run.figure(report.plot(), "07_audit", "What the two share, beside all that could explain it.")
print(report.summary())
print("guessed right:", guess == report.main.set_index("measure")["verdict"].get("precision@15"))
report.main[["measure", "value", "null", "best_control", "control", "verdict"]].round(2)

# %% [markdown]
# Read a row from the left: the value; what pairs at random reach; the best control that knows words
# only, and its name; the verdict. Where a control reaches the value, words are enough for it, however
# large it is: more may be shared, but this does not show it. (Mutual k-NN counts common neighbours; CKA
# and RSA compare tables of products and ranks of distances: notebook 08.)

# %% [markdown]
# ## Change the sentences
#
# Say what each sentence says, and give the same sentences in synonyms. Then shared words cannot help.
# (Swaps now stay in one fold, so the same words score a little otherwise. In synonyms a control stands
# in the decoder's place, which has to know them; in notebook 04 it stands in the agent's.)
#
# **Guess first**: which verdict changes?

# %%
factors = table[columns.ROLES]  # verb, colour, type... of each sentence
synonyms = table["second_text"].tolist()
X2 = smollm.embed(synonyms)
options["effect"] = None  # how little would be found was told above
told = alignment.audit(X, Y, texts, factors, X2, texts2=synonyms, **options)
run.table(told.table, "07_audit_synonyms")
print(told.summary())
rows = told.main[told.main["test"] != "same words"]
rows[["test", "measure", "value", "best_control", "codebook", "verdict"]].round(2).head(8)

# %% [markdown]
# A choice among few levels has few relabellings, so no p can be small: *too few levels to tell*. The rows of
# *structure* mean little here: nobody gave these colours kinds, and of six one codebook may reach much by
# luck (notebook 06 takes means over draws and worlds). What is *not found* may still be there.

# %% [markdown]
# ## Put in your own
#
# Any model: `embed_anywhere.py`, beside this notebook, turns a CSV of sentences into an `.npz`. Or
# save arrays yourself: `np.savez("mine.npz", vectors=Z, texts=texts)`.
#
# ## On your own
#
# 1. How many means of the first audit (`report.main`) carry the verdict *words are enough*?
# 2. Write `control(texts)`, vectors without any meaning that agree with MiniLM (precision@15) at least
#    as SmolLM2 does.
# 3. The path of a file of yours.

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
# - A score says nothing before its controls have spoken.
# - Where no word is shared, words still tell length and build: so controls choose among verbs, too.
# - Two models are two models: no sentence here speaks of language models as such.
#
# ## Provenance

# %%
run.finish()
