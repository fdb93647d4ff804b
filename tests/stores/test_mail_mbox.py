"""Mbox files: the contract, where messages begin and end, locks, and what is delivered while messages go."""

import os
import subprocess
import sys
from contextlib import closing, suppress
from pathlib import Path

import pytest

from retentiond.core.policy import MailSelection, Start
from retentiond.engine import failpoints
from retentiond.errors import ItemChanged
from retentiond.stores.mail import MailType
from retentiond.stores.mail.mbox import DIFFERENT, SERVERS, UNCERTAIN
from retentiond.stores.mail.rewriting import RewritingMboxes
from retentiond.stores.mail.store import MailStore
from retentiond.testing.contract import StoreContract
from tests.stores.letters import FROM_LINE, Mbox, letter, mbox_key, pages, scope, seen
from tests.stores.places import dispose as let_go
from tests.stores.places import utc

DATED = Start("header", "Date")
ROOT = Path(__file__).parents[2]


@pytest.fixture
def place(tmp_path):
    return Mbox(tmp_path / "mail")


class TestContract(StoreContract):
    @pytest.fixture
    def place(self, tmp_path):
        return Mbox(tmp_path / "mail")


def doubts(view, selection=None):
    return {page.keys[i]: doubt for page in pages(view, scope(selection or MailSelection())) for i, doubt in page.doubts.items()}


# Which files, and which messages in them


def test_a_file_that_begins_as_an_mbox_does_is_a_folder(place, view):
    place.append(letter(1), "inbox")
    (place.path / "jo").mkdir()
    place.append(letter(2), "jo/2024")
    (place.path / "notes.txt").write_text("no mail")
    (place.path / "empty").touch()
    place.append(letter(3), ".hidden")
    place.append(letter(4), "inbox.lock")
    (place.path / "link").symlink_to("inbox")
    assert {mbox_key("1@example.net", "inbox"), mbox_key("2@example.net", "jo/2024")} == set(seen(view, scope(MailSelection())))
    assert ["files that do not begin as an mbox does are not looked at"] == list(view.warnings(scope(MailSelection())))


def test_the_path_may_be_a_single_mailbox(place):
    place.append(letter(1), "archive")
    place.append(letter(2), "other")
    options = {"path": str(place.path / "archive"), "format": "mbox"}
    with closing(MailType().act(options)) as store:
        assert [mbox_key("1@example.net", "archive")] == list(seen(store, scope(MailSelection())))
        assert [None] == list(store.probe(scope(MailSelection()), [mbox_key("2@example.net", "other")]).revisions)
        assert {"disposed"} == set(let_go(store, seen(store, scope(MailSelection())), scope(MailSelection())).values())
    assert b"" == (place.path / "archive").read_bytes()
    assert (place.path / "other").stat().st_size


@pytest.mark.parametrize(
    ("line", "delivered"),
    [
        (b"From jo@example.net Sat Feb 29 12:30:15 2020", utc(2020, 2, 29, 7, 0, 15)),
        (b"From jo@example.net  Sat Feb 29 12:30:15 2020", utc(2020, 2, 29, 7, 0, 15)),
        (b"From - Mon Jan  6 02:03 2020", utc(2020, 1, 5, 20, 33, 59, 999_999)),
        (b"From jo at example.net Sat Feb 29 12:30:15 2020", utc(2020, 2, 29, 7, 0, 15)),
        (b"From jo@example.net Sat Feb 29 12:30:15 +0100 2020", utc(2020, 2, 29, 11, 30, 15)),
        (b"From jo@example.net Sat Feb 29 12:30:15 2020 -0500", utc(2020, 2, 29, 17, 30, 15)),
        (b"From jo@example.net Sat Feb 29 12:30:15 GMT 2020", utc(2020, 2, 29, 12, 30, 15)),
        (b"From jo@example.net Sat Feb 29 12:30:15 XYZ 2020", None),
        (b"From jo@example.net Mon Feb 30 12:30:15 2020", None),
    ],
)  # fmt: skip
def test_a_message_came_when_its_first_line_says_so(place, view, line, delivered):
    place.append(letter(Date="Thu, 1 Jan 2015 00:00:00 +0000"), line=line)
    (page,) = pages(view, scope(start=Start("created", zone="Asia/Kolkata")))
    assert ([delivered], {}) == (list(page.starts), dict(page.doubts))


def test_what_mail_programs_write_about_a_message_does_not_change_it(place, view):
    flags = b"Status: RO\nX-Status: A\nX-Keywords: a\n b\nX-UID: 7\nContent-Length: 12\n"
    place.append(letter(1))
    before = seen(view)
    (place.path / "in").write_bytes(FROM_LINE + b"\n" + flags + letter(1) + b"\n\n" + FROM_LINE + b"\n" + letter(2) + b"\n")
    after = seen(view)
    assert before.items() <= after.items()
    assert 2 == len(after)
    with closing(place.act()) as store:
        assert ["disposed"] == list(let_go(store, before, scope()).values())
    assert FROM_LINE + b"\n" + letter(2) + b"\n" == (place.path / "in").read_bytes()


def test_copies_that_are_alike_are_one_item_and_go_together(place):
    for number in (1, 2, 1):
        place.append(letter(number))
    with closing(place.act()) as store:
        found = seen(store)
        assert 2 == len(found)
        one = mbox_key("1@example.net")
        assert {one: "disposed"} == let_go(store, {one: found[one]}, scope())
        assert [mbox_key("2@example.net")] == list(seen(store))


@pytest.mark.parametrize(
    ("content", "doubt"),
    {
        "a line that is quoted": ([b"A.\n\n>From jo@x Sat Feb 29 12:30:15 2020\nB.\n"], None),
        "a line without a date": ([b"A.\n\nFrom here on it hums.\n"], UNCERTAIN),
        "a line amid a paragraph": ([b"It comes\nFrom here.\n"], None),
        "no empty line before": ([b"A.\nFrom jo@x Sat Feb 29 12:30:15 2020\nSubject: x\n\nB.\n"], UNCERTAIN),
        "no header after": ([b"A.\n\nFrom jo@x Sat Feb 29 12:30:15 2020\nno header here\n"], UNCERTAIN),
        "another form of date": ([b"A.\n\nFrom jo@x 2020-02-29 12:30:15\nSubject: x\n\nB.\n"], UNCERTAIN),
        "an endless line": ([b"A.\n\nFrom " + b"x" * 5000 + b" Sat Feb 29 12:30:15 2020\nSubject: x\n"], UNCERTAIN),
        "line ends of DOS": ([b"A.\r\n\r\nB.\r\n"], None),
        "two of one name": ([b"A.\n", b"B.\n"], DIFFERENT),
    }.values(),
)
def test_a_message_whose_bounds_are_not_certain_is_in_doubt_and_stays(place, content, doubt):
    for body in content:
        place.append(letter(1, body=body))
    place.append(letter(2))
    before = (place.path / "in").read_bytes()
    with closing(place.act()) as store:
        one, two = mbox_key("1@example.net"), mbox_key("2@example.net")
        found = seen(store)
        assert {one, two} == set(found)
        assert ({one: doubt} if doubt else {}) == doubts(store)
        assert {one: "changed:in-doubt" if doubt else "disposed", two: "disposed"} == let_go(store, found, scope())
    left = before.partition(FROM_LINE + b"\n" + letter(2))[0] if doubt else b""
    assert left == (place.path / "in").read_bytes()


def test_a_first_line_that_is_no_proper_one_leaves_its_message_in_doubt(place, view):
    (place.path / "in").write_bytes(b"From nobody\n" + letter(1) + b"\n" + FROM_LINE + b"\n" + letter(2) + b"\n")
    assert {UNCERTAIN} == set(doubts(view).values())
    assert 2 == len(seen(view))


def test_what_a_mail_server_keeps_in_the_mailbox_stays(place):
    data = letter(1, Subject="DON'T DELETE THIS MESSAGE -- FOLDER INTERNAL DATA", X_IMAP="1 2")
    place.append(data)
    place.append(letter(2))
    with closing(place.act()) as store:
        assert {mbox_key("1@example.net"): SERVERS} == doubts(store)
        assert ["changed:in-doubt", "disposed"] == list(let_go(store, seen(store), scope()).values())
    assert FROM_LINE + b"\n" + data + b"\n" == (place.path / "in").read_bytes()


def test_a_message_is_read_without_what_the_mailbox_adds(place, view):
    place.append(letter(1))
    place.append(letter(2, body=b"x" * 3_000_000 + b"\n\n\n"))
    found = seen(view)
    one, two = mbox_key("1@example.net"), mbox_key("2@example.net")
    assert letter(1) == b"".join(view.read(scope(), one, found[one]))
    assert letter(2, body=b"x" * 3_000_000 + b"\n\n\n") == b"".join(view.read(scope(), two, found[two]))
    assert (letter(1)[:5], letter(1)[-7:]) == view.edges(scope(), one, found[one], 5, 7)
    pieces = view.read(scope(), two, found[two])
    next(pieces)
    (place.path / "in").write_bytes(FROM_LINE + b"\n" + letter(1) + b"\n")
    with pytest.raises(ItemChanged):
        list(pieces)
    with pytest.raises(ItemChanged):
        view.edges(scope(), two, found[two], 1, 1)


def test_a_large_mailbox_is_read_and_rewritten_in_little_memory(place):
    with (place.path / "in").open("wb") as file:
        for number in range(300):
            file.write(FROM_LINE + b"\n" + letter(number) + b"x" * (50_000_000 if number == 7 else 100_000) + b"\n\n")
    code = f"""
import resource
from tests.stores.letters import *
from tests.stores.places import dispose
with closing(MailType().act({place.options!r})) as store:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    found = dict(list(seen(store).items())[::2])
    assert set(dispose(store, found, scope()).values()) == {{"disposed"}}
    assert len(seen(store)) == 150
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert int(done.stdout) < 20_000, "kilobytes"


# What a rewritten mailbox keeps


def kept(path):
    s = path.stat()
    return s.st_mode, s.st_uid, s.st_gid, s.st_atime_ns, s.st_mtime_ns


def test_a_rewritten_mailbox_keeps_its_owner_mode_attributes_and_times(place):
    for number in (1, 2):
        place.append(letter(number))
    path = place.path / "in"
    os.chmod(path, 0o640)
    os.utime(path, ns=(5, 7))
    if os.getuid() == 0:
        os.chown(path, 12, 34)
    with suppress(OSError):
        os.setxattr(path, "user.note", b"kept")
    had = {name: os.getxattr(path, name) for name in os.listxattr(path)}
    before = kept(path)
    with closing(place.act()) as store:
        one = mbox_key("1@example.net")
        assert {one: "disposed"} == let_go(store, {one: seen(store)[one]}, scope())
    assert before == kept(path)
    assert had == {name: os.getxattr(path, name) for name in os.listxattr(path)}
    assert ["in"] == os.listdir(place.path)


def test_a_mailbox_with_several_names_and_one_that_may_not_be_locked_stay(place):
    place.append(letter(1))
    os.link(place.path / "in", place.path / "again")
    with closing(place.act()) as store:
        found = seen(store)
        assert ["failed:hard-links"] == list(let_go(store, found, scope()).values())
        os.unlink(place.path / "again")
        (place.path / "in.lock").mkdir()
        (place.path / "in.lock").rmdir()
        assert found == seen(store)


# Locks


@pytest.mark.parametrize("kind", ["fcntl", "dot-lock"])
def test_a_mailbox_that_another_program_has_locked_stays(place, kind):
    key = place.make("item")
    code = "import fcntl, sys; f = open(sys.argv[1], 'r+'); fcntl.lockf(f, fcntl.LOCK_EX); print(flush=True); sys.stdin.read()"
    command = [sys.executable, "-c", code, str(place.path / "in")]
    with closing(MailStore(RewritingMboxes(str(place.path), wait=0.2))) as store:
        found = seen(store, place.scope())
        if kind == "dot-lock":
            (place.path / "in.lock").write_text("1\n")
            assert {key: "failed:mailbox-busy"} == let_go(store, found, place.scope())
            assert "1\n" == (place.path / "in.lock").read_text()
            return
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
            other.stdout.readline()
            assert {key: "failed:mailbox-busy"} == let_go(store, found, place.scope())
            other.stdin.close()
        assert ["in"] == os.listdir(place.path)
        assert {key: "disposed"} == let_go(store, found, place.scope())


def test_locks_of_a_process_of_ours_that_has_died_are_taken_away(place):
    key = place.make("item")
    dead = subprocess.run(
        [sys.executable, "-c", "import os; print(os.getpid())"], capture_output=True, text=True, check=True
    ).stdout
    with closing(place.act()) as store:
        for left in ("put back", "dispose"):
            (place.path / "in.lock").write_text(f"{dead.strip()}\nretentiond\n{store.place.partition(':')[0]}\n")
            (place.path / f".retentiond~{'0' * 16}~in").write_bytes(b"what stays")
            if left == "put back":
                store.put_back(place.scope(), [key])
                assert ["in"] == os.listdir(place.path)
        assert {key: "disposed"} == let_go(store, seen(store, place.scope()), place.scope())
    assert ["in"] == os.listdir(place.path)


# Deliveries meanwhile

DELIVER = """
import fcntl, os, sys, time
path, way, n = sys.argv[1], sys.argv[2], 0
print("begun", flush=True)
while n < 300 and not os.path.exists(path + ".stop"):
    message = f"From mda@test Sat Feb 29 12:30:15 2020\\nMessage-ID: <fresh-{n}@test>\\n\\nbody\\n\\n".encode()
    if way == "dot-lock first":
        while True:
            try:
                os.close(os.open(path + ".lock", os.O_CREAT | os.O_EXCL))
                break
            except FileExistsError:
                time.sleep(0.001)
    with open(path, "ab") as file:
        fcntl.lockf(file, fcntl.LOCK_EX)
        file.write(message)
    if way == "dot-lock first":
        os.unlink(path + ".lock")
    n += 1
print(n, flush=True)
"""


@pytest.mark.parametrize("way", ["dot-lock first", "fcntl only"])
def test_what_is_delivered_meanwhile_is_not_lost(place, way):
    """A program delivers as fast as it can while old messages go; one opens the file under its lock, and one does not."""
    old = [place.make(f"old-{n}") for n in range(60)]
    command = [sys.executable, "-c", DELIVER, str(place.path / "in"), way]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout.readline() == "begun\n"
        try:
            with closing(place.act()) as store:
                revisions = dict(store_seen(store, place, old))
                fates = {}
                for start in range(0, 60, 10):
                    fates |= let_go(store, dict(list(revisions.items())[start : start + 10]), place.scope())
        finally:
            (place.path / "in.stop").touch()
        delivered = int(other.stdout.readline())
    assert dict.fromkeys(old, "disposed") == fates
    line = b"From mda@test Sat Feb 29 12:30:15 2020"
    with closing(place.look()) as view:
        assert {mbox_key(f"fresh-{n}@test", line=line) for n in range(delivered)} == set(seen(view))
        assert {} == doubts(view)
    assert delivered > 0


def store_seen(store, place, keys):
    page = store.probe(place.scope(), keys)
    return zip(page.keys, page.revisions, strict=True)


def test_a_message_for_the_old_file_is_carried_over(place):
    """A program has opened the mailbox, waits for its lock, and writes to what it has opened, renamed or not."""
    old, code = place.make("old"), """
import fcntl, sys
with open(sys.argv[1], "ab") as file:
    print("opened", flush=True)
    fcntl.lockf(file, fcntl.LOCK_EX)
    file.write(b"From mda@test Sat Feb 29 12:30:15 2020\\nMessage-ID: <late@test>\\n\\nbody\\n\\n")
"""  # fmt: skip
    others = []

    def open_it(arrow):
        if arrow == "claimed":
            other = subprocess.Popen([sys.executable, "-c", code, str(place.path / "in")], stdout=subprocess.PIPE)
            others.append(other)
            other.stdout.readline()
            inode = (place.path / "in").stat().st_ino
            while not any("->" in line and f":{inode} " in line for line in Path("/proc/locks").read_text().splitlines()):
                pass

    with closing(place.act()) as store:
        found = seen(store, place.scope())
        failpoints.watch(open_it)
        try:
            assert {old: "disposed"} == let_go(store, found, place.scope())
        finally:
            failpoints.watch(None)
            for other in others:
                other.wait()
                other.stdout.close()
        assert [mbox_key("late@test", line=b"From mda@test Sat Feb 29 12:30:15 2020")] == list(seen(store))


def test_a_mailbox_that_somebody_writes_to_without_a_lock_is_left_as_it_is(place):
    key = place.make("item")

    def write(arrow):
        if arrow == "claimed":
            place.append(letter(9))

    with closing(place.act()) as store:
        found = seen(store, place.scope())
        failpoints.watch(write)
        try:
            assert {key: "failed:mailbox-busy"} == let_go(store, found, place.scope())
        finally:
            failpoints.watch(None)
        assert {key, mbox_key("9@example.net")} == set(seen(store))
    assert ["in"] == os.listdir(place.path)


def test_looking_at_a_mailbox_that_is_being_written_waits_for_the_writer(place):
    keys = [place.make(f"old-{n}") for n in range(20)]
    command = [sys.executable, "-c", DELIVER, str(place.path / "in"), "fcntl only"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout.readline() == "begun\n"
        with closing(place.look()) as view:
            for _ in range(20):
                assert set(keys) <= set(seen(view, place.scope()))
        (place.path / "in.stop").touch()
        assert int(other.stdout.readline()) > 0
