"""What a report says in words is what the results say in numbers, whatever they are."""

from __future__ import annotations

import json

import pytest
from commands import ROOT

from paper_utils import report


def check(results: dict) -> None:
    said = report.answer(results)
    assert len(said) in (3, 4) and all(line.endswith(".") for line in said)
    values = [row["value"] for row in results["alignment"]]
    assert f"score {min(values):.2f}" in said[0]
    above = sum(row["gap_low"] > 0 for row in results["alignment"])
    assert f"clearly above it for {above} of {len(values)}." in said[0]
    colour = [
        row for row in results["second_names"]
        if row["names"] == "second" and row["measure"] == "colour"
        and row["second_kind"] == "trained" and row["second_source"] != "cloning"
    ]  # fmt: skip
    beyond = sum(row["p"] <= 0.01 for row in colour)
    assert f"beyond chance with {beyond} of {len(colour)} models" in said[1]
    unsure = [row for row in results["verdicts"] if row["verdict"] == "no power here"]
    assert (len(said) == 4) == bool(unsure)
    assert not unsure or said[3].startswith(f"{len(unsure)} of {len(results['verdicts'])} claims")
    best = max(
        row["success"] for row in results["transfer"]
        if (row["kind"], row["names"], row["level"]) == ("reference", "second", "PickupLoc")
    )  # fmt: skip
    assert f"{best:.0%} of fresh episodes" in said[2]


def test_the_published_answer():
    check(json.loads((ROOT / "figures" / "results.json").read_text()))


@pytest.mark.xdist_group("smoke")
def test_the_answer_of_a_run_and_of_one_that_found_otherwise(smoke):
    results = json.loads((smoke[0] / "results.json").read_text())
    check(results)
    for row in results["alignment"]:
        row["gap_low"] = 0.1
    check(results)
    page = (smoke[0] / "index.html").read_text()
    assert page.index("judged by rule") < page.index("<h2>Figures") < page.index("<h2>Tables")
