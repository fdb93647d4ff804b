"""A connection of the driver's that takes rows with half the calls: reading them is most of what looking at MariaDB costs.

It knows how the driver keeps its place in the stream of packets, and nothing else of it; what is no row stays with the driver.
https://mariadb.com/kb/en/result-set-packets/
"""

from __future__ import annotations

import ssl
from collections.abc import Callable, Sequence
from typing import Any

from pymysql.connections import MAX_PACKET_LEN, Connection, MySQLResult
from pymysql.constants import CR
from pymysql.err import OperationalError
from pymysql.protocol import MysqlPacket

Converters = Sequence[tuple[str | None, Callable[[Any], Any] | None]]
_NULL, _END, _ERROR = 0xFB, 0xFE, 0xFF
_WIDTHS = {0xFC: 2, 0xFD: 3, 0xFE: 8}
"""How many bytes of a length follow its first one."""
_SHORT_END = 9


class Reading(Connection):
    """The driver's connection, whose answers are read by `_Rows`."""

    def _create_ssl_ctx(self, sslp: Any) -> ssl.SSLContext:
        """Where no certificate is asked for, those that would be trusted are not read: that takes longer than to connect.

        Where the host is to be the one that is meant, it is looked at: the driver does so only if it is given authorities.
        """
        if sslp:
            asked: ssl.SSLContext = super()._create_ssl_ctx(sslp)  # type: ignore[misc]  # the types leave out what is its own
            asked.check_hostname = bool(sslp.get("check_hostname"))
            return asked
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        return context

    def _read_query_result(self, unbuffered: bool = False) -> int | None:
        assert not unbuffered, "no cursor of ours leaves rows with the server"
        self._result = None
        result = _Rows(self)
        result.read()
        self._result = result
        if result.server_status is not None:
            self.server_status = result.server_status
        return result.affected_rows


class _Rows(MySQLResult):
    def _read_rowdata_packet(self) -> None:
        connection: Any = self.connection  # the types that the driver is described by leave out what is its own
        try:
            rows = self._taken(connection)
        except (OSError, IndexError):  # there is no fourth byte, or fewer than were told
            connection._force_close()
            raise OperationalError(CR.CR_SERVER_LOST, "Lost connection to MySQL server during query") from None
        self.connection = None
        self.affected_rows, self.rows = len(rows), tuple(rows)

    def _taken(self, connection: Any) -> list[tuple[Any, ...]]:
        """All rows, as far as nothing goes wrong; a call for each byte string and each row is what there is to save."""
        result: Any = self
        converters: Converters = result.converters
        texts = all(encoding is not None for encoding, _ in converters)
        rows, read, number = list[tuple[Any, ...]](), connection._rfile.read, connection._next_seq_id
        while True:
            head = read(4)
            size = head[0] | head[1] << 8 | head[2] << 16
            data = read(size)
            if head[3] != number or len(data) != size:
                raise IndexError
            number = number + 1 & 0xFF
            if size == MAX_PACKET_LEN:
                rest, number = _rest(read, number)
                data += rest
            elif data[0] == _ERROR:
                connection._next_seq_id = number
                MysqlPacket(data, connection.encoding).raise_for_error()
            elif data[0] == _END and size < _SHORT_END:
                connection._next_seq_id = number
                result._check_packet_is_eof(MysqlPacket(data, connection.encoding))
                return rows
            rows.append(_plain_row(data, converters) if texts and data.isascii() else _row(data, converters))


def _rest(read: Callable[[int], bytes], number: int) -> tuple[bytes, int]:
    """What else a row has whose first packet is full, and the number of the packet after it. One that is not full ends it."""
    parts, size = list[bytes](), MAX_PACKET_LEN
    while size == MAX_PACKET_LEN:
        head = read(4)
        size = head[0] | head[1] << 8 | head[2] << 16
        parts.append(read(size))
        if head[3] != number or len(parts[-1]) != size:
            raise IndexError
        number = number + 1 & 0xFF
    return b"".join(parts), number


def _plain_row(data: bytes, converters: Converters) -> tuple[Any, ...]:
    """The values of a row of nothing but ASCII, lengths and all: each is short, and none is missing."""
    row: list[Any] = []
    at, text = 0, data.decode("ascii")
    for _, converter in converters:
        end = at + 1 + data[at]
        value = text[at + 1 : end]
        at = end
        row.append(value if converter is None else converter(value))
    return tuple(row)


def _row(data: bytes, converters: Converters) -> tuple[Any, ...]:
    """The values of one row: each has its length before it, or a mark that there is none."""
    row: list[Any] = []
    at = 0
    for encoding, converter in converters:
        size = data[at]
        at += 1
        if size >= _NULL:
            if size == _NULL:
                row.append(None)
                continue
            width = _WIDTHS[size]
            size = int.from_bytes(data[at : at + width], "little")
            at += width
        value: Any = data[at : at + size]
        at += size
        if encoding is not None:
            value = value.decode(encoding)
        row.append(value if converter is None else converter(value))
    return tuple(row)
