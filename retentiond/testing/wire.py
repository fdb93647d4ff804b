"""A TCP line to a server, with the faults of a real one: far away, cut, or silent.

    with Wire("127.0.0.1", 5432, delay=0.02) as wire:     # a round trip of 40 ms
        use(wire.host, wire.port)
        wire.cut_after(DOWN, 1000)                        # 1000 more bytes of answers, then the line is cut

It listens on a free loopback port and passes bytes on as they are, so that it serves any protocol. It runs in a
thread of its own; `apart` runs one in a process of its own, for measuring. What the clocks say has no part in where a
fault strikes: a line is cut or falls silent after a number of bytes, the same each time.
"""

from __future__ import annotations

import asyncio
import socket
import subprocess
import sys
import threading
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager, suppress
from typing import Any, Final, Literal, TypeVar

T = TypeVar("T")
Way = Literal["up", "down"]
UP: Final = "up"
"""From the client to the server."""
DOWN: Final = "down"
"""From the server to the client."""

_PIECE = 2**16
_ON_THE_WAY = 1024
"""So many pieces of each direction are under way at the most; then the sender has to wait."""


class Wire:
    """A line to `server`, at the address (`host`, `port`), open until it is closed.

    `delay` are the seconds that a byte takes, each way. `passed` counts the bytes of each way that the line has delivered,
    on all connections together.
    """

    host = "127.0.0.1"

    def __init__(self, server: str, port: int, *, delay: float = 0.0) -> None:
        self.delay = delay
        self._server = (server, port)
        self.passed: dict[Way, int] = {UP: 0, DOWN: 0}
        self._left: dict[Way, int | None] = {UP: None, DOWN: None}
        self._fault: Literal["cut", "silence"] = "cut"
        self._mute = False
        self._open: set[_Connection] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="wire", daemon=True)
        self._thread.start()
        self._listening = self._do(self._listen())
        self.port: int = self._listening.sockets[0].getsockname()[1]

    def cut(self) -> None:
        """Cuts every connection now: both ends are reset. New ones work."""
        self._do(self._cut())

    def silence(self) -> None:
        """From now on nothing arrives any more, either way and on new connections too, and nobody is told. See `mend`."""
        self._do(self._set(mute=True))

    def cut_after(self, way: Way, count: int) -> None:
        """Cuts every connection, once, when `count` more bytes have gone this way. The rest of the piece is lost."""
        self._do(self._set(way, count, "cut"))

    def silence_after(self, way: Way, count: int) -> None:
        """Falls silent when `count` more bytes have gone this way."""
        self._do(self._set(way, count, "silence"))

    def mend(self) -> None:
        """Takes back what was asked for. New connections work; those on which something was lost stay silent (half-open)."""
        self._do(self._set(mute=False))

    def close(self) -> None:
        """Ends every connection and the line; the port is free again. Again does nothing."""
        if self._loop.is_closed():
            return
        self._do(self._end())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def __enter__(self) -> Wire:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _do(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result()

    async def _listen(self) -> asyncio.Server:
        return await asyncio.start_server(self._connected, self.host, 0)

    async def _set(
        self, way: Way = UP, count: int | None = None, fault: Literal["cut", "silence"] = "cut", *, mute: bool = False
    ) -> None:
        self._left = {UP: None, DOWN: None}
        self._left[way] = count
        self._fault, self._mute = fault, mute

    async def _cut(self) -> None:
        self.reset_all()

    async def _end(self) -> None:
        self._listening.close()
        self.reset_all()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        rounds = self._loop.create_future()
        self._loop.call_soon(rounds.set_result, None)
        await rounds  # what was reset is closed in the loop's next round

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        try:
            far_reader, far_writer = await asyncio.open_connection(*self._server)
        except OSError:
            writer.transport.abort()
            return
        connection = _Connection(self, writer, far_writer)
        self._open.add(connection)
        try:
            await asyncio.gather(connection.pass_on(UP, reader, far_writer), connection.pass_on(DOWN, far_reader, writer))
        except asyncio.CancelledError:
            pass  # the line is closed, and this was all that was left to do
        finally:
            self._open.discard(connection)
            connection.reset()

    def let_through(self, way: Way, piece: bytes) -> tuple[bytes, Literal["", "cut", "silence"]]:
        """How much of a piece arrives, and what happens then."""
        if self._mute:
            return b"", "silence"
        left = self._left[way]
        if left is None or len(piece) < left:
            if left is not None:
                self._left[way] = left - len(piece)
            return piece, ""
        self._left[way] = None
        self._mute = self._fault == "silence"
        return piece[:left], self._fault

    def reset_all(self) -> None:
        """`cut`, for the line's own thread."""
        for connection in list(self._open):
            connection.reset()


class _Connection:
    """Both directions of one connection."""

    def __init__(self, wire: Wire, near: asyncio.StreamWriter, far: asyncio.StreamWriter) -> None:
        self._wire, self._writers = wire, (near, far)
        self._lost = False
        for writer in self._writers:
            plug: socket.socket = writer.get_extra_info("socket")
            plug.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            writer.transport.set_write_buffer_limits(0)

    def reset(self) -> None:
        """Both ends learn of it at once."""
        for writer in self._writers:
            writer.transport.abort()

    async def pass_on(self, way: Way, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One direction, until it ends or the connection does."""
        loop = asyncio.get_running_loop()
        under_way: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue(_ON_THE_WAY)
        delivering = loop.create_task(self._deliver(way, under_way, writer))
        try:
            while True:
                piece = await reader.read(_PIECE)
                await under_way.put((loop.time() + self._wire.delay, piece))
                if not piece:
                    break
            await delivering
        except OSError:
            self.reset()
        finally:
            delivering.cancel()

    async def _deliver(self, way: Way, under_way: asyncio.Queue[tuple[float, bytes]], writer: asyncio.StreamWriter) -> None:
        loop = asyncio.get_running_loop()
        never = loop.create_future()
        while True:
            due, piece = await under_way.get()
            if due > loop.time():
                await asyncio.wait({never}, timeout=due - loop.time())
            if self._lost:
                continue
            arriving, fault = self._wire.let_through(way, piece)
            if not piece and not fault:
                with suppress(OSError):
                    writer.write_eof()
                return
            if arriving:
                self._wire.passed[way] += len(arriving)
                with suppress(OSError):
                    writer.write(arriving)
                    await writer.drain()
            self._lost = fault == "silence"
            if fault == "cut":
                self._wire.reset_all()
                return


@contextmanager
def apart(server: str, port: int, *, delay: float) -> Iterator[int]:
    """The port of a line that a process of its own keeps, for as long as the context lasts."""
    command = [sys.executable, "-m", "retentiond.testing.wire", server, str(port), str(delay)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:  # noqa: S603 this program
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            yield int(process.stdout.readline())
        finally:
            process.stdin.close()


def _keep(server: str, port: str, delay: str) -> None:
    """Says its port and keeps the line until whoever started it has gone."""
    with Wire(server, int(port), delay=float(delay)) as wire:
        sys.stdout.write(f"{wire.port}\n")
        sys.stdout.flush()
        sys.stdin.read()


if __name__ == "__main__":
    _keep(*sys.argv[1:])
