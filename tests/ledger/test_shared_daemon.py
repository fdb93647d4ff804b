"""Daemons of two machines over one state: one serves, and the one that was away for too long ends."""

import pytest

from tests.acceptance.shop import LETTERS, OPEN_LIMITS, Shop
from tests.daemon.resident import Daemon


@pytest.fixture
def shop(tmp_path, shared):
    shop = Shop(tmp_path / "shop", state=shared)
    shop.letters(10)
    post = shop.category("post", LETTERS, head=f"{OPEN_LIMITS}\napproval: none")
    post.write_text(post.read_text().replace("schedule: daily at 02:00", "schedule: every 1 hour"))
    return shop


def test_a_daemon_serves_from_a_shared_state_and_another_is_told_of_it(shop, tmp_path):
    away = Shop(tmp_path / "away", state=shop.state)
    away.category("post", LETTERS)
    with Daemon(shop.config) as daemon:
        daemon.ended("post", result="done", counts={"disposed": 10})
        assert away.json("status")["daemon"], "seen from the other machine too"
        (error,) = away.json("run", "--listen", "off", code=5)["errors"]
        assert error["what"] == "a daemon runs on this state already"
        assert "retentiond run, process " in error["why"]
        assert daemon.end() == 0
    assert not away.json("status")["daemon"]
    assert shop.json("audit", "verify")["ok"]


def test_a_daemon_whose_lease_is_another_s_by_now_ends(shop, postgres):
    with Daemon(shop.config) as daemon:
        daemon.ended("post", result="done")
        postgres.sql(
            "UPDATE lease SET token = token + 1, holder = 'another', purpose = 'retentiond run, process 7' WHERE name = 'daemon'"
        )
        daemon.reload()
        assert "process 7" in daemon.says("lease-lost")["why"]
        assert daemon.wait() == 5
    assert [entry["type"] for entry in shop.entries("daemon-stopped")] == [], "another one serves"
