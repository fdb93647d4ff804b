"""Buckets: what EDGE_CASES says of S3, on two servers; where they differ, the test says so."""

import json
from contextlib import closing, suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from threading import Lock

import pytest
from botocore.exceptions import ClientError

from retentiond.core.item import WITHOUT_END, key_of
from retentiond.core.policy import Action, Start
from retentiond.core.selector import Predicate
from retentiond.engine.ports import OUTSIDE
from retentiond.errors import StoreDenied, StoreUnavailable
from tests.servers.ceph import OTHER, OTHER_SECRET
from tests.servers.twisted import Twisted
from tests.stores.objects import act, batch, dispose, look, scope, shown

LATER = datetime.now(UTC).replace(microsecond=0) + timedelta(days=2)


def items(view, sc=None):
    return [page[i] for page in view.scan(sc or scope()) for i in range(len(page))]


# Versions and markers


def test_gone_means_every_version_of_this_key_and_nothing_of_a_longer_one(s3_server):
    bucket = s3_server.bucket("enabled")
    for key in ("in/a", "in/a", "in/ab", "in/a/b"):
        bucket.put(key)
    bucket.delete_object(Key="in/a")
    with closing(act(bucket)) as store:
        steps = [(key, revision) for key, revision in shown(store) if key == "in/a"]
        assert len(steps) == 3, "two versions and a marker"
        assert dispose(store, steps) == ["disposed"] * 3
        assert store.probe_revisions(scope(), *map(list, zip(*steps, strict=True))).revisions == [None] * 3
    assert bucket.everything() == [e for e in bucket.everything() if e[0] in ("in/ab", "in/a/b")]
    assert bucket.keys() == ["in/a/b", "in/ab"]


def test_a_marker_comes_after_its_versions_and_stays_as_long_as_it_hides_one(s3_server):
    bucket = s3_server.bucket("enabled")
    versions = [bucket.put("in/a"), bucket.put("in/a", b"again")]
    bucket.delete_object(Key="in/a")
    with closing(act(bucket)) as store:
        plan = shown(store)
        assert {revision for _, revision in plan[:2]} == set(versions), "versions first"
        marker = plan[2]
        assert dispose(store, [plan[0], marker]) == ["disposed", "changed:hides-versions"]
        assert dispose(store, [marker, plan[1]]) == ["disposed", "disposed"], "in whatever order they stand in the batch"
    assert bucket.everything() == []


def test_a_marker_starts_with_the_last_of_what_it_hides(s3_server):
    bucket = s3_server.bucket("enabled")
    bucket.put("in/a")
    bucket.delete_object(Key="in/a")
    with closing(look(bucket)) as view:
        version, marker = items(view)
        assert marker.start >= version.start
        doubts = [item.doubt for item in items(view, scope(start=Start("metadata", "at")))]
    assert doubts[0] is None
    assert "hides" in doubts[1]


def test_nothing_ever_makes_a_marker(s3_server):
    bucket = s3_server.bucket("enabled")
    bucket.put("in/a")
    with closing(act(bucket)) as store:
        plan = shown(store)
        assert dispose(store, [*plan, ("in/none", plan[0][1]), ("in/a", "nothing@1")]) == ["disposed", "gone", "gone"]
    assert bucket.everything() == []


@pytest.mark.parametrize(("versions", "expected"), [("all", 4), ("current", 1), ("noncurrent", 3)])
def test_versions_selects(s3_server, versions, expected):
    bucket = s3_server.bucket("enabled")
    bucket.put("in/a")
    bucket.put("in/a", b"again")
    bucket.put("in/b")
    bucket.delete_object(Key="in/b")
    sc = scope(versions=versions)
    with closing(act(bucket)) as store:
        chosen = shown(store, sc)
        assert len(chosen) == {"all": 4, "current": 1, "noncurrent": 2}[versions]
        others = [step for step in shown(store) if step not in chosen]
        assert set(dispose(store, others, sc)) <= {"changed:outside"}
        dispose(store, chosen, sc)
        left = len(shown(store))
    assert left == {"all": 0, "current": 3, "noncurrent": 2}[versions]
    assert expected


def test_a_bucket_whose_versioning_changed_since_it_was_opened_is_left_alone(s3_server):
    bucket = s3_server.bucket()
    bucket.put("in/a")
    with closing(act(bucket)) as store:
        plan = shown(store)
        bucket.keep_versions("Enabled")
        with pytest.raises(StoreDenied, match="versioning"):
            dispose(store, plan)
    assert bucket.keys() == ["in/a"]


def test_what_was_written_while_versions_were_not_kept_can_be_replaced_and_is_compared(s3_server):
    bucket = s3_server.bucket("suspended")
    bucket.put("in/a", b"one")
    bucket.put("in/b", b"one")
    with closing(act(bucket)) as store:
        assert not store.traits.atomic
        plan = shown(store)
        assert all("@" in revision for _, revision in plan)
        bucket.put("in/a", b"two")
        assert dispose(store, plan) == ["changed", "disposed"]
    assert bucket.get("in/a") == b"two"


def test_the_same_bytes_uploaded_again_are_a_change(moto_server):
    from moto.s3.models import s3_backends

    bucket = moto_server.bucket()
    bucket.put("in/a")
    s3_backends["123456789012"]["aws"].get_object(bucket.name, "in/a").last_modified -= timedelta(hours=1)
    with closing(act(bucket)) as store:
        plan = shown(store)
        bucket.put("in/a")
        assert dispose(store, plan) == ["changed"]
    assert bucket.keys() == ["in/a"]


# Locks


@pytest.mark.parametrize("lock", ["GOVERNANCE", "COMPLIANCE", "legal hold"])
def test_what_is_locked_stays_until_its_date(s3_server, lock):
    bucket = s3_server.bucket(ObjectLockEnabledForBucket=True)
    locked, free = bucket.put("in/a"), bucket.put("in/b")
    if lock == "legal hold":
        bucket.put_object_legal_hold(Key="in/a", VersionId=locked, LegalHold={"Status": "ON"})
    else:
        bucket.put_object_retention(Key="in/a", VersionId=locked, Retention={"Mode": lock, "RetainUntilDate": LATER})
    bucket.delete_object(Key="in/a")
    with closing(act(bucket)) as store:
        plan = shown(store)
        until = {item.key: item.locked_until for item in items(store) if item.revision == locked}
        assert until == {"in/a": WITHOUT_END if lock == "legal hold" else LATER}
        assert [item.locked_until for item in items(store) if item.revision == free] == [None]
        marker = next(item for item in items(store) if item.revision not in (locked, free))
        assert marker.locked_until == until["in/a"], "a marker above a locked version is not deletion"
        fates = dict(zip([revision for _, revision in plan], dispose(store, plan), strict=True))
    assert fates == {locked: "locked", marker.revision: "locked", free: "disposed"}
    assert len(bucket.everything()) == 2


@pytest.mark.parametrize("bypass", [False, True])
def test_a_marker_stays_with_what_it_hides_and_goes_with_it_where_the_lock_is_passed(s3_server, bypass):
    bucket = s3_server.bucket(ObjectLockEnabledForBucket=True)
    told = {"Mode": "GOVERNANCE", "RetainUntilDate": LATER}
    bucket.put_object_retention(Key="in/a", VersionId=bucket.put("in/a"), Retention=told)
    bucket.delete_object(Key="in/a")
    sc = scope(bypass=True)
    with closing(act(bucket)) as store:
        plan = shown(store, sc)
        assert [item.locked_until for item in items(store, sc)] == [None, None], "both are counted as due"
        expected = ["disposed"] * 2 if bypass else ["locked:governance", "locked"]
        assert dispose(store, plan, sc, bypass=bypass) == expected
    assert len(bucket.everything()) == (0 if bypass else 2)


def test_locks_are_looked_up_for_what_may_be_due_only(moto_server):
    bucket = moto_server.bucket(ObjectLockEnabledForBucket=True)
    bucket.put("in/a")
    now = datetime.now(UTC) + timedelta(hours=1)
    with Twisted(moto_server) as line, closing(look(bucket, endpoint=line.endpoint)) as view:
        before = len(line.asked)
        pages = list(view.scan(scope(waiting_from=now - timedelta(days=3), now=now)))
        assert sum(page.unseen for page in pages) == 1
        assert not [asked for asked in line.asked[before:] if asked.method == "HEAD"]


# Who may, and who does


def test_a_denied_deletion_fails_and_the_others_go(ceph_server):
    bucket = ceph_server.bucket()
    for key in ("in/a", "in/b", "in/c"):
        bucket.put(key)
    deny = {"Effect": "Deny", "Principal": "*", "Action": ["s3:DeleteObject", "s3:DeleteObjectVersion"]}
    statement = deny | {"Resource": [f"arn:aws:s3:::{bucket.name}/in/b"]}
    bucket.put_bucket_policy(Policy=json.dumps({"Version": "2012-10-17", "Statement": [statement]}))
    with closing(act(bucket)) as store:
        assert dispose(store, shown(store)) == ["disposed", "failed:denied", "disposed"]
    assert bucket.keys() == ["in/b"]


def test_a_hold_that_only_a_database_can_judge_holds_every_object(s3_server):
    bucket = s3_server.bucket()
    bucket.put("in/a")
    with closing(act(bucket)) as store:
        assert dispose(store, shown(store), predicates=(Predicate("H", "a = 1"),)) == ["held"]
    assert bucket.keys() == ["in/a"]


def test_check_tells_who_else_deletes_and_of_dates_that_say_nothing(s3_server):
    bucket = s3_server.bucket("enabled")
    for i in range(12):
        bucket.put(f"in/{i}")
    rules = [{"ID": "x", "Status": "Enabled", "Filter": {"Prefix": "in/"}, "Expiration": {"Days": 1}}]
    bucket.put_bucket_lifecycle_configuration(LifecycleConfiguration={"Rules": rules})
    with closing(look(bucket)) as view:
        told = " ".join(view.warnings(scope(versions="current")))
        assert "the pattern matches nothing" in view.warnings(scope("nowhere/**"))
    assert "a lifecycle rule of its own that deletes (x): what it takes" in told
    assert "becomes the current one" in told


# Uploads, tags, starts


def test_incomplete_uploads_are_items_of_their_own(s3_server):
    bucket = s3_server.bucket()
    mine, other = (bucket.create_multipart_upload(Key=key)["UploadId"] for key in ("in/a", "out/a"))
    bucket.upload_part(Key="in/a", UploadId=mine, PartNumber=1, Body=b"x" * 1000)
    bucket.put("in/a", b"an object of the same key")
    sc = scope(uploads="incomplete")
    with closing(act(bucket)) as store:
        (item,) = items(store, sc)
        assert (item.key, item.revision, item.size) == ("in/a", mine, 1000)
        assert item.start is not None
        assert dispose(store, [("in/a", mine), ("in/a", "nothing"), ("out/a", other)], sc) == [
            "disposed",
            "gone",
            "changed:outside",
        ]
        assert dispose(store, [("in/a", mine)], sc) == ["gone"]
    assert [u["UploadId"] for u in bucket.list_multipart_uploads()["Uploads"]] == [other]
    assert bucket.keys() == ["in/a"]


ODD = ["in/a%2Fb", "in/a+b", "in/anna@x.org/big", "in/a b", "in/&", "in/\u00e9", "in/%41", "in/c\x01", "in/c\ufffe", "in/c\ufffd"]


@pytest.mark.parametrize("key", [None, *ODD])
def test_uploads_are_found_and_aborted_under_the_very_key_that_they_were_meant_for(s3_server, key):
    """Ceph encodes the keys of uploads without saying so, and moto does not encode what it is asked to.

    What XML cannot carry moto does not list at all; Ceph begins the upload, and its answer cannot be read.
    """
    bucket = s3_server.bucket()
    keys = [key] if key else ["in/plain", *ODD]
    keys = [key for key in keys if s3_server.kind == "ceph" or key not in ("in/c\x01", "in/c\ufffe")]
    begun = {}
    for one in keys:
        with suppress(ClientError):
            begun[key_of(one)] = bucket.create_multipart_upload(Key=one)["UploadId"]
    assert len(begun) >= len(keys) - 2
    sc = scope(uploads="incomplete")
    with closing(act(bucket)) as store:
        found = dict(shown(store, sc))
        assert found.keys() == {key_of(key) for key in keys}
        assert found | begun == found
        assert list(store.probe_revisions(sc, list(found), list(found.values())).revisions) == list(found.values())
        assert set(dispose(store, found.items(), sc)) <= {"disposed"}
    assert not bucket.list_multipart_uploads().get("Uploads")


@pytest.mark.parametrize("ends", ["abort", "complete"])
def test_an_upload_that_ends_while_it_is_looked_at_is_left_out(s3_server, ends):
    bucket = s3_server.bucket()
    ids = {key: bucket.create_multipart_upload(Key=key)["UploadId"] for key in ("in/a", "in/b")}
    part = bucket.upload_part(Key="in/a", UploadId=ids["in/a"], PartNumber=1, Body=b"x")["ETag"]

    lock, ended = Lock(), []

    def end(**_):
        with lock:
            if ended:
                return
            ended.append(ends)
            if ends == "abort":
                bucket.abort_multipart_upload(Key="in/a", UploadId=ids["in/a"])
                return
            parts = {"Parts": [{"PartNumber": 1, "ETag": part}]}
            bucket.complete_multipart_upload(Key="in/a", UploadId=ids["in/a"], MultipartUpload=parts)

    with closing(act(bucket)) as store:
        store._bucket._asking.meta.events.register("before-send.s3.ListParts", end)
        assert shown(store, scope(uploads="incomplete")) == [("in/b", ids["in/b"])]


def test_tags_select_and_start_and_are_compared_again(s3_server):
    bucket = s3_server.bucket("enabled")
    for key, tags in (("in/a", "kind=call&at=2020-02-03"), ("in/b", "kind=call&at=never"), ("in/c", "kind=other")):
        bucket.put(key, Tagging=tags)
    sc = scope(tags=(("kind", "call"),), start=Start("tag", "at"))
    with closing(act(bucket)) as store:
        found = {item.key: item.start for item in items(store, sc)}
        assert found == {"in/a": datetime(2020, 2, 3, 23, 59, 59, 999_999, UTC), "in/b": None}
        plan = shown(store, sc)
        bucket.put_object_tagging(
            Key="in/a", Tagging={"TagSet": [{"Key": "kind", "Value": "call"}, {"Key": "at", "Value": "2030-01-01"}]}
        )
        bucket.put_object_tagging(Key="in/b", Tagging={"TagSet": [{"Key": "kind", "Value": "other"}]})
        page = store.probe(sc, ["in/b", "in/c"])
        assert page.doubts == {0: OUTSIDE, 1: OUTSIDE}
        assert dispose(store, plan, sc) == ["changed", "changed"]
    assert len(bucket.keys()) == 3


def test_a_date_in_the_key_is_a_start_and_names_are_fields(s3_server):
    bucket = s3_server.bucket()
    bucket.put("in/2020-02-29/émile/a.wav")
    sc = scope("in/{day:%Y-%m-%d}/{who}/*", Start("path", "day"), fields=("who",))
    with closing(look(bucket)) as view:
        (item,) = items(view, sc)
    assert item.start == datetime(2020, 2, 29, 23, 59, 59, 999_999, UTC)
    assert item.facts == {"who": "émile"}


def test_what_certainly_waits_is_counted_and_not_shown(s3_server):
    bucket = s3_server.bucket()
    for i in range(3):
        bucket.put(f"in/{i}")
    now = datetime.now(UTC) + timedelta(minutes=5)
    with closing(look(bucket)) as view:
        (page,) = view.scan(scope(waiting_from=now - timedelta(days=2), now=now))
        assert (len(page), page.unseen) == (0, 3)
        assert len(shown(view, scope(waiting_from=now, now=now))) == 3


# Looking at given keys


@pytest.mark.parametrize("versioning", ["unversioned", "enabled"])
def test_keys_are_found_whether_they_lie_together_or_far_apart(s3_server, versioning):
    bucket = s3_server.bucket(versioning)
    keys = [f"in/{i:04}" for i in range(300)]
    for key in [*keys, "in/0000/below", "in/00", "aside/1"]:
        bucket.put_quickly(key, b"x", {})
    with closing(look(bucket)) as view:
        seen = dict(shown(view))
        for some in (keys[::2], [*keys[5:40], "in/0005x", "in/none"], keys[::30], ["in/0000", "in/00"]):
            asked = [*reversed(some), some[0], "nowhere"]
            assert [seen.get(key) for key in asked] == list(view.probe(scope(), asked).revisions)


# What is wrong with a bucket


def test_no_bucket_no_access_and_wrong_keys_are_told(ceph_server):
    bucket = ceph_server.bucket()
    with pytest.raises(StoreDenied, match="no such bucket"):
        look(bucket, bucket="no-such-bucket")
    with pytest.raises(StoreDenied, match="the secret key is not the one of the access key"):
        look(bucket, secret_key="wrong")
    with pytest.raises(StoreDenied, match="does not know the access key"):
        look(bucket, access_key="nobody")
    with pytest.raises(StoreDenied, match="denies access"):
        act(bucket, access_key=OTHER, secret_key=OTHER_SECRET)
    with pytest.raises(StoreUnavailable, match="cannot be reached"):
        look(bucket, endpoint="http://127.0.0.1:1")


def test_a_bucket_of_another_account_is_refused(s3_server):
    bucket = s3_server.bucket()
    owner = bucket.get_bucket_acl()["Owner"]["ID"]
    look(bucket, owner=owner).close()
    with pytest.raises(StoreDenied, match="another account") as denied:
        look(bucket, owner="123456789012")
    assert denied.value.why == f"the server names {owner} as its owner"


def test_a_bucket_in_another_region_is_refused(moto_server, monkeypatch):
    bucket = moto_server.bucket()
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", moto_server.endpoint)
    options = {"endpoint": "", "region": "us-east-1"}
    look(bucket, **options).close()
    with pytest.raises(StoreDenied, match="another region"):
        look(bucket, **options | {"region": "eu-west-2"})


def test_a_batch_that_is_not_for_objects_is_refused(moto_server):
    with closing(act(moto_server.bucket())) as store, pytest.raises(ValueError, match="delete"):
        store.dispose(replace(batch([]), action=Action("keep")))


# What the server does, shown on a scratch object


@pytest.mark.parametrize("versioning", ["unversioned", "enabled"])
def test_a_server_shows_what_it_does_and_nothing_stays(s3_server, versioning):
    """Moto compares in a deletion of one object and not in one of many, and Ceph in neither: both count as no.

    Where it keeps versions, Ceph writes over an object in spite of If-None-Match; nothing is lost then.
    """
    bucket = s3_server.bucket(versioning)
    bucket.put("in/a")
    before = bucket.everything()
    with closing(act(bucket)) as store:
        told = store.prove()
    with closing(act(bucket, conditional_deletes="yes")) as store:
        assert any("take `conditional_deletes` out" in one for one in store.prove())
    assert told[0] == "the server does not compare ETags while it deletes"
    kept = (s3_server.kind, versioning) != ("ceph", "enabled")
    assert told[1].startswith("the server refuses to write over" if kept else "the server writes over")
    assert bucket.everything() == before
