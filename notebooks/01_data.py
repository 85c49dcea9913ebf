# %% [markdown]
# # 1 · Watch a small world: what is seen, said and done
#
# **What you'll do**: watch an expert, decode what an agent sees, count what can be said.
#
# **What you'll learn**: observations, factors, synonyms, chance.
#
# **What you'll need**: a minute; with `laptop`, from nothing, three. Nothing is downloaded.
#
# **Found**: most sentences have a twin with the same words and another meaning; in short lists, chance alone
# reaches the precision that the paper reports; in ours it is .03.

# %% tags=["parameters"]
# "release" is what we publish, and loads in seconds; "laptop" is made here in minutes.
profile = "release"
seed = 0
overrides = {}  # for example {"data.documents": 500}
out = ""  # where to write; empty: runs/<profile>-seed<seed>

# %%
import numpy as np
from minigrid.core.constants import IDX_TO_COLOR, IDX_TO_OBJECT

from paper_utils.data import corpus, expert, grammar, levels
from paper_utils.data.demonstrations import EPISODES
from paper_utils.figures import data as draw
from paper_utils.run import Run

run = Run.start("01_data", profile, seed, overrides, out)
world = run.worlds[0]  # one seed of everything
names = run.profile.data.levels

# %% [markdown]
# ## The room does not say what to do
#
# BabyAI (Chevalier-Boisvert et al., 2019) is a family of *levels*. Each episode draws a room, the things in it,
# and a sentence. The red triangle is the agent; shaded cells are seen. Two levels can draw *the very same room*
# and ask for different things. Below are rooms, and then a count of such pairs.
#
# **Published world:** the first and the last room of the upper row are one room.

# %%
run.figure(
    draw.gallery(names, world),
    "01_gallery",
    "Two episodes of each level, and what is asked. OpenDoor has nine rooms; the agent's is drawn.",
)

# %%
first, last = levels.make(names[0]), levels.make(names[-1])
twins = []
for episode in levels.seeds("pictures", 100, world):
    first.reset(seed=episode)
    last.reset(seed=episode)
    if np.array_equal(first.grid.encode(), last.grid.encode()):
        twins.append(f"“{first.mission}” or “{last.mission}”")
print(f"{names[0]} and {names[-1]} draw the same room in {len(twins)} of 100 episodes, and say")
print(*twins[:3], sep="\n")

# %% [markdown]
# ## One demonstration, frame by frame
#
# The expert is Minigrid's planning bot: it reads the sentence, looks around until it has seen the things, and
# takes the shortest way it knows. Each frame below stands above the action that follows it. (A thing that is
# carried is not drawn: it is gone from the floor.) A sentence with its pairs of *view* and *action* is one
# **demonstration**, and all that the agent of notebook 02 learns from.

# %%
level = names[-1]  # the one that names two things
scene = draw.worth_showing(level, levels.seeds("pictures", 500, world))
film = expert.record_expert(level, scene, tile_size=draw.TILE)
assert film.success
message = f"The expert needs {len(film.actions)} actions for “{film.instruction}”."
run.animation(draw.moving({"expert": film}), "01_expert_film", message)

# %% [markdown]
# ## What the agent sees
#
# Not the picture, but 7 × 7 × 3 integers, drawn below as the room is. The first is the kind of thing (0: not seen,
# 1: empty, 2: wall), the second its colour, the third a door's state. Names, not quantities: colour 0 is red. (The
# agent: 1 0 0.)
#
# **Guess first**: the agent is at `view[3, 6]` and looks towards `y = 0`. How far ahead, and how far to the right,
# is `view[x, y]`?

# %%
env = levels.make(level, highlight=True)
view = env.reset(seed=scene)[0]["image"]  # uint8 (x, y, channel)
run.figure(
    draw.seen(env, view),
    "01_view",
    "A room and the agent's view of it. Numbers: object, colour, state, as view[x, y] holds them.",
)


# %% tags=["fill-in"]
def ahead(x, y):
    return 6 - y  # fill in


def to_the_right(x, y):
    return x - 3  # fill in


for x, y in np.argwhere(view[:, :, 0] > 3):  # 4 to 7: door, key, ball, box
    kind, colour, state = view[x, y]
    thing = f"{IDX_TO_COLOR[colour]} {IDX_TO_OBJECT[kind]}"
    print(f"view[{x}, {y}]: {thing}, {ahead(x, y)} ahead, {to_the_right(x, y):+} to the right")

# %% [markdown]
# ## How many demonstrations
#
# A *world* is one seed of everything; this is the first. The table counts what its agent learns from. An episode
# at which the expert fails is *skipped*, and counted. Evaluation uses other seeds (asserted), so no demonstrated
# episode is ever tested. The expert never errs, so it never shows how to recover: an imitator that strays is on
# its own.

# %%
recorded = run.get(EPISODES, world=world, rooms="babyai")  # loads a stored product, or makes it
train = recorded.episodes.query("split == 'train'")
assert set(train["seed"]).isdisjoint(levels.seeds("evaluation", 10**6, world))
steps = train.groupby("level")["steps"]
overview = steps.agg(demonstrations="size", steps="sum", median="median", longest="max").loc[names]
overview["skipped"] = [len(recorded.skipped[f"{name} train"]) for name in names]
display(run.table(overview.reset_index().round(1), "01_demonstrations"))

# %% [markdown]
# ## Same words, another meaning
#
# The levels build sentences from a small grammar, so we can list *all* of them, each with its **factors**: verb,
# colour, type, place, and the second thing. These rows are what every encoder will embed. (BabyAI says "a" where
# several things match; we embed "the".)
#
# **Guess first**: there are 6 colours and 3 types, so 18 things. How many sentences put one next to another? How
# many sentences share *all* their words with another one?

# %%
table = grammar.instructions(names)
run.table(table, "01_instructions")  # all of them, as a file
bags = table["text"].map(lambda text: " ".join(sorted(text.split())))  # words without their order
has_twin = bags.duplicated(keep=False)
print(f"{has_twin.sum()} of {len(table)} sentences share all their words with another, say:")
print(*table.loc[bags == bags[has_twin].min(), "text"], sep="\n")
shown = table.sample(6, random_state=1)
shown[["text", "colour", "type", "location", "second_colour", "second_type"]]

# %%
run.table(table["template"].value_counts().reset_index(), "01_templates").head(8)

# %% [markdown]
# **Answer**: 18 · 17 = 306, each with its swap. Both end with A beside B; they differ in which thing is carried.
#
# ## What is a precision of .70 worth?
#
# Each model gives every sentence a vector. *Precision@k* asks whether a sentence's partner in another space is
# among the k nearest of N. A random guess is right in k of N cases. The paper's abstract reports .70 for k = 15,
# but no N, and without N a precision cannot be read.

# %% tags=["nbval-check-output"]
k = run.profile.alignment.k
reported = 0.70  # precision@15 with decoders and BLIP, the lower end (arXiv 2601.22948, abstract)
for which in [[name] for name in names] + [names]:
    N = len(grammar.instructions(which))
    by_chance = min(1, k / N)
    told = "reaches .70" if by_chance >= reported else ""
    print(f"{' + '.join(which)}: N = {N}, chance {by_chance:.2f}", told)

# %% [markdown]
# ## Synonyms: a test without shared words
#
# Every encoder sees the same words, so agreement may come from the words alone. Therefore each content word has a
# **synonym**, an English word that occurs nowhere else. Said in synonyms, a sentence shares only *the* with the
# original (asserted). Models read both names of a thing; agents only ever hear the *first names*. Notebook 04
# gives a *model* the synonyms, and searches the agent's sentences.

# %%
synonyms = grammar.synonyms(run.profile.data.synonyms)
text = "put the red ball next to the blue key"
print(text, "|", grammar.rename(text, synonyms))
words = set(" ".join(table["text"]).split())
second_words = set(" ".join(table["second_text"]).split())
assert words & second_words == {"the"}
print(", ".join(f"{word}: {synonym}" for word, synonym in synonyms.items()))

# %% [markdown]
# ## The same world in words
#
# Language models never see the world. A narrator tells them what happens in other episodes: what is there, what
# was asked, what is done, what is carried, and that A now lies next to B. The story below is in first names. For
# the models each mention draws one of the two names (last line), so a reader can learn that both mean one thing.

# %%
print(corpus.tell(levels.make(level), level, scene).replace(" . ", ".\n"))
seeds = levels.seeds("text", min(200, run.profile.data.documents), world)
stories = []
for number, story in corpus.record(corpus.tell, names, seeds):
    reword = corpus.reworder("mention", synonyms, number)
    stories.append(reword(story))
heard = set(" ".join(stories).split())
print(f"\n{len(stories)} of {run.profile.data.documents} stories: {len(heard)} different words")
print("words of the sentences that they never use:", sorted((words | second_words) - heard))
print("\nthe last one begins:", stories[-1][:120], "...")

# %% [markdown]
# ## The same world in pictures
#
# Vision-language models see images of 64 × 64 pixels with captions: what is being done, what is carried, where
# things are. The room is turned so that the agent faces up. All captions of one episode use *one* set of names, so
# only what is seen ties the two sets together. Below is the episode from above (brightened for print).

# %%
photographer = corpus.Photographer(scene)
expert.rollout(levels.make(level), level, scene, photographer)
images, captions = zip(*photographer.shots)
brighter = [(image / 255) ** 0.5 for image in images]
said = [caption.replace(" .", ".") for caption in captions]
run.figure(
    draw.pictures(brighter, said, len(images), "One episode as a vision-language model sees it"),
    "01_captions",
    "Each with its caption. The last is of another moment; what is carried lies under the agent.",
)

# %% [markdown]
# ## On your own
#
# Solutions are in `solutions.md`.
#
# 1. The agent turns *right*. Where in the new view is what was at `view[x, y]`? Answer with a function of `(x, y)`
#    that returns the new pair. Draw it first.
# 2. How often is the rarest of all sentences demonstrated in this world? Guess first. (`grammar.canonical` turns
#    "a" into "the".)
# 3. Find an episode that takes the expert more than 25 steps, film it as above, and say why. Answer: `("level",
#    seed)`.

# %%
answers = {1: None, 2: None, 3: None}
run.check(answers)

# %% [markdown]
# ## Three things to take away
#
# Write three of your own first.
#
# 1. Only the sentence says what to do, so an agent that does it has to keep something of the sentence.
# 2. Most sentences have a twin with the same words. Counting words cannot tell them apart; order can.
# 3. A precision@k without its N says nothing. In the first test both sides use the same words; in synonyms they
#    share only *the*.
#
# ## Provenance

# %% tags=["nbval-check-output"]
for name in names:  # a world is the same each time
    known = train[train["level"] == name].head(10)
    again = expert.rollouts(name, known["seed"])
    same = [len(episode.actions) for episode in again] == known["steps"].tolist()
    print(name, "played again, the same:", same)

# %%
run.finish()
