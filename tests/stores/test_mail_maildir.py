"""Maildirs: the contract, what is one message, when it came, and what goes on beside a disposal."""

import os
import subprocess
import sys
from contextlib import closing
from datetime import timedelta
from pathlib import Path

import pytest

from retentiond.core.policy import MailSelection, PathSelection, Start
from retentiond.core.selector import Predicate
from retentiond.engine import failpoints
from retentiond.engine.ports import Scope
from retentiond.errors import StoreDenied, StoreUnavailable
from retentiond.stores.mail import MailType
from retentiond.stores.mail.boxes import SHADOWED, TWICE
from retentiond.stores.mail.sieve import DOUBT
from retentiond.testing.contract import LONG_AGO, CutShort, StoreContract
from retentiond.testing.copying import ReadableContract
from tests.stores.letters import Maildir, dispose, facts, letter, pages, scope, seen
from tests.stores.places import dispose as let_go
from tests.stores.places import utc


@pytest.fixture
def place(tmp_path):
    return Maildir(tmp_path / "mail")


class TestContract(StoreContract, ReadableContract):
    @pytest.fixture
    def place(self, tmp_path):
        return Maildir(tmp_path / "mail")


# Folders and messages


def test_each_directory_with_messages_is_a_folder_and_the_root_is_the_inbox(place, view):
    keys = {
        place.put("1", letter(), folder="."): "INBOX/1",
        place.put("2", letter(), folder=".Sent.2024"): ".Sent.2024/2",
        place.put("3", letter(), folder="jo/archive"): "jo/archive/3",
        place.put("4", letter()): "in/4",
    }
    (place.path / "in" / "cur" / "sub").mkdir()
    assert set(keys.values()) == set(seen(view, scope(MailSelection())))
    assert ["INBOX/1"] == list(seen(view, scope(MailSelection("INBOX"))))
    assert {"in/4", ".Sent.2024/2"} == set(seen(view, scope(MailSelection("*")))) - {"INBOX/1"}


def test_two_folders_of_one_name_are_refused(place, view):
    place.folder(".")
    place.folder("INBOX")
    with pytest.raises(StoreDenied, match="one name"):
        pages(view, scope(MailSelection()))


def test_links_directories_and_dot_files_are_no_messages_and_no_way_out(place, view, tmp_path):
    outside = Maildir(tmp_path / "other")
    outside.put("secret", letter())
    (place.path / "in" / "cur" / "link:2,S").symlink_to(outside.path / "in" / "cur" / "secret:2,S")
    (place.path / "linked").symlink_to(outside.path / "in")
    (place.path / "in" / "cur" / ".hidden").write_bytes(letter())
    (place.path / "in" / "tmp" / "half").write_bytes(letter())
    assert {} == seen(view, scope(MailSelection()))
    strange = ["in/link", "linked/secret", "../other/in/secret", "in/../in/x", "in/cur/x", "x", "/x", "in/", "b64:aW4vMQ=="]
    assert [None] * len(strange) == list(view.probe(scope(MailSelection()), strange).revisions)
    with closing(place.act()) as store:
        assert {"gone"} == set(let_go(store, dict.fromkeys(strange[:5], "1:2:3"), scope(MailSelection())).values())
        assert {"failed:not-a-key"} == set(let_go(store, dict.fromkeys(strange[5:], "1:2:3"), scope(MailSelection())).values())
    assert (outside.path / "in" / "cur" / "secret:2,S").exists()


def test_reading_flagging_and_moving_a_message_leaves_it_the_message_that_was_planned(place, view):
    place.put("1", letter(), file="new/1")
    place.put("2", letter(2))
    before = seen(view)
    os.rename(place.path / "in/new/1", place.path / "in/cur/1:2,S")
    os.rename(place.path / "in/cur/2:2,S", place.path / "in/cur/2:2,FS")
    assert before == seen(view)
    with closing(place.act()) as store:
        assert {"in/1": "disposed", "in/2": "disposed"} == let_go(store, before, scope())


def test_two_files_of_one_name_are_in_doubt_and_stay(place):
    place.put("1", letter())
    place.put("1", letter(2), file="cur/1:2,")
    with closing(place.act()) as store:
        (page,) = pages(store)
        assert {0: TWICE} == dict(page.doubts)
        assert ["in/1"] == list(page.keys)


def test_a_copy_by_hard_link_is_a_message_of_its_own(place):
    key = place.put("1", letter())
    place.folder("copies")
    os.link(place.path / "in/cur/1:2,S", place.path / "copies/cur/9:2,S")
    assert {key: "disposed"} == dispose(place)
    with closing(place.look()) as view:
        assert ["copies/9"] == list(seen(view, scope(MailSelection())))


# When it came


@pytest.mark.parametrize(
    ("name", "delivered"),
    [
        ("1582979415.M20046P2137.host", LONG_AGO - timedelta(0)),
        ("1582979415_0.2137.host", LONG_AGO),
        ("17.eml", None),
        ("message", None),
        ("99999999999999999999.x", None),
    ],
)
@pytest.mark.parametrize("kind", ["created", "modified"])
def test_a_message_came_when_its_name_says_so_else_when_its_file_was_written(place, view, name, delivered, kind):
    written = LONG_AGO + timedelta(days=3)
    place.put(name, letter(Date="Thu, 1 Jan 2015 00:00:00 +0000"), written)
    (page,) = pages(view, scope(start=Start(kind)))
    assert [delivered or written] == list(page.starts)


@pytest.mark.parametrize(
    ("date", "start"),
    [
        ("Sat, 29 Feb 2020 12:30:15 +0000", utc(2020, 2, 29, 12, 30, 15)),
        ("Sat, 29 Feb 2020 13:30:15 +0100 (CET)", utc(2020, 2, 29, 12, 30, 15)),
        ("29 Feb 20 12:30 GMT", utc(2020, 2, 29, 12, 30, 59, 999_999)),
        ("Sat, 29 Feb 2020 12:30:15 -0000", utc(2020, 2, 29, 12, 30, 15)),
        ("Sat, 29 Feb 2020 12:30:15", utc(2020, 2, 29, 7, 0, 15)),
        ("Sat, 30 Feb 2020 12:30:15 +0000", None),
        ("2020-02-29 12:30:15", None),
        ("yesterday", None),
        (b"Sat, 29 Feb 2020 12:30:15 +0000 \xff", None),
        ("Sat, 29 Feb 2020 12:30:15 +0000\nDate: Sat, 29 Feb 2020 12:30:15 +0000", None),
        ("", None),
        (None, None),
    ],
)
def test_a_date_that_the_sender_wrote_counts_where_the_rule_says_so(place, view, date, start):
    place.put("1", letter(Date=date))
    (page,) = pages(view, scope(start=Start("header", "Date", zone="Asia/Kolkata")))
    assert [start] == list(page.starts)


# What a selection means


def test_a_selection_by_headers_means_what_all_of_it_says(place, view):
    place.put("1", letter(To="Support <SUPPORT@example.org>, kim@example.org", Subject="Re: [#4711] it hums"))
    place.put("2", letter(2, To="sales@example.org", Subject="[#4712]"))
    place.put("3", letter(3, To="support@example.org", Subject="no ticket"))
    place.put("4", letter(4, To=None, Subject="[#4713]"))
    selection = MailSelection("in", ("*@example.net",), ("support@*", "help@*"), (("subject", "*[#{ticket}]*"),))
    (page,) = pages(view, scope(selection, fields=("ticket", "folder", "from")))
    assert ["in/1"] == list(page.keys)
    assert {"ticket": ["4711"], "folder": ["in"], "from": ["jo1@example.net"]} == dict(page.facts)


def test_what_a_rule_waits_for_is_counted_by_its_selection_too(place, view):
    now = LONG_AGO + timedelta(days=900)
    for n in range(3):
        place.put(f"young-{n}", letter(n), now - timedelta(days=1))
    place.put("old", letter(0))
    selection = MailSelection("in", ("jo1@*", "jo0@*"))
    found = pages(view, scope(selection, waiting_from=now - timedelta(days=30), now=now))
    assert (["in/old"], 2) == ([key for page in found for key in page.keys], sum(page.unseen for page in found))


@pytest.mark.parametrize(
    "broken",
    [
        b"From jo@example.net\nSubject hello\n\nbody",
        b"Subject: x\nthis is no header\nFrom: jo@example.net\n\nbody",
        b"Subject: x\n" + b"X-Pad: " + b"y" * 300_000 + b"\nFrom: jo@example.net\n\nbody",
        b"From: jo@example.net, kim@@example.net\n\nbody",
        b"From: jo@example.net <kim@example.net> <lee@example.net>\n\nbody",
        b"From: j\xe9@example.net\n\nbody",
        b"From: jo\x00@example.net\n\nbody",
        b'From: "jo <jo@example.net>\n\nbody',
    ],
    ids=range(8),
)
def test_a_message_whose_sender_cannot_be_read_is_shown_in_doubt_and_never_goes(place, broken):
    key = place.put("1", broken)
    selection = MailSelection("in", ("jo@example.net",))
    with closing(place.act()) as store:
        (page,) = pages(store, scope(selection, fields=("from",)))
        assert ([key], {0: DOUBT}, [None]) == (list(page.keys), dict(page.doubts), list(page.facts["from"]))
        assert {key: "changed:in-doubt"} == let_go(store, {key: page.revisions[0]}, scope(selection))
    assert broken == place.content(key)


@pytest.mark.parametrize(
    ("field", "headers", "fact"),
    [
        ("from", {}, "jo1@example.net"),
        ("From", {"From": "JO@Example.NET"}, "jo@example.net"),
        ("from", {"From": "kim@a.example <jo@b.example>"}, "jo@b.example"),
        ("from", {"From": '"kim@a.example, Kim" <jo@b.example>'}, "jo@b.example"),
        ("from", {"From": "Miller, Jo <jo@b.example>"}, "jo@b.example"),
        ("from", {"From": "=?utf-8?q?J=C3=B6rg=2C_kim=40a=2Eexample?= <joerg@b.example>"}, "joerg@b.example"),
        ("from", {"From": b"J\xf6rg <joerg@b.example>"}, "joerg@b.example"),
        ("from", {"From": "jo@b.example (Jo (the) <first@c.example>)"}, "jo@b.example"),
        ("from", {"From": "root (Cron Daemon)"}, None),
        ("from", {"From": None}, None),
        ("from", {"From": ["jo@a.example", "jo@b.example"]}, "jo@a.example\njo@b.example"),
        ("to", {"To": "a@x.example, b@x.example,\n\tA@x.example"}, "a@x.example\nb@x.example"),
        ("to", {"To": "team: a@x.example, B <b@x.example>;, c@x.example"}, "a@x.example\nb@x.example\nc@x.example"),
        ("to", {"To": "undisclosed-recipients:;"}, None),
        ("cc", {"Cc": "Kim <kim@bücher.example>"}, "kim@xn--bcher-kva.example"),
        (
            "correspondents",
            {"Cc": "k@x.example", "Reply_To": "jo1@example.net"},
            "k@x.example\njo1@example.net\nsupport@example.org",
        ),
        ("message_id", {}, "1@example.net"),
        ("message-id", {"Message_ID": "no-brackets@x"}, "no-brackets@x"),
        ("subject", {"Subject": "=?iso-8859-1?q?Gr=FC=DFe?=\n =?utf-8?b?w7xiZXI=?= all"}, "Grüßeüber all"),
        ("subject", {"Subject": "Grüße"}, "Grüße"),
        ("subject", {"Subject": b"Gr\xfc\xdfe"}, DOUBT),
        ("subject", {"Subject": "=?nonsense?q?x?="}, DOUBT),
        ("subject", {"Subject": "a\0b"}, DOUBT),
        ("x-ticket", {"X_Ticket": " 4711 "}, "4711"),
        ("X-Ticket", {"x_ticket": ["1", "2", "1"]}, "1\n2"),
        ("folder", {}, "in"),
    ],
)
def test_facts(place, view, field, headers, fact):
    key = place.put("1", letter(**headers))
    assert {key: fact} == facts(view, field)


def test_a_message_of_fifty_megabytes_is_looked_at_by_its_head(place, view):
    key = place.put("1", letter(body=b"x" * 50_000_000))
    code = f"""
import resource, sys
from tests.stores.letters import *
from pathlib import Path
view = Maildir(Path({str(place.path)!r})).look()
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
assert facts(view, "from") == {{{key!r}: "jo1@example.net"}}
assert sum(map(len, view.read(scope(), {key!r}, seen(view)[{key!r}]))) > 50_000_000
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=Path(__file__).parents[2])
    assert int(done.stdout) < 10_000, "kilobytes"


def test_the_time_of_the_last_access_stays(place, view):
    key = place.put("1", letter())
    os.utime(place.at(key), (0, 1))
    assert {key: "jo1@example.net"} == facts(view, "from")
    assert 0 == place.at(key).stat().st_atime


# What goes on beside a disposal


def test_a_message_that_is_read_between_the_list_and_its_claim_goes_all_the_same(place):
    """The race itself, made to happen: a mail program takes all messages from `new` as soon as the first is claimed."""
    keys = [place.put(f"{n}", letter(n), file=f"new/{n}") for n in range(5)]

    def read_all(arrow):
        for file in (place.path / "in" / "new").iterdir() if arrow == "claimed" else ():
            if not file.name.startswith("."):
                file.rename(place.path / "in" / "cur" / f"{file.name}:2,S")

    with closing(place.act()) as store:
        revisions = seen(store)
        failpoints.watch(read_all)
        try:
            assert dict.fromkeys(keys, "disposed") == let_go(store, revisions, scope())
        finally:
            failpoints.watch(None)
        assert {} == seen(store)


def test_what_is_delivered_read_and_flagged_meanwhile_is_not_lost(place):
    """A program delivers, reads and flags as fast as it can while old messages go."""
    old = [place.put(f"old-{n}", letter(n)) for n in range(400)]
    code = """
import os, sys
root, n = sys.argv[1], 0
print("begun", flush=True)
while not os.path.exists(root + "/stop"):
    with open(f"{root}/tmp/fresh-{n}", "w") as file:
        file.write(f"Subject: {n}\\n\\nbody")
    os.rename(f"{root}/tmp/fresh-{n}", f"{root}/new/fresh-{n}")
    os.rename(f"{root}/new/fresh-{n}", f"{root}/cur/fresh-{n}:2,")
    os.rename(f"{root}/cur/fresh-{n}:2,", f"{root}/cur/fresh-{n}:2,S")
    for name in os.listdir(root + "/cur")[:3]:
        if name.endswith(":2,S") and name[0] != ".":
            try:
                os.rename(f"{root}/cur/{name}", f"{root}/cur/{name[:-1]}FS")
            except FileNotFoundError:
                pass
    n += 1
print(n, flush=True)
"""
    with subprocess.Popen([sys.executable, "-c", code, str(place.path / "in")], stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout.readline() == "begun\n"
        try:
            with closing(place.act()) as store:
                revisions = {key: revision for key, revision in seen(store).items() if "old-" in key}
                fates = {}
                for start in range(0, 400, 100):
                    fates |= let_go(store, dict(list(revisions.items())[start : start + 100]), scope())
        finally:
            (place.path / "in" / "stop").touch()
        delivered = int(other.stdout.readline())
    assert dict.fromkeys(old, "disposed") == fates
    with closing(place.look()) as view:
        assert {f"in/fresh-{n}" for n in range(delivered)} == set(seen(view))
    assert delivered > 0


def test_a_claim_that_was_cut_short_is_seen_doubted_beside_a_newcomer_and_put_back(place):
    key = place.put("1", letter())
    with closing(place.act()) as store:
        before = seen(store)
        failpoints.watch(lambda arrow: (_ for _ in ()).throw(CutShort()) if arrow == "compared" else None)
        try:
            with pytest.raises(CutShort):
                let_go(store, before, scope())
        finally:
            failpoints.watch(None)
        assert place.content(key) is None
        assert before == seen(store)
        assert letter() == b"".join(store.read(scope(), key, before[key]))
        newcomer = letter(2)
        place.put("1", newcomer)
        (page,) = pages(store)
        assert {0: SHADOWED} == dict(page.doubts)
        store.put_back(scope(), [key])
        assert newcomer == place.content(key)
        place.remove(key)
        store.put_back(scope(), [key])
        assert (letter(), before) == (place.content(key), seen(store))


# The rest


def test_a_hold_that_only_a_database_can_evaluate_covers_every_message(place):
    key = place.put("1", letter())
    with closing(place.act()) as store:
        revisions = seen(store)
        held = (Predicate("H", "id = 1"),)
        assert {0: "H"} == dict(pages(store, scope(predicates=held))[0].held)
        assert {key: "held"} == let_go(store, revisions, scope(), predicates=held)


@pytest.mark.parametrize(
    "wrong",
    [
        Scope(PathSelection("**"), Start("created")),
        scope(start=Start("column", "at")),
        scope(start=Start("path", "day")),
    ],
)
def test_a_scope_that_mail_does_not_have_is_refused_at_once(view, wrong):
    with pytest.raises(ValueError, match=r"mail|messages"):
        view.scan(wrong)


def test_the_looking_half_holds_no_call_that_changes_anything():
    """Looking loads none of the rooms that let go; of `locks` it takes the lock that leaves no trace."""
    import retentiond.stores.mail

    rooms = Path(retentiond.stores.mail.__file__).parent
    looking = ["boxes", "head", "maildir", "mbox", "mboxes", "imap", "reading", "server", "sieve", "view"]
    code = """
import sys
from retentiond.stores.mail import MailType, maildir, mboxes, imap
print([m.rpartition(".")[2] for m in sys.modules if m.startswith("retentiond.stores.mail.")])
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=rooms.parents[2])
    assert {*looking, "locks"} == set(eval(done.stdout))
    changing = "unlink remove rename replace rmdir removedirs mkdir makedirs link symlink utime truncate write"
    for word in (*(f"os.{call}(" for call in changing.split()), "O_WRONLY", "O_RDWR", "O_CREAT"):
        assert not [room for room in looking if word in (rooms / f"{room}.py").read_text()]


def test_options():
    kind = MailType()
    assert not list(kind.problems({"path": "/var/mail/archive", "format": "maildir", "location": "GB"}))
    assert ["path", "format"] == [option for option, _ in kind.problems({})]
    for path in ("mail", "/", "/x\0", 3):
        assert ["path"] == [option for option, _ in kind.problems({"path": path, "format": "maildir"})]
    assert ["bucket"] == [o for o, _ in kind.problems({"path": "/srv/mail", "format": "maildir", "bucket": "x"})]


def test_a_missing_root_is_unavailable_and_a_link_is_none(tmp_path):
    with pytest.raises(StoreUnavailable, match="missing"):
        MailType().look({"path": str(tmp_path / "nothing"), "format": "maildir"})
    Maildir(tmp_path / "mail")
    (tmp_path / "link").symlink_to("mail")
    with pytest.raises(StoreDenied, match="symbolic link"):
        MailType().act({"path": str(tmp_path / "link"), "format": "maildir"})
