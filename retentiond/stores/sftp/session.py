"""One SFTP channel: many requests on the way at once, their answers by number.

A single request and its answer take a round trip; a thousand together take hardly longer. So requests are posted, travel
together, and their answers are waited for when they are needed. A channel belongs to one thread. Whatever goes wrong
with it, it is lost: it may not be used again, and what was under way may or may not have happened.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from struct import Struct
from time import monotonic
from typing import Protocol

from retentiond.errors import StoreDenied, StoreUnavailable
from retentiond.stores.sftp import packets
from retentiond.stores.sftp.packets import Answer, Garbled, Request

DEPTH = 1024
"""So many requests are on the way at once."""
_STRIDE = 64
_TOGETHER = 32_000
_LARGEST = 2**20
_PIECE = 2**18
_LENGTH, _HEAD = Struct(">I"), Struct(">BI")


class Line(Protocol):
    """What a session needs of a channel. Both raise `StoreUnavailable` where it is lost or silent."""

    def send(self, data: bytes) -> None: ...

    def receive(self, most: int) -> bytes: ...

    def close(self) -> None: ...


class Session:
    """An SFTP session on a line. `extensions` are those that the server announces.

    `StoreDenied` where the server speaks no version that can be used.
    """

    def __init__(self, line: Line) -> None:
        self._line = line
        self._out = bytearray()
        self._in = bytearray()
        self._number = 0
        self._waiting: set[int] = set()
        self._arrived: dict[int, Answer] = {}
        self.is_lost = False
        self.waited = 0.0
        self.extensions = self._begin()

    def close(self) -> None:
        """Ends the channel; again does nothing."""
        self.is_lost = True
        self._line.close()

    def post(self, request: Request) -> int:
        """Puts a request on the way; its number. It travels with others, at the latest when an answer is waited for."""
        self._number = number = (self._number + 1) & 0xFFFFFFFF
        self._waiting.add(number)
        self._out += packets.packed(request, number)
        if len(self._out) >= _TOGETHER:
            self._send()
        return number

    def answer(self, number: int) -> Answer:
        """The answer to a request, once; waits for it."""
        while number not in self._arrived:
            self.wait()
        return self._arrived.pop(number)

    def has_arrived(self, number: int) -> bool:
        return number in self._arrived

    def forget(self, numbers: Iterable[int]) -> None:
        """Nobody will ask for these answers."""
        for number in numbers:
            self._waiting.discard(number)
            self._arrived.pop(number, None)

    def ask(self, request: Request) -> Answer:
        """One request and its answer."""
        return self.answer(self.post(request))

    def ask_all(self, requests: Sequence[Request]) -> list[Answer]:
        """The answers to many requests, in their order. The requests are carried out in any order."""
        return list(self.answers(requests))

    def answers(self, requests: Iterable[Request]) -> Iterator[Answer]:
        """The same one by one, for requests that are made as they are needed; at most `DEPTH` are on the way."""
        rest = iter(requests)
        numbers = [self.post(request) for request in islice(rest, DEPTH)]
        try:
            while numbers:
                done, numbers = numbers[:_STRIDE], numbers[_STRIDE:]
                for number in done:
                    yield self.answer(number)
                numbers += [self.post(request) for request in islice(rest, len(done))]
        finally:
            self.forget(numbers)

    def wait(self) -> None:
        """Waits until something has arrived, and takes in all of it."""
        self._send()
        began = monotonic()
        try:
            piece = self._line.receive(_PIECE)
        except BaseException:
            self.close()
            raise
        self.waited += monotonic() - began
        self._in += piece
        self._take_in()

    def _send(self) -> None:
        if self.is_lost:
            raise StoreUnavailable("the connection was lost", do="try again later")
        out, self._out = bytes(self._out), bytearray()
        try:
            if out:
                self._line.send(out)
        except BaseException:
            self.close()
            raise

    def _take_in(self) -> None:
        """Sorts what has arrived into answers. One that is too long, or that nobody asked for, ends the session."""
        buffer, at = self._in, 0
        while len(buffer) - at >= 4:
            (length,) = _LENGTH.unpack_from(buffer, at)
            if not 5 <= length <= _LARGEST:
                raise self.garbled()
            if len(buffer) - at - 4 < length:
                break
            kind, number = _HEAD.unpack_from(buffer, at + 4)
            if number in self._waiting:
                self._waiting.discard(number)
                self._arrived[number] = Answer(kind, bytes(buffer[at + 9 : at + 4 + length]))
            elif number > self._number:
                raise self.garbled()
            at += 4 + length
        del buffer[:at]

    def garbled(self) -> Garbled:
        """What to raise for an answer that makes no sense; the session has ended."""
        self.close()
        return Garbled(why="its answers do not follow SFTP version 3")

    def _begin(self) -> frozenset[bytes]:
        try:
            self._line.send(_LENGTH.pack(5) + _HEAD.pack(packets.INIT, 3))
            while len(self._in) < 4 or len(self._in) < 4 + _LENGTH.unpack_from(self._in)[0]:
                self._in += self._line.receive(_PIECE)
                if len(self._in) > _LARGEST:
                    raise Garbled
            if self._in[4] != packets.VERSION:
                raise Garbled
            extensions = packets.extensions_of(bytes(self._in[5:]))
        except Garbled:
            self.close()
            raise StoreDenied("the server speaks no SFTP of version 3", do="look at its `Subsystem sftp`") from None
        except BaseException:
            self.close()
            raise
        self._in.clear()
        return extensions
