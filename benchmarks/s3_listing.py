"""Ten million listed keys: how fast, and in how much memory, against boto3's own paginator on fewer. A stub plays the server."""

import os
import subprocess
import sys
import tempfile
import time
from bisect import bisect_right
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

sys.path.insert(0, str(Path(__file__).parents[1]))

KEYS = int(os.environ.get("KEYS", "10000000"))
FEWER = 200_000
PAGE = 1000
ROW = (
    "<Contents><Key>rec%%2F2099-01-01%%2F%09d.wav</Key><LastModified>2026-11-01T10:20:30.123Z</LastModified>"
    "<ETag>&quot;c4ca4238a0b923820dcc509a6f75849b&quot;</ETag><Size>200</Size><StorageClass>STANDARD</StorageClass></Contents>"
)
HEAD = '<?xml version="1.0"?><ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><EncodingType>url</EncodingType>'
ROWS = ROW * PAGE


def name(n):
    return f"rec/2099-01-01/{n:09}.wav"


class Stub(BaseHTTPRequestHandler):
    """A bucket of `count` objects, all of one day far ahead."""

    protocol_version = "HTTP/1.1"
    count = 0

    def do_HEAD(self):
        self.answer(b"")

    def do_GET(self):
        query = parse_qs(urlsplit(self.path).query, keep_blank_values=True)
        if "versioning" in query:
            return self.answer(b"<VersioningConfiguration/>")
        if "list-type" not in query:
            return self.answer(b"<Error><Code>NoSuchLifecycleConfiguration</Code></Error>", 404)
        after = (query.get("start-after") or query.get("continuation-token") or [""])[0]
        first = bisect_right(range(self.count), after, key=name)
        last = min(first + min(PAGE, int(query["max-keys"][0]) if "max-keys" in query else PAGE), self.count)
        rows = (
            ROWS % tuple(range(first, first + PAGE)) if last - first == PAGE else ROW * (last - first) % tuple(range(first, last))
        )
        more = last < self.count
        token = f"<NextContinuationToken>{name(last - 1)}</NextContinuationToken>" if more else ""
        end = f"<IsTruncated>{str(more).lower()}</IsTruncated>{token}</ListBucketResult>"
        return self.answer((HEAD + rows + end).encode())

    def answer(self, body, status=200):
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, *_):
        """Says nothing."""


def serve(count):
    Stub.count = count
    server = ThreadingHTTPServer(("127.0.0.1", 0), Stub)
    print(server.server_port, flush=True)
    server.serve_forever()


def stub(count):
    """A stub in a process of its own, and its address."""
    process = subprocess.Popen([sys.executable, __file__, "serve", str(count)], stdout=subprocess.PIPE, text=True)
    return process, f"http://127.0.0.1:{int(process.stdout.readline())}"


def by_boto(endpoint):
    """Keys a second of boto3's paginator."""
    import boto3

    client = boto3.client("s3", endpoint_url=endpoint, region_name="us-east-1", aws_access_key_id="a", aws_secret_access_key="b")
    start, seen = time.perf_counter(), 0
    for page in client.get_paginator("list_objects_v2").paginate(Bucket="bucket", Prefix="rec/"):
        seen += len(page["Contents"])
    assert seen == FEWER
    return seen / (time.perf_counter() - start)


def main():
    from side_by_side import PROGRAM, configure, report, timed

    process, endpoint = stub(FEWER)
    boto = by_boto(endpoint)
    process.kill()
    process.wait()
    process, endpoint = stub(KEYS)
    try:
        with tempfile.TemporaryDirectory() as place:
            folder = Path(place)
            for name in ("access", "secret"):
                (folder / name).write_text("x")
            configure(
                folder,
                f'calls: {{type: s3, bucket: bucket, prefix: rec/, endpoint: "{endpoint}", location: GB,\n'
                "          access_key: {file: access}, secret_key: {file: secret}}",
                'store: calls\n    select: {path: "{day:%Y-%m-%d}/*"}\n    start: {path: day}\n    retention_period: 90 days',
            )
            seconds, peak, _ = timed([*PROGRAM, "plan"], folder)
    finally:
        process.kill()
        process.wait()
    report(
        "s3_listing",
        f"### {KEYS:,} listed keys, all judged, from a stub on the same machine\n\n"
        "| | keys a second | peak MiB |\n|---|---:|---:|\n"
        f"| boto3's paginator alone ({FEWER:,} keys) | {boto:,.0f} | |\n"
        f"| retentiond plan ({seconds:.0f} s) | {KEYS / seconds:,.0f} | {peak / 1024:.0f} |\n",
    )


if __name__ == "__main__":
    serve(int(sys.argv[2])) if sys.argv[1:2] == ["serve"] else main()
