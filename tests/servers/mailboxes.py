"""Dovecot on the private server: each test has a user of its own, and a way behind the store's back."""

import imaplib
import os
import re
import socket
import ssl
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import count
from urllib.parse import urlsplit

import pytest

from retentiond.core.policy import MailSelection
from retentiond.stores.mail import MailType
from retentiond.stores.mail.server import decoded, quoted
from retentiond.testing.contract import LONG_AGO
from tests.servers.private import serving
from tests.stores.letters import scope

_NUMBERS = count(1)
PASSWORD = "open.sesame"
MANY = "in/many"


@dataclass
class Server:
    """A running server: where it listens with TLS and without, and whom it is known by."""

    port: int
    plain: int
    ca: str

    def options(self, user, **others):
        usual = {"host": "127.0.0.1", "port": self.port, "user": user, "password": PASSWORD, "ca": self.ca}
        return {name: value for name, value in (usual | others).items() if value is not None}

    def client(self, user):
        """Another program, logged in as this user."""
        client = imaplib.IMAP4_SSL("127.0.0.1", self.port, ssl_context=ssl.create_default_context(cafile=self.ca), timeout=30)
        client.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        client.login(user, PASSWORD)
        return client


class Account:
    """A user's folders. Messages that are to change have folders of their own, because a number is never given twice in one."""

    apart = ("item", "item-1")
    unusual = ("a b", "é", "R&D", 'say "hi"', "back\\slash", "(x)", "{5}", "日本", "&-", "x" * 60)

    def __init__(self, server: Server) -> None:
        self.server, self.user = server, f"u{os.getpid()}-{next(_NUMBERS)}"
        self.client, self._made = server.client(self.user), set()

    def make(self, name: str, *, start: datetime = LONG_AGO, content: bytes = b"content") -> str:
        folder = f"in/{name}" if name in (*self.unusual, *self.apart) else MANY
        return self.put(folder, content, start)

    def put(self, folder: str, content: bytes, start: datetime = LONG_AGO) -> str:
        if folder not in self._made:
            self.client.create(quoted(folder))
        self._made.add(folder)
        kind, said = self.client.append(quoted(folder), None, imaplib.Time2Internaldate(start.astimezone(UTC)), content)
        assert kind == "OK", said
        return f"{folder}/{int(re.search(rb'APPENDUID [0-9]+ ([0-9]+)', said[0])[1])}"

    def make_outside(self) -> str:
        return self.put("elsewhere", b"content")

    def change(self, key: str) -> None:
        self.remove(key)
        assert key == self.put(key.rpartition("/")[0], b"changed")

    def remove(self, key: str) -> None:
        folder = key.rpartition("/")[0]
        if folder != MANY:
            kind, said = self.client.delete(quoted(folder))
            self._made.discard(folder)
            assert kind == "OK", said
        else:
            self.remove_one(key)

    def remove_one(self, key: str) -> None:
        """Removes one message, and leaves its folder."""
        folder, _, uid = key.rpartition("/")
        self.client.select(quoted(folder))
        self.client.uid("STORE", uid, "+FLAGS", r"(\Deleted)")
        self.client.uid("EXPUNGE", uid)
        self.client.unselect()

    def content(self, key: str) -> bytes | None:
        """What a mail program shows, which hides what is flagged as deleted."""
        folder, _, uid = key.rpartition("/")
        return next((content for flags, content in self.messages(folder, uid) if b"\\Deleted" not in flags), None)

    def messages(self, folder: str, uids: str = "1:*") -> list[tuple[bytes, bytes]]:
        """The flags and the content of the messages of a folder."""
        if self.client.select(quoted(folder), readonly=True)[0] != "OK":
            return []
        _, data = self.client.uid("FETCH", uids, "(FLAGS BODY.PEEK[])")
        self.client.unselect()
        return [(one[0], one[1]) for one in data if isinstance(one, tuple)]

    def folders(self) -> list[str]:
        _, listed = self.client.list()
        found = [re.fullmatch(rb'\(([^)]*)\) "/" "?(.*?)"?', one) for one in listed if isinstance(one, bytes) and one]
        return [decoded(re.sub(rb"\\(.)", rb"\1", one[2])) for one in found if one and b"Noselect" not in one[1]]

    def snapshot(self) -> object:
        return sorted((folder, flags, content) for folder in self.folders() for flags, content in self.messages(folder))

    def scope(self):
        return scope(MailSelection("in/*"))

    @property
    def options(self) -> dict:
        return self.server.options(self.user)

    def look(self):
        return MailType().look(self.options)

    def act(self):
        return MailType().act(self.options)

    def close(self) -> None:
        self.client.shutdown()


@pytest.fixture(scope="session")
def dovecot_server():
    with serving("dovecot") as address:
        at = urlsplit(address)
        plain, _, folder = at.path.lstrip("/").partition("/")
        yield Server(at.port, int(plain), f"/{folder}/cert.pem")


@pytest.fixture
def account(dovecot_server):
    one = Account(dovecot_server)
    yield one
    one.close()
