"""What `check` tells of a bucket before anything goes: who else deletes there, what will not go, dates that say nothing."""

from contextlib import closing
from datetime import timedelta

import pytest

from retentiond.core.policy import Start
from tests.servers.twisted import Twisted, error
from tests.stores.objects import act, dispose, look, scope, shown

MFA = b"<VersioningConfiguration><Status>Enabled</Status><MfaDelete>Enabled</MfaDelete></VersioningConfiguration>"
REPLICATED = {"Role": "arn:aws:iam::123456789012:role/copies", "Rules": []}
RULE = {"ID": "all", "Priority": 1, "Filter": {"Prefix": ""}, "Destination": {"Bucket": "arn:aws:s3:::elsewhere"}}


def warned(bucket, sc=None, **options):
    with closing(look(bucket, **options)) as view:
        return " ".join(view.warnings(sc or scope()))


def test_a_bucket_that_wants_a_password_for_each_deletion_is_locked_as_a_whole(moto_server):
    """MFA delete: a server's own word for it, since moto has none. Nothing is tried, and nothing is tried again."""
    bucket = moto_server.bucket("enabled")
    bucket.put("in/a")

    def wants_a_password(asked):
        return (200, MFA) if asked.operation == "GET versioning" else None

    with Twisted(moto_server, wants_a_password) as line:
        assert "MFA delete" in warned(bucket, endpoint=line.endpoint)
        with closing(act(bucket, endpoint=line.endpoint)) as store:
            assert dispose(store, shown(store)) == ["locked:mfa-delete"]
        assert not [asked for asked in line.asked if asked.method in ("POST", "DELETE")]
    assert bucket.keys() == ["in/a"]
    assert "MFA delete" not in warned(bucket)


def test_the_bucket_s_own_rules_are_told_of_where_they_concern_the_rule_and_by_name(s3_server):
    bucket = s3_server.bucket()
    bucket.put("in/a")
    parts = [("below", "in/deeper/"), ("above", ""), ("beside", "out/"), ("no: name\u00e9 <anna>", "in/")]
    rules = [{"ID": i, "Status": "Enabled", "Filter": {"Prefix": p}, "Expiration": {"Days": 9}} for i, p in parts]
    bucket.put_bucket_lifecycle_configuration(LifecycleConfiguration={"Rules": rules})
    assert "has 3 lifecycle rules of its own that delete (above, below): what they take" in warned(bucket)
    assert "that deletes (above): what it takes" in warned(bucket, scope("elsewhere/**"))
    assert "cannot be read" not in warned(bucket)


def test_what_may_not_be_read_is_told_of_with_the_permission(moto_server):
    bucket = moto_server.bucket()

    def denied(asked):
        return error("AccessDenied", 403) if asked.path.endswith(("?lifecycle", "?replication")) else None

    with Twisted(moto_server, denied) as line:
        told = warned(bucket, endpoint=line.endpoint)
    assert "lifecycle rules of its own cannot be read with these credentials: they need s3:GetLifecycleConfiguration" in told
    assert "replicated cannot be read with these credentials: they need s3:GetReplicationConfiguration" in told


@pytest.mark.parametrize("status", ["Enabled", "Disabled"])
def test_a_bucket_whose_objects_are_copied_elsewhere_is_told_of(moto_server, status):
    bucket = moto_server.bucket("enabled")
    moto_server.client.create_bucket(Bucket=f"{bucket.name}-copies")
    moto_server.client.put_bucket_versioning(Bucket=f"{bucket.name}-copies", VersioningConfiguration={"Status": "Enabled"})
    told = {"Bucket": f"arn:aws:s3:::{bucket.name}-copies"}
    assert "replicated" not in warned(bucket)
    rule = RULE | {"Status": status, "Destination": told}
    bucket.put_bucket_replication(ReplicationConfiguration=REPLICATED | {"Rules": [rule]})
    assert ("the bucket is replicated" in warned(bucket)) == (status == "Enabled")


def test_many_objects_of_one_date_are_told_of_where_the_clock_starts_there(moto_server):
    """A copy, a restore or a new encryption sets LastModified anew: no item is as young as all of them look."""
    from moto.s3.models import s3_backends

    bucket = moto_server.bucket()
    for i in range(12):
        bucket.put(f"in/2020-01-{i + 1:02}/call")
    with_dates = scope("in/{day:%Y-%m-%d}/*", Start("path", "day"))
    assert "all objects that were looked at have one date" in warned(bucket)
    assert "one date" not in warned(bucket, with_dates), "their date is in the key"
    s3_backends["123456789012"]["aws"].get_object(bucket.name, "in/2020-01-05/call").last_modified -= timedelta(days=9)
    assert "one date" not in warned(bucket)
