"""Parts of a tree, by directories: which of them a directory's files are in is told by its name alone.

A part is `DEPTH.REST.PARTS`: the files whose directory, cut off after DEPTH segments, has a checksum of the rest REST
when divided by PARTS. So the parts share no file and leave none out, directories that come later included, and
nothing has to be remembered. What lies above that depth is listed by every part, and belongs to one.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from zlib import crc32


@dataclass(frozen=True, slots=True)
class Part:
    """One of several parts; `has` says of a directory whether its own files are in it."""

    depth: int
    rest: int
    parts: int

    @classmethod
    def read(cls, text: str) -> Part:
        """The part that `str` has written; `ValueError` for anything else."""
        depth, rest, parts = map(int, text.split("."))
        return cls(depth, rest, parts)

    def __str__(self) -> str:
        return f"{self.depth}.{self.rest}.{self.parts}"

    def has(self, directory: str) -> bool:
        """Whether the files of a directory are in this part."""
        start = "/".join(directory.split("/", self.depth)[: self.depth])
        return crc32(os.fsencode(start)) % self.parts == self.rest

    def reaches(self, directory: str) -> bool:
        """Whether something in or below a directory may be in this part."""
        return directory.count("/") + 1 < self.depth or self.has(directory)
