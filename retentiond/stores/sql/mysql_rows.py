"""A connection of the driver's that takes rows with half the calls: reading them is most of what looking at MariaDB costs.

It knows how the driver keeps its place in the stream of packets, and nothing else of it; what is no row stays with the driver.
https://mariadb.com/kb/en/result-set-packets/
"""

from __future__ import annotations

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
        result: Any = self  # the types that the driver is described by leave out what is its own
        connection: Any = self.connection
        converters: Converters = result.converters
        read, rows = connection._read_bytes, list[tuple[Any, ...]]()
        while True:
            data = b""
            size = MAX_PACKET_LEN
            while size == MAX_PACKET_LEN:  # a row may have several packets, the last of which is shorter
                head = read(4)
                size = head[0] | head[1] << 8 | head[2] << 16
                if head[3] != connection._next_seq_id:
                    connection._force_close()
                    raise OperationalError(CR.CR_SERVER_LOST, "Lost connection to MySQL server during query")
                connection._next_seq_id = head[3] + 1 & 0xFF
                data = data + read(size) if data else read(size)
            if data[0] == _ERROR:
                MysqlPacket(data, connection.encoding).raise_for_error()
            if data[0] == _END and len(data) < _SHORT_END:
                result._check_packet_is_eof(MysqlPacket(data, connection.encoding))
                break
            rows.append(_row(data, converters))
        self.connection = None
        self.affected_rows, self.rows = len(rows), tuple(rows)


def _row(data: bytes, converters: Converters) -> tuple[Any, ...]:
    """The values of one row: each has its length before it, or a mark that there is none."""
    row, at = list[Any](), 0
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
