"""Demonstrations by the BabyAI expert: bit-identical to Minigrid's own bot, but faster."""

from collections import deque, namedtuple
from collections.abc import Callable, Iterable
from itertools import compress

import numpy as np
from minigrid.utils.baby_ai_bot import BabyAIBot, DisappearedBoxError

from paper_utils.data import levels

SEARCHES_PER_STEP = 1000  # the bot needs a few dozen; where it hangs, it searches for ever

# How the bot ends where it has no plan.  TypeError: it found nowhere to put a thing down.
# TimeoutError, ours: it plans without end, as where the key that it needs cannot be reached.
FAILURES = (TimeoutError, AssertionError, DisappearedBoxError, TypeError)

Episode = namedtuple("Episode", "level seed instruction observations actions success")
"""One demonstration of T steps: the instruction as the level said it, actions uint8[T], and before
each an observation: uint8[T, 7, 7, 3] (x, y, (object, colour, state))."""
Film = namedtuple("Film", "instruction success frames views actions attention", defaults=[None])
"""One episode as a reader sees it: T + 1 frames, uint8[H, W, 3] each, views uint8[T, 7, 7, 3], the
names of T actions, and a policy's attention float32[T, Q, 7, 7] (x, y)."""


class _Seen(set):
    __getitem__ = set.__contains__  # the cells seen, indexed as the bot indexes its mask


class FastBot(BabyAIBot):
    """Minigrid's bot: the same decisions, but sooner, and none where it plans for ever."""

    def __init__(self, mission):
        super().__init__(mission)
        self.vis_mask = _Seen()

    def replan(self, action_taken=None):
        self.searches = 0
        return super().replan(action_taken)

    def _process_obs(self):
        self.vis_mask.update(compress(*self.mission.last_seen))

    def _breadth_first_search(self, initial_states, accept_fn, ignore_blockers):
        self.searches += 1
        if self.searches > SEARCHES_PER_STEP:  # no clock: a run that is paused goes on the same
            raise TimeoutError(f"gave up after {self.searches} searches in one step")
        cells, width, previous = self.mission.grid.grid, self.mission.width, {}
        queue = deque((*map(int, state), None) for state in initial_states)  # not numpy's integers
        while queue:
            i, j, di, dj, came_from = queue.popleft()
            if (place := (i, j)) in previous:
                continue
            previous[place], cell = came_from, cells[j * width + i]
            if accept_fn(place, cell):
                path = [place]
                while path[-1]:
                    path.append(previous[path[-1]])
                return path[:-1], place, previous
            door = cell and cell.type == "door"
            free = not cell or (cell.is_open if door else ignore_blockers and cell.type != "wall")
            if free and place in self.vis_mask:  # straight on first, then the turns, then back
                for dx, dy in ((di, dj), (dj, di), (-dj, -di), (-di, -dj)):
                    if (i + dx, j + dy) not in previous:
                        queue.append((i + dx, j + dy, dx, dy, place))
        return None, None, previous


def rollout(env, level: str, seed: int, watch: Callable = lambda env, action: None) -> Episode:
    """Plays one episode with the expert; ``success`` is False where it fails, hangs or times out.
    ``watch(env, action)`` is called before each step, with ``None`` at the start and at the end."""
    observation, _ = env.reset(seed=int(seed))
    watch(env, None)
    bot, observations, actions, reward, failed, ends = None, [], [], 0.0, False, []
    while not any(ends):
        try:  # the bot's own planning alone: an error of whoever watches is not the bot's
            bot = bot or FastBot(env)
            action = bot.replan()
        except FAILURES:
            failed = True
            break
        if action == env.actions.done:  # the bot believes it is finished, the level does not
            break
        observations.append(observation["image"])
        actions.append(int(action))
        watch(env, action)
        observation, reward, *ends, _ = env.step(action)
    if not failed:
        watch(env, None)
    observations = np.array(observations, dtype=np.uint8).reshape(-1, 7, 7, 3)
    actions, success = np.array(actions, dtype=np.uint8), reward > 0 and not failed
    return Episode(level, int(seed), env.mission, observations, actions, success)


def rollouts(level: str, seeds: Iterable[int]) -> list[Episode]:
    """Expert episodes of ``level`` (short name or Gym id), one per seed, in their order.
    Raises LevelError: the level is unknown, or the expert cannot solve it.

    >>> (episode,) = rollouts("GoToLocal", [0])
    >>> episode.success, episode.observations.shape[1:]
    (True, (7, 7, 3))
    """
    env = levels.make(level)
    return [rollout(env, levels.short(level), seed) for seed in seeds]


def film(level: str, seed: int, tile_size: int = 16) -> Film:
    """One expert episode with a picture before each step and at the end."""
    env, frames = levels.make(level, highlight=True), []
    played = rollout(env, level, seed, lambda *_: frames.append(env.get_frame(tile_size=tile_size)))
    names = [env.actions(action).name for action in played.actions]
    # The start is pictured twice: once by itself, and once before the first step.
    return Film(played.instruction, played.success, frames[1:], played.observations, names)
