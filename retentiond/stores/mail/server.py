"""A connection to an IMAP server (RFC 3501), in the few words that looking and letting go need.

The library is the standard one, `imaplib`: it does no more than it is told. The one command that removes whatever anybody has
marked, a plain EXPUNGE (or CLOSE), is never given. Certificates are verified. What the server says in words is
never quoted, because it may name people; an error has its code at most (RFC 5530).
"""

from __future__ import annotations

import base64
import imaplib
import re
import socket
import ssl
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from retentiond.errors import StoreDenied, StoreUnavailable

TIMEOUT = 60.0
"""So many seconds an answer is waited for."""
TOGETHER = 500
"""So many messages are asked about in one command."""
_FRESH = 60.0
PORTS = {"yes": 993, "starttls": 143, "no": 143}

_LISTED = re.compile(rb'\(([^)]*)\) (?:"(?:\\.|[^"\\])*"|NIL) ?(.*)', re.DOTALL)
_CODE = re.compile(rb"\[([A-Z-]{1,30})[\] ]")
_BEGINS = re.compile(rb"\d+ \(")
_UID, _SIZE = re.compile(rb"\bUID (\d+)"), re.compile(rb"\bRFC822\.SIZE (\d+)")
_FLAGS = re.compile(rb"\bFLAGS \(([^)]*)\)")
_INTERNAL = re.compile(
    rb'\bINTERNALDATE "[ ]?(\d{1,2})-(Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec)-(\d{4})'
    rb' (\d\d):(\d\d):(\d\d) ([+-])(\d\d)(\d\d)"'
)
_MONTHS = b"JanFebMarAprMayJunJulAugSepOctNovDec"
_DENIED = frozenset({"AUTHENTICATIONFAILED", "AUTHORIZATIONFAILED", "PRIVACYREQUIRED", "CONTACTADMIN", "NOPERM"})


@dataclass(frozen=True, slots=True, repr=False)
class Address:
    """Where a server is and who logs in; `tls` is yes, starttls or no. `ca` names a file of authorities of one's own."""

    host: str
    port: int
    user: str
    password: str
    tls: str = "yes"
    ca: str | None = None


@dataclass(frozen=True, slots=True)
class Answer:
    """What a server says of one message. `content` is the part of it that was asked for."""

    uid: int
    size: int | None
    delivered: datetime | None
    flags: frozenset[str]
    content: bytes


class Refused(Exception):
    """The server says NO. `code` is its response code, where it gives one."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


class Line:
    """One connection, logged in. `StoreUnavailable` when it is lost; it is of no use then."""

    def __init__(self, address: Address) -> None:
        with _trouble("the mail server cannot be reached", "look at `host`, `port`, the server and the network"):
            self._client = _connected(address)
            self._client.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._used = time.monotonic()
        try:
            self._log_in(address)
            self.capabilities = self._asked_capabilities()
        except BaseException:
            self.close()
            raise

    def folders(self) -> list[str]:
        """The names of all folders that can hold messages."""
        found = []
        for one in self._told("LIST", '""', '"*"') or ():
            listed = _LISTED.fullmatch(one[0] if isinstance(one, tuple) else one)
            if listed is None:
                continue
            flags = listed[1].lower().split()
            if rb"\noselect" in flags or rb"\nonexistent" in flags:
                continue
            name = one[1] if isinstance(one, tuple) else _unquoted(listed[2])
            found.append(decoded(name))
        return found

    def opened(self, folder: str, *, acting: bool = False) -> tuple[int, int]:
        """Opens a folder, only for looking unless `acting`: its UIDVALIDITY, and how many messages it has."""
        with _trouble("the connection to the mail server is lost"):
            status, data = self._client.select(quoted(folder), readonly=not acting)
            if status != "OK":
                raise Refused(_code(data))
            validity = self._client.response("UIDVALIDITY")[1][0]
            if validity is None:
                raise Refused("NO-UIDVALIDITY")
            return int(validity), int(data[0] or 0)

    @property
    def keeps_keywords(self) -> bool:
        """Whether the open folder keeps keywords of our own (RFC 3501 §7.1, PERMANENTFLAGS)."""
        flags = self._client.untagged_responses.get("PERMANENTFLAGS", [b""])
        return any(rb"\*" in one for one in flags)

    def fetch(self, numbers: str, items: str, *, by_uid: bool) -> list[Answer]:
        """What the server says of some messages of the open folder, in its order."""
        with _trouble("the connection to the mail server is lost"):
            if by_uid:
                status, data = self._client.uid("FETCH", numbers, f"(UID {items})")
            else:
                status, data = self._client.fetch(numbers, f"(UID {items})")
            if status != "OK":
                raise Refused(_code(data))
            return list(_answers(data))

    def flag(self, uids: str, change: str, flags: str) -> None:
        """Sets (`+FLAGS.SILENT`) or takes away (`-FLAGS.SILENT`) flags."""
        self._done("STORE", uids, change, f"({flags})")

    def expunge(self, uids: str) -> None:
        """Removes those of these messages that are flagged as deleted, and no other (RFC 4315)."""
        self._done("EXPUNGE", uids)

    def is_alive(self) -> bool:
        """Whether the server still answers on a line that nobody has used for a while."""
        if time.monotonic() - self._used < _FRESH:
            return True
        try:
            return bool(self._client.noop()[0] == "OK")
        except (OSError, imaplib.IMAP4.error):
            return False

    def rest(self) -> None:
        """Leaves the open folder, as far as the server lets us (RFC 3691), so that its end does not end the line."""
        self._used = time.monotonic()
        if self._client.state == "SELECTED" and "UNSELECT" in self.capabilities:
            with suppress(OSError, imaplib.IMAP4.error):
                self._client.unselect()

    def close(self) -> None:
        """Hangs up, without closing a folder: CLOSE would expunge."""
        with suppress(OSError, imaplib.IMAP4.error):
            self._client.shutdown()

    def _done(self, command: str, *words: str) -> None:
        with _trouble("the connection to the mail server is lost"):
            status, data = self._client.uid(command, *words)
            if status != "OK":
                raise Refused(_code(data))

    def _told(self, command: str, *words: str) -> Sequence[bytes | tuple[bytes, bytes]]:
        with _trouble("the connection to the mail server is lost"):
            status, data = getattr(self._client, command.lower())(*words)
            if status != "OK":
                raise Refused(_code(data))
            return [one for one in data if one]

    def _log_in(self, address: Address) -> None:
        with _trouble("the connection to the mail server is lost"):
            said = self._asked_capabilities()
            try:
                if "AUTH=PLAIN" in said:
                    words = f"\0{address.user}\0{address.password}".encode()
                    self._client.authenticate("PLAIN", lambda _: words)
                elif "LOGINDISABLED" in said:
                    raise StoreDenied("the mail server lets nobody log in this way", do="set tls: yes, or tls: starttls")
                else:
                    self._client.login(_in_quotes(address.user), address.password)
            except (imaplib.IMAP4.abort, OSError):
                raise
            except (imaplib.IMAP4.error, UnicodeEncodeError) as error:
                code = _code([str(error).encode()])
                if code in ("UNAVAILABLE", "INUSE", "LIMIT"):
                    raise StoreUnavailable("the mail server lets nobody log in now", why=code, do="try again later") from None
                raise StoreDenied(
                    "the mail server does not let the user in", why=code, do="correct `user` or `password`"
                ) from None

    def _asked_capabilities(self) -> frozenset[str]:
        with _trouble("the connection to the mail server is lost"):
            said = self._client.capability()[1]
            return frozenset(b" ".join(one for one in said if one).decode("ascii", "replace").upper().split())


def uid_sets(uids: Iterable[int]) -> Iterator[str]:
    """Sets of UIDs as a command takes them, of at most `TOGETHER` messages each; neighbours as ranges."""
    ordered = sorted(uids)
    for first in range(0, len(ordered), TOGETHER):
        ranges: list[tuple[int, int]] = []
        for uid in ordered[first : first + TOGETHER]:
            if ranges and ranges[-1][1] == uid - 1:
                ranges[-1] = (ranges[-1][0], uid)
            else:
                ranges.append((uid, uid))
        yield ",".join(str(low) if low == high else f"{low}:{high}" for low, high in ranges)


def quoted(folder: str) -> str:
    """The name of a folder as a command has it: modified UTF-7 (RFC 3501 §5.1.3), in quotes."""
    return _in_quotes(re.sub(r"&|[^\x20-\x7e]+", lambda part: "&-" if part[0] == "&" else _shifted(part[0]), folder))


def decoded(name: bytes) -> str:
    """The name of a folder as people know it; one that is not in modified UTF-7 stays as it is."""
    text = name.decode("utf-8", "surrogateescape")
    try:
        return re.sub(r"&([^-]*)-", lambda part: _unshifted(part[1]) if part[1] else "&", text)
    except ValueError:
        return text


def _shifted(text: str) -> str:
    return "&" + base64.b64encode(text.encode("utf-16-be")).decode("ascii").rstrip("=").replace("/", ",") + "-"


def _unshifted(text: str) -> str:
    return base64.b64decode(text.replace(",", "/") + "=" * (-len(text) % 4), validate=True).decode("utf-16-be")


def _in_quotes(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _unquoted(name: bytes) -> bytes:
    return re.sub(rb"\\(.)", rb"\1", name[1:-1]) if name.startswith(b'"') else name


def _code(data: Sequence[object]) -> str:
    """The response code in what a server says, never its words."""
    found = next((m for one in data if isinstance(one, bytes) and (m := _CODE.search(one))), None)
    return found[1].decode("ascii") if found else ""


def _answers(data: Sequence[bytes | tuple[bytes, bytes] | None]) -> Iterator[Answer]:
    """The messages in what `imaplib` makes of an answer: texts, and pairs of a text and the literal after it."""
    said, content = b"", b""
    for one in [*data, b"0 ("]:
        text = one[0] if isinstance(one, tuple) else one or b""
        if _BEGINS.match(text):
            if uid := _UID.search(said):
                yield _answer(int(uid[1]), said, content)
            said, content = b"", b""
        said += b" " + text
        content = one[1] if isinstance(one, tuple) else content


def _answer(uid: int, said: bytes, content: bytes) -> Answer:
    size, flags = _SIZE.search(said), _FLAGS.search(said)
    known = frozenset(flags[1].decode("ascii", "replace").lower().split()) if flags else frozenset()
    return Answer(uid, int(size[1]) if size else None, _delivered(said), known, content)


def _delivered(said: bytes) -> datetime | None:
    found = _INTERNAL.search(said)
    if found is None:
        return None
    day, month, year, hour, minute, second, sign, hours, minutes = found.groups()
    away = timedelta(hours=int(hours), minutes=int(minutes))
    try:
        civil = datetime(int(year), _MONTHS.index(month) // 3 + 1, int(day), int(hour), int(minute), int(second), tzinfo=UTC)
        return civil - away if sign == b"+" else civil + away
    except (ValueError, OverflowError):
        return None


def _connected(address: Address) -> imaplib.IMAP4:
    context = ssl.create_default_context(cafile=address.ca)
    if address.tls == "yes":
        return imaplib.IMAP4_SSL(address.host, address.port, ssl_context=context, timeout=TIMEOUT)
    client = imaplib.IMAP4(address.host, address.port, timeout=TIMEOUT)
    if address.tls == "starttls":
        try:
            client.starttls(context)
        except imaplib.IMAP4.abort:
            raise
        except imaplib.IMAP4.error:
            client.shutdown()
            raise StoreDenied(
                "the mail server does not encrypt", why="it has no STARTTLS", do="set tls: yes, if it has a port for it"
            ) from None
    return client


@contextmanager
def _trouble(what: str, do: str = "try again later") -> Iterator[None]:
    """Errors of the connection as those of a store."""
    try:
        yield
    except ssl.SSLCertVerificationError as error:
        why, trust = (
            f"certificate verification: code {error.verify_code}",
            "name its authority with `ca`, and the server as its certificate does",
        )
        raise StoreDenied("the certificate of the mail server is not to be trusted", why=why, do=trust) from None
    except (OSError, imaplib.IMAP4.abort) as error:
        raise StoreUnavailable(what, why=type(error).__name__, do=do) from None
    except imaplib.IMAP4.readonly:
        raise Refused("READ-ONLY") from None
    except imaplib.IMAP4.error:
        raise StoreUnavailable("the mail server does not understand", why="it answered BAD", do="try again later") from None
