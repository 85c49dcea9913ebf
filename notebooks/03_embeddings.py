# %% [markdown]
# # 3 · Turn instructions into vectors, and see what each model puts together
#
# **What you'll do**: ask what each model is trained for, which sentences it puts together, and what its vectors
# are spent on.
#
# **What you'll learn**: what training makes alike.
#
# **What you'll need**: notebook 02; cosine similarity.
#
# **Found**: models that read stories spend over half of their variance on the verb (and what goes with it). Word
# counts spend a third, an agent that acted hardly any.

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
# LLaMA's numbers are perplexities, one over the probability of each word: 1 means certain. BERT's: probabilities
# for the masked word. Did it look back?
#
# **Answer**: where something new is told. A first colour may be any of six, under two names each; said again, two
# names are left.
#
# **Published world:** here BERT did not look back: red's two names, red and crimson, do not lead.
#
# A caption, and six held-out images. Which fits? (Behind: at least as far as aside.)

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
told = "The first is its own. CLIP chooses one (chance 17%), BLIP judges each pair (50%). Open doors are gaps."
run.figure(figures.odds(pictures, odds, captions[0]), "03_odds", told)

# %% [markdown]
# **Published world:** CLIP slightly prefers another image, which does not fit.
#
# **Did they learn their world?**
#
# Scores on held-out stories and images, beside baselines that need no training. **Guess first**: R@1 is the share
# of captions for which the right image ranks first. Can it reach 1?

# %%
scores = pd.concat([run.get(MODEL_SCORES, world=number) for number in run.worlds])
better = np.where(scores["better"] == "lower", -1, 1)
ahead = better * (scores["value"] - scores["baseline value"]) > 0
print(f"{ahead.sum()} of {len(ahead)} scores are better than their baseline")
run.table(scores, "03_scores")
by = ["family", "score", "baseline"]
scores.groupby(by, sort=False)[["baseline value", "value"]].mean().round(3)

# %% [markdown]
# **Answer**: not where several images fit.
#
# **Published worlds:** CLIP and BLIP rank it first for one caption in twenty.
#
# ## 2 · What each model puts together
#
# All encoders embed the same sentences, at a layer fixed in advance (the middle one for decoders). *Word count*
# and *codebook* (a random vector per concept and role) are not models. MiniLM and SmolLM2 are public.
#
# **Guess first**: to whom is "put B next to A" the nearest sentence to "put A next to B"?


# %% tags=["fill-in"]
def cosines(space):  # (N, D) -> (N, N), after centring; none is its own neighbour
    rows = space - space.mean(axis=0)  # fill in
    rows = rows / np.linalg.norm(rows, axis=1, keepdims=True)  # fill in
    return rows @ rows.T - 2 * np.eye(len(rows))


everyone = figures.everyone(run.profile)
everywhere = {one: figures.of_world(run, one) for one in run.worlds}
spaces = {label: both[0] for label, both in everywhere[world].items()}  # label -> (N, D)
asked = len(table) - 4  # any row will do: change it
print("nearest to:", table["text"][asked])
some = [encoder for encoder in everyone if encoder.name in figures.SOME]
ranked = {one.label: np.argsort(-cosines(spaces[one.label])[asked]) for one in some}
pd.DataFrame({name: table["text"][rows[:2]].tolist() for name, rows in ranked.items()}).T

# %% [markdown]
# Now all sentences, in all worlds. How often does the nearest sentence have the same verb, or the same colour? And
# how often is it the *swap*: "put B next to A" for "put A next to B"? To word counts a swap is the same sentence
# (up to four share their counts; ties are broken at random). *By luck*: a neighbour drawn at random.

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
# **Answer**: to word counts, then MiniLM and the agent that never acted; hardly ever to that which acted.
#
# **Published worlds:** after acting, the nearest shares the second type no more often than a random one, though the agent needs types (05). What is nearest shows what weighs little.
#
# ## 3 · Pooling by hand, and the attention sink
#
# For one vector per sentence we average a decoder's states over the words, at the middle block, without the first
# token. Why without?

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
# Large decoders use the first position they read as an *attention sink* (arXiv 2309.17453): its state is one huge
# constant (2402.17762). If a tokenizer puts no special token in front, the first *word* becomes the sink. Let us
# plant a sink in our decoder and pool it along with the rest.
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
        how = {"groups": sets.groups, "random_state": world}  # as in notebook 04
        score = alignment.precision_at_k(space, spaces["acted"], run.profile.alignment.k, **how)
        print(f"    agreement with the agent (notebook 04): {score}")

# %% [markdown]
# **Answer**: every pooled vector is now mostly sink, so cosines are near 1. Centring does not help: a mean divides
# by the number of words, so length remains.
#
# ## 4 · What a space is spent on
#
# Similarities weigh directions by variance. How much of it does the verb explain, and over how many directions is
# it spread (*effective dimension*; n if n are equal)? ("Put" sentences are longer, too.)
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
# **Answer**: the verb; it has nearly all the variance.
#
# Spaces that spend their variance on different words look different, whatever they know. *Linear CKA* is the
# cosine between their tables of inner products, each read as one long vector (1: alike). **Guess first**: over all
# sentences, which is nearer to a language model, *acted* or *never acted*? And within one verb?


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
# **Published worlds:** over all sentences *never acted* is far nearer; within "put" it is *acted*. This is one
# model, LLaMA; notebook 05 asks all, by an estimator without bias.
#
# ## 5 · Look, and say how much is shown
#
# Maps come last because they persuade too easily. Each shows two directions out of many; its title says how much
# of the variance these two hold. What matters may be in the rest. Mostly, verbs separate where much variance is
# spent on them.

# %%
told = "Two components of each space, a shape per verb. Titles: share of variance that is shown."
run.figure(figures.maps(spaces, table["verb"], some), "03_maps", told)

# %% [markdown]
# ## On your own
#
# Guess first, then put your answer below. Worked solutions are in `solutions.md`.
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
# - Spaces differ in how much variance they spend on the verb and its form.
# - A mean is only as good as what goes into it: never pool a sink.
# - Two spaces that spend their variance on different words look different. Whether they *know* different things
#   needs tests with codes beside them (notebooks 04 to 06).
#
# ## Provenance

# %%
run.finish()
