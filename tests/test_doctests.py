"""The examples in docstrings are executed."""

from __future__ import annotations

import doctest
import importlib
import pkgutil

import numpy as np
import pandas as pd

import paper_utils


def test_every_example_says_the_truth():
    ran = 0
    for module in pkgutil.walk_packages(paper_utils.__path__, "paper_utils."):
        if module.name.endswith("__main__"):
            continue
        loaded = importlib.import_module(module.name)
        found = doctest.testmod(loaded, extraglobs={"np": np, "pd": pd})
        assert not found.failed, module.name
        ran += found.attempted
    assert ran > 20
