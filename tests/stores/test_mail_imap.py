"""Mail on a real Dovecot: the contract, who is let in, what goes and what does not, and lines that are cut."""

from contextlib import closing

import pytest

from retentiond.core.policy import MailSelection, Start
from retentiond.engine import failpoints
from retentiond.errors import ItemChanged, StoreDenied, StoreUnavailable
from retentiond.stores.mail import MailType
from retentiond.stores.mail.sieve import DOUBT
from retentiond.testing.contract import LONG_AGO, CutShort, StoreContract
from retentiond.testing.wire import DOWN, Wire
from tests.servers.mailboxes import Account
from tests.stores.letters import facts, letter, pages, scope, seen
from tests.stores.places import dispose as let_go

EVERYTHING = scope(MailSelection())


@pytest.fixture
def place(account):
    return account


class TestContract(StoreContract):
    @pytest.fixture
    def place(self, dovecot_server):
        one = Account(dovecot_server)
        yield one
        one.close()


# Who is let in, and where


def test_a_certificate_is_verified(dovecot_server, place):
    options = dovecot_server.options(place.user)
    with pytest.raises(StoreDenied, match="certificate"):
        MailType().look(options | {"ca": None})
    with pytest.raises(StoreDenied, match="certificate"):
        MailType().look(options | {"host": "localhost"})
    with closing(MailType().look(options | {"port": dovecot_server.plain, "tls": "starttls"})) as view:
        assert [] == pages(view, EVERYTHING)
    with pytest.raises(StoreDenied, match="certificate"):
        MailType().look(options | {"port": dovecot_server.plain, "tls": "starttls", "ca": None})
    with closing(MailType().look(options | {"port": dovecot_server.plain, "tls": "no"})) as view:
        assert [] == pages(view, EVERYTHING)


def test_a_wrong_password_is_denied_and_a_missing_server_unavailable(dovecot_server, place):
    options = dovecot_server.options(place.user)
    with pytest.raises(StoreDenied, match="does not let the user in") as denied:
        MailType().look(options | {"password": "wrong"})
    assert place.user not in str(denied.value) + denied.value.why
    with pytest.raises(StoreUnavailable, match="cannot be reached") as nobody:
        MailType().look(options | {"port": 1})
    assert "look at `host`" in nobody.value.do


def test_the_place_names_server_and_user_and_no_secret(place):
    with closing(place.look()) as view:
        assert f"imap://{place.user}@127.0.0.1:{place.server.port}" == view.place


def test_options():
    def wrong(**options):
        return [option for option, _ in MailType().problems(options)]

    good = {"host": "mail.example.org", "user": "archive", "password": object(), "location": "GB"}
    assert [] == wrong(**good)
    assert [] == wrong(**good, format="imap", port=993, tls="starttls", folders=["INBOX", "Sent"], ca="/etc/ssl/own.pem")
    assert ["user", "password"] == wrong(host="mail.example.org")
    assert ["path"] == wrong(**good, path="/var/mail")
    assert ["format"] == wrong(**good, format="maildir")
    assert ["port"] == wrong(**good, port=70_000)
    assert ["tls"] == wrong(**good, tls="maybe")
    assert ["tls"] == wrong(**good, tls="no")
    assert [] == wrong(**good | {"host": "127.0.0.1"}, tls="no")
    assert ["folders"] == wrong(**good, folders="INBOX")
    assert ["ca"] == wrong(**good, ca="own.pem")
    assert ["path", "host", "user", "password", "format"] == wrong(path="/var/mail", format="mbox", host="")


# What is seen


def test_only_the_folders_that_the_store_names_are_looked_at(place):
    one, _ = place.put("in/a", letter(1)), place.put("in/b", letter(2))
    with closing(MailType().look(place.options | {"folders": ["in/a", "nowhere"]})) as view:
        assert [one] == list(seen(view, EVERYTHING))
        assert ["the server has not all the folders that the store names"] == list(view.warnings(EVERYTHING))


def test_facts_and_starts_are_those_of_the_heads(place):
    dated = letter(1, Date="Sat, 29 Feb 2020 12:30:15 +0000", Cc="=?utf-8?q?J=C3=B6?= <Jo@Example.ORG>", X_Ticket="7")
    key, bare = place.put("in/a", dated), place.put("in/a", b"no head at all")
    selection = MailSelection("in/*")
    with closing(place.look()) as view:
        assert {key: "jo@example.org\njo1@example.net\nsupport@example.org", bare: DOUBT} == facts(
            view, "correspondents", selection
        )
        assert {key: "7", bare: DOUBT} == facts(view, "x-ticket", selection)
        assert {key: "1@example.net", bare: DOUBT} == facts(view, "message_id", selection)
        (page,) = pages(view, scope(selection, Start("header", "Date")))
        assert [LONG_AGO, None] == list(page.starts)
        (page,) = pages(view, scope(MailSelection("in/*", headers=(("X-Ticket", "{ticket}"),)), fields=("ticket",)))
        assert ([key, bare], ["7", None]) == (list(page.keys), list(page.facts["ticket"]))


def test_a_scan_goes_on_while_others_are_asked_about_and_messages_go(place):
    keys = [place.put("in/many", b"x") for _ in range(1200)]
    with closing(place.act()) as store:
        scan = store.scan(place.scope())
        first = next(scan)
        assert {keys[0]: "disposed"} == let_go(store, {keys[0]: first.revisions[0]}, place.scope())
        assert keys == [*first.keys, *(key for page in scan for key in page.keys)]


def test_a_message_is_read_whole_and_only_in_its_revision(place):
    body = b"".join(b"%07d\r\n" % n for n in range(300_000))
    key = place.put("in/a", body)
    with closing(place.look()) as view:
        revision = seen(view, EVERYTHING)[key]
        pieces = list(view.read(EVERYTHING, key, revision))
        assert (body, True) == (b"".join(pieces), len(pieces) > 1)
        assert (body[:3], body[-4:]) == view.edges(EVERYTHING, key, revision, 3, 4)
        with pytest.raises(ItemChanged):
            list(view.read(EVERYTHING, key, "1:1"))
        place.remove(key)
        with pytest.raises(ItemChanged):
            view.edges(EVERYTHING, key, revision, 1, 1)


# What goes


def test_what_others_have_flagged_as_deleted_stays(place):
    mine, theirs = place.put("in/a", b"mine"), place.put("in/a", b"theirs")
    place.client.select("in/a")
    place.client.uid("STORE", theirs.rpartition("/")[2], "+FLAGS", r"(\Deleted)")
    place.client.unselect()
    with closing(place.act()) as store:
        assert {mine: "disposed"} == let_go(store, {mine: seen(store, EVERYTHING)[mine]}, EVERYTHING)
        assert [theirs] == list(seen(store, EVERYTHING))
        store.put_back(EVERYTHING, [theirs])
    assert [b"theirs"] == [content for _, content in place.messages("in/a")]
    assert b"\\Deleted" in place.messages("in/a")[0][0]


def test_what_arrives_is_read_and_flagged_meanwhile_stays(place):
    old = [place.put("in/a", letter(n)) for n in range(5)]
    fresh = []

    def deliver(arrow):
        if arrow in ("compared", "claimed"):
            fresh.append(place.put("in/a", letter(100)))
            place.client.select("in/a")
            place.client.uid("STORE", "1:*", "+FLAGS", r"(\Seen \Flagged)")
            place.client.unselect()

    with closing(place.act()) as store:
        revisions = seen(store, EVERYTHING)
        failpoints.watch(deliver)
        try:
            assert dict.fromkeys(old, "disposed") == let_go(store, revisions, EVERYTHING)
        finally:
            failpoints.watch(None)
        assert (2, set(fresh)) == (len(fresh), set(seen(store, EVERYTHING)))


def test_a_removal_that_was_cut_short_is_seen_and_put_back(place):
    key = place.put("in/a", letter(1))
    with closing(place.act()) as store:
        before = seen(store, EVERYTHING)
        failpoints.watch(lambda arrow: (_ for _ in ()).throw(CutShort()) if arrow == "claimed" else None)
        try:
            with pytest.raises(CutShort):
                let_go(store, before, EVERYTHING)
        finally:
            failpoints.watch(None)
        assert before == seen(store, EVERYTHING)
        assert place.content(key) is None
        store.put_back(EVERYTHING, [key])
        assert before == seen(store, EVERYTHING)
    assert place.content(key) is not None
    assert b"retentiond" not in place.messages("in/a")[0][0]


def test_a_selection_by_header_is_asked_again_when_a_message_goes(place):
    selection = MailSelection("in/*", ("jo1@*",))
    one, two = place.put("in/a", letter(1)), place.put("in/a", letter(2))
    broken = place.put("in/a", b"From: jo1@@example.net\r\n\r\nbody")
    with closing(place.act()) as store:
        every = seen(store, EVERYTHING)
        fates = let_go(store, every, scope(selection))
        assert {one: "disposed", two: "changed:outside", broken: "changed:in-doubt"} == fates


@pytest.mark.parametrize("name", ["0", "01", "-1", "x", "99999999999", "4294967296", "1:*", "²"])
def test_what_is_no_number_of_a_message_is_none(place, name):
    place.put("in/a", letter(1))
    with closing(place.act()) as store:
        assert [None] == list(store.probe(EVERYTHING, [f"in/a/{name}"]).revisions)
        assert {f"in/a/{name}": "gone"} == let_go(store, {f"in/a/{name}": "1:1"}, EVERYTHING)
        assert 1 == len(seen(store, EVERYTHING))


def test_a_line_that_is_cut_is_unavailable_and_nothing_is_lost(place):
    for cut in (900, 2000, 4000, 6000, 8000, 12_000):
        keys = [place.put("in/a", letter(n)) for n in range(20)]
        with closing(place.look()) as view:
            revisions = {key: revision for key, revision in seen(view, EVERYTHING).items() if key in keys}
        said = {}
        try:
            with Wire("127.0.0.1", place.server.port) as wire:
                wire.cut_after(DOWN, cut)
                with closing(MailType().act(place.options | {"port": wire.port})) as store:
                    said = let_go(store, revisions, EVERYTHING)
        except StoreUnavailable:
            pass
        with closing(place.act()) as store:
            left = {key: revision for key, revision in seen(store, EVERYTHING).items() if key in keys}
            assert left.items() <= revisions.items()
            assert not {key for key, fate in said.items() if fate == "disposed"} & left.keys()
            store.put_back(EVERYTHING, keys)
            assert all(place.content(key) for key in left)
            assert set(let_go(store, left, EVERYTHING).values()) <= {"disposed"}
