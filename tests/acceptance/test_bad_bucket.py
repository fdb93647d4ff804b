"""Buckets that cannot be looked at, and servers that misbehave: it is said, the other stores go on, the next run finishes."""

import json
import re
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest

from tests.acceptance.recordings import CATEGORY, Recordings, counts
from tests.servers.ceph import OTHER, OTHER_SECRET
from tests.servers.twisted import Twisted, error

DESK = "  desk: {type: files, path: desk, location: GB}\naudit:"
LETTERS = (
    CATEGORY[: CATEGORY.index("rules:")].replace("category: calls", "category: letters")
    + """\
rules:
  old:
    store: desk
    select: {path: "letters/**"}
    start: modified
    retention_period: immediately
    action: delete
"""
)


class Both(Recordings):
    """The bucket, and a desk that has nothing to do with it."""

    def __init__(self, folder, bucket, old=20, endpoint=None):
        super().__init__(folder, bucket, old, endpoint)
        (folder / "desk" / "letters").mkdir(parents=True)
        (folder / "desk" / "letters" / "1.txt").write_text("dear")
        self.configure("audit:", DESK)
        (folder / "policies.d" / "letters.yaml").write_text(LETTERS)

    def configure(self, old, new):
        config = self.folder / "retentiond.yaml"
        text = config.read_text()
        assert text.count(old) == 1
        config.write_text(text.replace(old, new))

    def letters(self):
        return [path.name for path in (self.folder / "desk" / "letters").iterdir()]


@pytest.fixture
def both(ceph_server, tmp_path):
    return Both(tmp_path / "both", ceph_server.bucket())


def wrong_keys(both):
    (both.folder / "secret").write_text("wrong")


def anothers_keys(both):
    (both.folder / "access").write_text(OTHER)
    (both.folder / "secret").write_text(OTHER_SECRET)


def no_such_bucket(both):
    both.configure(f"bucket: {both.bucket.name}", "bucket: no-such-bucket")


def nobody_there(both):
    both.configure(both.bucket.server.endpoint, "http://127.0.0.1:1")


@pytest.mark.parametrize(
    ("spoil", "what"),
    [
        (wrong_keys, "the secret key is not the one of the access key"),
        (anothers_keys, "denies access"),
        (no_such_bucket, "no such bucket"),
        (nobody_there, "cannot be reached"),
    ],
)
def test_what_cannot_be_looked_at_is_said_and_the_others_go_on(both, spoil, what):
    before = {path.name: path.read_text() for path in both.folder.iterdir() if path.is_file()}
    spoil(both)
    plan = both.told("plan", code=5)
    (told,) = plan["errors"]
    assert what in told["what"]
    assert told["do"]
    assert both.bucket.name not in json.dumps(told)
    assert [(rule["category"], rule["due"]) for rule in plan["rules"]] == [("letters", 1)]
    assert counts(both.told("apply", plan["plan"])) == {"disposed": 1}
    assert both.letters() == []
    for name, text in before.items():
        (both.folder / name).write_text(text)
    assert counts(both.told("apply", both.told("plan")["plan"])) == {"disposed": len(both.due) + 1}
    both.verified()


def test_keys_to_which_access_is_denied_stay_and_go_when_it_is_granted(both):
    allowed, denied = both.due[1:], both.due[0]
    deny = {"Effect": "Deny", "Principal": "*", "Action": ["s3:DeleteObject", "s3:DeleteObjectVersion"]}
    statement = deny | {"Resource": [f"arn:aws:s3:::{both.bucket.name}/{denied}"]}
    both.bucket.put_bucket_policy(Policy=json.dumps({"Version": "2012-10-17", "Statement": [statement]}))
    plan = both.told("plan", "calls")["plan"]
    assert counts(both.told("apply", plan, code=1)) == {"disposed": len(allowed) + 1, "failed": 1}
    left = both.bucket.keys()
    assert denied in left
    both.verified()
    both.bucket.delete_bucket_policy()
    assert counts(both.told("apply", plan)) == {"disposed": 1}
    both.verified()


def test_a_server_that_is_too_busy_leaves_what_is_not_done_for_the_next_run(moto_server, tmp_path):
    busy = []

    def slow_down(asked):
        return error("SlowDown") if busy and asked.operation == "POST delete" else None

    with Twisted(moto_server, slow_down) as line:
        both = Both(tmp_path / "both", moto_server.bucket(), endpoint=line.endpoint)
        plan = both.told("plan")["plan"]
        busy.append(True)
        done = both.told("apply", plan, code=5)
        assert any("busy" in told["what"] for told in done["errors"])
        assert both.letters() == [], "the desk went on"
        assert set(both.due) <= set(both.bucket.keys())
        both.verified()
        busy.clear()
        assert counts(both.told("apply", plan)) == {"disposed": len(both.due) + 1}
        both.verified()


ENDLESS = b"<ListBucketResult><IsTruncated>true</IsTruncated></ListBucketResult>"


def test_a_listing_that_never_ends_is_said_at_every_command_and_the_others_go_on(moto_server, tmp_path):
    broken = []

    def listing(asked):
        return (200, ENDLESS) if broken and asked.operation == "GET list-type" else None

    with Twisted(moto_server, listing) as line:
        both = Both(tmp_path / "both", moto_server.bucket(), endpoint=line.endpoint)
        before = both.bucket.keys()
        whole = both.told("plan")["plan"]
        broken.append(True)
        plan = both.told("plan", code=5)
        assert ["does not end" in told["what"] for told in plan["errors"]] == [True]
        assert [(rule["category"], rule["due"]) for rule in plan["rules"]] == [("letters", 1)]
        done = both.told("apply", whole, code=5)
        assert any("does not end" in told["what"] for told in done["errors"])
        assert (both.letters(), both.bucket.keys()) == ([], before), "the desk went on; nothing went that could not be compared"
        both.verified()
        broken.clear()
        both.told("apply", whole)
        assert not set(both.due) & set(both.bucket.keys())
        both.verified()


@pytest.mark.parametrize("minutes", [-5, 5])
def test_a_server_whose_clock_is_off_is_not_judged_by(moto_server, tmp_path, monkeypatch, minutes):
    with Twisted(moto_server) as line:
        both = Both(tmp_path / "both", moto_server.bucket(), endpoint=line.endpoint)
        told = format_datetime(datetime.now(UTC) + timedelta(minutes=minutes), usegmt=False)
        said = re.sub(r"[+-]\d{4}$", "GMT", told)
        monkeypatch.setattr(line.RequestHandlerClass, "date_time_string", lambda *_: said)
        plan = both.told("plan", code=5)
        (told,) = plan["errors"]
        assert "clock of the store recordings" in told["what"]
        assert [rule["category"] for rule in plan["rules"]] == ["letters"]
