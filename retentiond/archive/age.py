"""The child process that encrypts and decrypts: the only door to age. `python -m retentiond.archive.age …`

The library keeps Python's lock for as long as an item takes, so it works in a process of its own. Items come in and
go out in frames: four bytes of length (big-endian), then so many bytes; a frame of nothing ends an item. `encrypt
RECIPIENT…` takes one item after the other until its input ends; `decrypt FILE` takes one, with the identities of a file.

Exit codes: 0, and of `decrypt`: 3 the file holds no identity that can be read, 4 none of them fits, 5 what came is
damaged or cut off.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import BinaryIO

LENGTH = 4
FRAME = 512 * 1024
"""A frame is given out once it is this long, or longer by one piece of the library's."""
NO_IDENTITY, NONE_FITS, DAMAGED = 3, 4, 5


class Incoming:
    """One item, as a file to be read. A frame is taken in at once: the library asks for 8 KiB at a time."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream, self._frame, self.ended = stream, memoryview(b""), False

    def begins(self) -> bool:
        """Whether another item comes; False where the input has ended before it."""
        head = self._stream.read(LENGTH)
        if len(head) < LENGTH:
            return False
        length = int.from_bytes(head, "big")
        self._frame, self.ended = memoryview(self._stream.read(length)), not length
        if len(self._frame) < length:
            raise EOFError
        return True

    def read(self, most: int = -1) -> bytes:
        """The next bytes, b"" at the end of the item; `EOFError` where the input ends in the middle of it."""
        if not self._frame and not self.ended and not self.begins():
            raise EOFError
        most = len(self._frame) if most < 0 else most
        found, self._frame = bytes(self._frame[:most]), self._frame[most:]
        return found


class Outgoing:
    """One item, as a file to be written. The library gives out 64 KiB at a time, and a frame holds several of them."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream, self._frame = stream, bytearray()

    def write(self, data: bytes) -> int:
        self._frame += data
        if len(self._frame) >= FRAME:
            self._send()
        return len(data)

    def flush(self) -> None:
        """Nothing: what waits goes with the next frame, or at the end."""

    def end(self) -> None:
        """Ends the item."""
        if self._frame:
            self._send()
        self._stream.write(bytes(LENGTH))
        self._stream.flush()

    def _send(self) -> None:
        self._stream.write(len(self._frame).to_bytes(LENGTH, "big") + self._frame)
        self._frame.clear()


def encrypt(recipients: Sequence[str], source: BinaryIO, sink: BinaryIO) -> int:
    """Encrypts items until there are no more."""
    import pyrage
    from pyrage import x25519

    to = [x25519.Recipient.from_str(one) for one in recipients]
    while (item := Incoming(source)).begins():
        out = Outgoing(sink)
        pyrage.encrypt_io(item, out, to)
        out.end()
    return 0


def decrypt(file: str, source: BinaryIO, sink: BinaryIO) -> int:
    """Decrypts one item with the identities of a file. What it gives out is proven only when it has ended the item."""
    import pyrage
    from pyrage import x25519

    try:
        with open(file, encoding="ascii") as lines:
            told = [line.strip() for line in lines if line.strip() and not line.startswith("#")]
        identities = [x25519.Identity.from_str(one) for one in told]
    except (OSError, ValueError, pyrage.IdentityError):
        return NO_IDENTITY
    if not identities:
        return NO_IDENTITY
    out = Outgoing(sink)
    try:
        pyrage.decrypt_io(Incoming(source), out, identities)
    except (pyrage.DecryptError, OSError) as error:
        return NONE_FITS if "No matching keys" in str(error) else DAMAGED
    out.end()
    return 0


def main(words: Sequence[str]) -> int:
    """The child process."""
    what, *rest = words
    sink = sys.stdout.buffer
    with open(0, "rb", buffering=2 * FRAME, closefd=False) as source:
        return encrypt(rest, source, sink) if what == "encrypt" else decrypt(rest[0], source, sink)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
