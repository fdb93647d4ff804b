"""A lock of a shared state holds between machines, ends with its holder, and who lost it writes nothing more."""

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from threading import Barrier, Thread

import pytest

from retentiond.errors import LeaseLost, Locked, StateUnavailable
from retentiond.ledger.clock import Reading
from retentiond.ledger.leases import LASTS, is_leased, lease
from retentiond.ledger.ledger import Ledger
from retentiond.ledger.locks import lock
from retentiond.ledger.postgres import Postgres
from tests.servers.databases import CUT_OFF

HOLDER = Path(__file__).with_name("holder.py")


class Machine:
    """A machine with a state directory of its own; the database is everybody's."""

    def __init__(self, folder, url, boot="boot"):
        folder.mkdir()
        self.folder = folder
        self.ledger = Ledger(Postgres(url), lambda: Reading(1, 1, boot))

    def file(self, name="execute"):
        return self.folder / f"{name}.lock"

    @contextmanager
    def locked(self, purpose="a run", name="execute", *, wait=False):
        with lock(self.file(name), purpose, wait=wait), lease(self.ledger, self.file(name), name, purpose, wait=wait):
            yield

    def writes(self):
        with self.ledger.transaction() as change:
            return change.write("heartbeat")


@pytest.fixture
def machines(tmp_path, postgres):
    with ExitStack() as made:

        def more(name, boot="boot"):
            machine = Machine(tmp_path / name, postgres.url, boot)
            made.callback(machine.ledger.close)
            return machine

        yield more


@pytest.fixture
def one(machines):
    return machines("one")


@pytest.fixture
def other(machines):
    return machines("other")


def expire(postgres):
    """As if the holder had not been heard of for the whole length of its lease."""
    postgres.sql("UPDATE lease SET until = 1")


def test_the_second_machine_is_told_who_is_at_work_since_when_and_no_host(one, other):
    with one.locked("a run of `retentiond apply`"):
        with pytest.raises(Locked) as told, other.locked():
            raise AssertionError
        assert "a run of `retentiond apply`, process " in told.value.why
        assert "on the machine " in told.value.why
        assert " UTC" in told.value.why
        assert is_leased(other.ledger, other.file(), "execute")
        with other.locked("publishing", "publish"):
            assert is_leased(one.ledger, one.file("publish"), "publish"), "the locks are independent"
    with other.locked():
        assert is_leased(one.ledger, one.file(), "execute")
    assert not is_leased(one.ledger, one.file(), "execute")


def test_of_many_who_come_at_once_one_is_let_in(machines):
    comers, together, over = [machines(str(n), boot=str(n)) for n in range(6)], Barrier(6), Barrier(6)

    def come(machine):
        together.wait()
        try:
            with machine.locked():
                over.wait()
                return 1
        except Locked:
            over.wait()
            return 0

    with ThreadPoolExecutor(6) as pool:
        assert sum(pool.map(come, comers)) == 1


def test_who_lost_the_lease_writes_nothing_more(one, other, postgres):
    with one.locked("the first"):
        one.writes()
        expire(postgres)
        with other.locked("the second"):
            before = other.writes()
            with pytest.raises(LeaseLost, match="somebody else has gone on") as told:
                one.writes()
    assert "the second, process " in told.value.why
    assert one.writes() == before + 1, "as nobody in particular it may write: a hold, an event"


def test_a_lease_that_ran_out_while_nobody_came_goes_on(one, other, postgres):
    with one.locked():
        expire(postgres)
        one.writes()
        with pytest.raises(Locked), other.locked():
            raise AssertionError


def test_each_transaction_prolongs_the_lease(one, postgres):
    with one.locked():
        postgres.sql("UPDATE lease SET until = until - 1000000")
        ((before,),) = postgres.sql("SELECT until FROM lease")
        one.writes()
        ((after, since),) = postgres.sql("SELECT until, since FROM lease")
        assert after > before
        assert after >= since + LASTS["execute"]


def test_a_token_is_never_used_twice(one, other, postgres):
    tokens = []
    for machine in (one, other, one):
        with machine.locked():
            tokens += postgres.sql("SELECT token FROM lease WHERE name = 'execute'")
    assert tokens == [(1,), (2,), (3,)]


def test_giving_back_what_was_lost_takes_nothing_from_its_successor(one, other, postgres):
    with ExitStack() as second:
        with one.locked():
            expire(postgres)
            second.enter_context(other.locked())
        assert is_leased(one.ledger, one.file(), "execute")
        other.writes()


def test_who_waits_comes_in_when_the_other_goes_out(one, other):
    came = []

    def wait():
        with other.locked(wait=True):
            came.append(other.writes())

    with one.locked():
        waiting = Thread(target=wait)
        waiting.start()
        last = one.writes()
        assert came == []
    waiting.join(30)
    assert came == [last + 1]


def test_where_a_process_died_its_own_machine_goes_on_at_once_and_others_wait(one, other, postgres):
    """The system's lock on the file says that nobody holds it any more; from another machine that cannot be seen."""
    one.ledger.begin_log()
    holder = subprocess.Popen(
        [sys.executable, str(HOLDER), postgres.url, str(one.file())], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    try:
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(Locked, match="somebody else"), one.locked():
            raise AssertionError
        assert is_leased(one.ledger, one.file(), "execute")
    finally:
        holder.kill()
        holder.communicate()
    assert not is_leased(one.ledger, one.file(), "execute")
    with pytest.raises(Locked, match="somebody else") as told, other.locked():
        raise AssertionError
    assert "a trial" in told.value.why
    with one.locked():
        one.writes()
    with other.locked():
        other.writes()


def test_a_machine_that_does_not_know_its_boot_believes_time_alone(machines, postgres):
    nameless = machines("nameless", boot="")
    nameless.ledger.begin_log()
    with nameless.locked():
        postgres.sql("CREATE TABLE kept AS TABLE lease")
    postgres.sql("DELETE FROM lease", "INSERT INTO lease SELECT * FROM kept", "UPDATE lease SET until = since + 1000000000000")
    with pytest.raises(Locked), nameless.locked():
        raise AssertionError


def test_a_lease_that_cannot_be_given_back_ends_by_itself(one, other, postgres):
    """The server is away when the holder ends: nothing is raised over what it did, and nobody is shut out for ever."""
    with one.locked():
        postgres.sql("ALTER TABLE lease RENAME TO away")
    postgres.sql("ALTER TABLE away RENAME TO lease")
    with pytest.raises(Locked), other.locked():
        raise AssertionError
    expire(postgres)
    with other.locked():
        other.writes()


def test_a_lost_connection_is_no_lost_lease(one, postgres):
    with one.locked():
        postgres.sql(CUT_OFF)
        with pytest.raises(StateUnavailable):
            one.writes()
        one.writes()
