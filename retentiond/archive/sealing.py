"""The way through the child process that encrypts: pieces go in, pieces come out, and memory stays flat.

Whoever asks for the next piece of ciphertext moves everything along: pieces are read from their store in the thread
that owns its handle, handed to the child, and what the child gives back is handed on. There is no thread and no queue.
"""

from __future__ import annotations

import fcntl
import os
import select
import subprocess
import sys
from collections.abc import Generator, Iterable, Iterator, Sequence

from retentiond.archive.age import DAMAGED, LENGTH, NO_IDENTITY, NONE_FITS
from retentiond.engine.ports import PIECE
from retentiond.errors import NotOpened, NotSealed

_MODULE = "retentiond.archive.age"
_PATIENCE = 10.0


class Sealing:
    """Encrypts items to some recipients, one after the other, in one child process that is begun with the first."""

    def __init__(self, recipients: Sequence[str]) -> None:
        self._recipients = list(recipients)
        self._child: _Child | None = None

    def sealed(self, pieces: Iterable[bytes]) -> Generator[bytes, None, None]:
        """The ciphertext of an item. Whatever `pieces` raises comes through; an item that is given up ends the child."""
        whole = False
        try:
            if self._child is None:
                self._child = _Child(["encrypt", *self._recipients])
            yield from self._child.through(pieces)
            whole = True
        except (BrokenPipeError, EOFError) as error:
            raise NotSealed(do="see whether pyrage is whole: pip install --force-reinstall pyrage") from error
        finally:
            if not whole:
                self.close()

    def close(self) -> None:
        """Ends the child."""
        if self._child is not None:
            self._child.end()
            self._child = None


def opened(pieces: Iterable[bytes], identity: str) -> Iterator[bytes]:
    """The plaintext of an item, by the identities in a file. It is proven only when the last piece has come.

    `NotOpened` says why there is none, or why what has come so far counts for nothing.
    """
    child = _Child(["decrypt", identity])
    try:
        yield from child.through(pieces)
    except (BrokenPipeError, EOFError) as error:
        raise _refusal(child.ended()) from error
    finally:
        child.end()


def _refusal(code: int) -> NotOpened:
    told = {
        NO_IDENTITY: ("the file holds no identity that can be read", "it has a line AGE-SECRET-KEY-1…, as age-keygen writes it"),
        NONE_FITS: ("none of the identities fits", "it was encrypted to other recipients; ask who holds theirs"),
        DAMAGED: ("what lies there is damaged or cut off", "restore it from another copy"),
    }
    why, do = told.get(code, ("the process that decrypts has failed", ""))
    return NotOpened(why=why, do=do)


class _Child:
    """A child process with frames in and frames out."""

    def __init__(self, words: Sequence[str]) -> None:
        command = [sys.executable, "-m", _MODULE, *words]
        self._process = subprocess.Popen(  # noqa: S603 our own program, with recipients that were judged
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, start_new_session=True, bufsize=0
        )
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._in, self._out = self._process.stdin.fileno(), self._process.stdout.fileno()
        os.set_blocking(self._in, False)
        for pipe in (self._in, self._out):
            _widen(pipe)
        self._poll = select.poll()
        self._poll.register(self._out, select.POLLIN)
        self._got = bytearray()
        self._ended = False

    def through(self, pieces: Iterable[bytes]) -> Iterator[bytes]:
        """One item: what comes out while it goes in."""
        self._ended = False
        for piece in pieces:
            if piece:
                yield from self._moved(len(piece).to_bytes(LENGTH, "big"))
                yield from self._moved(piece)
        yield from self._moved(bytes(LENGTH))
        while not self._ended:
            self._read()
            yield from self._frames()

    def _moved(self, data: bytes) -> Iterator[bytes]:
        """Writes everything, and gives out what comes back meanwhile."""
        rest = memoryview(data)
        self._poll.register(self._in, select.POLLOUT)
        while rest:
            ready = dict(self._poll.poll())
            if self._out in ready:
                self._read()
                yield from self._frames()
            if self._in in ready:
                rest = rest[os.write(self._in, rest[:PIECE]) :]
        self._poll.unregister(self._in)

    def _read(self) -> None:
        got = os.read(self._out, PIECE)
        if not got:
            raise EOFError
        self._got += got

    def _frames(self) -> Iterator[bytes]:
        """The whole frames of what has come."""
        got, at = self._got, 0
        while len(got) - at >= LENGTH:
            length = int.from_bytes(got[at : at + LENGTH], "big")
            if len(got) - at - LENGTH < length:
                break
            at += LENGTH + length
            if length:
                yield bytes(got[at - length : at])
            else:
                self._ended = True
        del got[:at]

    def ended(self) -> int:
        """The exit code of a child whose end has been seen."""
        return self._process.wait(_PATIENCE)

    def end(self) -> None:
        """Ends it, whatever it is doing."""
        if self._process.poll() is None:
            self._process.kill()
        self._process.wait()
        for stream in (self._process.stdin, self._process.stdout):
            if stream is not None:
                stream.close()


def _widen(pipe: int) -> None:
    """A pipe that takes a piece at a time needs fewer turns; where the system refuses, it stays as it is."""
    try:
        fcntl.fcntl(pipe, fcntl.F_SETPIPE_SZ, PIECE)
    except OSError:
        return
