"""Ten million listed keys: how fast, and in how much memory, against boto3's own paginator on fewer. A stub plays the server."""

import os
import subprocess
import sys
import tempfile
import time
from bisect import bisect_left, bisect_right
from datetime import date, timedelta
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

sys.path.insert(0, str(Path(__file__).parents[1]))

KEYS = int(os.environ.get("KEYS", "10000000"))
FEWER = 200_000
PAGE, A_DAY = 1000, 10_000
ROOT = "rec/"
ROW = (
    "<Contents><Key>rec%%2F{day}%%2F%09d.wav</Key><LastModified>2026-11-01T10:20:30.123Z</LastModified>"
    "<ETag>&quot;c4ca4238a0b923820dcc509a6f75849b&quot;</ETag><Size>200</Size><StorageClass>STANDARD</StorageClass></Contents>"
)
HEAD = '<?xml version="1.0"?><ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><EncodingType>url</EncodingType>'
END = "\U0010ffff"


@cache
def day(number):
    return str(date(2099, 1, 1) + timedelta(days=number))


def name(n):
    return f"{ROOT}{day(n // A_DAY)}/{n:09}.wav"


@cache
def template(number, rows):
    """So many rows of one day, their numbers left out."""
    return ROW.format(day=day(number)) * rows


class Stub(BaseHTTPRequestHandler):
    """A bucket of `count` objects, in folders of as many days far ahead as it takes."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1
    count = 0

    def do_HEAD(self):
        self.answer(b"")

    def do_GET(self):
        query = {key: values[0] for key, values in parse_qs(urlsplit(self.path).query, keep_blank_values=True).items()}
        if "versioning" in query:
            return self.answer(b"<VersioningConfiguration/>")
        if "list-type" not in query:
            return self.answer(b"<Error><Code>NoSuchLifecycleConfiguration</Code></Error>", 404)
        prefix, most = query.get("prefix", ""), min(PAGE, int(query.get("max-keys", PAGE)))
        if query.get("delimiter") and prefix == ROOT:
            return self.answer(self.folders(most))
        after = query.get("start-after") or query.get("continuation-token") or ""
        every = range(self.count)
        first = max(bisect_left(every, prefix, key=name), bisect_right(every, after, key=name))
        return self.answer(self.keys(first, most, bisect_right(every, prefix + END, key=name)))

    def folders(self, most):
        days = -(-self.count // A_DAY)
        told = "".join(f"<CommonPrefixes><Prefix>rec%2F{day(n)}%2F</Prefix></CommonPrefixes>" for n in range(min(days, most)))
        return f"{HEAD}{told}<IsTruncated>{str(days > most).lower()}</IsTruncated></ListBucketResult>".encode()

    def keys(self, first, most, end):
        """So many keys from a number on, as far as another one."""
        last = max(first, min(first + most, end))
        told, at = [], first
        while at < last:
            upto = min(last, (at // A_DAY + 1) * A_DAY)
            told.append(template(at // A_DAY, upto - at) % tuple(range(at, upto)))
            at = upto
        more = last < end
        token = f"<NextContinuationToken>{name(last - 1)}</NextContinuationToken>" if more else ""
        return f"{HEAD}{''.join(told)}<IsTruncated>{str(more).lower()}</IsTruncated>{token}</ListBucketResult>".encode()

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
