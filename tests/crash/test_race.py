"""Holds placed by two processes while a third carries out a plan: no intent follows a hold that covers it."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from retentiond.app.house import House
from tests.world import OLD, World, sighted, verified

FILES = 12_000
PLACER = Path(__file__).with_name("placer.py")


@pytest.fixture(params=["a file", "a file, several lanes", "postgres"])
def setting(request):
    """Where the state is, as `retentiond.yaml` says it, and whether files go by several lanes."""
    if request.param == "postgres":
        return f"{{directory: state, database: '{request.getfixturevalue('postgres').url}'}}", False
    return "state", "lanes" in request.param


def placer(world, name, first, step):
    command = [
        sys.executable,
        str(PLACER),
        str(world.folder / "retentiond.yaml"),
        name,
        "recordings",
        f"{OLD:%Y-%m-%d}/{{:05}}.wav",
        str(first),
        str(FILES),
        str(step),
    ]
    started = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert started.stdout.readline() == "begun\n"
    return started


def test_thousands_of_holds_race_a_running_apply(tmp_path, setting):
    """Every hold is either read by the intent or committed after it, and what a hold was in time for is still there."""
    state, lanes = setting
    world = World(tmp_path / "world", files=FILES, rows=10, state=state)
    plan = world.run("plan")["plan"]
    placers = [placer(world, "A", 1, 8), placer(world, "B", 4, 8)]
    assert world.killed_at("never", 1, "apply", plan, lanes=lanes) == 0
    for one in placers:
        assert one.wait(timeout=60) == 0
        one.stdout.close()
    with House(str(world.folder / "retentiond.yaml")) as house:
        done = house.runs.all()[0]
        holds = {h.path: h.entry for h in reversed(house.holds.all())}
        year, category = house.memory.reference_scopes()[0]
        references = house.references(year)(category, "recordings")
        named = {references.of(key): key for key in world.due_files}
        bodies = [json.loads(b) for b in house.ledger.entries(0, house.ledger.size())]
        intents = [i for i, b in enumerate(bodies) if b["type"] in ("intent", "spared")]
        ranges = [r for _, _, r in house.ledger.refs(0, len(bodies))]
    in_time = 0
    for index, refs in zip(intents, ranges, strict=True):
        if bodies[index]["type"] == "spared" or bodies[index]["store"] != "recordings":
            continue
        for at in range(0, len(refs), 16):
            key = named.get(refs[at : at + 16])
            assert holds.get(key, index) >= index, "an intent follows a hold that covers its item"
    left = sighted(world.files_left())
    held = {key for key, entry in holds.items() if entry < min(intents)}
    assert held <= left, "what was held before the run began is still there"
    in_time = done["counts"]["held"]
    assert in_time > 0, "the race was one"
    assert len(holds) == 3000, "1,500 from each process"
    assert len(left) >= in_time + len(world.kept_files)
    verified(world)
