"""A bucket's own lifecycle rule: installed by comparing, taken away again, and nothing of anybody else's touched."""

from contextlib import closing, suppress
from dataclasses import replace

import pytest

from retentiond.core.lifecycle import ABSENT, Expiry
from retentiond.core.policy import Action
from retentiond.engine.ports import Batch
from retentiond.errors import StoreDenied, StoreTrouble
from tests.servers.twisted import Twisted
from tests.stores.objects import act, look, scope

NINETY = Expiry("retentiond/calls/sound", 90)
OTHERS = [
    {"ID": "theirs & <ours>", "Status": "Enabled", "Filter": {"Prefix": "old/"}, "Expiration": {"Days": 7}},
    {
        "ID": "uploads",
        "Status": "Disabled",
        "Filter": {"Prefix": ""},
        "AbortIncompleteMultipartUpload": {"DaysAfterInitiation": 3},
    },
]


def rules(bucket):
    with suppress(bucket.server.client.exceptions.from_code("NoSuchLifecycleConfiguration")):
        return {rule["ID"]: rule for rule in bucket.get_bucket_lifecycle_configuration()["Rules"]}
    return {}


def kept(bucket):
    """What the rules of others say; where the server keeps a prefix is its own affair."""
    return {name: rule for name, rule in rules(bucket).items() if not name.startswith("retentiond/")}


def ours(expiry=NINETY, pattern="in/**", **others):
    return replace(scope(pattern, **others), expiry=expiry)


def install(store, state, sc=None, **others):
    sc = sc or ours()
    batch = Batch(0, sc, Action("lifecycle"), [sc.expiry.key], [state], **others)
    return [f"{s.outcome}:{s.code}".rstrip(":") for s in store.dispose(batch)]


@pytest.mark.parametrize("others", [[], OTHERS])
def test_a_rule_is_installed_among_those_of_others_and_taken_away_again(s3_server, others):
    bucket = s3_server.bucket()
    if others:
        bucket.put_bucket_lifecycle_configuration(LifecycleConfiguration={"Rules": others})
    before = kept(bucket)
    with closing(act(bucket, prefix="store/")) as store:
        assert store.expires(ours()) == ABSENT
        assert install(store, ABSENT) == ["installed"]
        assert store.expires(ours()) == ""
        mine = rules(bucket)[NINETY.name]
        assert (mine["Status"], mine["Expiration"]["Days"]) == ("Enabled", 90)
        assert "store/in/" in str(mine), "below the store's own prefix"
        assert kept(bucket) == before
        assert install(store, ABSENT) == ["gone"], "somebody has done it meanwhile"
        assert store.withdraw(NINETY.name)
        assert rules(bucket) == before
        assert not store.withdraw(NINETY.name)
        assert store.expires(ours()) == ABSENT


def test_a_rule_that_was_altered_is_seen_and_only_the_planned_one_is_replaced(s3_server):
    bucket = s3_server.bucket()
    with closing(act(bucket)) as store:
        install(store, ABSENT)
        longer = ours(replace(NINETY, days=180))
        state = store.expires(longer)
        assert state not in ("", ABSENT)
        assert install(store, ABSENT, longer) == ["changed"], "the plan saw none"
        assert rules(bucket)[NINETY.name]["Expiration"]["Days"] == 90
        assert install(store, state, longer) == ["installed"]
        assert rules(bucket)[NINETY.name]["Expiration"]["Days"] == 180
        disabled = [rule | {"Status": "Disabled"} for rule in rules(bucket).values()]
        bucket.put_bucket_lifecycle_configuration(LifecycleConfiguration={"Rules": disabled})
        assert store.expires(longer) not in ("", ABSENT, state)
        assert list(store.probe(longer, ["lifecycle:x"]).revisions) == [store.expires(longer)]


def test_tags_are_part_of_a_rule(s3_server):
    bucket = s3_server.bucket()
    with closing(act(bucket)) as store:
        tagged = ours(tags=(("kind", "a & b"), ("of", "call")))
        assert install(store, ABSENT, tagged) == ["installed"]
        assert store.expires(tagged) == ""
        assert store.expires(ours()) != ""
        assert store.expires(ours(tags=(("kind", "of"), ("a & b", "call")))) != ""


@pytest.mark.parametrize("versioning", ["enabled", "suspended"])
def test_a_bucket_that_keeps_versions_is_not_left_to_itself(s3_server, versioning):
    bucket = s3_server.bucket(versioning)
    with closing(act(bucket)) as store:
        with pytest.raises(StoreDenied, match="keeps versions"):
            store.expires(ours())
        with pytest.raises(StoreDenied, match="keeps versions"):
            install(store, ABSENT)
    assert rules(bucket) == {}


def test_an_object_that_is_named_like_the_folder_stops_it(s3_server):
    """The pattern does not select it, and the bucket would take it."""
    bucket = s3_server.bucket()
    bucket.put("in/")
    with closing(look(bucket)) as view, pytest.raises(StoreDenied, match="named like the folder"):
        view.expires(ours())


def test_what_lies_beside_the_rules_is_sent_back_as_it_was(moto_server):
    """S3 sets this back to its default where a change does not repeat it; moto does not know it."""
    bucket = moto_server.bucket()
    bucket.put_bucket_lifecycle_configuration(LifecycleConfiguration={"Rules": OTHERS[:1]})
    document = (
        b"<?xml version='1.0'?>\n<LifecycleConfiguration><Rule><ID>theirs</ID>  <Filter><Prefix>old/</Prefix></Filter>"
        b"<Status>Enabled</Status><Expiration><Days>7</Days></Expiration><New>of tomorrow</New></Rule></LifecycleConfiguration>\n"
    )

    def answer(asked):
        return (200, document) if asked.operation == "GET" and "lifecycle" in asked.path else None

    with Twisted(moto_server, answer) as line, closing(act(bucket, endpoint=line.endpoint)) as store:
        assert install(store, ABSENT) == ["failed:not-as-written"], "it is read back, and the answer is that of before"
        (sent,) = [asked.body for asked in line.asked if asked.method == "PUT"]
    head, tail = document[: document.index(b"</Lifecycle")], document[document.index(b"</Lifecycle") :]
    assert sent.startswith(head), "byte for byte"
    assert sent.endswith(tail)
    assert b"<ID>retentiond/calls/sound</ID>" in sent


@pytest.mark.parametrize(
    "body", [b"<LifecycleConfiguration><Rule>", b"", b"<LifecycleConfiguration><Rule/></LifecycleConfiguration>"]
)
def test_an_answer_that_cannot_be_read_changes_nothing(moto_server, body):
    bucket = moto_server.bucket()

    def answer(asked):
        return (200, body) if asked.operation == "GET" and "lifecycle" in asked.path else None

    with Twisted(moto_server, answer) as line, closing(act(bucket, endpoint=line.endpoint)) as store:
        with pytest.raises(StoreTrouble):
            install(store, ABSENT)
        assert not [asked for asked in line.asked if asked.method == "PUT"]
