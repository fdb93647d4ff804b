"""An erasure that is killed at any arrow is gone on with by the same plan, and is carried out once."""

import json

import pytest

from tests.world import World, verified

ARROWS = ["run-allowed", "intent-committed", "destroyed", "outcome-committed", "absence-verified", "certified"]


def requests(world):
    shown = world.run("audit", "show", "--limit", "0")["entries"]
    return [entry["type"] for entry in shown if entry["type"].startswith("request-")]


@pytest.mark.parametrize("arrow", ARROWS)
def test_an_erasure_that_is_cut_short_is_gone_on_with(tmp_path, arrow):
    world = World(tmp_path / "w", files=3, rows=40)
    category = world.folder / "policies.d" / "calls.yaml"
    category.write_text(f"{category.read_text().replace('3 months', '30 years')}    subject: {{caller: caller}}\n")
    whom = ("erase", "caller=x", "--request", "R", "--reason", "asked", "--plan")
    plan = world.run(*whom)["plan"]
    assert world.killed_at(arrow, 1, "apply", plan) == -9
    assert world.run("hold", "list") == {"holds": [], "warnings": []}
    world.run("apply", plan)
    assert world.rows_left() == set()
    assert len(world.files_left()) == 24, "files say of nobody whose they are"
    done = requests(world)
    assert done[0] == "request-received"
    assert done.count("request-carried-out") == 1
    certificate = world.run("audit", "certificate", "R")
    assert (certificate["state"], sum(row["items"] for row in certificate["disposed"])) == ("carried out", 61)
    assert verified(world).totals.counts["disposed"] == 61
    assert json.dumps(certificate).count("caller") == 0
