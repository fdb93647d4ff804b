"""Buckets give out the bytes of their objects, take copies in, and are split into ranges of keys."""

import hashlib
from contextlib import closing

import pytest

from retentiond.engine.ports import PIECE
from retentiond.errors import Occupied, StoreDenied, StoreUnavailable
from retentiond.stores.s3.sending import PART
from retentiond.testing.copying import ReadableContract, WritableContract
from retentiond.testing.sharding import LanesContract, ShardableContract
from retentiond.testing.wire import DOWN, Wire
from tests.stores.objects import BucketPlace, act, look, scope

PLACES = {"moto": [("moto", "unversioned"), ("moto", "enabled")], "ceph": [("ceph", "unversioned"), ("ceph", "enabled")]}
BOTH = [*PLACES["moto"], *PLACES["ceph"]]


@pytest.fixture
def place(request):
    server, versioning = request.param
    bucket = request.getfixturevalue(f"{server}_server").bucket(versioning)
    return BucketPlace(bucket, "all" if versioning == "unversioned" else "current")


@pytest.mark.parametrize("place", BOTH, indirect=True, ids="-".join)
class TestCopies(ReadableContract, WritableContract):
    """Both contracts, on both servers, with versions and without."""


@pytest.mark.parametrize("place", [BOTH[0], *PLACES["ceph"]], indirect=True, ids="-".join)
class TestSideBySide(ShardableContract, LanesContract):
    """Moto's server leaves out the first version after a key, so that its versions are never split."""


def big():
    for i in range(2 * PART // PIECE + 3):
        yield bytes([i]) * PIECE


BIG = b"".join(big())


def test_a_copy_of_several_parts_is_taken_in_whole_and_nothing_of_a_failed_one_stays(s3_server):
    bucket = s3_server.bucket()
    stray = bucket.create_multipart_upload(Key="in/a")["UploadId"]
    bucket.create_multipart_upload(Key="in/ab")
    with closing(act(bucket)) as store:
        deposit = store.take("in/a", big())
        assert (deposit.size, deposit.sha256) == (len(BIG), hashlib.sha256(BIG).hexdigest())
        left = [upload["Key"] for upload in bucket.list_multipart_uploads()["Uploads"]]
        assert left == ["in/ab"], f"{stray} went with the copy; that of another key did not"
        assert bucket.get("in/a") == BIG

        def torn():
            yield from big()
            bucket.put("in/b", b"newcomer")

        with pytest.raises(Occupied):
            store.take("in/b", torn())
    assert bucket.get("in/b") == b"newcomer"
    assert len(bucket.list_multipart_uploads()["Uploads"]) == 1


def test_a_copy_outside_the_prefix_is_refused(moto_server):
    with closing(act(moto_server.bucket(), prefix="store/")) as store, pytest.raises(StoreDenied, match="one of the store"):
        store.take("elsewhere/a", iter([b"x"]))


def test_an_answer_that_breaks_off_is_no_whole_object(ceph_server):
    bucket = ceph_server.bucket()
    bucket.put("in/a", BIG)
    port, got = int(ceph_server.endpoint.rpartition(":")[2]), bytearray()

    def read(view, revision):
        for piece in view.read(scope(), "in/a", revision):
            got.extend(piece)

    with Wire("127.0.0.1", port) as wire, closing(look(bucket, endpoint=f"http://{wire.host}:{wire.port}")) as view:
        revision = view.probe(scope(), ["in/a"]).revisions[0]
        wire.cut_after(DOWN, 3 * PIECE)
        with pytest.raises(StoreUnavailable):
            read(view, revision)
        assert BIG.startswith(bytes(got))
        assert len(got) < len(BIG)
        assert view.edges(scope(), "in/a", revision, 3, 3) == (BIG[:3], BIG[-3:])
