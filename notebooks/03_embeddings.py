# %% [markdown]
# # 3 · Turn instructions into vectors, in as many ways as there are models
#
# The agent of notebook 02 has a vector for each instruction. So do language models and vision-language models. So does
# a mere count of words, which is easily forgotten. Here they all embed the same instructions, in the same order.
#
# **What you'll do**: train small reference models on the narrated world, check that they learned something, pool a
# sentence by hand, embed all instructions with every encoder, and look at the spaces before any alignment is computed.
#
# **What you'll learn**: what each encoder is and what it has seen; why controls that know nothing of meaning belong in
# the comparison; what pooling, anisotropy and sentence length do to similarities.
#
# **What you'll find**: a table of encoders, their scores on held-out worlds, maps of four spaces, nearest neighbours,
# and the shape of each space. Every claim stands beside the value that carries it.
#
# **What you'll need**: less than a minute for the published `release` profile, whose agents and models are loaded.
# `laptop` trains them in about three minutes on two cores (and the agents of notebook 02, if they are missing). Nothing
# is downloaded: each reference model is **trained from scratch on our little world**. The profiles `hub` and `paper`
# put public checkpoints beside them. `encoders.vectors` adds any other model's vectors from a file, which
# `embed_anywhere.py`, beside this notebook, writes wherever that model runs.

# %% tags=["parameters"]
# "release" is published and loads in seconds; with another seed or override it trains for hours: for
# these take "laptop" (about 10 minutes for all notebooks) or "smoke" (three).
profile = "release"
seed = 0
overrides = {}  # for example {"encoders.families": ["llama", "bert"]}
out = ""  # where to write; empty: runs/<profile>-seed<seed>

# %%
import numpy as np
import pandas as pd
import torch
from IPython.display import HTML
from sklearn.metrics.pairwise import cosine_similarity
from transformers import AutoModel, AutoTokenizer

from paper_utils import figures
from paper_utils.data import grammar
from paper_utils.encoders import hub, registry
from paper_utils.encoders.families import FAMILIES
from paper_utils.encoders.registry import EMBEDDING, MODEL_SCORES, REFERENCE, records
from paper_utils.run import Run

run = Run.start("03_embeddings", profile, seed, overrides, out)
table = grammar.instructions(run.profile.data.levels)
public, run.missing = registry.public(run.profile)
for name, reason in run.missing.items():
    print(f"without {name}: {reason}")
print(f"{len(table)} instructions, {len(public)} encoders from elsewhere")

# %% [markdown]
# ## Who is compared
#
# One registry declares every encoder: what it learned from, where it comes from, and how the states of its words become
# one vector (*pooling*). Each pooling was fixed before any alignment was looked at. Decoders are averaged over words,
# without the token that begins a sentence. BERT is averaged. CLIP and BLIP use the state that their own training reads.

# %%
everyone = [*registry.encoders(run.profile), *public]
rows = [
    {"encoder": e.label, "modality": e.modality, "source": e.source, "kind": e.kind,
     "pooling": e.pooling, "origin": e.origin}
    for e in everyone
]  # fmt: skip
run.table(pd.DataFrame(rows), "03_encoders").set_index("encoder")

# %% [markdown]
# *Source* says how we have an encoder. *cloning* is an agent. *scratch* is a model that was trained here. *lexical*
# is a control. *hub* is a checkpoint and *vectors* is a file; for these two, *origin* says which one, or what the
# file says of itself. Three kinds of row deserve a word:
#
# - The **untrained** twins have the architecture, the tokenizer and random weights. What aligns with them aligns
#   through words, their order and their number.
# - The **shuffled** agent saw everything except which instruction belongs to which episode (of the same level).
# - The **lexical controls** are no models. *Bag of words* counts words, and *tf-idf* weighs the counts. *Random
#   tokens* gives each word a random vector and averages them (*ordered*: scaled by position). *Edit distance* is
#   coordinates for the number of words to change. *Length* is the number of words and letters.
#
# ## Train the reference models
#
# Language models read the stories of notebook 01. Vision-language models see pictures with captions, from other
# episodes of the same world. Same world, different modality, different objective: that is the controlled form of the
# paper's question. The next line loads the models, or trains them now.

# %%
families = run.profile.encoders.families
scores = run.table(run.get(MODEL_SCORES), "03_scores")
better = np.where(scores["better"] == "lower", -1, 1)
gains = better * (scores["value"] - scores["baseline value"]) > 0
print(f"{gains.sum()} of {len(scores)} scores are better than their baseline")
scores.set_index(["family", "kind", "seed"]).round(3)

# %% [markdown]
# Each row is a score on documents or pictures of *held-out worlds*, beside a baseline. That of the next-token models
# knows how often each word is said. That of BERT always guesses the commonest word. That of CLIP and BLIP is chance.
# A value between the baseline and perfection (a perplexity of 1, a share of 1) says how much of the world a model has
# learned. The one of kind *dialect* is a control of notebook 04: each story that it read calls things by one set of
# names. Several pictures fit many captions, so no model can find the very picture each time. Read each model's
# alignment in notebook 04 beside its row here.
#
# ## Pool a sentence by hand
#
# A transformer gives a state for every *token*. A sentence needs *one* vector. For models that are pooled by the mean,
# this is all there is to it:


# %%
def pool_by_hand(folder, sentence):
    with hub.quiet(), torch.no_grad():  # load without progress bars; keep no gradients
        tokenizer, model = AutoTokenizer.from_pretrained(folder), AutoModel.from_pretrained(folder)
        inputs = tokenizer(sentence, return_tensors="pt")  # token ids (1, T)
        states = model(**inputs).last_hidden_state[0]  # (T, D): a state for every token
    words = inputs["input_ids"][0] != tokenizer.bos_token_id  # (T,): all but the one that begins
    named = tokenizer.convert_ids_to_tokens(inputs["input_ids"][0])
    return states[words].mean(0).numpy(), list(zip(named, words.tolist()))  # (D,)


chosen = [{"family": family, "seed": 0, "kind": "trained"} for family in families]
references = dict(zip(families, run.get_many(REFERENCE, chosen)))
for family in [f for f in families if FAMILIES[f].poolings[0] == "mean"]:
    folder, sentence = references[family].folder, table["text"][0]
    vector, used = pool_by_hand(folder, sentence)
    assert np.allclose(vector, hub.embed([sentence], folder)[0], atol=1e-4)
    tokens = " ".join(token if kept else f"({token} left out)" for token, kept in used)
    print(f"{family}: mean of {tokens}")

# %% [markdown]
# The assertion says that `hub.embed`, which does this for many sentences at once, gives the same vector. In decoders
# the first token is left out because it sees no word: in large models its state is one huge constant, which would
# drown the others.
#
# ## Embed
#
# Every encoder embeds the same instructions. Rows are indexed by instruction id, so that a wrong order cannot go
# unnoticed.

# %%
here = [e for e in everyone if not e.kind.startswith("bilingual")]
found = run.get_many(EMBEDDING, records([e for e in here if e not in public]))
found += [run.get(EMBEDDING, **which) for which in records(public)]  # one large model at a time
vectors = dict(zip([e.label for e in here], found))
assert all((frame.index == table["id"]).all() for frame in vectors.values())
shape = pd.DataFrame(
    {
        "encoder": name,
        "width": frame.shape[1],
        "distinct rows": len(frame.round(5).drop_duplicates()),
        "finite": bool(np.isfinite(frame.to_numpy()).all()),
    }
    for name, frame in vectors.items()
)
shape.set_index("encoder")

# %% [markdown]
# *Distinct rows* is the first thing to check. An encoder with fewer distinct rows than instructions cannot tell some of
# them apart. A bag of words cannot tell "put A next to B" from "put B next to A". Ties in its neighbourhoods must be
# counted fairly rather than by luck.
#
# ## Look at the maps
#
# Here are two principal components of four spaces: an agent, a decoder, a vision-language model and the bag of words.
# Each point is an instruction, coloured by its verb. Points are jittered a little, so that equal ones show.

# %%
trained = [e for e in here if e.source == "scratch" and e.kind == "trained"]
decoders = [e for e in trained if FAMILIES[e.family].objective == "next token"]
seeing = [e for e in trained if e.modality == "vision-language"]
words = [e for e in here if e.family == "bag_of_words"]
shown = [e.label for e in [here[0], *decoders[:1], *seeing[:1], *words]]
spaces = {name: vectors[name].to_numpy() for name in shown}
caption = "Two principal components of four spaces, a point per instruction, coloured by verb."
run.figure(figures.maps(spaces, table["verb"]), "03_maps_verb", caption)
HTML(figures.hover({name: spaces[name] for name in shown[:2]}, table["verb"], table["text"]))

# %% [markdown]
# Look at the bag of words first. It knows nothing of meaning, and yet sentences with the same verb lie together there:
# they share the verb's words, and "put" sentences are longer. A map with islands of verbs proves little by itself.
#
# Which sentence is this point? In the second pair of maps, the agent and the decoder once more, rest the mouse on it.
#
# What else could a space be sorted by? The same maps, coloured by the colour of the first object:

# %%
caption = "The same maps, coloured by the colour of the first object."
run.figure(figures.maps(spaces, table["colour"], named=True), "03_maps_colour", caption)

# %% [markdown]
# Two components can hide what lies in the others. So let us count. How much of the variance of the *whole* space lies
# between groups of instructions with the same verb, colour or type?


# %%
def explained(frame, labels):
    centred = frame - frame.mean()
    group_means = centred.groupby(labels.to_numpy()).transform("mean")
    return (group_means**2).to_numpy().sum() / (centred**2).to_numpy().sum()


factors = ["verb", "colour", "type"]
shares = pd.DataFrame(
    {name: {f: explained(vectors[name], table[f]) for f in factors} for name in vectors}
).T
run.table(shares.rename_axis("encoder").reset_index(), "03_explained")
for name in shown:
    print(f"{name:20} is sorted most by {shares.loc[name].idxmax()} ({shares.loc[name].max():.0%})")
shares.round(2)

# %% [markdown]
# Compare each trained row with its untrained twin, and both with the bag of words. What a twin or a count of words
# reaches needs no training. What the trained model has and *no* control has was learned: compare with *length*, too,
# since sentences of one verb have similar lengths. Notebook 04 asks the same of whole spaces.
#
# ## Nearest neighbours
#
# Maps flatten; neighbours do not. For one instruction, these are the three nearest others in each of the four spaces
# (by cosine, after centring).

# %%
place = table.index[table["text"] == "put the red ball next to the blue key"]
asked = place[0] if len(place) else table.index[-1]
near = {}
for name in shown:
    centred = vectors[name].to_numpy() - vectors[name].to_numpy().mean(0)
    similarity = cosine_similarity(centred[[asked]], centred)[0]
    similarity[asked] = -np.inf
    near[name] = [table.loc[i, "text"] for i in np.argsort(-similarity, kind="stable")[:3]]
print("nearest to:", table.loc[asked, "text"])
nearest = pd.DataFrame(near, index=["1st", "2nd", "3rd"]).T
with pd.option_context("display.max_colwidth", None):
    display(nearest)

# %% [markdown]
# A useful habit: before believing a number of notebook 04, look at *what kind of* instruction counts as near. Sharing
# the first object, sharing the second, and being the same two objects in the other order are three ideas of
# similarity. None of them is "what must be done". A bag of words cannot tell the swapped instruction from the one
# that was asked.
#
# ## The shape of each space
#
# *Anisotropy* is the mean cosine between two instructions before centring. Near 1, all vectors point the same way, and
# cosines say little. *Effective dimension* is how many directions carry the variance (participation ratio). *Length* is
# the share of the number of words that the first direction explains.


# %%
def describe(frame):
    x = frame.to_numpy()
    centred = x - x.mean(0)
    variance = np.linalg.svd(centred, compute_uv=False) ** 2
    cosine = cosine_similarity(x)
    first = centred @ np.linalg.svd(centred, full_matrices=False)[2][0]
    return {
        "anisotropy": cosine[np.triu_indices(len(x), 1)].mean(),
        "effective dimension": variance.sum() ** 2 / (variance**2).sum(),
        "length": np.corrcoef(first, table["words"])[0, 1] ** 2,
    }


geometry = pd.DataFrame({name: describe(frame) for name, frame in vectors.items()}).T
run.table(geometry.rename_axis("encoder").reset_index(), "03_geometry")
geometry.round(2)

# %% [markdown]
# Two spaces whose first direction is the length of a sentence share at least that. This is why a control that knows
# nothing but the *length* is part of the comparison. All spaces are centred before they are compared, so a high
# anisotropy does no harm there.
#
# The choice of pooling is a choice of space, and one that could be made so that a result looks good. The next table
# shows how much the shape depends on it. Alignment is computed for the first pooling of each family only.

# %%
texts = table["text"].tolist()
pooled = {
    f"{family}, {pooling}": describe(
        pd.DataFrame(hub.embed(texts, references[family].folder, pooling=pooling))
    )
    for family in families
    for pooling in FAMILIES[family].poolings
}
run.table(pd.DataFrame(pooled).T.rename_axis("encoder").reset_index(), "03_poolings")
pd.DataFrame(pooled).T.round(2)

# %% [markdown]
# A *last* token or a *first* one stands for a prediction more than for the sentence; a *projected* vector is what is
# compared with pictures. Compare the rows of one family.
#
# To be sure of what was loaded, embed once more: from the weights of the agent and of the first model of each family.

# %% tags=["nbval-check-output"]
models = [e for e in trained if e.seed == 0]
for encoder in [here[0], *models]:  # taken out again, from the agent's and the models' weights
    again = run.store.remake(EMBEDDING, run.profile, **records([encoder])[0])
    gap = np.abs(again.to_numpy() - vectors[encoder.label].to_numpy()).max()
    print(f"{encoder.label:10} embedded again, the same to four digits: {gap < 1e-4}")
print(f"{len(table)} instructions, {len(here)} encoders, all finite: {shape['finite'].all()}")
print(
    "bag of words, distinct rows:",
    int(shape.set_index("encoder").at["bag of words", "distinct rows"]),
)

# %% [markdown]
# ## On your own
#
# Guess first. Then change one thing, put your answer below and run the cell: it tells whether you got there. Worked
# solutions are in `solutions.md`, beside this notebook.
#
# 1. Read the first reference model at layer 0, its word embeddings (`hub.embed(..., layer=0)`). What is the
#    anisotropy of that space? Is it higher or lower than at the output, and why?
# 2. An encoder that keeps the last word only: how many different vectors would it give? (No need to edit the package.)
# 3. Say "a" for every "the" (`Policy.embed`, `hub.embed`). Whose sentences move further, compared with how far they lie
#    apart: the first agent's, or those of the first family? Should they?
#
# **Further reading**: Ethayarajh, *How contextual are contextualized word representations?* (arXiv 1909.00512) on
# anisotropy; Sun et al., *Massive activations in large language models* (arXiv 2402.17762) on the first token.

# %%
answers = {1: None, 2: None, 3: None}
run.check(answers)

# %% [markdown]
# ## Provenance

# %%
run.record(encoder_scores=scores, encoder_geometry=geometry.rename_axis("encoder").reset_index())
run.finish()
