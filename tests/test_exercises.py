"""Exercises tell right from wrong answers, and from answers that cannot be read."""

from __future__ import annotations

from paper_utils.data import grammar
from paper_utils.run import Run


def test_right_wrong_unreadable_and_open(capsys, tmp_path):
    run = Run.start("01_data", "smoke", out=str(tmp_path))
    four = grammar.instructions(run.profile.data.levels)
    more = grammar.instructions([*run.profile.data.levels, "SynthLoc"])
    added = len(set(more["text"]) - set(four["text"]))

    def said(answer) -> str:
        run.check({2: answer})
        return capsys.readouterr().out.splitlines()[1]

    assert added > 0 and said(added) == "2: right"
    assert said(added + 1).startswith("2: not yet; ")
    assert said("many").startswith("2: not readable; the answer is a whole number")
    assert said(None).startswith("2: open; ")
