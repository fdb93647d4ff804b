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


def report(bucket, kind, folder, *, date="2026-11-27T01-00Z", columns=tuple(COLUMNS), about=None, spoilt=b""):
    rows = list(told(bucket))
    data, schema = as_csv(rows, columns) if kind == "CSV" else as_parquet(rows, columns, folder)
    bucket.put(f"{FOLDER}data/{date}.bin", data + spoilt)
    file = {"key": f"{FOLDER}data/{date}.bin", "size": len(data), "MD5checksum": hashlib.md5(data).hexdigest()}
    manifest = {
        "sourceBucket": about or bucket.name,
        "creationTimestamp": "1795000000000",
        "fileFormat": kind,
        "fileSchema": schema,
        "files": [file],
    }
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
