"""A copy in a bucket has its name when every byte of it was read back, and not before: killed, denied or disturbed anywhere."""

import json
import os
import signal
import subprocess
import sys
from contextlib import closing, suppress
from datetime import UTC, datetime, timedelta

import pytest

from retentiond.errors import Occupied, StoreDenied, StoreUnavailable
from retentiond.stores.paths import NEW
from retentiond.stores.s3.sending import PART
from tests.stores.objects import act, look, scope, shown

SMALL, LARGE = b"a small copy", os.urandom(PART) + b"and the rest"
SIZES = pytest.mark.parametrize("content", [SMALL, LARGE], ids=["one-part", "parts"])
KILLED = """
import itertools, json, os, signal, sys
from retentiond.stores.s3 import S3Type

options, last, content = json.loads(sys.argv[1])
store, numbers = S3Type().act(options), itertools.count(1)

def before(request, **_):
    sent = next(numbers)  # parts are copied side by side
    print(sent, request.method, request.url.partition("?")[0].rpartition("/")[2], flush=True)
    if sent == last:
        os.kill(os.getpid(), signal.SIGKILL)

for client in (store._bucket._asking, store._bucket._once):
    client.meta.events.register("before-send.s3", before)
with open(content, "rb") as file:
    store.take("store/in/a", iter([file.read()]))
"""


def killed_before(bucket, request, content):
    """The requests of a process that takes a copy in and is killed before the last of them; None where it came to its end."""
    told = json.dumps([{**bucket.options, "prefix": "store/"}, request, str(content)])
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run([sys.executable, "-c", KILLED, told], capture_output=True, text=True, check=False, env=environment)
    assert done.returncode in (0, -signal.SIGKILL), done.stderr
    return done.stdout.splitlines()[:-1] if done.returncode else None


@SIZES
@pytest.mark.parametrize("versioning", ["unversioned", "enabled"])
def test_killed_before_any_request_nothing_has_the_name_that_was_not_read_back(s3_server, versioning, content, tmp_path):
    bucket = s3_server.bucket(versioning)
    (tmp_path / "content").write_bytes(content)
    named, request = 0, 1
    while (sent := killed_before(bucket, request, tmp_path / "content")) is not None:
        request += 1
        if bucket.get("store/in/a") is not None:
            named += 1
            (reserved,) = reserved_in(bucket)
            assert ["GET", reserved.rpartition("/")[2]] in [line.split()[1:] for line in sent], "it was read back before"
            with closing(look(bucket, prefix="store/")) as view:
                assert [key for key, _ in shown(view)] == ["store/in/a"], "what is on its way is no item"
        with closing(act(bucket, prefix="store/")) as store, suppress(Occupied):
            store.take("store/in/a", [content])
        finished(bucket, content)
        bucket.delete_object(Key="store/in/a", VersionId=bucket.everything()[0][1])
    assert request > 6
    assert named == 1, "between the name and the end of what was reserved there is one request"
    finished(bucket, content)


def finished(bucket, content):
    """The copy is there, and nothing else of it."""
    assert [key for key, _, _ in bucket.everything()] == ["store/in/a"]
    assert bucket.get("store/in/a") == content
    assert not bucket.list_multipart_uploads().get("Uploads")


def reserved_in(bucket):
    return [key for key, _, _ in bucket.everything() if NEW in key]


def disturbing(store, bucket, operation, content):
    """Others write in the place of what was sent, just before this request."""

    def before(**_):
        for key in reserved_in(bucket):
            bucket.put(key, content)

    for client in (store._bucket._asking, store._bucket._once):
        client.meta.events.register(f"before-send.s3.{operation}", before)


@SIZES
def test_what_others_write_in_its_place_while_it_is_read_back_gets_no_name(s3_server, content):
    bucket = s3_server.bucket()
    with closing(act(bucket)) as store:
        disturbing(store, bucket, "GetObject", b"x" * len(content))
        with pytest.raises(StoreUnavailable):
            store.take("in/a", [content])
    assert bucket.get("in/a") is None


@pytest.mark.parametrize(("content", "operation"), [(SMALL, "CopyObject"), (LARGE, "UploadPartCopy")], ids=["one-part", "parts"])
@pytest.mark.parametrize(("server", "way"), [("moto", ""), ("moto", "aws:kms"), ("ceph", "")], ids=["moto", "keys", "ceph"])
def test_what_others_write_in_its_place_after_it_was_read_back_keeps_no_name(request, server, content, operation, way):
    """Neither server heeds the condition on the source, so that it is the ETag by which it is seen; with keys of the server's
    own an ETag says nothing, and what has the name is read."""
    bucket = request.getfixturevalue(f"{server}_server").bucket()
    if way:
        rule = {"ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": way}}
        bucket.put_bucket_encryption(ServerSideEncryptionConfiguration={"Rules": [rule]})
    with closing(act(bucket)) as store:
        disturbing(store, bucket, operation, b"x" * len(content))
        with pytest.raises(StoreUnavailable):
            store.take("in/a", [content])
        assert bucket.get("in/a") is None
    with closing(act(bucket)) as store:
        store.take("in/a", [content])
    assert bucket.get("in/a") == content
    assert bucket.keys() == ["in/a"]


def policy(bucket, *resources):
    told = [f"arn:aws:s3:::{bucket.name}/{resource}" for resource in resources]
    denied = {"Effect": "Deny", "Principal": "*", "Action": ["s3:DeleteObject", "s3:DeleteObjectVersion"], "Resource": told}
    bucket.put_bucket_policy(Policy=json.dumps({"Version": "2012-10-17", "Statement": [denied]}))


def test_who_may_not_take_away_what_is_on_its_way_is_told_what_to_grant(ceph_server):
    bucket = ceph_server.bucket()
    policy(bucket, "*")
    with closing(act(bucket, prefix="store/")) as store:
        with pytest.raises(StoreDenied, match="could not be taken away again") as told:
            store.take("store/in/a", [SMALL])
        assert f"s3:DeleteObjectVersion on store/{NEW}*" in told.value.do
        assert bucket.keys() == []
        policy(bucket, "store/in/*")  # copies that nobody can delete, as long as what is on its way can be
        store.take("store/in/a", [SMALL])
    assert bucket.keys() == ["store/in/a"]


@pytest.mark.parametrize(
    ("server", "content"), [("moto", SMALL), ("ceph", SMALL), ("ceph", LARGE)], ids=["moto", "ceph", "parts"]
)
def test_a_bucket_that_locks_whatever_comes_in_has_one_copy_only(request, server, content):
    """Moto locks nothing that comes in parts."""
    bucket = request.getfixturevalue(f"{server}_server").bucket("enabled", ObjectLockEnabledForBucket=True)
    lock = {"ObjectLockEnabled": "Enabled", "Rule": {"DefaultRetention": {"Mode": "GOVERNANCE", "Days": 1}}}
    bucket.put_object_lock_configuration(ObjectLockConfiguration=lock)
    with closing(act(bucket)) as store:
        assert store.take("in/a", [content]).size == len(content)
    assert [key for key, _, _ in bucket.everything()] == ["in/a"]
    until = bucket.head_object(Key="in/a")["ObjectLockRetainUntilDate"]
    assert until > datetime.now(UTC) + timedelta(hours=23)


def test_a_reserved_key_is_no_item_and_no_name_for_a_copy_but_its_uploads_are_found(s3_server):
    bucket = s3_server.bucket()
    bucket.put(f"store/{NEW}0")
    bucket.put("store/in/a")
    bucket.create_multipart_upload(Key=f"store/{NEW}1")
    with closing(act(bucket, prefix="store/")) as store:
        with pytest.raises(StoreDenied):
            store.take(f"store/{NEW}2", [SMALL])
        assert [key for key, _ in shown(store, scope("**"))] == ["store/in/a"]
        assert [key for key, _ in shown(store, scope("**", uploads="incomplete"))] == [f"store/{NEW}1"]
