"""One honest bar: how long it has taken, and how long it should still take."""

import sys
from collections.abc import Callable

from tqdm import auto, std

from paper_utils.config import Compute

BAR = "{desc}: {percentage:3.0f}%|{bar:24}| {elapsed} elapsed, about {remaining} left"
PATIENCE = 2.0  # seconds that need no bar

# Seconds that have passed, and seconds that should be left.
Show = Callable[[float, float], None]


class Progress:
    """Shows progress as a bar, in a live notebook or on a terminal; nothing in a log.

    Call it with the seconds that have passed and those that are left; `close` it at last."""

    def __init__(self, describe: str, compute: Compute):
        # Under Papermill the terminal has the bar, so that notebooks hold no trace of it.
        in_cell = compute.progress == "auto" and "ipykernel" in sys.modules
        self.bar = (auto if in_cell else std).tqdm(
            desc=describe,
            total=1.0,
            file=None if in_cell else sys.__stderr__,
            disable=compute.progress == "off" or not (in_cell or sys.__stderr__.isatty()),
            delay=PATIENCE,
            bar_format=BAR,
            leave=False,
            miniters=0,
            smoothing=0,  # one second of work a second
        )
        self.close = self.bar.close

    def __call__(self, elapsed: float, remaining: float) -> None:
        # The total moves with the estimate; so does the share that is done.
        self.bar.total = elapsed + remaining
        self.bar.update(elapsed - self.bar.n)

    def write(self, line: str) -> None:
        """Prints a line of its own, above the bar."""
        self.bar.clear()
        print(line, flush=True)
