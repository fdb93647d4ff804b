"""Encryption is verified, not believed: a rule says that everything in a store is encrypted, and a plan says what is not."""

import gzip
import json
import os
from datetime import timedelta

import pytest

from tests.acceptance.shop import NOW, Shop
from tests.archive.samples import SECRET

VAULT = "  vault: {type: files, path: vault, location: GB}"
RULE = """\
  nights:
    store: vault
    select: {{path: "{path}"}}
    start: modified
    {clock}
    require: {{encrypted: {how}}}
    action: delete
"""


@pytest.fixture
def shop(tmp_path):
    shop = Shop(tmp_path / "shop")
    shop.settings(more=VAULT)
    (shop.folder / "vault").mkdir()
    rule(shop)
    return shop


def rule(shop, how="age", clock="retention_period: 1 year", path="nights/**"):
    shop.category("backups", RULE.format(how=how, clock=clock, path=path))


def put(shop, name, content, days=1):
    path = shop.folder / "vault" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    at = (NOW - timedelta(days=days)).timestamp()
    os.utime(path, (at, at))
    return name


def planned(shop, *args):
    """The one rule of a plan, its violations, and what stays, by key."""
    plan = shop.json("plan", "--all", *args)
    lines = [json.loads(line) for line in shop.lines(plan["plan"])[1:]]
    return plan["rules"][0], plan["violations"], {line["key"]: line.get("verdict", "due") for line in lines}


def test_what_is_plain_or_unknown_is_a_violation_whatever_its_name_says(shop, work):
    good = work.age()
    put(shop, "nights/1.age", good)
    put(shop, "nights/2.age", good, days=400)
    put(shop, "nights/3.age", SECRET)
    put(shop, "nights/4.age", gzip.compress(SECRET), days=400)
    put(shop, "nights/5.age", os.urandom(5000))
    put(shop, "nights/6.age", os.urandom(5000), days=400)
    put(shop, "nights/7.gpg", work.gpg("--sign"))
    put(shop, "nights/8.gpg", work.gpg("-r", "backup@example.org", "--encrypt"))
    found, violations, verdicts = planned(shop)
    breaches = {"plain": 3, "unknown": 2, "another-format": 1}
    assert [{"category": "backups", "rule": "nights", "store": "vault", "count": 6, "breaches": breaches}] == violations
    assert {"client_authenticated": 3, "plain": 3, "unknown": 2} == found["assurance"]
    due = {key for key, verdict in verdicts.items() if verdict == "due"}
    assert {"nights/2.age", "nights/4.age"} == due, "its age decides; but never of what nobody knows"
    assert ("waiting", "undetermined") == (verdicts["nights/5.age"], verdicts["nights/6.age"])


def test_a_violation_is_told_in_status_and_in_the_audit_trail_and_is_over_when_it_is_gone(shop, work):
    put(shop, "nights/1", SECRET)
    shop.json("plan")
    shop.told("status", "--check", code=7)
    shop.told("approve", "backups", "--yes")
    shop.told("apply", "--category", "backups")
    assert "violation" in json.dumps(shop.json("status"))
    put(shop, "nights/1", work.age())
    assert [] == shop.json("plan")["violations"]


def test_each_revision_is_read_once(shop, work):
    put(shop, "nights/1", work.age())
    planned(shop)
    path = shop.folder / "vault" / "nights" / "1"
    status = path.stat()
    with path.open("r+b") as file:  # the same revision: nobody reads it again
        file.write(b"x" * 10)
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert [] == planned(shop)[1]
    os.utime(path)
    assert 1 == planned(shop)[1][0]["count"]


def test_a_bad_backup_counts_for_no_generation(shop, work):
    rule(shop, clock="generations: {last: 2}")
    good = work.age()
    for days in (6, 5, 4, 3):
        put(shop, f"nights/{days}", good, days)
    put(shop, "nights/2", SECRET, 2)
    put(shop, "nights/1", os.urandom(3000), 1)
    found, violations, verdicts = planned(shop)
    assert {"6": "due", "5": "due", "4": "kept", "3": "kept", "2": "undetermined", "1": "undetermined"} == {
        key.rpartition("/")[2]: verdict for key, verdict in verdicts.items()
    }
    assert 2 == violations[0]["count"]
    assert {"client_authenticated": 4, "plain": 1, "unknown": 1} == found["assurance"]
    counts = shop.json("apply", shop.json("plan")["plan"])["counts"]
    assert 2 == counts["disposed"]
    assert "undetermined" in shop.told("explain", "vault", "nights/2").out


@pytest.mark.parametrize("how", ["age", "openpgp"])
def test_a_backup_that_was_cut_off_counts_for_no_generation(shop, work, how):
    rule(shop, how=how, clock="generations: {last: 1}")
    good = work.gpg("--passphrase", "x", "--symmetric", stdin=os.urandom(200_000)) if how == "openpgp" else work.age()
    cut = good[:150_000] if how == "openpgp" else good[: good.index(b"\n--- ") + 49 + 20]
    put(shop, "nights/2", good, 2)
    put(shop, "nights/1", cut, 1)
    _, violations, verdicts = planned(shop)
    assert {"nights/2": "kept", "nights/1": "undetermined"} == verdicts
    assert {"unknown": 1} == violations[0]["breaches"]


def test_any_encryption_will_do_where_the_rule_says_so(shop, work):
    rule(shop, how="any")
    put(shop, "nights/1", work.age())
    put(shop, "nights/2", work.seven("-px", "-mhe=on", "secret.csv"))
    put(shop, "nights/3", work.run("openssl", "enc", "-aes-256-cbc", "-pbkdf2", "-pass", "pass:x", "-in", "secret.csv"))
    assert {"weak": 1} == planned(shop)[1][0]["breaches"]


# --- repositories


def test_a_repository_of_restic_is_encrypted_as_a_whole(shop, work):
    rule(shop, how="any", path="**/*")
    where = shop.folder / "vault" / "repo"
    env = {"PATH": "/usr/bin:/bin", "RESTIC_PASSWORD": "x", "HOME": str(work.folder)}
    for n in range(2):
        (work.folder / "big").write_bytes(os.urandom(300_000))
        if not n:
            work.run("restic", "-q", "-r", str(where), "init", env=env)
        work.run("restic", "-q", "-r", str(where), "backup", "secret.csv", "big", env=env)
    shop.category("backups", RULE.format(how="any", clock="retention_period: 1 year", path="repo/**"))
    found, violations, _ = planned(shop)
    assert [] == violations
    assert found["scanned"] == found["assurance"]["client_authenticated"] > 8
    put(shop, "repo/data/00/" + "0" * 64, SECRET)
    put(shop, "repo/data/notes.txt", SECRET)
    assert {"plain": 2} == planned(shop)[1][0]["breaches"]
    for key in (where / "keys").iterdir():
        key.chmod(0o600)
        key.write_text("{}")
    assert planned(shop)[1][0]["breaches"]["unknown"] > 5


@pytest.mark.parametrize(
    ("mode", "good"), [("repokey", True), ("repokey-blake2", True), ("authenticated", False), ("none", False)]
)
def test_a_repository_of_borg_is_what_its_manifest_says(shop, work, mode, good):
    where = shop.folder / "vault" / "repo"
    env = {"PATH": "/usr/bin:/bin", "BORG_PASSPHRASE": "x", "BORG_BASE_DIR": str(work.folder), "HOME": str(work.folder)}
    work.run("borg", "init", "-e", mode, str(where), env=env)
    for n in range(2):
        (work.folder / "big").write_bytes(os.urandom(300_000))
        work.run("borg", "create", f"{where}::{n}", "secret.csv", "big", env=env)
    shop.category("backups", RULE.format(how="any", clock="retention_period: 1 year", path="repo/**"))
    found, violations, _ = planned(shop)
    expected = {"client_authenticated" if good else "plain": found["scanned"]}
    assert expected == found["assurance"]
    assert good == (violations == [])
