"""Metrics and health over HTTP: on loopback only, bounded, never behind a run, and of no use to a client that says nothing."""

import http.client
import json
import select
import socket
import sqlite3
from contextlib import closing, contextmanager
from time import monotonic

import pytest
from prometheus_client.parser import text_string_to_metric_families

from retentiond.app.house import House
from retentiond.app.standing import standing
from retentiond.daemon.health import DEFAULT, OFF, address, listening
from retentiond.errors import Locked, UsageError
from retentiond.ledger.locks import lock
from tests.acceptance.shop import LETTERS, OPEN_LIMITS, Shop

LONG = 60.0
"""A patience that no test waits for."""


@pytest.fixture(scope="module")
def shop(tmp_path_factory):
    shop = Shop(tmp_path_factory.mktemp("health") / "shop")
    shop.category("post", LETTERS, head=f"{OPEN_LIMITS}\napproval: none")
    shop.letters(3)
    shop.told("plan")
    return shop


class Daemon:
    """What a daemon says of itself, and how to ask it."""

    def __init__(self, shop) -> None:
        self.house = House(str(shop.config))
        self.is_alive = True
        self.reasons: list[str] = []
        self.at = ("", 0)

    @contextmanager
    def listening(self, listen="127.0.0.1:0", patience=LONG):
        with listening(
            listen,
            standing=lambda: standing(self.house),
            alive=lambda: self.is_alive,
            waiting=lambda: self.reasons,
            patience=patience,
        ) as self.at:
            yield self

    def ask(self, path, method="GET", **headers):
        """One request: its status, the content type, and the body."""
        with closing(http.client.HTTPConnection(*self.at, timeout=30)) as connection:
            connection.request(method, path, headers=headers)
            answer = connection.getresponse()
            return answer.status, answer.headers["Content-Type"], answer.read()

    def json(self, path):
        status, _, body = self.ask(path)
        return status, json.loads(body)

    def client(self):
        """Somebody who connects, and says nothing yet."""
        return socket.create_connection(self.at, timeout=30)


@pytest.fixture
def daemon(shop):
    with Daemon(shop).listening() as found:
        yield found


def ended(client) -> bool:
    """Whether the other side ends the connection without a word."""
    try:
        return client.recv(1) == b""
    except ConnectionError:
        return True


# --- the answers


def test_metrics_are_those_of_the_state(daemon):
    status, kind, body = daemon.ask("/metrics")
    assert (status, kind.split(";")[0]) == (200, "text/plain")
    found = {s.name: s.value for f in text_string_to_metric_families(body.decode()) for s in f.samples}
    assert found["retentiond_overdue_items"] == 3
    status, kind, body = daemon.ask("/metrics?x=1", Accept="application/openmetrics-text; version=1.0.0")
    assert (status, kind.split(";")[0]) == (200, "application/openmetrics-text")
    assert body.endswith(b"# EOF\n")


def test_health_is_whether_the_loop_turns(daemon):
    assert daemon.json("/healthz") == (200, {"alive": True})
    daemon.is_alive = False
    assert daemon.json("/healthz") == (503, {"alive": False})


def test_readiness_has_reasons_in_fixed_words(daemon, shop):
    assert daemon.json("/readyz") == (200, {"ready": True, "reasons": []})
    stop = shop.folder / "state" / "stop"
    stop.touch()
    daemon.reasons = ["starting"]
    assert daemon.json("/readyz") == (503, {"ready": False, "reasons": ["starting", "stop-file"]})
    stop.unlink()


def test_a_state_that_cannot_be_read_makes_it_unready_and_alive(tmp_path):
    shop = Shop(tmp_path / "shop")
    shop.category("post", LETTERS)
    shop.told("plan")
    (shop.folder / "state" / "state.db").write_bytes(b"no database at all" * 100)
    with Daemon(shop).listening() as daemon:
        assert daemon.json("/readyz") == (503, {"ready": False, "reasons": ["state"]})
        assert daemon.json("/metrics") == (503, {"reasons": ["state"]})
        assert daemon.json("/healthz") == (200, {"alive": True})


def test_a_fault_of_the_program_is_an_answer_without_its_text(shop):
    daemon = Daemon(shop)
    daemon.house = None
    with daemon.listening():
        status, value = daemon.json("/metrics")
        assert (status, value) == (500, {"reasons": ["internal"]})
        assert daemon.json("/healthz")[0] == 200


def test_other_paths_and_methods_are_refused(daemon):
    assert daemon.json("/")[0] == 404
    assert daemon.ask("/metrics/../../etc/passwd")[0] == 404
    assert daemon.ask("/metrics", "POST")[0] == 501
    status, _, body = daemon.ask("/healthz", "HEAD")
    assert (status, body) == (200, b"")


# --- where it listens


@pytest.mark.parametrize("listen", ["0.0.0.0:0", "[::]:0", "192.0.2.1:8471", "example.org:8471", ":8471", "8471", "127.0.0.1",
                                    "127.0.0.1:", "127.0.0.1:70000", "127.0.0.1:-1", "127.0.0.1:http", ""])  # fmt: skip
def test_whatever_is_no_loopback_address_is_refused(shop, listen):
    with pytest.raises(UsageError) as refused, Daemon(shop).listening(listen):
        pass
    assert DEFAULT in refused.value.do
    assert refused.value.exit_code == 2


def test_loopback_has_several_spellings():
    assert address(DEFAULT) == address("localhost:8471") == ("127.0.0.1", 8471)
    assert address("[::1]:8471") == ("::1", 8471)


def test_it_listens_on_the_sixth_version_too(shop):
    try:
        with closing(socket.socket(socket.AF_INET6)) as probe:
            probe.bind(("::1", 0))
    except OSError:
        pytest.skip("this machine has no IPv6 loopback address")
    with Daemon(shop).listening("[::1]:0") as daemon:
        assert daemon.json("/healthz")[0] == 200


def test_a_port_in_use_is_an_error_that_says_so(daemon, shop):
    port = daemon.at[1]
    with (
        pytest.raises(Locked, match=f"the port {port} on 127.0.0.1 is in use") as refused,
        Daemon(shop).listening(f"127.0.0.1:{port}"),
    ):
        pass
    assert refused.value.exit_code == 5
    assert "--listen" in refused.value.do
    assert daemon.json("/healthz")[0] == 200, "the one that was there goes on"


def test_a_port_is_free_again_at_once(shop):
    with Daemon(shop).listening() as first:
        first.json("/healthz")
    with Daemon(shop).listening(f"127.0.0.1:{first.at[1]}") as second:
        assert second.json("/healthz")[0] == 200


def test_off_listens_nowhere(shop):
    with Daemon(shop).listening(OFF) as daemon:
        assert daemon.at is None


# --- beside a run


def test_a_scrape_waits_for_no_run(daemon, shop):
    state = shop.folder / "state"
    with lock(state / "execute.lock", "a trial"), closing(sqlite3.connect(state / "state.db", isolation_level=None)) as run:
        run.execute("BEGIN IMMEDIATE")
        run.execute("DELETE FROM counted")
        body = daemon.ask("/metrics")[2].decode()
        assert daemon.json("/readyz")[0] == 200
        assert 'retentiond_overdue_items{category="post"} 3.0' in body, "it sees the last commit"
        assert "retentiond_run_active 1.0" in body
        run.execute("ROLLBACK")


def test_a_run_waits_for_no_scrape(daemon, shop):
    """A reader that keeps its snapshot open does not stand in a writer's way."""
    from retentiond.ledger.snapshot import snapshot

    directory = daemon.house.directory
    with snapshot(directory.database, daemon.house.clock) as reading:
        before = reading.size()
        shop.told("plan")
        assert reading.size() == before, "all that is read is of one moment"
    with snapshot(directory.database, daemon.house.clock) as reading:
        assert reading.size() > before


# --- clients without manners


def test_a_client_that_says_nothing_keeps_nobody_waiting(daemon):
    with daemon.client(), daemon.client(), daemon.client():
        assert daemon.json("/healthz")[0] == 200


def test_a_client_that_says_nothing_is_left(shop):
    with Daemon(shop).listening(patience=0.2) as daemon, daemon.client() as silent:
        assert ended(silent)
        assert daemon.json("/healthz")[0] == 200


def test_a_client_that_never_comes_to_the_point_is_left(shop):
    sent = 0
    with Daemon(shop).listening(patience=0.5) as daemon, daemon.client() as slow:
        slow.sendall(b"GET /metrics HTTP/1.1\r\nx: ")
        while not select.select([slow], [], [], 0.05)[0] and sent < 1000:
            slow.sendall(b"y")
            sent += 1
        assert ended(slow)
    assert 1 < sent < 1000, "each byte came in time, all of them together did not"


def test_a_request_without_end_is_cut_off(daemon):
    with daemon.client() as client, pytest.raises(ConnectionError):
        client.sendall(b"x" * 50_000_000)
    assert daemon.json("/healthz")[0] == 200


def test_what_is_no_request_is_answered_and_ended(daemon):
    with daemon.client() as client:
        client.sendall(b"\x16\x03\x01 nonsense\r\n\r\n")
        assert b"400" in client.recv(4096)


def test_so_many_clients_and_no_more(daemon):
    clients = [daemon.client() for _ in range(20)]
    with daemon.client() as one_too_many:
        assert ended(one_too_many)
    for client in clients:
        client.close()


def test_the_end_waits_for_no_silent_client(shop):
    began = monotonic()
    with Daemon(shop).listening() as daemon:
        silent = [daemon.client() for _ in range(8)]
    assert monotonic() - began < LONG / 2
    assert all(ended(client) for client in silent)
    for client in silent:
        client.close()
