"""Answers of S3 that come late, in part, wrong or never: errors inside a 200, throttling, circles, cut lines."""

import re
from contextlib import closing, suppress
from urllib.parse import parse_qs, urlsplit

import pytest

from retentiond.errors import StoreUnavailable
from retentiond.testing.wire import DOWN, UP, Wire
from tests.servers.twisted import Twisted, error
from tests.stores.objects import act, dispose, look, scope, shown


@pytest.fixture
def bucket(moto_server):
    made = moto_server.bucket()
    for i in range(5):
        made.put_quickly(f"in/{i}", b"x", {})
    return made


def once(twist):
    """Twists the first request for which it has an answer, and no other."""
    done = []

    def maybe(asked):
        answer = None if done else twist(asked)
        done.extend([answer] if answer else [])
        return answer

    return maybe


def told(asked):
    """The keys that a deletion names."""
    return re.findall(r"<Key>(.*?)</Key>", asked.body.decode())


def deleted(*keys, errors=()):
    said = "".join(f"<Deleted><Key>{key}</Key><VersionId>null</VersionId></Deleted>" for key in keys)
    wrong = "".join(f"<Error><Key>{key}</Key><VersionId>null</VersionId><Code>{code}</Code></Error>" for key, code in errors)
    return 200, f'<DeleteResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/">{said}{wrong}</DeleteResult>'.encode()


def test_what_an_answer_does_not_mention_is_nobodys_fact(bucket, moto_server):
    def answer(asked):
        return deleted("in/0", "in/2", "in/4", "in/not-asked") if asked.operation == "POST delete" else None

    with Twisted(moto_server, answer) as line, closing(act(bucket, endpoint=line.endpoint)) as store:
        assert dispose(store, shown(store)) == ["disposed", None, "disposed", None, "disposed"]


@pytest.fixture
def many(moto_server):
    made = moto_server.bucket()
    for i in range(150):
        made.put_quickly(f"in/{i:03}", b"x", {})
    return made


@pytest.mark.parametrize("mentioned", [False, True])
def test_silence_about_an_object_is_a_fact_only_where_its_key_is_gone(many, moto_server, mentioned):
    """A server that is asked to mention errors only, and one that mentions more than it is asked to."""
    left, replaced, denied = "in/007", "in/077", "in/111"

    def answer(asked):
        if asked.operation != "POST delete":
            return None
        gone = [key for key in told(asked) if key not in (left, denied)]
        many.delete_objects(Delete={"Objects": [{"Key": key} for key in gone], "Quiet": True})
        many.put(replaced, b"newcomer")
        return deleted(*[key for key in gone if mentioned and key != replaced], errors=[(denied, "AccessDenied")])

    with Twisted(moto_server, answer) as line, closing(act(many, endpoint=line.endpoint)) as store:
        fates = dispose(store, shown(store))
        assert b"<Quiet>true</Quiet>" in line.heard("POST delete")[0].body
    by_key = {f"in/{i:03}": fate for i, fate in enumerate(fates)}
    assert (by_key.pop(left), by_key.pop(replaced), by_key.pop(denied)) == (None, None, "failed:denied")
    assert set(by_key.values()) == {"disposed"}
    assert many.keys() == [left, replaced, denied]


def test_where_versions_are_kept_each_of_them_is_mentioned(moto_server):
    made = moto_server.bucket("enabled")
    for i in range(150):
        made.put_quickly(f"in/{i:03}", b"x", {})
    with Twisted(moto_server) as line, closing(act(made, endpoint=line.endpoint)) as store:
        assert dispose(store, shown(store)) == ["disposed"] * 150
        assert b"<Quiet>" not in line.heard("POST delete")[0].body


def test_errors_inside_a_200_are_read_one_by_one(bucket, moto_server):
    errors = [("in/0", "NoSuchVersion"), ("in/1", "AccessDenied"), ("in/2", "PreconditionFailed"), ("in/3", "MalformedXML")]

    def answer(asked):
        return deleted("in/4", errors=errors) if asked.operation == "POST delete" else None

    with Twisted(moto_server, answer) as line, closing(act(bucket, endpoint=line.endpoint)) as store:
        assert dispose(store, shown(store)) == ["gone", "failed:denied", "changed", "failed:malformed-x-m-l", "disposed"]


def test_throttling_is_waited_for(bucket, moto_server):
    def busy(asked):
        return error("SlowDown") if asked.operation == "POST delete" else None

    with Twisted(moto_server, once(busy)) as line, closing(act(bucket, endpoint=line.endpoint)) as store:
        assert dispose(store, shown(store)) == ["disposed"] * 5
        assert len(line.heard("POST delete")) == 2
    assert bucket.keys() == []


def test_a_busy_version_is_tried_again_by_itself(bucket, moto_server):
    def busy(asked):
        if asked.operation != "POST delete":
            return None
        for key in told(asked)[1:]:
            bucket.delete_object(Key=key)
        return deleted(*told(asked)[1:], errors=[("in/0", "InternalError")])

    with Twisted(moto_server, once(busy)) as line, closing(act(bucket, endpoint=line.endpoint)) as store:
        assert dispose(store, shown(store)) == ["disposed"] * 5
        assert told(line.heard("POST delete")[1]) == ["in/0"]


def test_a_newcomer_during_the_pause_is_left_as_it_is(bucket, moto_server):
    """The first request was lost; meanwhile somebody has uploaded again. Sending it again would delete the newcomer."""

    def lost(asked):
        if asked.operation != "POST delete":
            return None
        bucket.put("in/0", b"newcomer")
        bucket.delete_object(Key="in/1")
        return error("InternalError", 500)

    with Twisted(moto_server, once(lost)) as line, closing(act(bucket, endpoint=line.endpoint)) as store:
        fates = dispose(store, shown(store))
    assert fates == ["changed", None, "disposed", "disposed", "disposed"], "what went by a lost request is to be inferred"
    assert bucket.get("in/0") == b"newcomer"


def test_a_server_that_stays_busy_ends_the_disposal_and_nothing_is_said_of_the_rest(bucket, moto_server, monkeypatch):
    monkeypatch.setattr("time.sleep", lambda _: None)

    def busy(asked):
        return error("SlowDown") if asked.operation == "POST delete" else None

    with Twisted(moto_server, busy) as line, closing(act(bucket, endpoint=line.endpoint)) as store:
        with pytest.raises(StoreUnavailable, match="busy"):
            dispose(store, shown(store))
        assert len(line.heard("POST delete")) == 4
    assert len(bucket.keys()) == 5


def page(*keys, truncated):
    rows = "".join(
        f"<Contents><Key>{k}</Key><LastModified>2020-01-01T00:00:00.000Z</LastModified><ETag>e</ETag><Size>1</Size></Contents>"
        for k in keys
    )
    end = f"<IsTruncated>{str(truncated).lower()}</IsTruncated>"
    return 200, f"<ListBucketResult>{rows}{end}</ListBucketResult>".encode()


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (lambda _: page(truncated=True), "does not end"),
        (lambda after: page("in/b", "in/a", truncated=True) if after else page("in/c", truncated=True), "circles"),
        (lambda after: page("in/a", truncated=True), "does not end"),
        (lambda _: (200, b"<ListBucketResult><Contents>"), "broken"),
        (lambda _: (200, b"<ListBucketResult><Contents><Key>a</Key></Contents></ListBucketResult>"), "no listing"),
    ],
)
def test_a_listing_that_goes_wrong_is_an_error_and_no_shorter_listing(bucket, moto_server, answer, why):
    def listing(asked):
        query = parse_qs(urlsplit(asked.path).query)
        return answer(query.get("start-after")) if asked.operation == "GET list-type" else None

    with (
        Twisted(moto_server, listing) as line,
        closing(look(bucket, endpoint=line.endpoint)) as view,
        pytest.raises(StoreUnavailable, match=why),
    ):
        shown(view)


def versions(key, *several):
    rows = "".join(
        f"<Version><Key>{key}</Key><VersionId>{v}</VersionId><IsLatest>false</IsLatest>"
        "<LastModified>2020-01-01T00:00:00.000Z</LastModified><ETag>e</ETag><Size>1</Size></Version>"
        for v in several
    )
    return 200, f"<ListVersionsResult>{rows}<IsTruncated>true</IsTruncated></ListVersionsResult>".encode()


def test_versions_of_a_key_that_go_round_in_circles_end_the_scan(moto_server):
    bucket = moto_server.bucket("enabled")
    turns = iter([("1", "2"), ("2", "3"), ("3", "1"), *[("1", "2", "3")] * 1000])

    def listing(asked):
        return versions("in/a", *next(turns)) if asked.operation == "GET versions" else None

    with Twisted(moto_server, listing) as line, closing(look(bucket, endpoint=line.endpoint)) as view:
        with pytest.raises(StoreUnavailable, match="does not end"):
            shown(view)
        assert len(line.heard("GET versions")) < 200


def uploads(*several):
    rows = "".join(
        f"<Upload><Key>{key}</Key><UploadId>{upload}</UploadId><Initiated>2020-01-01T00:00:00.000Z</Initiated></Upload>"
        for key, upload in several
    )
    end = "<IsTruncated>true</IsTruncated>"
    return 200, f"<ListMultipartUploadsResult>{rows}{end}</ListMultipartUploadsResult>".encode()


@pytest.mark.parametrize(
    "turns",
    [
        lambda _: (),
        lambda _: (("in/a", "1"),),
        lambda n: (("in/a", str(n % 2)),),
        lambda n: (("in/a", str(n % 3)), ("in/b", "1")),
        lambda n: ((f"in/{n % 2}", str(n)),),
    ],
    ids=["nothing, and more to come", "the same again", "two in turn", "from the beginning", "back and forth"],
)
def test_a_listing_of_uploads_that_never_ends_is_an_error(bucket, moto_server, turns):
    def listing(asked):
        if asked.operation == "GET uploads":
            return uploads(*turns(len(line.heard("GET uploads"))))
        return (
            (200, b"<ListPartsResult><IsTruncated>false</IsTruncated></ListPartsResult>") if "uploadId=" in asked.path else None
        )

    with Twisted(moto_server, listing) as line, closing(look(bucket, endpoint=line.endpoint)) as view:
        with pytest.raises(StoreUnavailable, match="uploads does not end") as told:
            shown(view, scope(uploads="incomplete"))
        assert "nothing new" in told.value.why
        assert len(line.heard("GET uploads")) < 10


def test_parts_of_an_upload_that_never_end_are_an_error_and_no_smaller_upload(bucket, moto_server):
    bucket.create_multipart_upload(Key="in/a")
    part = b"<Part><PartNumber>1</PartNumber><Size>5</Size></Part><NextPartNumberMarker>1</NextPartNumberMarker>"

    def listing(asked):
        told = b"<ListPartsResult>" + part + b"<IsTruncated>true</IsTruncated></ListPartsResult>"
        return (200, told) if "uploadId=" in asked.path else None

    with (
        Twisted(moto_server, listing) as line,
        closing(look(bucket, endpoint=line.endpoint)) as view,
        pytest.raises(StoreUnavailable, match="parts does not end"),
    ):
        shown(view, scope(uploads="incomplete"))


def test_the_old_checksum_and_the_etag_are_sent_where_the_configuration_says_so(bucket, moto_server):
    with Twisted(moto_server) as line:
        options = {"endpoint": line.endpoint, "content_md5": "yes", "conditional_deletes": "yes"}
        with closing(act(bucket, **options)) as store:
            assert store.traits.atomic
            assert dispose(store, shown(store)) == ["disposed"] * 5
        (asked,) = line.heard("POST delete")
    assert "Content-MD5" in asked.headers
    assert asked.body.count(b"<ETag>&quot;") + asked.body.count(b'<ETag>"') == 5
    assert asked.body.count(b"<VersionId>null</VersionId>") == 5


def test_every_request_names_the_account(bucket, moto_server):
    owner = bucket.get_bucket_acl()["Owner"]["ID"]
    with Twisted(moto_server) as line, closing(act(bucket, endpoint=line.endpoint, owner=owner)) as store:
        dispose(store, shown(store))
        told = [asked.headers.get("x-amz-expected-bucket-owner") for asked in line.asked]
    assert told.count(owner) == len(told) - 1, "one asks for another, to see whether the server looks at it"


@pytest.mark.parametrize("way", [UP, DOWN])
@pytest.mark.parametrize("after", [100, 600, 1500, 4000])
def test_a_line_that_is_cut_leaves_facts_and_running_again_finishes(ceph_server, way, after):
    bucket = ceph_server.bucket("enabled")
    for i in range(40):
        bucket.put_quickly(f"in/{i:02}", b"x", {})
    port = int(ceph_server.endpoint.rpartition(":")[2])
    with Wire("127.0.0.1", port) as wire:
        endpoint = f"http://{wire.host}:{wire.port}"
        with closing(act(bucket, endpoint=endpoint)) as store:
            plan, fates = shown(store), []
            wire.cut_after(way, after)
            with suppress(StoreUnavailable):
                fates = dispose(store, plan)
        there = {version for _, version, _ in bucket.everything()}
        said = [revision for (_, revision), fate in zip(plan, fates, strict=False) if fate == "disposed"]
        assert not there & set(said)
        with closing(act(bucket, endpoint=endpoint)) as store:
            assert set(dispose(store, plan)) <= {"disposed", "gone"}
    assert bucket.everything() == []
