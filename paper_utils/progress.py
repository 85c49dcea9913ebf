"""One honest bar: how long it has taken, and how long it should still take."""

import json
import sys
import time
from collections.abc import Callable

from tqdm import std

from paper_utils.config import Compute

BAR = "{desc}: {percentage:3.0f}%|{bar:24}| {elapsed} elapsed, about {remaining} left"
EVERY = 60.0  # seconds between two lines of a log
PATIENCE = 2.0  # seconds that need no bar

# Seconds that have passed, and seconds that should be left.
Show = Callable[[float, float], None]


class Progress:
    """Shows progress in a live notebook or on a terminal as a bar, in a log as a line a minute.

    Use it in a ``with``; call it with the seconds that have passed and those that are left."""

    def __init__(self, describe: str, compute: Compute):
        self.describe = describe
        self.where = compute.progress
        self.file = sys.__stderr__
        self.bar = None
        self.said = 0.0  # seconds that had passed at the last line

    def __enter__(self) -> "Progress":
        return self

    def __exit__(self, *error) -> None:
        if self.bar is not None:
            self.bar.close()

    def __call__(self, elapsed: float, remaining: float) -> None:
        if self.where == "off" or elapsed < PATIENCE:
            return
        # Under Papermill the terminal has the bar, so that notebooks hold no trace of it.
        in_cell = self.where == "auto" and "ipykernel" in sys.modules
        if in_cell or (self.file is not None and self.file.isatty()):
            self._draw(elapsed, remaining, in_cell)
        elif elapsed - self.said >= EVERY:
            self.said = elapsed
            self._print(elapsed, remaining)

    def _draw(self, elapsed: float, remaining: float, in_cell: bool) -> None:
        if self.bar is None:
            if in_cell:
                from tqdm.auto import tqdm as kind

                options = {}
            else:
                kind = std.tqdm
                options = {"file": self.file}
            # Without smoothing, one second of work a second.
            self.bar = kind(
                total=1.0, desc=self.describe, leave=False, smoothing=0, bar_format=BAR, **options
            )
            self.bar.start_t = time.time() - elapsed
        # The total moves with the estimate; so does the share that is done.
        self.bar.total = elapsed + remaining
        self.bar.n = elapsed
        self.bar.refresh()

    def _print(self, elapsed: float, remaining: float) -> None:
        share = elapsed / (elapsed + remaining)
        left = std.tqdm.format_interval(remaining)
        passed = std.tqdm.format_interval(elapsed)
        line = f"{self.describe}: {share:.0%}, {passed} elapsed, about {left} left"
        print(line, file=self.file, flush=True)

    def write(self, line: str) -> None:
        """Prints a line of its own, above the bar."""
        if self.bar is None:
            print(line, flush=True)
        else:
            self.bar.write(line)


def to_pipe(elapsed: float, remaining: float) -> None:
    """Progress for a program that reads this one's output."""
    print(json.dumps([round(elapsed, 1), round(remaining, 1)]), flush=True)
