# %% [markdown]
# # 3 · Turn instructions into vectors, and see what each model puts together
#
# **What you'll do**: ask what each model is trained for, and which sentences it puts together.
#
# **What you'll learn**: what training makes alike.
#
# **What you'll need**: notebook 02; cosine similarity.
#
# **Found**: to models that read our stories two sentences differ most by their verb (and its form): over half of the variance. An
# agent that acted spends hardly any on it, word counts a third.

# %% tags=["parameters"]
# "release" is published and loads in seconds. For another seed or override take "laptop" (minutes).
profile = "release"
seed = 0
overrides = {}  # for example {"encoders.families": ["llama", "bert"]}
out = ""  # where to write; empty: runs/<profile>-seed<seed>

# %%
import numpy as np
import pandas as pd

from paper_utils import alignment
from paper_utils.data import corpus, levels
from paper_utils.encoders import hub, records
from paper_utils.encoders.families import FAMILIES
from paper_utils.encoders.scratch import MODEL_SCORES, REFERENCE
from paper_utils.figures import spaces as figures
from paper_utils.run import Run
from paper_utils.study import columns

run = Run.start("03_embeddings", profile, seed, overrides, out)
run.missing = records.missing(run.profile)  # models that cannot be had here

# %% [markdown]
# ## 1 · Four objectives, a line each
#
# Six small models are trained here, in each world: "LLaMA" has LLaMA's architecture, not its weights. LLaMA, Qwen
# and DeepSeek predict the next word. BERT predicts a masked word. CLIP picks the image that belongs to a caption.
# BLIP does that too, and also answers "do these two match?".
#
# **Guess first**: "you see a red ball on your left . the red ball is on your left ." At which words must a reader
# hesitate?

# %%
import torch
import transformers
from torch.nn import functional as F

torch.set_grad_enabled(False)  # nothing is trained here


def next_word(model, ids):  # how surprising each word was, in nats
    return F.cross_entropy(model(ids).logits[0, :-1], ids[0, 1:], reduction="none")


def masked_word(model, ids, place):  # the probability of each word there
    return model(ids).logits[0, place].softmax(-1)


def which_picture(model, caption, pixels):  # the probability of each picture
    return model(**caption, pixel_values=pixels).logits_per_text[0].softmax(-1)


def is_pair(model, caption, pixels):  # the probability that each pair matches
    return model(**caption, pixel_values=pixels).itm_score.softmax(-1)[:, 1]


# %%
table, world = columns.instructions(run.profile), run.worlds[0]
folders = {}
for family in run.profile.encoders.families:
    chosen = {"world": world, "family": family, "rooms": "babyai", "coloured": True}
    folders[family] = run.get(REFERENCE, **chosen).folder
decoders = [family for family in folders if FAMILIES[family].is_decoder]
said = "you see a red ball on your left . the red ball is on your left ."


def load(family):
    architecture = getattr(transformers, FAMILIES[family].model)
    with hub.quiet():
        tokenizer = transformers.AutoTokenizer.from_pretrained(folders[family])
        return tokenizer, architecture.from_pretrained(folders[family]).eval()


# %%
for family in decoders[:1]:
    tokenizer, model = load(family)
    ids = tokenizer(said, return_tensors="pt")["input_ids"]  # (1, T); the first is [BOS]
    words = zip(tokenizer.convert_ids_to_tokens(ids[0])[1:], next_word(model, ids).exp())
    print(family, *(f"{word} {perplexity:.1f} |" for word, perplexity in words))
if "bert" in folders:
    tokenizer, model = load("bert")
    ids = tokenizer(said, return_tensors="pt")["input_ids"]
    ids[0, 11] = tokenizer.mask_token_id  # masks "red" where it comes again
    best = masked_word(model, ids, 11).topk(12)
    words = zip(tokenizer.convert_ids_to_tokens(best.indices), best.values)
    print("bert", *(f"{word} {chance:.2f} |" for word, chance in words))

# %% [markdown]
# LLaMA's numbers are perplexities: 1 means that it was certain, 12 that it was as unsure as among twelve words.
#
# **Answer**: a reader hesitates where something new is told. A first colour may be any of six, under two names each.
# When it is said again, two names are left.
#
# **Published world:** BERT, which had to guess the second "red", did not look back: red and crimson do not lead.
#
# Now a caption, and six images. Which one fits?

# %%
seeds = levels.seeds("pictures", run.profile.data.pictured_episodes, world)[-6:]
recorded = corpus.record(corpus.photograph, run.profile.data.levels, seeds, world=world)
pictures, captions = zip(*[shots[0] for _, shots in recorded])
pixels = torch.tensor(np.array(pictures)).permute(0, 3, 1, 2) / 127.5 - 1  # (6, 3, 64, 64)
odds = {}
for family, judge in {"clip": which_picture, "blip": is_pair}.items():
    if family in folders:
        tokenizer, model = load(family)
        caption = tokenizer([captions[0]] * 6, return_tensors="pt")
        odds[FAMILIES[family].label] = judge(model, caption, pixels)
told = "Only the first fits. CLIP chooses one of six; BLIP judges each pair (chance 50%)."
run.figure(figures.odds(pictures, odds, captions[0]), "03_odds", told)

# %% [markdown]
# **Published world:** CLIP rules out the four images without doors, but between the two with doors it tosses a coin. BLIP
# is near a coin toss with all. They learned something, but not much.
#
# Here are scores of all models on stories and images that they never saw, each beside a baseline that needs no
# training. **Guess first**: R@1 is the share of captions for which the right image ranks first. Can it reach 1?

# %%
scores = pd.concat([run.get(MODEL_SCORES, world=number) for number in run.worlds])
better = np.where(scores["better"] == "lower", -1, 1)
ahead = better * (scores["value"] - scores["baseline value"]) > 0
print(f"{ahead.sum()} of {len(ahead)} scores are better than their baseline")
run.table(scores, "03_scores")
by = ["family", "score", "baseline"]
scores.groupby(by, sort=False)[["baseline value", "value"]].mean().round(3)

# %% [markdown]
# **Answer**: no, since several images may fit. (CLIP, BLIP: one in twenty.)
#
# ## 2 · What each model puts together
#
# All models and agents now embed the same instructions, at a layer fixed in advance (the middle one for decoders). So
# do two public models, MiniLM and SmolLM2, and two codes: *word count*, and *codebook* (a random vector per concept
# and role).
#
# **Guess first**: for whom is "put B next to A" the sentence nearest to "put A next to B"?


# %% tags=["fill-in"]
def cosines(space):  # (N, D) -> (N, N), after centring; none is its own neighbour
    rows = space - space.mean(axis=0)  # fill in
    rows = rows / np.linalg.norm(rows, axis=1, keepdims=True)  # fill in
    return rows @ rows.T - 2 * np.eye(len(rows))


everyone = figures.everyone(run.profile)
everywhere = {one: figures.of_world(run, one) for one in run.worlds}  # by world, then by label
spaces = {label: both[0] for label, both in everywhere[world].items()}  # label -> (N, D)
asked = len(table) - 4  # any row will do: change it
print("nearest to:", table["text"][asked])
some = [encoder for encoder in everyone if encoder.name in figures.SOME]
ranked = {one.label: np.argsort(-cosines(spaces[one.label])[asked]) for one in some}
pd.DataFrame({name: table["text"][rows[:2]].tolist() for name, rows in ranked.items()}).T

# %% [markdown]
# One sentence proves little. So now all sentences, in all worlds: how often has the nearest one the same verb, or the
# same colour? And how often is it the *swap*, "put B next to A" for "put A next to B"?
#
# *By luck* is a neighbour drawn at random. (To word counts a swap is the same sentence. Up to four share their counts, so
# ties are broken at random.)

# %%
sets = alignment.ContrastSets(table[columns.ROLES])
twin = sets.swaps.twin  # of each sentence, the row of its swap; -1: it has none
roles = [role for role in columns.ROLES if (table[role] != "").any()]  # verb, colour, type...


def kept(space):  # how often does the nearest sentence have the same word?
    ties = 1e-9 * np.random.default_rng(0).random((len(space), len(space)))  # broken at random
    nearest = (cosines(space) + ties).argmax(axis=1)
    found = {}
    for role in roles:
        words = table[role].to_numpy()
        found[role] = (words[nearest] == words)[words != ""].mean()
    return found | {"the swap": sum(nearest == twin) / max(1, sum(twin >= 0))}


# %%
neighbours = run.table(figures.in_every_world(everywhere, kept), "03_neighbours")
wide = neighbours.pivot_table("mean", "row", "panel", sort=False)
swaps = wide["the swap"]
found = "Nearest is the swap: word count {word count:.0%}, never acted {never acted:.0%}, acted {acted:.0%}"
found = found.format(**swaps)
words = {role: table.loc[table[role] != "", role].value_counts() for role in roles}
# Chance that another row, drawn at random, has the same word.
luck = {role: sum(n * (n - 1)) / sum(n) / (len(table) - 1) for role, n in words.items()}
wide.loc["by luck"] = pd.Series(luck)  # of the swap: one in all others, so nearly never
told = "Share of sentences whose nearest neighbour has the same word; means over worlds."
run.figure(figures.matrix(wide, found), "03_neighbours", told)

# %% [markdown]
# **Answer**: for word counts most often, then for MiniLM and the agent that never acted. For an agent that acted hardly
# ever. (Its nearest keeps colours, hardly second types.)
#
# ## 3 · What a space is spent on
#
# What share of its variance does a space spend on the verb? And over how many directions is it spread (*effective
# dimension*: n if n have equal shares)?
#
# **Guess first**: *wrong instructions* were exchanged within levels. Which word stayed right?


# %%
def measured(space, by="verb"):
    rows = pd.DataFrame(space - space.mean(axis=0))
    between = rows.groupby(table[by].to_numpy()).transform("mean")  # every verb's mean
    variance = np.linalg.svd(rows, compute_uv=False) ** 2  # along each direction
    return {
        by: (between**2).to_numpy().sum() / (rows**2).to_numpy().sum(),
        "dimension": variance.sum() ** 2 / (variance**2).sum(),
    }


values = run.table(figures.in_every_world(everywhere, measured), "03_spaces")
told = "Blue: learned from language; green: from pictures, too; above: agents; below: codes. 95 % over worlds."
run.figure(figures.budget(values, everyone), "03_spaces", told)

# %% [markdown]
# **Answer**: the verb, which in that space has nearly all the variance: so it has one or two directions, the space of an
# agent that acted many.
#
# So two spaces may look different only because they spend their variance on different words. *Linear CKA* shows it: the
# cosine between two tables of inner products, each read as one long vector (1: alike).
#
# **Guess first**: which is nearer to LLaMA, *acted* or *never acted*? And among sentences with the same verb?


# %% tags=["fill-in"]
def linear_cka(X, Y):  # the package's also takes out a bias of small samples
    X, Y = X - X.mean(axis=0), Y - Y.mean(axis=0)
    K, L = X @ X.T, Y @ Y.T  # (N, N) inner products
    return (K * L).sum() / np.sqrt((K * K).sum() * (L * L).sum())  # fill in


reader, commonest = records.models(run.profile)[0].label, table["verb"].mode()[0]
some_rows = (table["verb"] == commonest).to_numpy()
for name in ("acted", "never acted"):
    pairs = [(here[name][0], here[reader][0]) for here in everywhere.values()]
    whole = np.mean([linear_cka(X, Y) for X, Y in pairs])
    within = np.mean([linear_cka(X[some_rows], Y[some_rows]) for X, Y in pairs])
    print(f"{name} with {reader}: {whole:.2f}; within “{commonest}”: {within:.2f}")

# %% [markdown]
# **Published worlds:** over all sentences *never acted* is far nearer. Among "put" sentences it is *acted*. (Notebook 05
# asks all models.)
#
# ## 4 · Look, and say how much is shown
#
# Maps come last because they persuade too easily. Each shows two directions, and its title says what share of the
# variance they hold. In LLaMA's map verbs lie apart; in the agent's they are mixed, but four fifths of its variance are
# not on it.

# %%
told = "Two components of each space, a shape per verb. Titles: share of variance that is shown."
run.figure(figures.maps(spaces, table["verb"], some), "03_maps", told)

# %% [markdown]
# ## 5 · Pooling by hand, and the attention sink
#
# (May be skipped.) How does a decoder give *one* vector for a sentence? We take the middle block and average its
# states over the words, but not over the first token. Why not?

# %% tags=["nbval-check-output"]
states = []
for family in decoders[:1]:
    tokenizer, model = load(family)
    layer = FAMILIES[family].fixed_layer(model.config.num_hidden_layers)
    for text in table["text"]:
        ids = tokenizer(text, return_tensors="pt")["input_ids"]  # (1, T): [BOS], then words
        hidden = model(ids, output_hidden_states=True).hidden_states[layer]  # (1, T, D)
        states.append(hidden[0].numpy())
    pooled = np.array([rows[1:].mean(axis=0) for rows in states])  # all but [BOS]
    assert np.allclose(pooled, spaces[FAMILIES[family].label], rtol=1e-3, atol=1e-3)
    depth = model.config.num_hidden_layers
    print(f"{family}, block {layer} of {depth}: {len(pooled)} sentences, as by the package")

# %% [markdown]
# Large decoders use the first position they read as an *attention sink* (arXiv 2309.17453): its state is huge, and the
# same in every sentence (2402.17762). So we plant one in ours, and pool it along with the rest.
#
# **Guess first**: what will the cosine of any two sentences be then?

# %%
if states:
    sunk = [np.vstack([150 * rows[:1], rows[1:]]) for rows in states]  # planted by us
    spoiled = np.array([rows.mean(axis=0) for rows in sunk])
    for name, space in {"left out": pooled, "pooled": spoiled}.items():
        unit = space / np.linalg.norm(space, axis=1, keepdims=True)
        U, _, _ = np.linalg.svd(space - space.mean(axis=0), full_matrices=False)
        r = np.corrcoef(U[:, 0], [1 / len(rows) for rows in states])[0, 1]
        print(f"sink {name}: mean cosine {np.mean(unit @ unit.T):.2f};", end=" ")
        print(f"after centring, main direction with 1 / length: r = {abs(r):.2f}")

# %% [markdown]
# **Answer**: near 1: each vector is mostly sink. Centring leaves a sentence's length: a mean divides the sink by it.
#
# ## On your own
#
# Solutions are in `solutions.md`.
#
# 1. An encoder keeps only the last word of a sentence. How many different vectors does it give?
# 2. Which of verb, colour, type and location explains most of the acted agent's variance? (`measured(space,
#    by=...)`)
# 3. Write `pool(states)`, from (T, D) to (D,), that no sink can spoil, wherever it stands.

# %%
answers = {1: None, 2: None, 3: None}  # a number, a word, a function
run.check(answers)

# %% [markdown]
# ## Three things to take away
#
# Write three of your own first.
#
# - Spaces spend their variance on different words: those that read our stories on the verb, one that acted hardly.
# - A mean is only as good as what goes into it: never pool a sink.
# - Two spaces that spend their variance on different words look different. Whether they *know* different things takes
#   tests with codes beside them (notebooks 04 to 06).
#
# ## Provenance

# %%
run.finish()
