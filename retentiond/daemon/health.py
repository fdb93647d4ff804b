"""`/metrics`, `/healthz` and `/readyz`, on a loopback address only: they are for programs of the same machine.

Guarantees: an answer waits for no run, because it is made from a snapshot of the ledger; at most
`_THREADS` clients are served at once and `_QUEUE` wait; a client has a few seconds and `_LONGEST` bytes to say
what it wants, all in all, and as long to take the answer. Nothing is changed by asking.
An answer holds names of categories, numbers, and reasons in fixed words.
"""

from __future__ import annotations

import errno
import json
import os
import socket
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler
from io import BytesIO
from ipaddress import ip_address
from socketserver import TCPServer
from threading import BoundedSemaphore, Thread
from time import monotonic
from typing import Any

from retentiond.app.standing import Standing
from retentiond.daemon.metrics import exposition
from retentiond.errors import Locked, RetentiondError, UsageError

DEFAULT = "127.0.0.1:8471"
OFF = "off"

_THREADS, _QUEUE = 4, 16
_LONGEST = 8192


@contextmanager
def listening(
    listen: str,
    *,
    standing: Callable[[], Standing],
    alive: Callable[[], bool],
    waiting: Callable[[], Sequence[str]],
    patience: float = 5.0,
) -> Iterator[tuple[str, int] | None]:
    """Answers at `listen` for as long as the block runs; yields the address, None for `off`.

    `alive` says whether the work loop turned lately, `waiting` in fixed words why the daemon is not ready; they
    and `standing` are called from several threads. `patience` with a client is in seconds. `UsageError` for what is
    no loopback address, `Locked` for a port in use.
    """
    if listen == OFF:
        yield None
        return
    with _bound(*address(listen)) as server:
        server.standing, server.alive, server.waiting, server.patience = standing, alive, waiting, patience
        turning = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.2}, name="health", daemon=True)
        turning.start()
        try:
            yield str(server.server_address[0]), server.server_address[1]
        finally:
            server.shutdown()
            turning.join()


def address(listen: str) -> tuple[str, int]:
    """The host and port that a text means: `127.0.0.1:8471`, `[::1]:8471`, `localhost:8471`. `UsageError` for any other."""
    host, _, port = listen.rpartition(":")
    host = "127.0.0.1" if host == "localhost" else host.removeprefix("[").removesuffix("]")
    if not port.isascii() or not port.isdecimal() or int(port) > 65535:
        raise _unusable(listen, "it is an address, a colon and a port")
    try:
        loopback = ip_address(host).is_loopback
    except ValueError:
        raise _unusable(listen, "the part before the port is no IP address") from None
    if not loopback:
        raise _unusable(listen, "metrics and health have no password, so they are for this machine only")
    return host, int(port)


def _unusable(listen: str, why: str) -> UsageError:
    return UsageError(f"--listen cannot be {listen!r}", why=why, do=f"write {DEFAULT} or [::1]:8471, or {OFF}")


def _bound(host: str, port: int) -> _Server:
    try:
        return _Server(host, port)
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise Locked(
                f"the port {port} on {host} is in use",
                why="another program listens there, perhaps another daemon",
                do=f"end that one, or give another --listen; `ss -ltnp 'sport = :{port}'` says who it is",
            ) from error
        raise _unusable(f"{host}:{port}", os.strerror(error.errno or 0)) from error


class _Server(TCPServer):
    """Serves each client in one of a few threads; who comes when all are taken and enough wait is sent away."""

    allow_reuse_address = True
    request_queue_size = _QUEUE
    standing: Callable[[], Standing]
    alive: Callable[[], bool]
    waiting: Callable[[], Sequence[str]]
    patience: float

    def __init__(self, host: str, port: int) -> None:
        self.address_family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self._pool = ThreadPoolExecutor(_THREADS, thread_name_prefix="health")
        self._room = BoundedSemaphore(_THREADS + _QUEUE)
        self._clients: set[socket.socket] = set()
        super().__init__((host, port), _Answer)

    def server_close(self) -> None:
        """Ends; a client that is being listened to is not waited for."""
        super().server_close()
        for client in tuple(self._clients):
            with suppress(OSError):
                client.shutdown(socket.SHUT_RD)
        self._pool.shutdown()

    def process_request(self, request: Any, client_address: Any) -> None:
        if not self._room.acquire(blocking=False):
            self.shutdown_request(request)
            return
        self._clients.add(request)
        self._pool.submit(self._serve, request, client_address)

    def _serve(self, request: socket.socket, client: Any) -> None:
        try:
            with suppress(OSError):  # a client that went away, did not come to the point, or did not take the answer
                self.finish_request(request, client)
        finally:
            self._clients.discard(request)
            self.shutdown_request(request)
            self._room.release()


class _Answer(BaseHTTPRequestHandler):
    """One request, one answer, HTTP/1.0: the connection ends with it."""

    server: _Server
    server_version, sys_version = "retentiond", ""

    def setup(self) -> None:
        super().setup()
        self.rfile = BytesIO(_head(self.connection, self.server.patience))

    def do_GET(self) -> None:
        """`GET` of one of three paths."""
        path = self.path.partition("?")[0]
        answer = {"/metrics": self._metrics, "/healthz": self._health, "/readyz": self._ready}.get(path)
        if answer is None:
            self._say(HTTPStatus.NOT_FOUND, {"paths": ["/metrics", "/healthz", "/readyz"]})
            return
        try:
            answer()
        except OSError:
            raise
        except Exception:  # noqa: BLE001 a fault of the program is an answer too, and no client may end the thread
            self._say(HTTPStatus.INTERNAL_SERVER_ERROR, {"reasons": ["internal"]})

    do_HEAD = do_GET  # noqa: N815 the name is that of the library

    def _metrics(self) -> None:
        try:
            body, kind = exposition(self.server.standing(), self.headers.get("Accept", ""))
        except RetentiondError as error:
            self._say(HTTPStatus.SERVICE_UNAVAILABLE, {"reasons": [error.code]})
        else:
            self._send(HTTPStatus.OK, kind, body)

    def _health(self) -> None:
        alive = self.server.alive()
        self._say(HTTPStatus.OK if alive else HTTPStatus.SERVICE_UNAVAILABLE, {"alive": alive})

    def _ready(self) -> None:
        reasons = list(self.server.waiting())
        try:
            standing = self.server.standing()
        except RetentiondError as error:
            reasons.append(error.code)
        else:
            reasons += ["stop-file"] * standing.stop_file + ["clock"] * bool(standing.clock_step)
        self._say(HTTPStatus.SERVICE_UNAVAILABLE if reasons else HTTPStatus.OK, {"ready": not reasons, "reasons": reasons})

    def _say(self, status: HTTPStatus, value: Any) -> None:
        self._send(status, "application/json", json.dumps(value).encode() + b"\n")

    def _send(self, status: HTTPStatus, kind: str, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Cache-Control", "no-store")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 the name is that of the library
        """Says nothing: the address of a request is what somebody typed."""


def _head(connection: socket.socket, patience: float) -> bytes:
    """What a client asks, up to the empty line; `TimeoutError` or `ConnectionError` for one that does not come to the point."""
    until = monotonic() + patience
    head = b""
    while b"\r\n\r\n" not in head and b"\n\n" not in head:
        connection.settimeout(max(0.001, until - monotonic()))
        more = connection.recv(_LONGEST)
        head += more
        if not more or len(head) > _LONGEST:
            raise ConnectionError
    connection.settimeout(patience)
    return head
