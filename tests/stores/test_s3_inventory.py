"""Reports of S3 Inventory, read instead of a listing. They are objects, so that one server will do."""

import csv
import gzip
import hashlib
import io
import json
from contextlib import closing
from urllib.parse import quote_plus

import duckdb
import pytest

from retentiond.errors import StoreDenied, StoreUnavailable
from tests.stores.objects import act, dispose, look, scope, shown

COLUMNS = {
    "Bucket": "bucket",
    "Key": "key",
    "VersionId": "version_id",
    "IsLatest": "is_latest",
    "IsDeleteMarker": "is_delete_marker",
    "Size": "size",
    "LastModifiedDate": "last_modified_date",
    "ETag": "e_tag",
}
OWNER = "x-amz-expected-bucket-owner"
FOLDER = "reports/calls/daily/"
KEYS = ["in/a b+c%", "in/émile", "in/x/y"]


def told(bucket):
    """What a report says of every version and marker there is, newest first of each key."""
    listed = bucket.list_object_versions()
    for entry in [*listed.get("Versions", ()), *listed.get("DeleteMarkers", ())]:
        etag, at = entry.get("ETag", "").strip('"'), entry["LastModified"]
        yield bucket.name, entry["Key"], entry["VersionId"], entry["IsLatest"], not etag, entry.get("Size", 0), at, etag


def as_csv(rows, columns):
    text = io.StringIO()
    lines = csv.writer(text, quoting=csv.QUOTE_ALL)
    names = list(COLUMNS)
    for row in rows:
        said = dict(zip(names, row, strict=True))
        said |= {"Key": quote_plus(said["Key"]), "LastModifiedDate": f"{said['LastModifiedDate']:%Y-%m-%dT%H:%M:%S.000Z}"}
        said |= {name: str(said[name]).lower() for name in ("IsLatest", "IsDeleteMarker")}
        lines.writerow(said[name] for name in columns)
    return gzip.compress(text.getvalue().encode()), ", ".join(columns)


def as_parquet(rows, columns, folder):
    kinds = {"size": "BIGINT", "is_latest": "BOOLEAN", "is_delete_marker": "BOOLEAN", "last_modified_date": "TIMESTAMP"}
    with duckdb.connect() as database:
        said = ", ".join(f"{COLUMNS[name]} {kinds.get(COLUMNS[name], 'VARCHAR')}" for name in columns)
        database.execute(f"CREATE TABLE report ({said})")
        for row in rows:
            values = dict(zip(COLUMNS, row, strict=True)) | {"LastModifiedDate": row[6].replace(tzinfo=None)}
            database.execute(f"INSERT INTO report VALUES ({', '.join('?' * len(columns))})", [values[name] for name in columns])
        database.execute(f"COPY report TO '{folder}/report.parquet' (FORMAT parquet)")
    return (folder / "report.parquet").read_bytes(), "message s3.inventory { " + "".join(
        f"optional binary {COLUMNS[name]} (UTF8); " for name in columns
    ) + "}"


def report(
    bucket,
    kind,
    folder,
    *,
    date="2026-11-27T01-00Z",
    columns=tuple(COLUMNS),
    about=None,
    spoilt=b"",
    into=None,
    data=None,
    says=(),
):
    """A report about a bucket; `into` another one, with other `data` in its file, or a manifest that `says` something else."""
    rows = list(told(bucket))
    made, schema = as_csv(rows, columns) if kind == "CSV" else as_parquet(rows, columns, folder)
    data, about, bucket = made if data is None else data, about or bucket.name, into or bucket
    bucket.put(f"{FOLDER}data/{date}.bin", data + spoilt)
    file = {"key": f"{FOLDER}data/{date}.bin", "size": len(data), "MD5checksum": hashlib.md5(data).hexdigest()}
    manifest = {
        "sourceBucket": about,
        "creationTimestamp": "1795000000000",
        "fileFormat": kind,
        "fileSchema": schema,
        "files": [file],
    } | dict(says)
    bucket.put(f"{FOLDER}{date}/manifest.json", json.dumps(manifest).encode())


@pytest.mark.parametrize("versioning", ["unversioned", "enabled"])
@pytest.mark.parametrize("kind", ["CSV", "Parquet"])
def test_a_report_shows_what_a_listing_does_and_is_compared_before_anything_goes(moto_server, tmp_path, kind, versioning):
    bucket = moto_server.bucket(versioning)
    for key in [*KEYS, KEYS[0]]:
        bucket.put(key)
    if versioning == "enabled":
        bucket.delete_object(Key=KEYS[1])
    report(bucket, kind, tmp_path, date="2026-11-20T01-00Z", about="an-older-one-of-another-bucket")
    report(bucket, kind, tmp_path)
    with closing(look(bucket)) as view:
        listed = shown(view)
    bucket.put("in/since")
    with closing(act(bucket, inventory={"prefix": FOLDER})) as store:
        assert sorted(shown(store)) == sorted(listed)
        assert any("2026-11-18" in told for told in store.warnings(scope()))
        bucket.put(KEYS[2], b"changed since") if versioning == "unversioned" else bucket.delete_object(
            Key=KEYS[2], VersionId=dict(listed)[KEYS[2]]
        )
        fates = dict(zip(listed, dispose(store, listed), strict=True))
    odd = {step: fate for step, fate in fates.items() if fate != "disposed"}
    assert odd == {step: "changed" if versioning == "unversioned" else "gone" for step in listed if step[0] == KEYS[2]}
    assert bucket.get("in/since") is not None


def test_a_report_that_cannot_be_used_is_refused(moto_server, tmp_path):
    bucket = moto_server.bucket()
    bucket.put("in/a")

    def scanned(match, error=StoreDenied):
        with closing(look(bucket, inventory={"prefix": FOLDER})) as view, pytest.raises(error, match=match):
            shown(view)

    scanned("no inventory report yet")
    report(bucket, "CSV", tmp_path, about="other")
    scanned("another bucket")
    report(bucket, "CSV", tmp_path, columns=("Bucket", "Key", "Size"))
    scanned("does not tell enough")
    report(bucket, "CSV", tmp_path, spoilt=b"x")
    scanned("not as its manifest says", StoreUnavailable)
    bucket.delete_object(Key=f"{FOLDER}data/2026-11-27T01-00Z.bin")
    scanned("not there")


def test_a_report_lies_in_another_bucket_which_another_account_may_own(s3_server, tmp_path):
    """The account of the bucket is not asked of the reports' bucket: moto and Ceph look at neither, so that the requests are."""
    bucket, reports = s3_server.bucket(), s3_server.bucket()
    bucket.put("in/a")
    report(bucket, "CSV", tmp_path, into=reports)
    owner = bucket.get_bucket_acl()["Owner"]["ID"]
    told = {"prefix": FOLDER, "bucket": reports.name}
    asked = []
    with closing(act(bucket, owner=owner, inventory=told)) as store:
        for client in (store._bucket._asking, store._bucket._once):
            client.meta.events.register("before-send.s3", lambda request, **_: asked.append(request))
        steps = shown(store)
        assert [key for key, _ in steps] == ["in/a"]
        assert {request.headers.get(OWNER) for request in asked} == {None}
        assert all(f"/{reports.name}" in request.url for request in asked)
        asked.clear()
        assert dispose(store, steps) == ["disposed"]
    assert [request.headers.get(OWNER) for request in asked] == [owner.encode()] * len(asked) != []


ROW = {"Bucket": "b", "Key": "in/anna", "VersionId": "", "IsLatest": "true", "IsDeleteMarker": "false", "Size": "1"} | {
    "LastModifiedDate": "2026-01-01T00:00:00.000Z",
    "ETag": "e",
}


def line_of(**others):
    return gzip.compress((",".join((ROW | others).values()) + "\n").encode())


@pytest.mark.parametrize(
    ("kind", "spoilt"),
    [
        ("CSV", {"says": {"creationTimestamp": "soon"}}),
        ("CSV", {"says": {"creationTimestamp": "9" * 30}}),
        ("CSV", {"says": {"files": None}}),
        ("CSV", {"says": {"files": [{"key": "in/anna"}]}}),
        ("CSV", {"says": {"files": [{"key": 7, "MD5checksum": 7}]}}),
        ("CSV", {"says": {"fileSchema": ["Key"]}}),
        ("CSV", {"data": gzip.compress(b"b,in/anna\n")}),
        ("CSV", {"data": line_of(LastModifiedDate="yesterday")}),
        ("CSV", {"data": line_of(LastModifiedDate="0001-01-01T00:00:00+14:00")}),
        ("CSV", {"data": line_of(Size="big")}),
        ("CSV", {"data": b"in/anna is no gzip"}),
        ("CSV", {"data": gzip.compress(b"b" * 1000)[:-9]}),
        ("CSV", {"data": gzip.compress(b"\xff\xfe")}),
        ("CSV", {"data": gzip.compress(b"")[:12] + b"\xff" * 20}),
        ("Parquet", {"data": b"in/anna is no Parquet"}),
        ("Parquet", {"data": b""}),
    ],
)
def test_a_spoilt_report_is_told_of_without_what_is_in_it(moto_server, tmp_path, kind, spoilt):
    bucket = moto_server.bucket()
    bucket.put("in/anna")
    report(bucket, kind, tmp_path, **spoilt)
    unreadable(bucket)


@pytest.mark.parametrize("manifest", [b"in/anna", b"\xff", b"[]", b"{}", b"[" * 100_000])
def test_a_manifest_that_is_none_is_told_of_without_what_is_in_it(moto_server, manifest):
    bucket = moto_server.bucket()
    bucket.put(f"{FOLDER}2026-11-27T01-00Z/manifest.json", manifest)
    unreadable(bucket)


def unreadable(bucket):
    told = {"prefix": FOLDER}
    with closing(look(bucket, inventory=told)) as view, pytest.raises(StoreUnavailable, match="report cannot be read") as error:
        shown(view)
    assert error.value.why
    assert "anna" not in str(error.value.problems[0])
