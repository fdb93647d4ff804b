"""The whole program with its state in PostgreSQL: on one machine, on two, and where the lease or the server goes away."""

import json
import os
import shutil
import time
from contextlib import closing, contextmanager

import pytest

from retentiond.audit.note import Verifier
from retentiond.audit.verify import examine
from retentiond.engine import failpoints
from retentiond.ledger.clock import Reading
from retentiond.ledger.leases import lease
from retentiond.ledger.ledger import Ledger
from retentiond.ledger.postgres import Postgres
from tests.acceptance.shop import LETTERS, SALES, Shop
from tests.servers.databases import CUT_OFF
from tests.servers.own import Own
from tests.world import World, check_invariants, verified

DEADLINE = 60


@pytest.fixture
def shop(tmp_path, shared):
    shop = Shop(tmp_path / "shop", state=shared)
    shop.category("post", LETTERS)
    shop.category("trade", SALES)
    shop.letters(10)
    shop.sales(10)
    return shop


@pytest.fixture
def world(tmp_path, shared):
    """Two stores with a batch each; two items are held."""
    world = World(tmp_path / "world", files=300, rows=300, state=shared)
    for scope in (["--store", "recordings", "--path", world.held_file], ["--store", "pbx", "--where", f"id = {world.held_row}"]):
        assert world.here("hold", "place", scope[1], "--reason", "r", "--mandate", "m", *scope) == 0
    return world


@contextmanager
def meanwhile(arrow, act, nth=1):
    """Something happens when the way comes to an arrow for the nth time."""
    seen = 0

    def watch(reached):
        nonlocal seen
        if reached == arrow:
            seen += 1
            if seen == nth:
                act()

    failpoints.watch(watch)
    try:
        yield
    finally:
        failpoints.watch(None)
    assert seen >= nth, f"{arrow} is never reached"


def test_from_the_plan_to_the_audit(shop):
    shop.told("hold", "place", "H", "--reason", "r", "--mandate", "m", "--store", "desk", "--path", "letters/00003.txt")
    shop.told("approve", "post", "--yes")
    assert shop.json("apply", "--category", "post")["counts"]["disposed"] == 9
    plan = shop.plan()
    assert shop.json("apply", plan)["counts"]["disposed"] == 10
    assert shop.left() == {"letters/00003.txt"}
    assert shop.ids() == set()
    status = shop.json("status")
    assert (status["holds"]["active"], status["open_intents"], status["running"], status["state_bytes"] > 0) == (
        1,
        0,
        False,
        True,
    )
    assert shop.json("audit", "verify")["ok"]
    (found,) = shop.json("audit", "lookup", "desk", "letters/00001.txt")["evidence"]
    assert found["outcome"] == "disposed"
    shop.told("hold", "release", "H", "--reason", "over")
    assert shop.json("apply", "--category", "post")["counts"]["disposed"] == 1
    assert not (shop.folder / "state" / "state.db").exists()
    assert sorted(path.name for path in (shop.folder / "state").iterdir()) == [
        "events",
        "execute.lock",
        "keys",
        "log",
        "plans",
        "publish.lock",
    ]


def test_before_anything_was_written_there_is_no_state(shop, postgres):
    shop.told("check")
    assert shop.json("status")["categories"][0]["last_look"] is None
    assert shop.json("audit", "show", code=5)["errors"][0]["code"] == "state"
    assert postgres.sql("SELECT count(*) FROM pg_tables WHERE schemaname = 'public'") == [(0,)]


def test_without_its_password_nothing_begins(shop):
    shop.settings(text=shop.config.read_text().replace("'}", "', password: {env: A_SECRET_THAT_IS_NOT_SET}}"))
    (error,) = shop.json("plan", code=2)["errors"]
    assert "A_SECRET_THAT_IS_NOT_SET" in error["what"]


def test_two_machines_share_holds_evidence_and_the_work(shop, tmp_path):
    """The keys are shared, a plan lies where it was made, and each machine's log is the same."""
    away = Shop(tmp_path / "away", state=shop.state)
    shop.plan()
    shutil.rmtree(away.folder / "policies.d")
    (away.folder / "policies.d").symlink_to(shop.folder / "policies.d")
    keys = f"signing_key: {shop.folder}/state/keys/signing-key, reference_keys: {shop.folder}/state/keys"
    stores = (
        shop.config.read_text().replace("path: desk", f"path: {shop.folder}/desk").replace("/till.db", f"/{shop.folder}/till.db")
    )
    away.settings(text=stores.replace("origin: audit.example.org/shop", f"origin: audit.example.org/shop, {keys}"))
    away.told("hold", "place", "H", "--reason", "r", "--mandate", "m", "--store", "desk", "--path", "letters/00003.txt")
    plan = away.plan()
    assert shop.json("apply", plan, code=4)["errors"][0]["code"] == "plan", "its keys are in a file, on the machine that made it"
    assert away.json("apply", plan)["counts"]["disposed"] == 19
    shop.plan()
    logs = [s.folder / "state" / "log" for s in (shop, away)]
    key = Verifier.from_line((logs[0] / "public-key").read_text().strip())
    reports = [examine(log, key) for log in logs]
    assert [report.findings for report in reports] == [(), ()]
    assert logs[0].joinpath("audit.jsonl").read_bytes().startswith(logs[1].joinpath("audit.jsonl").read_bytes())
    assert [s.json("status")["holds"]["active"] for s in (shop, away)] == [1, 1]


@contextmanager
def elsewhere(folder, postgres):
    """Another machine that has waited for the end of a lease and goes on with the work."""
    folder.mkdir()
    ledger = Ledger(Postgres(postgres.url), lambda: Reading(time.time_ns() // 1000, 1, "another"))
    with closing(ledger):
        postgres.sql("UPDATE lease SET until = 1 WHERE name = 'execute'")
        with lease(ledger, folder / "execute.lock", "execute", "a run elsewhere"):
            yield


@pytest.mark.parametrize("arrow", ["intent-committed", "settled"])
def test_who_lost_the_lease_destroys_no_further_batch(world, arrow, tmp_path, postgres, capsys):
    """The batch in hand may still go, but nothing after it; what became of it is for the next one to find."""
    plan = world.run("plan")["plan"]
    taken = elsewhere(tmp_path / "elsewhere", postgres)
    at_the_loss = []

    def lose():
        at_the_loss.append(len(world.files_left()) + len(world.rows_left()))
        taken.__enter__()

    with meanwhile(arrow, lose):
        assert world.here("apply", plan) == 5
    assert "a run elsewhere" in capsys.readouterr().out
    ((batches, in_hand),) = postgres.sql("SELECT count(*), sum(length(refs)) / 16 FROM batch WHERE outcome IS NULL")
    gone = at_the_loss[0] - len(world.files_left()) - len(world.rows_left())
    assert (batches, gone <= in_hand < len(world.due_files) + len(world.due_rows)) == (1, True)
    assert gone == 0 or arrow == "intent-committed", "what had settled was the whole batch"
    assert world.here("apply", plan) == 5, "the other one is still at work"
    taken.__exit__(None, None, None)
    finish(world, plan)


def finish(world, plan):
    assert world.here("apply", plan) == 0
    check_invariants(world, finished=True)
    before = verified(world).totals.entries
    assert world.here("apply", plan) == 0
    assert verified(world).totals.entries == before, "running again changes nothing"


@pytest.mark.parametrize("arrow", ["intent-committed", "outcome-written"])
def test_a_connection_killed_in_the_middle_of_a_run(world, arrow, postgres):
    """Whatever was in hand is unknown; the run ends, and the next one looks."""
    plan = world.run("plan")["plan"]
    with meanwhile(arrow, lambda: postgres.sql(CUT_OFF)):
        assert world.here("apply", plan) == 5
    assert world.here("clock") == 0
    check_invariants(world, finished=False)
    finish(world, plan)


ON_THE_WAY = ("run-allowed", "intent-committed", "destroyed", "outcome-written", "head-stored")


@pytest.mark.parametrize("arrow", ON_THE_WAY)
def test_killed_at_an_arrow(world, arrow):
    """SIGKILL at the arrows next to the ledger, as with the state in a file: its own machine goes on at once."""
    plan = world.run("plan")["plan"]
    assert world.killed_at(arrow, 1, "apply", plan) == -9
    assert world.here("clock") == 0
    check_invariants(world, finished=False)
    finish(world, plan)


@pytest.fixture
def own():
    """A PostgreSQL of one test, to be stopped and started."""
    server = Own("postgres")
    try:
        yield server.start()
    finally:
        server.close()


@pytest.mark.skipif("RETENTIOND_TEST_POSTGRES" in os.environ, reason="that server is somebody's, and is not to be restarted")
def test_a_server_that_is_restarted_in_the_middle_of_a_run(own, tmp_path):
    """While it is away nothing is destroyed, and when it is back the same command goes on."""
    url = own.address.replace("postgresql:", "postgresql+psycopg:")
    world = World(tmp_path / "world", files=300, rows=10, state=f"{{directory: state, database: '{url}'}}")
    for scope in (["--store", "recordings", "--path", world.held_file], ["--store", "pbx", "--where", f"id = {world.held_row}"]):
        assert world.here("hold", "place", scope[1], "--reason", "r", "--mandate", "m", *scope) == 0
    plan = world.run("plan")["plan"]
    with meanwhile("destroyed", own.stop):
        assert world.here("apply", plan) == 5
    left = world.files_left()
    for command in (["apply", plan], ["plan"], ["status"], ["hold", "list"]):
        assert world.here(*command) == 5
    assert world.files_left() == left, "without evidence nothing is destroyed"
    own.start()
    assert world.here("clock") == 0
    check_invariants(world, finished=False)
    finish(world, plan)


def settled_down(world):
    """The stores by absolute paths, as the files of two machines would name them."""
    config = world.folder / "retentiond.yaml"
    text = config.read_text()
    config.write_text(
        text.replace("path: recordings", f"path: {world.folder}/recordings").replace("///pbx", f"///{world.folder}/pbx")
    )


def second_machine(world, folder):
    """Another machine at the same stores, rules and keys, with a state directory of its own that has the plans."""
    shutil.copytree(world.folder, folder, ignore=shutil.ignore_patterns("*.lock", "log", "recordings", "pbx.db*"))
    other = object.__new__(World)
    other.folder = folder
    return other


def test_a_machine_that_goes_on_after_another_has_recovered_and_finished_its_work(world, tmp_path, postgres):
    """It had stood still in the middle of a batch for longer than its lease. What it still does is within that batch."""
    settled_down(world)
    plan = world.run("plan")["plan"]
    answers = []

    def overtaken():
        other = second_machine(world, tmp_path / "other")
        postgres.sql("UPDATE lease SET until = 1")
        answers.append(other.run("apply", plan))

    with meanwhile("claimed", overtaken):
        assert world.here("apply", plan) == 5
    assert answers[0]["recovered"], "it looked at the batch that was in hand"
    finish(world, plan)


def test_a_hold_that_is_placed_on_another_machine_waits_for_the_batch_in_hand(world, tmp_path, postgres):
    settled_down(world)
    plan = world.run("plan")["plan"]
    other = second_machine(world, tmp_path / "other")
    placing = []

    def place():
        words = ["--reason", "r", "--mandate", "m", "--store", "pbx", "--where", f"id = {world.due_rows[0]}"]
        placing.append(other.process("hold", "place", "LATE", *words))
        end = time.monotonic() + DEADLINE
        while not postgres.sql("SELECT 1 FROM hold WHERE id = 'LATE'"):
            assert time.monotonic() < end

    with meanwhile("intent-committed", place):
        assert world.here("apply", plan) == 0
    out, _ = placing[0].communicate(timeout=DEADLINE)
    assert json.loads(out)["in_flight"]["batches"] == 1, "it saw the lease of the run, and waited for its batch"
    assert world.due_rows[0] in world.rows_left(), "and the next batch read it"
