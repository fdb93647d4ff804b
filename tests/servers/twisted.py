"""A line to a server of S3 that hears what is asked, and may answer in its stead: for answers that no honest server gives."""

import threading
from dataclasses import dataclass, field
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit


@dataclass(frozen=True)
class Asked:
    """One request. `operation` is its method with the sub-resource that S3 names in the query."""

    method: str
    path: str
    headers: dict = field(repr=False)
    body: bytes = field(repr=False)

    @property
    def operation(self):
        first = urlsplit(self.path).query.split("&")[0].partition("=")[0]
        return f"{self.method} {first}" if first in ("delete", "versions", "versioning", "uploads", "list-type") else self.method


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def _pass_on(self):
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        asked = Asked(self.command, self.path, dict(self.headers), body)
        self.server.asked.append(asked)
        twisted = self.server.twist(asked)
        status, headers, answer = (*twisted[:1], {}, twisted[1]) if twisted else self._ask(asked)
        self.send_response(status)
        for name, value in headers.items():
            if name.lower() not in ("content-length", "connection", "transfer-encoding", "date", "server"):
                self.send_header(name, value)
        self.send_header("Content-Length", headers.get("content-length", "0") if self.command == "HEAD" else str(len(answer)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(answer)

    do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = _pass_on

    def _ask(self, asked):
        line = HTTPConnection(*self.server.behind)
        try:
            line.request(asked.method, asked.path, asked.body, {k: v for k, v in asked.headers.items() if k.lower() != "host"})
            answer = line.getresponse()
            return answer.status, {k.lower(): v for k, v in answer.getheaders()}, answer.read()
        finally:
            line.close()

    def log_message(self, *_):
        """Says nothing."""


class Twisted(ThreadingHTTPServer):
    """The line, open as long as its context lasts. `twist` gets each request, and gives (status, body), or None to pass it on."""

    daemon_threads = True

    def __init__(self, server, twist=lambda _: None):
        super().__init__(("127.0.0.1", 0), _Handler)
        at = urlsplit(server.endpoint)
        self.behind, self.twist, self.asked = (at.hostname, at.port), twist, []
        self.endpoint = f"http://127.0.0.1:{self.server_port}"

    def __enter__(self):
        self._thread = threading.Thread(target=self.serve_forever, args=(0.05,), daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_):
        self.shutdown()
        self._thread.join()
        self.server_close()

    def heard(self, operation):
        return [asked for asked in self.asked if asked.operation == operation]


def error(code, status=503):
    """An answer of S3 that says what is wrong."""
    return status, f"<?xml version='1.0'?><Error><Code>{code}</Code><Message>told so</Message></Error>".encode()
