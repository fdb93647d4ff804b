"""A listing is read the same whether it is written as nearly every server writes it, or otherwise; and few are asked for."""

from contextlib import closing
from datetime import UTC, datetime

import pytest

from retentiond.engine.ports import sighted
from retentiond.errors import StoreUnavailable
from retentiond.stores.s3.listing import Row, rows_of
from tests.servers.twisted import Twisted
from tests.stores.objects import act, batch, dispose, look, scope, shown

AT = "2026-11-01T10:20:30.123Z"
PLAIN = f"<Contents><Key>in%2Fa</Key><LastModified>{AT}</LastModified><ETag>&quot;abc&quot;</ETag><Size>7</Size></Contents>"
ROW = Row("in/a", "", "abc", datetime(2026, 11, 1, 10, 20, 30, 123000, UTC), 7, True, False)
AS_IT_COMES = [
    PLAIN,
    PLAIN.replace("&quot;", '"'),
    PLAIN.replace("<Size>", "<ChecksumAlgorithm>CRC32</ChecksumAlgorithm><ChecksumType>FULL_OBJECT</ChecksumType><Size>"),
    PLAIN.replace("</Size>", "</Size><Owner><ID>a &amp; b</ID><DisplayName/></Owner><StorageClass>STANDARD</StorageClass>"),
]
OTHERWISE = [
    PLAIN.replace("in%2Fa", "in&#x2F;a"),
    PLAIN.replace("<Key>", "\n  <Key>"),
    PLAIN.replace("<Contents>", "<Contents>\n").replace("</Size>", "</Size>\n"),
    PLAIN.replace(f"<LastModified>{AT}</LastModified>", "").replace(
        "</Contents>", f"<LastModified>{AT}</LastModified></Contents>"
    ),
    PLAIN.replace("<Key>in%2Fa</Key>", "<Key>in/a</Key>"),
]


def answer(*entries, encoded=True):
    told = "<EncodingType>url</EncodingType>" if encoded else ""
    start = f'<?xml version="1.0"?><ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/">{told}'
    return f"{start}{''.join(entries)}<IsTruncated>true</IsTruncated></ListBucketResult>".encode()


@pytest.mark.parametrize("entry", AS_IT_COMES + OTHERWISE)
def test_an_entry_is_read_however_it_is_written(entry):
    assert rows_of(answer(entry)) == ([ROW], True, "")
    assert rows_of(answer(entry, "<!-- read as XML -->")) == ([ROW], True, "")


@pytest.mark.parametrize("other", OTHERWISE)
def test_entries_keep_their_order_where_they_are_written_in_several_ways(other):
    first, last = PLAIN.replace("in%2Fa", "in%2F0"), PLAIN.replace("in%2Fa", "in%2Fb")
    assert [row.raw for row in rows_of(answer(first, other, last)).rows] == ["in/0", "in/a", "in/b"]


def test_a_name_is_not_decoded_where_the_server_has_not_encoded_it():
    assert rows_of(answer(PLAIN, encoded=False)).rows == [ROW._replace(raw="in%2Fa")]


@pytest.mark.parametrize(
    "entry",
    [
        PLAIN.replace("<Key>in%2Fa</Key>", ""),
        PLAIN.replace(AT, "2026-11-01T10:20:30.123"),
        PLAIN.replace(AT, ".-:"),
        PLAIN.replace("<Size>7", "<Size>-seven"),
        PLAIN.replace("</Contents>", ""),
        PLAIN.replace("</Key>", ""),
    ],
    ids=["no key", "no zone", "no date", "no size", "no end", "no end of the key"],
)
def test_a_broken_entry_is_no_listing(entry):
    with pytest.raises(StoreUnavailable, match="no listing"):
        rows_of(answer(PLAIN, entry, PLAIN))


@pytest.mark.parametrize(
    "said", ["&#x01;", "&#1;", "&#x1F;", "&#x1f;", "&#12;", "&#xFFFE;", "&#65535;", "&#xd800;", "\x01", "\ufffe"]
)
def test_what_xml_cannot_carry_costs_no_listing_outside_a_key_and_never_alters_one(said):
    prefix = f"<Prefix>in/{said}&#x41;&#9;</Prefix>"
    assert rows_of(answer(prefix, PLAIN)) == ([ROW], True, "")
    assert rows_of(answer(PLAIN.replace("in%2Fa", "in%2F%01"), prefix)).rows == [ROW._replace(raw="in/\x01")]
    if said.startswith("&"):
        with pytest.raises(StoreUnavailable, match="no listing"):
            rows_of(answer(prefix, PLAIN.replace("in%2Fa", f"in%2Fa{said}")))


@pytest.mark.parametrize("versioning", ["unversioned", "enabled"])
def test_odd_keys_go_like_others(ceph_server, versioning):
    """Ceph repeats the prefix that it is asked for by references that XML does not know."""
    made = ceph_server.bucket(versioning)
    for key in ("in/a", "in/b\x01", "in/c\ufffe", "in/d\rx", "in/e\x1f&"):
        made.put_quickly(key, b"x", {})
    with closing(act(made)) as store:
        steps = shown(store)
        assert list(sighted(store, batch(steps)).revisions) == [revision for _, revision in steps]
        assert dispose(store, steps) == ["disposed"] * 5
    assert made.keys() == []


@pytest.fixture
def several(moto_server):
    """A bucket with 300 objects that are meant, and as many beside them."""
    made = moto_server.bucket()
    for i in range(300):
        made.put_quickly(f"in/{i:03}", b"x", {})
        made.put_quickly(f"out/{i:03}", b"x", {})
    return made


def test_a_batch_costs_a_handful_of_requests_however_many_objects_it_has(several, moto_server):
    with Twisted(moto_server) as line, closing(act(several, endpoint=line.endpoint)) as store:
        steps = shown(store)
        line.asked.clear()
        assert dispose(store, steps) == ["disposed"] * 300
        assert [asked.operation for asked in line.asked] == ["GET versioning", "GET list-type", "POST delete"]
        assert b"<Quiet>true</Quiet>" in line.heard("POST delete")[0].body
        line.asked.clear()
        assert set(sighted(store, batch(steps)).revisions) == {None}
        assert [asked.operation for asked in line.asked] == ["GET list-type"]
        assert "max-keys=100&" in line.asked[0].path + "&"


def test_what_a_server_is_silent_about_is_looked_at_at_a_glance(ceph_server, monkeypatch):
    """Ceph's gateway mentions errors only where it is asked to; moto's server mentions everything all the same."""
    made = ceph_server.bucket()
    for i in range(120):
        made.put_quickly(f"in/{i:03}", b"x", {})
    asked = []
    with closing(act(made)) as store:
        steps, ask = shown(store), store._bucket.ask
        monkeypatch.setattr(
            store._bucket, "ask", lambda name, **told: asked.append((name, told.get("MaxKeys"))) or ask(name, **told)
        )
        assert dispose(store, steps) == ["disposed"] * 120
    looked = [("list_objects_v2", 1000), ("delete_objects", None), ("list_objects_v2", 100)]
    assert asked == [("get_bucket_versioning", None), *looked]
    assert made.keys() == []


def test_keys_far_apart_are_found_whichever_way_they_are_asked_for(several):
    with closing(act(several)) as store:
        steps = shown(store, scope("**"))
        some = [step for i, step in enumerate(steps) if i < 20 or i % 60 == 0]
        assert list(sighted(store, batch(some, scope("**"))).revisions) == [revision for _, revision in some]


def test_a_few_keys_are_split_into_two_parts_and_no_more(several):
    with closing(look(several)) as view:
        assert len(view.shards(scope("**"), 32)) == 2


def test_a_view_has_no_means_to_delete(several):
    with closing(look(several)) as view, pytest.raises(AttributeError):
        view._bucket.ask("delete_objects", Delete={"Objects": [{"Key": "in/000"}]})
    assert several.get("in/000") == b"x"
