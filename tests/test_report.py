"""What a report says in words is what the results say in numbers, whatever they are."""

from __future__ import annotations

import json

import pytest
from commands import ROOT

from paper_utils import report


def check(results: dict) -> None:
    measure, names, acting, verdicts, _ = report.answer(results)
    values = [row["value"] for row in results["alignment"]]
    above = sum(row["gap_low"] > 0 for row in results["alignment"])
    assert f"Agents score {min(values):.2f}" in measure
    assert f"clearly above them for {above} of {len(values)} models" in measure
    for where, layer in zip(
        names.split("agents choose it above chance with ")[1:], ("last", "gate")
    ):
        with_these, _, others = where.partition(", not with ")
        colour = [
            row for row in results["second_names"]
            if (row["names"], row["measure"], row["layer"]) == ("second", "colour", layer)
            and row["second_kind"] == "trained" and row["second_source"] != "cloning"
        ]  # fmt: skip
        assert colour and with_these.startswith("none") != any(row["p"] <= 0.01 for row in colour)
        for row in colour:
            said = f"{row['second']} {row['value']:.2f}"
            assert said in (with_these if row["p"] <= 0.01 else others)
    models = [
        row for row in results["transfer"]
        if (row["kind"], row["names"], row["level"]) == ("reference", "second", "PickupLoc")
    ]  # fmt: skip
    assert f"{max(row['success'] for row in models):.0%} on PickupLoc" in acting
    ahead = sum(row["p"] is not None and row["p"] <= 0.01 for row in models)
    assert f"{ahead} of {len(models)} models are ahead" in acting
    for column in ("verdict", "verdict_gate_layer"):
        said = [row[column] for row in results["verdicts"][:-1]]
        assert all(f"{said.count(verdict)} {verdict}" in verdicts for verdict in said)


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
    assert "<em>No power here</em>" in page and "*" not in page.split("</style>")[1] + smoke[2]
    assert page.index("judged by rule") < page.index("<h2>Figures") < page.index("<h2>Tables")
