"""The units, installed as docs/operations.md says and really started, by a real systemd on a machine of their own.

One machine lives through the whole story, and each test looks at one part of it.
"""

import json
import re

import pytest

from tests.deploy.machine import ROOT, boot, why_not
from tests.world import CATEGORY

RECORDINGS = '/srv/call 100% "recordings"\\x20'
CONFIG = f"""\
organisation: Machine Ltd
timezone: UTC
state: /var/lib/retentiond
policies: policies.d
stores:
  recordings: {{type: files, path: '{RECORDINGS}', location: GB}}
  pbx: {{type: sql, url: "sqlite:////srv/pbx/pbx.db", zone: UTC, location: GB}}
  desk: {{type: files, path: /srv/desk, location: GB}}
audit: {{origin: machine.example.org/log}}
"""
DESK = re.sub(
    r"  sound:.*",
    "  letters: {store: desk, select: {path: '*.txt'}, start: modified, retention_period: 1 day, action: delete}\n",
    CATEGORY.replace("category: calls", "category: desk").replace("daily at 02:00", "every 1 hour\napproval: none"),
    flags=re.DOTALL,
)
FAKE_SENDMAIL = '#!/bin/sh\ncat > "/mnt/test/mail to $1"\n'
AS_RETENTIOND = "setpriv --reuid=retentiond --regid=retentiond --clear-groups"
SCRIPT = """\
part() { journalctl --sync; printf '\\n== %%s\\n' "$1"; }
outcome() { "$@"; echo "exit $?"; }
journal() { journalctl --sync; journalctl --no-pager -o cat --cursor-file=/tmp/cursor "$@"; }
apply() { again; outcome systemctl start retentiond-apply@calls; journal -u retentiond-apply@calls; }
files() { for i in 1 2 3; do mkdir -p "$STORE/2024-01-01"; echo x > "$STORE/2024-01-01/$i.wav"; done; chown -R "$1" "$STORE"; }
added() {
  folder="/etc/systemd/system/$1.service.d"; shift; mkdir -p "$folder"; echo '[Service]' > "$folder/tries.conf"
  for line in "$@"; do echo "ExecStartPre=$line" >> "$folder/tries.conf"; done; systemctl daemon-reload
}
again() { systemctl stop retentiond-apply@calls; systemctl reset-failed; journal >/dev/null; }
STORE='%(store)s'

part install
cp /mnt/test/sendmail /usr/sbin/sendmail; chmod 755 /usr/sbin/sendmail
mkdir -p /etc/retentiond /srv/pbx /srv/desk; cp -r /mnt/test/policies.d /mnt/test/retentiond.yaml /etc/retentiond
files retentiond 2>/dev/null; mkdir -m 777 /srv/without-a-rule
cp /mnt/test/pbx.db /srv/pbx
%(install)s
files retentiond; chown -R retentiond: /srv/pbx /srv/desk
%(open)s
systemctl show retentiond-apply@calls -p ReadWritePaths

part person
outcome %(user)s retentiond plan
outcome %(user)s retentiond approve calls --yes --by A
cp -a /var/lib/retentiond/log /tmp/older

part key
%(key)s
outcome systemctl start retentiond-verify

part apply
apply
find "$STORE" -name '*.wav' | wc -l
ASK='import sqlite3, sys; print(*sqlite3.connect(sys.argv[1]).execute(sys.argv[2]).fetchone())'
query() { $3 /opt/venv/bin/python -c "$ASK" "$1" "$2"; }
query /srv/pbx/pbx.db 'SELECT count(*) FROM calls'

part clock
outcome %(user)s retentiond --json clock
query /var/lib/retentiond/state.db "SELECT value FROM meta WHERE key='clock'" '%(user)s'
tr -d - < /proc/sys/kernel/random/boot_id

part closed
added retentiond-apply@calls '-/bin/touch /srv/without-a-rule/x' '-/bin/ls /proc/1'
apply; ls /srv/without-a-rule
added retentiond-apply@calls

part log
stat -c '%%a %%G %%n' /var/lib/retentiond /var/lib/retentiond/* /var/lib/retentiond/log/*

part secret
mkdir -m 700 /etc/retentiond/secrets
(umask 077; for name in pbx sftp_key; do echo "of $name" > "/etc/retentiond/secrets/$name"; done)
cp deploy/systemd/examples/credentials.conf /etc/systemd/system/retentiond-apply@.service.d
added retentiond-apply@calls '/bin/sh -c "cat $${CREDENTIALS_DIRECTORY}/pbx"' '-/bin/cat /etc/retentiond/secrets/pbx'
apply
added retentiond-apply@calls

part denied
files root; apply; ls "$STORE/2024-01-01" | wc -l

part capable
sed -i 's/^#\\(Capability\\|Ambient\\)/\\1/' /etc/systemd/system/retentiond-apply@.service.d/local-files.conf
systemctl daemon-reload; apply; ls "$STORE/2024-01-01" | wc -l

part verify
outcome systemctl start retentiond-verify

part sight
LOG=/var/lib/retentiond/log
added retentiond-verify '/bin/ls -A /var/lib /var/lib/retentiond' "-/bin/touch $LOG/x" '/bin/ls -A /sys/class/net'
again; outcome systemctl start retentiond-verify; journal -u retentiond-verify
added retentiond-verify

part older
again; mv /var/lib/retentiond/log /tmp/newer; cp -a /tmp/older /var/lib/retentiond/log
outcome systemctl start retentiond-verify; journal -u retentiond-verify
rm -r /var/lib/retentiond/log

part gone
again; mkdir -m 2750 /var/lib/retentiond/log; chgrp retentiond-audit /var/lib/retentiond/log
outcome systemctl start retentiond-verify
rmdir /var/lib/retentiond/log; mv /tmp/newer /var/lib/retentiond/log

part altered
again; mkdir /etc/systemd/system/retentiond-failure@.service.d
cp deploy/systemd/examples/mail.conf /etc/systemd/system/retentiond-failure@.service.d; systemctl daemon-reload
echo >> /var/lib/retentiond/log/audit.jsonl
outcome systemctl start retentiond-verify; systemctl show retentiond-verify -p ExecMainStatus
timeout 60 bash -c 'until [ -s "/mnt/test/mail to root" ]; do read -t 0.1 <> <(:); done'
journalctl --sync; journalctl --no-pager -o json -p emerg | tail -1
truncate -s -1 /var/lib/retentiond/log/audit.jsonl

part daemon
for i in 1 2 3; do touch -d '2024-01-01' "/srv/desk/$i.txt"; done
outcome timeout 60 systemctl start retentiond
systemctl show retentiond -p ActiveState -p SubState
timeout 60 grep -m1 run-ended <(journalctl -f -n all -o cat -u retentiond)
ls /srv/desk | wc -l
outcome systemctl reload retentiond
outcome timeout 60 systemctl stop retentiond
systemctl show retentiond -p Result -p ExecMainStatus

part timer
outcome systemctl start retentiond-apply@calls.timer retentiond-verify.timer
systemctl is-active retentiond-apply@calls.timer retentiond-verify.timer
"""


def typed(words):
    """The block of commands of docs/operations.md in which these words stand."""
    blocks = re.findall(r"^```sh\n(.*?)^```", (ROOT / "docs" / "operations.md").read_text(), re.DOTALL | re.MULTILINE)
    (found,) = [block for block in blocks if words in block]
    return found


@pytest.fixture(scope="module")
def story(tmp_path_factory):
    """What each part of the story said, by its name."""
    reason = why_not()
    if reason:
        pytest.skip(f"NO MACHINE CAN BE STARTED HERE ({reason}): the units were not started")
    folder = tmp_path_factory.mktemp("machine")
    shared = folder / "shared"
    (shared / "policies.d").mkdir(parents=True)
    (shared / "policies.d" / "calls.yaml").write_text(CATEGORY)
    (shared / "policies.d" / "desk.yaml").write_text(DESK)
    (shared / "retentiond.yaml").write_text(CONFIG)
    (shared / "sendmail").write_text(FAKE_SENDMAIL)
    database(shared / "pbx.db")
    out, console = boot(
        folder,
        SCRIPT
        % {
            "store": RECORDINGS,
            "user": AS_RETENTIOND,
            "install": typed("systemd-sysusers"),
            "open": typed("local-files.conf"),
            "key": typed("verify.env"),
        },
    )
    said = {part: text.strip() for part, text in re.findall(r"^== (\w+)\n(.*?)(?=^== |\Z)", out, re.DOTALL | re.MULTILINE)}
    assert "timer" in said, f"{out}\n{console}"
    return said | {"mail": "".join(path.read_text() for path in shared.glob("mail to root"))}


def database(path):
    import sqlite3
    from contextlib import closing

    with closing(sqlite3.connect(path)) as db, db:
        db.execute("PRAGMA journal_mode=WAL")
        db.execute("CREATE TABLE calls(id INTEGER PRIMARY KEY, at TEXT NOT NULL, caller TEXT)")
        db.executemany("INSERT INTO calls VALUES(?, '2024-01-01 00:00:00', 'x')", [(i,) for i in range(1, 8)])


def test_systemd_takes_the_drop_in_as_it_was_printed(story):
    assert "failed" not in story["install"].lower()
    assert "/var/lib/retentiond" in story["install"].rpartition("ReadWritePaths=")[2]


def test_what_a_person_approved_outside_is_carried_out_inside(story):
    """The same places, the same rights, under every setting of the sandbox."""
    assert story["person"].count("exit 0") == 2
    assert "exit 0" in story["apply"], story["apply"]
    assert story["apply"].split()[-2:] == ["0", "0"], "files and rows that are left"


def test_a_boot_is_the_same_inside_and_outside(story):
    trusted, recorded, boot_id = [line for line in story["clock"].splitlines() if line and "exit" not in line]
    assert json.loads(trusted)["trusted"]
    assert json.loads(recorded)["boot"] == boot_id


def test_a_path_without_a_rule_cannot_be_touched_whoever_may_write_there(story):
    assert "touch: cannot touch '/srv/without-a-rule/x': Read-only file system" in story["closed"]
    assert "/proc/1" in story["closed"], "processes of others are not seen"
    assert not story["closed"].endswith("\nx")


def test_auditors_may_read_the_log_and_nothing_else(story):
    modes = {name: (mode, group) for mode, group, name in (line.split() for line in story["log"].split("\n") if line)}
    assert modes["/var/lib/retentiond"] == ("711", "retentiond")
    readable = {name for name, (_, group) in modes.items() if group == "retentiond-audit"}
    assert readable == {name for name in modes if name.startswith("/var/lib/retentiond/log")}
    assert modes["/var/lib/retentiond/log/tile"] == ("2750", "retentiond-audit")
    assert modes["/var/lib/retentiond/log/audit.jsonl"] == ("640", "retentiond-audit")


def test_files_of_others_stay_until_the_capabilities_are_given(story):
    assert story["denied"].endswith("\n3"), story["denied"]
    assert "exit 0" in story["capable"], story["capable"]
    assert story["capable"].endswith("\n0"), story["capable"]


def test_the_verifier_works_with_the_log_alone(story):
    assert "exit 0" in story["key"]
    assert "exit 0" in story["verify"]
    lines = story["sight"].splitlines()
    assert "exit 0" in lines
    seen = lines[lines.index("/var/lib:") : lines.index("The audit trail verifies. It extends the checkpoint that you hold.")]
    assert [line for line in seen if line and "/" not in line] == ["retentiond", "retentiond-verify", "log", "lo"]
    assert "Read-only file system" in story["sight"]


def test_the_verifier_sees_that_the_log_was_replaced_by_an_older_one(story):
    assert "exit 1" in story["older"]
    assert "The audit trail verifies" not in story["older"]


def test_the_verifier_fails_where_the_log_is_gone(story):
    assert "exit 1" in story["gone"]


def test_a_failure_is_told_without_any_configuration_and_by_mail_where_that_is_wanted(story):
    assert "exit 1" in story["altered"]
    assert "ExecMainStatus=6" in story["altered"]
    told = json.loads(story["altered"].splitlines()[-1])
    assert told["SYSLOG_IDENTIFIER"] == "retentiond"
    assert told["MESSAGE"].startswith("retentiond-verify.service failed on ")
    assert story["mail"].startswith("Subject: retentiond-verify.service failed on ")


def test_the_daemon_is_ready_does_its_work_reloads_and_ends(story):
    started, status, state, ended, left, reloaded, stopped, *result = story["daemon"].splitlines()
    assert (started, status, state) == ("exit 0", "ActiveState=active", "SubState=running")
    assert json.loads(ended)["result"] == "done", ended
    assert left == "0"
    assert (reloaded, stopped, *result) == ("exit 0", "exit 0", "Result=success", "ExecMainStatus=0")


def test_a_secret_is_handed_over_that_the_service_could_not_read(story):
    assert story["secret"].splitlines().count("of pbx") == 1
    assert "/etc/retentiond/secrets/pbx: Permission denied" in story["secret"]
    assert "exit 0" in story["secret"]


def test_the_timers_wait_for_their_time(story):
    assert story["timer"].split() == ["exit", "0", "active", "active"]
