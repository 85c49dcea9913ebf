"""What comes from elsewhere: where it lies, its arrays, and what is wrong with it, in one line."""

from contextlib import contextmanager
from pathlib import Path

import numpy as np

from paper_utils.code import ROOT


def located(path):
    """A path from the working folder, else from the project's: runs and notebooks are started in
    different ones."""
    return Path(path) if Path(path).exists() else ROOT / path


def arrays_of(path):
    """All arrays of an ``.npz`` by name."""
    # Opened here, so that it is closed here, whatever is found in it.
    with open(path, "rb") as opened, np.load(opened, allow_pickle=False) as file:
        return dict(file)


@contextmanager
def one_line(kind, name, **reasons):
    """Whatever a damaged file provokes in the libraries is raised as a ``kind`` of error: one line
    that begins with ``name``.  ``reasons``: what readers are told of an error, by its class."""
    try:
        yield
    except Exception as error:  # every parser and validator has its own
        line = " ".join(str(error).split())[:200]
        if not isinstance(error, kind):
            found = type(error).__name__
            line = reasons.get(found, f"cannot be read: {found}: {line}")
        raise kind(f"{name}: {line}") from None
