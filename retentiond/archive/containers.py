"""ZIP and 7z: files with a directory at the end, in which every single entry says whether it is encrypted.

One clear entry makes the whole plain. The directory of a ZIP is always readable, that of a 7z unless it was encrypted
too. What cannot be followed to its end is unknown.
"""

from __future__ import annotations

import lzma
import struct
from dataclasses import dataclass

from retentiond.archive.sample import LONGEST_TAIL, Sample, Wants
from retentiond.core.assurance import UNKNOWN, Recognised

_LOCAL, _ENTRY, _ENDING, _ENDING64, _LOCATOR64 = b"PK\x03\x04", b"PK\x01\x02", b"PK\x05\x06", b"PK\x06\x06", b"PK\x06\x07"
_AES_EXTRA, _AES_METHOD, _ENCRYPTED, _HIDDEN = 0x9901, 99, 1, 1 << 13
_SEVEN, _START = b"7z\xbc\xaf\x27\x1c", 32
_AES_CODER, _LZMA_CODER = bytes.fromhex("06f10701"), bytes.fromhex("030101")


class _Torn(Exception):
    """A directory that does not say what it should."""


# --- ZIP


def zip_file(sample: Sample) -> Recognised | Wants | None:
    """What a ZIP file is; None for what is none."""
    if not sample.head.startswith((_LOCAL, _ENDING)):
        return None
    try:
        start, length, entries = _directory(sample)
        if sample.size - start > LONGEST_TAIL:
            return UNKNOWN
        directory = sample.at(start, length)
        if directory is None:
            return Wants(sample.size - start)
        return _of_entries(directory, entries)
    except (_Torn, struct.error, IndexError):
        return UNKNOWN


def _directory(sample: Sample) -> tuple[int, int, int]:
    """Where the directory is, how long, and how many entries it has."""
    at = sample.tail.rfind(_ENDING)
    if at < 0:
        raise _Torn
    entries, length, start = struct.unpack_from("<HLL", sample.tail, at + 10)
    if entries == 0xFFFF or 0xFFFFFFFF in (length, start):
        locator = at - 20
        if locator < 0 or sample.tail[locator : locator + 4] != _LOCATOR64:
            raise _Torn
        (where,) = struct.unpack_from("<Q", sample.tail, locator + 8)
        record = sample.at(where, 56)
        if record is None or record[:4] != _ENDING64:
            raise _Torn
        entries, length, start = struct.unpack_from("<QQQ", record, 32)
    return start, length, entries


def _of_entries(directory: bytes, entries: int) -> Recognised:
    at, weak = 0, False
    told = 0
    for _ in range(entries):
        if directory[at : at + 4] != _ENTRY:
            raise _Torn
        flags, method = struct.unpack_from("<HH", directory, at + 8)
        size, name, extra, comment = struct.unpack_from("<LHHH", directory, at + 24)
        names, extras = at + 46, at + 46 + name
        at = extras + extra + comment
        if at > len(directory) or flags & _HIDDEN:
            raise _Torn
        if not size and directory[extras - 1 : extras] == b"/" and names < extras:
            continue
        told += 1
        if not flags & _ENCRYPTED:
            return Recognised("zip", "plain")
        weak |= method != _AES_METHOD or not _has_aes(directory[extras : extras + extra])
    if at != len(directory):
        raise _Torn
    if not told:
        return Recognised("zip", "plain")
    return Recognised("zip", "weak" if weak else "client_unauthenticated")


def _has_aes(extra: bytes) -> bool:
    at = 0
    while at + 4 <= len(extra):
        kind, length = struct.unpack_from("<HH", extra, at)
        if kind == _AES_EXTRA:
            return True
        at += 4 + length
    return False


# --- 7z


def seven_zip(sample: Sample) -> Recognised | Wants | None:
    """What a 7z file is; None for what is none."""
    if not sample.head.startswith(_SEVEN):
        return None
    try:
        offset, length = struct.unpack_from("<QQ", sample.head, 12)
        start = _START + offset
        if sample.size - start > LONGEST_TAIL or start + length > sample.size:
            return UNKNOWN
        header = sample.at(start, length)
        if header is None:
            return Wants(sample.size - start)
        return _of_header(sample, header)
    except (_Torn, struct.error, IndexError, lzma.LZMAError, EOFError):
        return UNKNOWN


def _of_header(sample: Sample, header: bytes) -> Recognised | Wants:
    if header[:1] == b"\x17":
        streams = _Reader(header, 1).streams()
        coders = [coder for folder in streams.folders for coder in folder]
        if any(coder.id == _AES_CODER for coder in coders):
            return Recognised("7z", "client_unauthenticated")
        if len(coders) != 1 or coders[0].id != _LZMA_CODER or not streams.sizes or not streams.unpacked:
            return UNKNOWN
        packed = sample.at(_START + streams.position, streams.sizes[0])
        if packed is None:
            return Wants(sample.size - _START - streams.position)
        header = _unpacked(coders[0].properties, packed, streams.unpacked)
    if header[:1] != b"\x01":
        return UNKNOWN
    folders = _Reader(header, 1).main_streams().folders
    clear = not folders or any(all(coder.id != _AES_CODER for coder in folder) for folder in folders)
    return Recognised("7z", "plain" if clear else "client_unauthenticated")


def _unpacked(properties: bytes, packed: bytes, length: int) -> bytes:
    """LZMA without its container (7zFormat.txt): five bytes of properties, then the data."""
    if len(properties) != 5 or length > LONGEST_TAIL:
        raise _Torn
    first, dictionary = properties[0], int.from_bytes(properties[1:], "little")
    settings = {"id": lzma.FILTER_LZMA1, "lc": first % 9, "lp": first // 9 % 5, "pb": first // 45, "dict_size": dictionary}
    if dictionary > LONGEST_TAIL * 16:
        raise _Torn
    return lzma.LZMADecompressor(lzma.FORMAT_RAW, filters=[settings]).decompress(packed, length)


@dataclass(frozen=True, slots=True)
class _Coder:
    id: bytes
    properties: bytes


@dataclass(frozen=True, slots=True)
class _Streams:
    """Where the packed streams begin, their sizes, the coders of each folder, and the length of the first when unpacked."""

    position: int
    sizes: list[int]
    folders: list[list[_Coder]]
    unpacked: int


class _Reader:
    """Reads a 7z header as far as the coders."""

    def __init__(self, data: bytes, at: int) -> None:
        self._data, self._at = data, at

    def main_streams(self) -> _Streams:
        """Of a header, which may begin with properties that nobody uses and streams of its own."""
        if self._byte() != 0x04:
            raise _Torn
        return self.streams()

    def streams(self) -> _Streams:
        position, sizes = 0, list[int]()
        kind = self._byte()
        if kind == 0x06:
            position, sizes = self._pack()
            kind = self._byte()
        if kind != 0x07 or self._byte() != 0x0B:
            raise _Torn
        folders = self._number()
        if self._byte() or folders > len(self._data):
            raise _Torn
        coders = [self._folder() for _ in range(folders)]
        unpacked = self._number() if self._byte() == 0x0C else 0
        return _Streams(position, sizes, coders, unpacked)

    def _pack(self) -> tuple[int, list[int]]:
        position, count = self._number(), self._number()
        if count > len(self._data):
            raise _Torn
        sizes: list[int] = []
        while (kind := self._byte()) != 0:
            if kind == 0x09:
                sizes = [self._number() for _ in range(count)]
            elif kind == 0x0A:
                self._digests(count)
            else:
                raise _Torn
        return position, sizes

    def _digests(self, count: int) -> None:
        defined = count
        if not self._byte():
            defined = sum(self._byte().bit_count() for _ in range((count + 7) // 8))
        self._take(4 * defined)

    def _folder(self) -> list[_Coder]:
        coders, incoming, outgoing = list[_Coder](), 0, 0
        for _ in range(self._few()):
            flags = self._byte()
            name = self._take(flags & 0x0F)
            ins, outs = (self._few(), self._few()) if flags & 0x10 else (1, 1)
            incoming, outgoing = incoming + ins, outgoing + outs
            coders.append(_Coder(name, self._take(self._number()) if flags & 0x20 else b""))
        bound = outgoing - 1
        for _ in range(2 * bound):
            self._number()
        if incoming - bound > 1:
            for _ in range(incoming - bound):
                self._number()
        return coders

    def _few(self) -> int:
        number = self._number()
        if not 0 < number <= 64:
            raise _Torn
        return number

    def _byte(self) -> int:
        value = self._data[self._at]
        self._at += 1
        return value

    def _take(self, length: int) -> bytes:
        taken = self._data[self._at : self._at + length]
        if len(taken) < length:
            raise _Torn
        self._at += length
        return taken

    def _number(self) -> int:
        """A number in 7z's own spelling: the leading ones of the first byte say how many bytes follow."""
        first, mask, value = self._byte(), 0x80, 0
        for i in range(8):
            if not first & mask:
                return value | (first & (mask - 1)) << (8 * i)
            value |= self._byte() << (8 * i)
            mask >>= 1
        return value
