"""Small files of real formats: a sound that plays, a picture that shows, text that reads."""

from __future__ import annotations

import math
import random
import struct
import zlib
from functools import lru_cache

SAMPLES_A_SECOND = 8000
_SILENCE = 128


@lru_cache(maxsize=64)
def wav(hertz: int, samples: int) -> bytes:
    """A mono WAV file, 8000 samples of 8 bits a second (PCM): one fading tone."""
    turn = 2 * math.pi * hertz / SAMPLES_A_SECOND
    sound = bytes(_SILENCE + round(90 * (1 - n / samples) * math.sin(turn * n)) for n in range(samples))
    pad = b"\0" * (samples % 2)
    form = struct.pack("<4sIHHIIHH", b"fmt ", 16, 1, 1, SAMPLES_A_SECOND, SAMPLES_A_SECOND, 1, 8)
    body = b"WAVE" + form + struct.pack("<4sI", b"data", samples) + sound + pad
    return struct.pack("<4sI", b"RIFF", len(body)) + body


def png(rng: random.Random, width: int = 24, height: int = 16) -> bytes:
    """A picture in one colour with a border: a screen, seen from far away."""
    colour = bytes(rng.randrange(64, 256) for _ in range(3))
    dark = b"\x20\x20\x20"
    edge = dark * width
    middle = dark + colour * (width - 2) + dark
    rows = [edge, *[middle] * (height - 2), edge]
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    pixels = zlib.compress(b"".join(b"\0" + row for row in rows))
    return b"\x89PNG\r\n\x1a\n" + _chunk(b"IHDR", header) + _chunk(b"IDAT", pixels) + _chunk(b"IEND", b"")


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def log(rng: random.Random, host: str) -> bytes:
    """Some lines of a service's log."""
    words = ("service started", "connection refused", "retry in 5 s", "licence file not found", "time-out", "service stopped")
    lines = (f"{n:04d} {host} {rng.choice(('INFO', 'WARN', 'ERROR'))} {rng.choice(words)}\n" for n in range(rng.randint(6, 24)))
    return "".join(lines).encode()


def table(rng: random.Random, names: list[str]) -> bytes:
    """A CSV file of desks and their numbers."""
    rows = (f"{rng.randint(10, 99)},{name},{rng.choice(('works', 'no dial tone', 'echo'))}\n" for name in names)
    return ("desk,name,state\n" + "".join(rows)).encode()


def letter(name: str, subject: str) -> bytes:
    """A customer's description of the fault."""
    return f"Hello,\n\n{subject}. It began this week, see the other files.\n\nThank you\n{name}\n".encode()
