"""Demonstrations by the BabyAI expert: bit-identical to Minigrid's own bot, but faster."""

import time
from collections import deque, namedtuple
from collections.abc import Callable, Iterable
from itertools import chain

import numpy as np
from minigrid.utils.baby_ai_bot import BabyAIBot, DisappearedBoxError

from paper_utils.data import levels

SEARCHES_PER_STEP = 1000  # the bot needs a few dozen; where it hangs, it searches for ever
SECONDS_PER_EPISODE = 60.0  # a last resort: the cap above is what makes a run repeatable


class ExpertStuck(RuntimeError):
    """The bot plans without end, as it does where the key it needs cannot be reached."""


# How the bot ends where it has no plan; TypeError: it found nowhere to put a thing down.
FAILURES = (ExpertStuck, AssertionError, DisappearedBoxError, TypeError)


Episode = namedtuple("Episode", "level seed instruction observations actions success")
"""One demonstration of T steps: the instruction as the level said it, actions uint8[T], and before
each an observation: uint8[T, 7, 7, 3] (x, y, (object, colour, state))."""
Film = namedtuple("Film", "instruction success frames views actions attention", defaults=[None])
"""One episode as a reader sees it: T + 1 frames, uint8[H, W, 3] each, views uint8[T, 7, 7, 3], the
names of T actions, and a policy's attention float32[T, Q, 7, 7] (x, y)."""


class _Seen(set):
    """The cells seen so far, indexed as the bot indexes its visibility mask."""

    __getitem__ = set.__contains__


class FastBot(BabyAIBot):
    """Minigrid's bot with the same decisions: its map is a set, its queue a deque."""

    def __init__(self, mission):
        super().__init__(mission)
        self.vis_mask, self.deadline = _Seen(), time.monotonic() + SECONDS_PER_EPISODE

    def replan(self, action_taken=None):
        self.searches, self.traversals = 0, {}  # these by whether blockers are ignored
        return super().replan(action_taken)

    def _process_obs(self):
        self.vis_mask.update(self.mission.seen_places())

    def _breadth_first_search(self, initial_states, accept_fn, ignore_blockers):
        """Nothing changes while the bot plans a step, so its searches share one traversal."""
        self.searches += 1
        if self.searches > SEARCHES_PER_STEP or time.monotonic() > self.deadline:
            raise ExpertStuck(f"gave up after {self.searches} searches in one step")
        if ignore_blockers not in self.traversals:
            visited, previous = [], {}
            visit = self._visit(initial_states, ignore_blockers, visited, previous)
            self.traversals[ignore_blockers] = visited, visit, previous
        visited, visit, previous = self.traversals[ignore_blockers]
        for place, cell in chain(visited, visit):
            if accept_fn(place, cell):
                path, at = [], place
                while at:
                    path.append(at)
                    at = previous[at]
                return path, place, previous
        return None, None, previous

    def _visit(self, initial_states, ignore_blockers, visited, previous):
        """Yields (place, cell) as the bot's search visits them; notes them and whence it came."""
        queue = deque((*map(int, state), None) for state in initial_states)  # not numpy's integers
        cells, width, seen = self.mission.grid.grid, self.mission.width, self.vis_mask
        while queue:
            i, j, di, dj, came_from = queue.popleft()
            place = (i, j)
            if place in previous:
                continue
            previous[place] = came_from
            cell = cells[j * width + i]
            visited.append((place, cell))
            yield place, cell
            if place not in seen or cell and cell.type == "wall":
                continue
            if cell and not (cell.is_open if cell.type == "door" else ignore_blockers):
                continue
            # Straight on first, then the turns, then back: the order decides between equal paths.
            for dx, dy in ((di, dj), (dj, di), (-dj, -di), (-di, -dj)):
                if (i + dx, j + dy) not in previous:
                    queue.append((i + dx, j + dy, dx, dy, place))


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
    env = levels.make(level, highlight=True)
    frames: list[np.ndarray] = []

    def watch(env, action) -> None:
        if action is not None or env.step_count:
            frames.append(env.get_frame(tile_size=tile_size))

    played = rollout(env, level, seed, watch)
    names = [env.actions(action).name for action in played.actions]
    return Film(played.instruction, played.success, frames, played.observations, names)
