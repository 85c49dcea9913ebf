# %% [markdown]
# # 3 · Turn instructions into vectors, in as many ways as there are models
#
# The agent of notebook 02 has a vector for each instruction. So do language models, vision-language
# models, and — this is easily forgotten — a mere count of words. Here they all embed the same
# instructions, in the same order.
#
# **What you'll do** — train small reference models on the narrated world, check that they learned
# something, extract every encoder's embeddings, and look at them before any alignment is computed.
#
# **What you'll learn** — what each encoder is and has seen; why controls that know nothing of meaning
# belong in the comparison; what pooling, anisotropy and sentence length do to similarities.
#
# **What you'll need** — as it is, less than a minute: agents and models are published. `laptop` trains them in about
# two minutes on two cores (and the agents of notebook 02, if missing). Nothing is downloaded: every model here is
# **trained from scratch on our little world**, and none is the public checkpoint whose architecture it shares. (The
# profiles `hub` and `paper` put public checkpoints beside them, in rows of their own called *public*.)
#
# > As committed, this notebook shows the published `release` profile and loads its artifacts. The prose reads that
# > run; with another profile or seed, numbers differ and so may what they say.

# %% tags=["parameters"]
profile = "release"  # the published run; or "laptop" (ten minutes), "smoke" (one)
seed = 0
overrides = {}  # for example {"encoders.families": ["llama", "bert"]}
out = ""  # where to write; empty: runs/<profile>-seed<seed>

# %%
import numpy as np
import pandas as pd
from sklearn.metrics.pairwise import cosine_similarity

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
print(f"{len(table)} instructions, {len(public)} public checkpoints")

# %% [markdown]
# ## Who is compared
#
# One registry declares every encoder: what it learned from, and how its word states become one vector
# (*pooling*). The pooling of each was fixed before any alignment was looked at: decoders are averaged over
# words without the begin-of-sentence token, which otherwise dominates; BERT is averaged; CLIP and BLIP use
# the state that their own training objective reads.

# %%
everyone = [*registry.encoders(run.profile), *public]
rows = [
    {"encoder": e.label, "modality": e.modality, "source": e.source, "kind": e.kind,
     "pooling": e.pooling, "checkpoint": e.checkpoint, "revision": e.revision}
    for e in everyone
]  # fmt: skip
run.table(pd.DataFrame(rows), "03_encoders").set_index("encoder")

# %% [markdown]
# Three kinds of row deserve a word. The **untrained** twins have their architecture, their tokenizer and random
# weights: what aligns with them aligns through words, their order and their number. The **shuffled** agent saw
# everything except which instruction belongs to which episode. And the **lexical controls** are no models at all:
# *bag of words* counts words, *tf-idf* weighs the counts, *random tokens* gives each word a random vector and
# averages them (*ordered*: scaled by position), *edit distance* is coordinates for the number of words to change, and
# *length* is the number of words and letters.
#
# ## Train the reference models
#
# Language models read the stories of notebook 01; vision-language models see pictures with captions from
# other episodes of the same world. Same world, different modality, different objective: that is the
# controlled form of the paper's question. The next line loads them, or trains them now.

# %%
families = run.profile.encoders.families
scores = run.table(run.get(MODEL_SCORES), "03_scores")
scores.set_index(["family", "seed"]).round(3)

# %% [markdown]
# Each row is a score on documents or pictures of *held-out worlds*, beside a simple rival. The language models
# are far better than theirs. The vision-language models are far above chance and far from perfect: mostly
# they do not find the very picture of a caption among all the held-out ones (several pictures fit many captions), and
# BLIP is sometimes wrong about whether a caption belongs. Read their alignment accordingly.
#
# ## Embed
#
# Every encoder embeds the same instructions. Rows are indexed by instruction id, so that a wrong
# order cannot go unnoticed later.

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
# *Distinct rows* is the first thing to check. An encoder with fewer distinct rows than instructions
# cannot tell some of them apart — a bag of words cannot tell "put A next to B" from "put B next to A" — and
# ties in its neighbourhoods must be counted fairly rather than by luck.
#
# ## Look at the maps
#
# Two principal components of each space, one point per instruction, coloured by verb.

# %%
chosen = [e for e in here if e.seed == 0 and e.group not in ("tf-idf", "edit distance", "length")]
shown = [e.label for e in chosen if e.kind != "untrained" or e.source == "cloning"]
spaces = {name: vectors[name].to_numpy() for name in shown}
run.figure(figures.maps(spaces, table["verb"]), "03_maps_verb")

# %% [markdown]
# The language models separate the verbs, and so do the untrained agent and the bag of words: "put" sentences
# share words and are longer. That is why a high alignment score, by itself, proves little. The *trained* agent
# and BLIP are the exceptions. What does the agent sort by? The same maps, coloured by the first object's colour:

# %%
run.figure(figures.maps(spaces, table["colour"], named=True), "03_maps_colour")

# %% [markdown]
# The agent's first components follow the *colours* that are named, hardly the verb: what is to be done with a
# thing matters little to it, for arriving at the thing ends most episodes (notebook 04), but which thing matters.
#
# Two components can hide what lies in the others. A *neighbour-preserving* map (t-SNE) keeps neighbours near
# and says little about long distances and sizes. Coloured by the type of the first object:

# %%
run.figure(figures.maps(spaces, table["type"], neighbours=True), "03_maps_type")

# %% [markdown]
# Where a map falls into islands, ask what the instructions of an island have in common. If every island mixes the
# types, the type of the first object does not order that space; if each island has one type, it does.
#
# ## Nearest neighbours
#
# Maps flatten. Neighbours do not: for one instruction, the three nearest others in each space (cosine
# after centring).

# %%
place = table.index[table["text"] == "put the red ball next to the blue key"]
asked = place[0] if len(place) else table.index[-1]
near = {}
for name in shown:
    centred = vectors[name].to_numpy() - vectors[name].to_numpy().mean(0)
    similarity = cosine_similarity(centred[[asked]], centred)[0]
    similarity[asked] = -np.inf
    near[name] = [table.loc[i, "text"] for i in np.argsort(-similarity, kind="stable")[:3]]
nearest = pd.DataFrame(near, index=["1st", "2nd", "3rd"]).T
with pd.option_context("display.max_colwidth", None):
    display(nearest)

# %% [markdown]
# A useful habit: before believing any number of notebook 04, look here at *what kind of* instruction counts
# as near. Sharing the first object, sharing the second, or being the same two objects in the other order are
# three different ideas of similarity, and none of them is "what must be done". A bag of words cannot tell the
# swapped instruction from the one that was asked; see how near it is in the agent's space.
#
# ## The shape of each space
#
# *Anisotropy* is the mean cosine between two instructions before centring: near 1, all vectors point the
# same way and cosine comparisons say little. *Effective dimension* is how many directions carry the
# variance (participation ratio). *Length* is how far one direction explains the number of words.


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
# Spaces whose first direction is mostly sentence length share at least that; compare the trained agent with its
# untrained self. We centre everything before comparing, and a control that knows nothing but the *length* is
# part of the comparison, to see how far that alone goes.
#
# The choice of pooling is a choice of space, and one that could be made so that the result looks good. The
# table shows how much the shape of a space depends on it. Alignment is computed for the first pooling of each
# family only, which was fixed beforehand.

# %%
chosen = [{"family": family, "seed": 0, "kind": "trained"} for family in families]
references = dict(zip(families, run.get_many(REFERENCE, chosen)))
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
# The last token of a decoder, or the first of BERT, stands for one word's prediction more than for the sentence.

# %% tags=["nbval-check-output"]
models = [e for e in here if e.source == "scratch" and e.kind == "trained" and e.seed == 0]
for encoder in [here[0], *models]:  # taken out again, from the agent's and the models' weights
    again = run.remake(EMBEDDING, **records([encoder])[0])
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
# Guess first. Then change one thing, put your answer below and run the cell: it tells whether you got there. Ways to the
# answers are in `solutions.md`, beside this notebook.
#
# 1. Pool the first reference model by its second pooling (`FAMILIES`; a decoder's is its *last token*). What is the
#    anisotropy of that space?
# 2. Add an encoder that keeps the last word only (the README shows how, in ten lines). How many distinct rows does it
#    have?
# 3. Say "a" for every "the" (`Policy.embed`, `hub.embed`). Whose sentences move further, compared with how far they lie
#    apart: the first agent's, or those of the first family? Should they?
#
# **Further reading** — Ethayarajh, *How contextual are contextualized word representations?* (arXiv
# 1909.00512) on anisotropy; Sun et al., *Massive activations in large language models* (arXiv 2402.17762)
# on the first token.

# %%
answers = {1: None, 2: None, 3: None}
run.check(answers)

# %% [markdown]
# ## Provenance

# %%
run.record(encoder_scores=scores, encoder_geometry=geometry.rename_axis("encoder").reset_index())
run.finish()
