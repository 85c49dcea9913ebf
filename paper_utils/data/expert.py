"""Demonstrations by the BabyAI expert: bit-identical to Minigrid's own bot, but faster."""

from itertools import compress
from typing import NamedTuple

import numpy as np
from minigrid.utils.baby_ai_bot import BabyAIBot, DisappearedBoxError

from paper_utils.data import levels

SEARCHES_PER_STEP = 1000  # the bot needs a few dozen; where it hangs, it searches for ever

# How the bot ends where it has no plan.  TypeError: it found nowhere to put a thing down.
# TimeoutError, ours: it plans without end, as where the key that it needs cannot be reached.
FAILURES = (TimeoutError, AssertionError, DisappearedBoxError, TypeError)


class Episode(NamedTuple):
    """One demonstration of T steps."""

    level: str
    seed: int
    instruction: str  # as the level said it
    observations: np.ndarray  # uint8[T, 7, 7, 3]: (x, y, (object, colour, state)) before each step
    actions: np.ndarray  # uint8[T]
    success: bool


class Recording(NamedTuple):
    """One episode of T steps as a reader sees it."""

    instruction: str
    success: bool
    frames: list  # T + 1 pictures uint8[H, W, 3], before each step and at the end
    actions: list  # T names


class _SeenCells(set):
    """The cells seen so far, indexed as the bot indexes its mask: ``seen[x, y]`` is a bool."""

    __getitem__ = set.__contains__


class _Search:
    """A breadth-first search that can be asked again, and then goes on where it stopped.

    While the bot plans one step nothing moves, but it searches the same cells from the same start
    for one thing after the other."""

    def __init__(self, bot, starts, ignore_blockers):
        self.cells = bot.mission.grid.grid
        self.width = bot.mission.grid.width
        self.seen = bot.vis_mask
        self.ignore_blockers = ignore_blockers
        self.previous = {}  # cell -> the one that it was reached from
        self.reached = []  # (cell, what lies there, direction of coming there), nearest first
        self.expanded = 0  # how many of those have had their neighbours reached
        for start in starts:
            # Plain integers: those of numpy are slow to add and to compare.
            i, j, *way = map(int, start)
            self._reach((i, j), *way, None)

    def _reach(self, place, di, dj, came_from):
        self.previous[place] = came_from
        i, j = place
        self.reached.append((place, self.cells[j * self.width + i], di, dj))

    def find(self, accept):
        """The first cell that ``accept(place, cell)`` is true of."""
        previous = self.previous
        # The list grows while it is read.
        for number, (place, cell, di, dj) in enumerate(self.reached):
            if accept(place, cell):
                return place
            if number < self.expanded:
                continue
            self.expanded += 1
            if cell is None:
                free = True
            elif cell.type == "door":
                free = cell.is_open
            else:
                free = self.ignore_blockers and cell.type != "wall"
            if free and place in self.seen:
                i, j = place
                # Straight on first, then the turns, then back.
                for dx, dy in ((di, dj), (dj, di), (-dj, -di), (-di, -dj)):
                    there = (i + dx, j + dy)
                    if there not in previous:
                        self._reach(there, dx, dy, place)
        return None

    def path_to(self, place):
        """The cells from ``place`` back to the start."""
        path = []
        while place:
            path.append(place)
            place = self.previous[place]
        return path


class FastBot(BabyAIBot):
    """Minigrid's bot: the same decisions, but sooner, and none where it plans for ever.

    Its advice has to be taken: `replan` assumes that the last action was the one it gave."""

    def __init__(self, mission):
        super().__init__(mission)
        self.vis_mask = _SeenCells()

    def replan(self):
        """The next action; ``done`` where the bot believes that it is finished."""
        places, seen = self.mission.last_seen
        self.vis_mask.update(compress(places, seen))
        self.search_count = 0
        self.searches = {}  # by whether things in the way count
        if self.stack:
            self.stack[-1].replan_after_action(None)
        while self.stack and self.stack[-1].is_exploratory():
            self.stack.pop()
        while self.stack:
            subgoal = self.stack[-1]
            # Minigrid updates the whole stack at each step, though only its top is asked.
            subgoal.update_agent_attributes()
            action = subgoal.replan_before_action()
            if action is not None:
                return action
        return self.mission.actions.done

    def _breadth_first_search(self, initial_states, accept_fn, ignore_blockers):
        self.search_count += 1
        if self.search_count > SEARCHES_PER_STEP:
            # Not a clock: a run that is paused has to go on the same.
            raise TimeoutError(f"gave up after {SEARCHES_PER_STEP} searches in one step")
        # The bot begins every search of a step where it stands, and one that ignores what is in
        # the way wherever the other kind came to.  So each kind has one start in a step.
        if ignore_blockers not in self.searches:
            self.searches[ignore_blockers] = _Search(self, initial_states, ignore_blockers)
        search = self.searches[ignore_blockers]
        found = search.find(accept_fn)
        return found and search.path_to(found), found, search.previous


def rollout(env, level, seed, watch=lambda *_: None):
    """One `Episode` of the expert in an environment; ``success`` is False where it fails, hangs or
    times out.

    ``watch(env, action)`` is called before each step, with ``None`` at the start and at the end."""
    observation, _ = env.reset(seed=int(seed))
    watch(env, None)
    bot = FastBot(env)
    observations = []
    actions = []
    reward = 0.0  # until the level says that the mission is done
    terminated = truncated = False
    while not (terminated or truncated):
        try:  # the bot's own planning alone: an error of whoever watches is not the bot's
            action = bot.replan()
        except FAILURES:
            break
        if action == env.actions.done:  # the bot believes that it is finished, the level does not
            break
        observations.append(observation["image"])
        actions.append(int(action))
        watch(env, action)
        observation, reward, terminated, truncated, _ = env.step(action)
    watch(env, None)
    views = np.array(observations, np.uint8).reshape(-1, 7, 7, 3)
    return Episode(level, seed, env.mission, views, np.array(actions, np.uint8), reward > 0)


def rollouts(level, seeds, rooms="babyai", world=0):
    """Expert episodes of ``level``, an `Episode` per seed, in their order.

    ``rooms`` is one of `levels.ROOMS`; where they have kinds, ``world`` says which colours are of
    which kind.  Raises LevelError: the level is unknown, or the expert cannot solve it.

    >>> (episode,) = rollouts("GoToLocal", [0])
    >>> episode.success, episode.observations.shape[1:]
    (True, (7, 7, 3))
    """
    env = levels.make(level, rooms, world)
    return [rollout(env, level, seed) for seed in seeds]


def record_expert(level, seed, tile_size=16):
    """A `Recording` of one expert episode: pictures before each step and at the end, so many
    pixels a cell."""
    env = levels.make(level)
    frames = []

    def watch(env, action):
        frames.append(env.get_frame(tile_size=tile_size))

    episode = rollout(env, level, seed, watch)
    played = [env.actions(action).name for action in episode.actions]
    # The start is pictured twice: by itself, and before the first step.
    return Recording(episode.instruction, episode.success, frames[1:], played)
