"""Uploads that never came to their end: who checks the rules is told of those that no rule takes."""

import json

import pytest

from tests.acceptance.recordings import CATEGORY, Recordings

WORDS = "uploads that never came to their end lie in recordings"
RULE = """\
  unfinished:
    store: recordings
    select: {path: "**", uploads: incomplete}
    start: modified
    retention_period: 7 days
    action: delete
"""


@pytest.fixture
def calls(s3_server, tmp_path):
    return Recordings(tmp_path / "calls", s3_server.bucket(), old=2)


def test_check_says_once_that_no_rule_takes_them(calls):
    assert WORDS not in json.dumps(calls.told("check"))
    calls.bucket.create_multipart_upload(Key="inbound/elsewhere/b")
    assert json.dumps(calls.told("check")).count(WORDS) == 1
    (calls.folder / "policies.d" / "calls.yaml").write_text(CATEGORY + RULE)
    assert WORDS not in json.dumps(calls.told("check"))
