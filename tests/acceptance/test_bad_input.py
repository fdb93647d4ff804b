"""Bad input gets a clear error with the right exit code, and nothing is lost."""

import os
import shlex
import shutil
import subprocess
import sys

import pytest

from retentiond.cli.front import IMPERSONAL, typed_again
from retentiond.errors import StateOfAnother
from tests.acceptance.shop import LETTERS, SALES, ordinary
from tests.world import CHILD

BROKEN = {
    "a tab": "category:\tpost\n\trules: x\n",
    "an open bracket": "category: [post\n",
    "a duplicate key": "category: post\ncategory: post\n",
    "two documents": "category: post\n---\ncategory: post\n",
    "an alias": "category: &a post\ntitle: *a\n",
    "a tag": "category: !!python/object:os.system post\n",
    "a list": "- post\n",
    "nothing": "",
    "a word": "post\n",
    "a number for a name": "category: 012\n",
    "deep nesting": "[" * 5000,
    "a null byte": "category: po\0st\n",
}


@pytest.mark.parametrize("text", BROKEN.values(), ids=BROKEN)
def test_broken_yaml_is_an_error_with_its_place(busy, text):
    path = busy.folder / "policies.d/post.yaml"
    path.write_text(text)
    errors = busy.json("plan", code=2)["errors"]
    assert errors
    assert all(e["file"] == "policies.d/post.yaml" and e["line"] >= 1 and e["what"] and (e["why"] or e["do"]) for e in errors)
    assert not (busy.folder / "state").exists()


def test_bytes_that_are_not_utf8_are_an_error_in_their_file(busy):
    (busy.folder / "policies.d/post.yaml").write_bytes(b"category: p\xffst\n")
    (error,) = busy.json("check", code=2)["errors"]
    assert (error["file"], error["line"]) == ("policies.d/post.yaml", 1)


def test_what_editors_leave_behind_is_no_category(busy):
    for name in (".post.yaml.swp", "post.yaml~", "#post.yaml#", ".#post.yaml", ".hidden.yaml"):
        (busy.folder / "policies.d" / name).write_text("}{")
    busy.told("check", "--offline")


@pytest.mark.parametrize("what", ["missing", "a file", "a link", "a broken link"])
def test_a_root_that_is_no_folder_is_a_store_that_is_not_seen(busy, what):
    plan = busy.plan("post")
    desk = busy.folder / "desk"
    desk.rename(busy.folder / "away")
    if what == "a file":
        desk.write_text("no folder")
    elif what != "missing":
        desk.symlink_to("away" if what == "a link" else "nowhere")
    (error,) = busy.json("plan", "post", code=5)["errors"]
    assert error["what"]
    assert error["do"] or error["why"]
    busy.told("check", code=5)
    busy.told("apply", plan, code=5)
    assert len(list((busy.folder / "away/letters").iterdir())) == 15
    assert what != "missing" or not desk.exists()


@pytest.mark.parametrize("what", ["missing", "a folder", "no database", "empty", "cut short", "without the table"])
def test_a_database_that_is_none_is_a_store_that_is_not_seen(busy, what):
    plan = busy.plan("trade")
    till = busy.folder / "till.db"
    whole = till.read_bytes()
    till.rename(busy.folder / "away.db")
    if what == "a folder":
        till.mkdir()
    elif what != "missing":
        till.write_bytes({"no database": b"x" * 4096, "empty": b"", "cut short": whole[:1000]}.get(what, whole))
    if what == "without the table":
        busy.sql("DROP TABLE sales")
    left = till.read_bytes() if till.is_file() else None
    (error,) = busy.json("plan", "trade", code=5)["errors"]
    assert error["what"]
    busy.told("apply", plan, code=5)
    assert (till.read_bytes() if till.is_file() else None) == left
    assert what != "missing" or not till.exists()
    till.rmdir() if till.is_dir() else till.unlink(missing_ok=True)
    (busy.folder / "away.db").rename(till)
    assert busy.json("apply", plan)["counts"]["disposed"] == 10


def test_a_folder_that_may_not_be_read_is_denied_and_hides_nothing(busy):
    """A listing that leaves something out is no listing: the rule is not planned."""
    (busy.folder / "desk/letters/secret").mkdir(mode=0o000)
    told = busy.apart("--json", "plan", before=ordinary(), code=5)
    assert [r["rule"] for r in told.json["rules"]] == ["sales"]
    assert [(e["rule"], e["code"]) for e in told.json["errors"]] == [("post/letters", "store-denied")]
    (busy.folder / "desk").chmod(0o000)
    assert busy.apart("--json", "check", before=ordinary(), code=5).json["errors"][0]["code"] == "store-denied"
    (busy.folder / "desk").chmod(0o755)


def test_a_state_that_cannot_be_written_stops_everything_that_destroys(busy):
    plan = busy.plan()
    state = busy.folder / "state"
    for path in (state / "state.db", state):
        path.chmod(0o555 if path.is_dir() else 0o444)
    for command in (["plan"], ["apply", plan], ["hold", "place", "H", "--reason", "r", "--mandate", "m", "--everything"]):
        told = busy.apart("--json", *command, before=ordinary(), code=5)
        assert told.json["errors"][0]["code"] == "state", command
    assert len(busy.left()) == 15


def test_a_damaged_state_is_said(busy):
    busy.plan()
    database = busy.folder / "state/state.db"
    database.write_bytes(b"no database at all" * 1000)
    for name in ("state.db-wal", "state.db-shm"):
        (database.parent / name).unlink(missing_ok=True)
    (error,) = busy.json("plan", code=5)["errors"]
    assert error["code"] == "state"
    assert "damaged" in error["why"]


def test_root_leaves_the_state_of_another_user_alone(busy):
    if os.geteuid() != 0:
        pytest.skip("only root can meet the state of another user with the power to write it")
    plan = busy.plan()
    shutil.chown(busy.folder / "state", user=65534)
    commands = [
        ["plan"], ["apply", plan], ["approve", "post", "--yes"], ["event", "list"], ["hold", "list"], ["plans"], ["runs"],
        ["hold", "place", "H", "--reason", "r", "--mandate", "m", "--everything"], ["audit", "show"], ["clock"],
    ]  # fmt: skip
    for command in commands:
        (error,) = busy.json(*command, code=2)["errors"]
        assert error["do"].startswith("sudo -u "), command
        assert error["do"].endswith(shlex.join(command) if command[0] in IMPERSONAL else "retentiond …")
    assert len(busy.left()) == 15


def test_the_line_for_another_user_is_the_one_that_was_typed(monkeypatch):
    typed = ["--config", "a b.yaml", "plan", "post", "--out", "x; y", "--json"]
    error = StateOfAnother("#4711")
    assert typed_again(error, typed) == "sudo -u '#4711' retentiond --config 'a b.yaml' plan post --out 'x; y' --json"
    monkeypatch.setenv("RETENTIOND_CONFIG", "my.yaml")
    assert typed_again(error, typed).count("--config") == 1
    assert typed_again(error, ["apply", "0" * 12]) == f"sudo -u '#4711' retentiond --config my.yaml apply {'0' * 12}"


def test_off_a_terminal_no_word_that_may_name_a_person_is_said_again(monkeypatch):
    person = ["hold", "place", "H", "--subject", "customer=42", "--reason", "Ada's claim"]
    error = StateOfAnother("keeper")
    assert typed_again(error, person) == "sudo -u keeper retentiond …"
    for words in (["--nonsense"], ["--config", "plan", *person]):
        assert typed_again(error, words) == "sudo -u keeper retentiond …"
    main, line = os.openpty()
    with os.fdopen(main), os.fdopen(line, "w") as terminal:
        monkeypatch.setattr(sys, "stderr", terminal)
        assert typed_again(error, person) == "sudo -u keeper retentiond " + shlex.join(person)


def test_a_newer_state_is_refused(busy):
    import sqlite3
    from contextlib import closing

    plan = busy.plan()
    with closing(sqlite3.connect(busy.folder / "state/state.db")) as db, db:
        db.execute("UPDATE alembic_version SET version_num = '9999'")
    (error,) = busy.json("apply", plan, code=5)["errors"]
    assert "version" in error["what"]


def test_a_missing_signing_key_is_not_replaced_by_another(busy):
    plan = busy.plan()
    key = busy.folder / "state/keys/signing-key"
    kept = key.read_bytes()
    key.unlink()
    for command in (["apply", plan], ["plan"], ["audit", "verify"]):
        (error,) = busy.json(*command, code=5)["errors"]
        assert "signing key" in error["what"], command
        assert not key.exists()
    assert len(busy.left()) == 15
    key.write_bytes(kept)
    busy.told("apply", plan)
    busy.told("audit", "verify")


def in_a_space_of_its_own(busy, script):
    """Runs a shell script where mounts are seen by nobody else; skips loudly where that is not allowed."""
    if os.geteuid() != 0 or subprocess.run(["unshare", "-m", "true"], capture_output=True, check=False).returncode:
        pytest.skip("mounts need root and a mount namespace (unshare -m), which this machine does not allow")
    prelude = f"set -e; cd '{busy.folder}'; r() {{ '{sys.executable}' -m retentiond --json --config retentiond.yaml \"$@\"; }}\n"
    fails = 'fails() { want=$1; shift; set +e; "$@"; got=$?; set -e; [ $got = $want ] || { echo "exit $got"; exit 99; }; }\n'
    done = subprocess.run(
        ["unshare", "-m", "--propagation", "private", "sh", "-c", prelude + fails + script],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, (done.stdout, done.stderr)
    return done.stdout


def test_an_unmounted_root_is_another_place_and_not_an_empty_one(busy):
    out = in_a_space_of_its_own(
        busy,
        """
        mount -t tmpfs -o size=1m disk desk
        mkdir desk/letters; for i in 1 2 3; do touch -d 2020-01-01 desk/letters/$i; done
        r plan post > plan.json
        plan=$(sed 's/.*"plan": "\\([0-9a-f]*\\)".*/\\1/' plan.json)
        mount --move desk away
        fails 4 r apply $plan
        fails 0 r plan post
        mount --move away desk
        r apply $plan
        ls desk/letters | wc -l
        """.replace("mount -t tmpfs", "mkdir -p away; mount -t tmpfs", 1),
    )
    lines = out.splitlines()
    assert "another place" in lines[0]
    assert '"limit": "place"' in lines[1]
    assert '"disposed": 3' in lines[2]
    assert lines[3] == "0"
    assert len(busy.left()) == 15, "what lies below the mount was never touched"


def test_a_full_state_disk_stops_the_deleting_and_loses_nothing(busy):
    for part in range(5):
        busy.letters(400, first=1000 * (part + 1))
    out = in_a_space_of_its_own(
        busy,
        """
        mkdir state; mount -t tmpfs -o size=6m disk state
        r plan post > plan.json
        plan=$(sed 's/.*"plan": "\\([0-9a-f]*\\)".*/\\1/' plan.json)
        dd if=/dev/zero of=state/fill bs=4k 2>/dev/null || true
        fails 5 r apply $plan
        ls desk/letters | wc -l
        fails 5 r plan post
        fails 5 r hold place H --reason r --mandate m --everything
        rm state/fill
        r apply $plan
        ls desk/letters | wc -l
        r audit verify
        """,
    )
    lines = out.splitlines()
    assert '"code": "state"' in lines[0]
    assert "full" in lines[0]
    assert lines[1] == "2015"
    assert '"code": "state"' in lines[2]
    assert '"code": "state"' in lines[3]
    assert lines[-2] == "5"
    assert '"ok": true' in lines[-1]


def test_a_state_disk_that_fills_up_in_the_middle_stops_the_deleting_and_every_loss_has_its_evidence(busy):
    for part in range(8):
        busy.letters(1000, first=1000 * (part + 1))
    out = in_a_space_of_its_own(
        busy,
        """
        mkdir state; mount -t tmpfs -o size=12m disk state
        r plan post > plan.json
        plan=$(sed 's/.*"plan": "\\([0-9a-f]*\\)".*/\\1/' plan.json)
        dd if=/dev/zero of=state/fill bs=4k 2>/dev/null || true
        truncate -s -320k state/fill
        fails 5 r apply $plan
        ls desk/letters | wc -l
        rm state/fill
        r apply $plan
        ls desk/letters | wc -l
        r audit verify
        r audit lookup desk letters/01000.txt
        r audit lookup desk letters/08999.txt
        """,
    ).splitlines()
    assert '"code": "state"' in out[0]
    assert 5 < int(out[1]) < 8015, "it stopped on the way"
    assert out[3] == "5"
    assert '"ok": true' in out[4]
    assert '"outcome": "disposed"' in out[5]
    assert '"outcome": "disposed"' in out[6]


def test_what_a_killed_planning_left_behind_goes_a_day_later(busy):
    command = [sys.executable, str(CHILD), "plan-written", "1", "--", "--config", str(busy.config), "plan"]
    assert subprocess.run(command, capture_output=True, check=False).returncode == -9
    plans = busy.folder / "state/plans"
    left = set(plans.iterdir())
    assert left
    busy.told("plan")
    assert left <= set(plans.iterdir()), "another planning may still be at work"
    (plans / "mine.jsonl").write_text("a copy of my own")
    for path in plans.iterdir():
        os.utime(path, (1, 1))
    busy.told("plan")
    assert not left & set(plans.iterdir())
    assert (plans / "mine.jsonl").exists()
    assert len(busy.json("plans")["plans"]) == 2


def test_a_store_on_the_state_or_the_policies_is_an_error(busy):
    for path in ("state", "policies.d", ".", "state/log"):
        busy.settings(more=f"  bad: {{type: files, path: {path}, location: GB}}")
        assert busy.json("check", "--offline", code=2)["errors"], path


def test_an_unset_secret_is_named_and_never_shown(busy, monkeypatch):
    monkeypatch.setenv("TILL_PASSWORD", "s3cret-canary")
    password = "password: {env: TILL_PASSWORD}, zone: UTC, location"
    busy.settings(text=busy.config.read_text().replace("zone: UTC, location", password))
    told = busy.told("--json", "check", "--offline")
    assert "s3cret" not in told.out + told.err
    monkeypatch.delenv("TILL_PASSWORD")
    for command in (["check"], ["check", "--offline"], ["plan"], ["explain", "till", "sales/1"]):
        (error,) = busy.json(*command, code=2)["errors"]
        assert ("retentiond.yaml", "the secret {env: TILL_PASSWORD} is not there") == (error["file"], error["what"])
        assert busy.config.read_text().splitlines()[error["line"] - 1][error["column"] - 1 :].startswith("{env: TILL_PASSWORD}")
    busy.settings(text=busy.config.read_text().replace("{env: TILL_PASSWORD}", "hunter2"))
    told = busy.told("--json", "check", "--offline", code=2)
    assert "hunter2" not in told.out + told.err


def test_overlapping_rules_are_an_error_and_so_is_everything_without_a_word(busy):
    busy.category("more", LETTERS.replace("letters:", "more:").replace("letters/**", "letters/a/**"))
    assert "overlap" in busy.json("check", "--offline", code=2)["errors"][0]["what"]
    (busy.folder / "policies.d/more.yaml").unlink()
    for text in (LETTERS.replace("letters/**", "**"), SALES.replace("id > 0", "1=1"), SALES.replace(', where: "id > 0"', "")):
        busy.category("post", text)
        errors = busy.json("check", "--offline", code=2)["errors"]
        assert any("everything" in e["do"] + e["what"] + e["why"] for e in errors), text


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("table: sales", "table: salse"),
        ("column: at", "column: att"),
        ('"id > 0"', '"idd > 0"'),
        ("table: sales,", "table: sales, children: [nope],"),
        ("action: delete", "action: {anonymise: {buyre: null}}"),
        ("action: delete", "action: {anonymise: {id: null}}"),
        ("{customer: customer,", "{customer: buyre,"),
    ],
)
def test_a_wrong_table_or_column_is_pointed_at_in_the_rule(busy, old, new):
    text = SALES
    assert text.count(old) == 1
    busy.category("trade", text.replace(old, new))
    wrong = next(word for word in ("salse", "att", "idd > 0", "nope", "buyre", "id: null") if word in new)
    (error,) = busy.json("check", code=5)["errors"]
    line = (busy.folder / error["file"]).read_text().splitlines()[error["line"] - 1]
    assert (error["file"], line[error["column"] - 1 :].lstrip('"').startswith(wrong)) == ("policies.d/trade.yaml", True), error
    assert error["do"] or error["why"]
    (planned,) = busy.json("plan", code=5)["errors"]
    assert planned == error
    assert f"policies.d/trade.yaml:{error['line']}:{error['column']}: " in " ".join(busy.told("plan", code=5).out.split())


def test_a_store_that_cannot_be_reached_is_pointed_at_where_it_is_declared(busy):
    (busy.folder / "till.db").rename(busy.folder / "away.db")
    (error,) = busy.json("check", code=5)["errors"]
    assert error["file"] == "retentiond.yaml"
    assert busy.config.read_text().splitlines()[error["line"] - 1].lstrip().startswith("till:")


def test_one_half_of_a_pair_of_keys_that_is_written_down_is_said_once(busy):
    bucket = "  calls: {type: s3, bucket: calls, region: eu-west-2, access_key: AKIA, secret_key: {env: S3_SECRET}, location: GB}"
    busy.settings(more=bucket)
    (error,) = busy.json("check", "--offline", code=2)["errors"]
    assert "a secret is written down" in error["what"]
