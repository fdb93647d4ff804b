"""Calls as a company keeps them: sound in a bucket with versions, files on a server, rows in a database; one promise for all."""

import json
import sqlite3
from contextlib import closing, redirect_stderr, redirect_stdout
from datetime import UTC, datetime, timedelta
from io import StringIO

import pytest

from retentiond.cli.front import code_of
from tests.servers.sftp import fresh, recordings

NOW = datetime.now(UTC)
OLD, NEW = NOW - timedelta(days=400), NOW - timedelta(days=5)
CALLS, LATE = range(1, 13), range(20, 24)
CONFIG = """\
organisation: Calls Ltd
timezone: UTC
state: state
policies: policies.d
stores:
  recordings:
    {type: s3, bucket: %s, prefix: inbound/, endpoint: "%s", location: GB,
     access_key: {file: access}, secret_key: {file: secret}}
  uploads: %s
  index: {type: sql, url: "sqlite:///index.db", zone: UTC, location: GB}
audit: {origin: calls.example.org/log}
"""
CATEGORY = """\
category: support-calls
title: Calls with support
purpose: [resolving the caller's issue]
lawful_basis: contract
data: [voices, files sent by the caller]
subjects: [callers]
owner: dpo@example.org
locations: [GB]
schedule: daily at 02:00
limits: {items: 1000, share: 100%, bytes: 1 GiB}
rules:
  sound:
    store: recordings
    select: {path: "calls/{day:%Y-%m-%d}/{call}.wav"}
    start: {path: day}
    retention_period: 3 months
    action: delete
    link: call
  sent-files:
    store: uploads
    select: {path: "calls/{call}/**"}
    start: modified
    retention_period: 3 months
    action: delete
    link: call
  rows:
    store: index
    select: {table: calls, where: "id > 0"}
    start: {column: ended_at}
    retention_period: 3 months
    action: delete
    link: id
"""


class Scene:
    """Twelve old calls and four new ones. Of the old: 1 and 2 have two versions, 3 was deleted by a user, 4 is under a hold."""

    def __init__(self, folder, bucket, server):
        self.folder, self.bucket, self.files = folder, bucket, fresh(server)
        (folder / "policies.d").mkdir(parents=True)
        uploads = recordings(server, self.files.path)
        (folder / "retentiond.yaml").write_text(CONFIG % (bucket.name, bucket.server.endpoint, uploads))
        (folder / "access").write_text(bucket.server.access)
        (folder / "secret").write_text(bucket.server.secret)
        (folder / "policies.d" / "calls.yaml").write_text(CATEGORY)
        with closing(sqlite3.connect(folder / "index.db")) as database:
            database.execute("CREATE TABLE calls (id INTEGER PRIMARY KEY, ended_at TEXT, caller TEXT)")
            for call in (*CALLS, *LATE):
                at = OLD if call in CALLS else NEW
                database.execute("INSERT INTO calls VALUES (?, ?, '+44 20')", (call, f"{at:%Y-%m-%d %H:%M:%S}"))
            database.commit()
        for call in (*CALLS, *LATE):
            at = OLD if call in CALLS else NEW
            for _ in range(2 if call < 3 else 1):
                bucket.put(self.sound(call), b"RIFF")
            for name in ("log.txt", "screen/1.png"):
                self.files.put(f"calls/{call}/{name}", at)
        bucket.delete_object(Key=self.sound(3))
        bucket.put("inbound/notes.txt")

    def sound(self, call):
        return f"inbound/calls/{OLD if call in CALLS else NEW:%Y-%m-%d}/{call}.wav"

    def words(self, *args):
        """One command as a person sees it."""
        out, err = StringIO(), StringIO()
        with redirect_stdout(out), redirect_stderr(err):
            code = code_of(["--config", str(self.folder / "retentiond.yaml"), *args])
        assert code == 0, (args, code, out.getvalue(), err.getvalue())
        print(f"$ retentiond {' '.join(args)}\n{out.getvalue()}")
        return out.getvalue()

    def told(self, *args):
        out = StringIO()
        with redirect_stdout(out):
            assert code_of(["--json", "--config", str(self.folder / "retentiond.yaml"), *args]) == 0
        return json.loads(out.getvalue() or "{}")

    def left(self):
        """The calls of which there is something in the bucket, on the server, in the database."""
        with closing(sqlite3.connect(self.folder / "index.db")) as database:
            rows = {row[0] for row in database.execute("SELECT id FROM calls")}
        keys = self.bucket.keys()
        sound = {int(key.rpartition("/")[2].removesuffix(".wav")) for key in keys if key.endswith(".wav")}
        files = {int(path.name) for path in (self.files.path / "calls").iterdir() if any(p.is_file() for p in path.rglob("*"))}
        return sound, files, rows


@pytest.fixture
def scene(s3_server, sshd, tmp_path):
    made = Scene(tmp_path / "scene", s3_server.bucket("enabled"), sshd)
    yield made
    made.files.empty()


def test_calls_in_three_places_go_as_one_and_the_trail_proves_it(scene):
    why = ("--reason", "a claim", "--mandate", "m")
    scene.told("hold", "place", "CLAIM-7", *why, "--store", "uploads", "--path", "calls/4")
    scene.words("plan")
    plan = scene.told("plan")
    due = {rule["rule"]: rule["due"] for rule in plan["rules"]}
    assert due == {"sound": 14, "sent-files": 22, "rows": 11}, "each version, and the marker of the third"
    assert [rule["held"] for rule in plan["rules"]] == [0, 2, 0]
    (sets,) = plan["sets"]
    assert (sets["complete"], sets["blocked"]) == (11, 1), "the one of the claim"
    order = [step["rule"] for step in scene.told("plan", "show", plan["plan"], "--limit", "0")["lines"]]
    assert order == ["sound"] * 14 + ["sent-files"] * 22 + ["rows"] * 11, "the rows go last"
    assert "disposed" in scene.words("apply", plan["plan"])
    kept = {4, *LATE}
    assert scene.left() == (kept, kept, kept)
    assert (scene.sound(3), "inbound/notes.txt") not in scene.bucket.everything()
    assert len(scene.bucket.everything()) == len(kept) + 1, "no version, no marker, and nothing of anybody else's"
    scene.words("audit", "verify")
    report = scene.told("audit", "verify")
    assert report["counts"]["disposed"] == sum(due.values())
    assert [rule["due"] for rule in scene.told("plan")["rules"]] == [0, 0, 0]
