"""OpenSSH on the private server: each test has a directory of its own there, and a way behind the store's back."""

import os
import shutil
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import count
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from retentiond.config.secrets import Secret
from retentiond.stores.sftp import SftpType
from retentiond.stores.sftp.view import MANY
from retentiond.testing.copying import kill_taking
from tests.servers.private import serving
from tests.stores.places import Directory
from tests.world import World

_NUMBERS = count(1)


@dataclass
class Sshd:
    """A running server: who may log in, and where; `home` is where its keys are."""

    user: str
    host: str
    port: int
    home: Path

    @property
    def host_key(self):
        return (self.home / "host_ed25519.pub").read_text().strip()

    @property
    def key(self):
        return Secret("file", str(self.home / "client"))

    def options(self, path, **others):
        usual = {"host": self.host, "port": self.port, "user": self.user, "key": self.key, "host_key": self.host_key}
        return {name: value for name, value in (usual | {"path": str(path)} | others).items() if value is not None}

    def behind(self, wire):
        """The same server at the other end of a line."""
        return replace(self, host=wire.host, port=wire.port)


@dataclass
class Served(Directory):
    """A tree of files of the server's user, which the store reaches through the server only."""

    server: Sshd = None

    def put(self, raw, start=None, content=b"content"):
        key = super().put(raw, content=content) if start is None else super().put(raw, start, content)
        self.hand_over(self.path / raw)
        return key

    def hand_over(self, target):
        """Whoever runs the tests may be root; the files are the server's user's."""
        if os.getuid() == 0:
            owner = os.stat(self.path)
            for path in (target, *target.parents):
                if path == self.path or os.lstat(path).st_uid == owner.st_uid:
                    break
                os.chown(path, owner.st_uid, owner.st_gid, follow_symlinks=False)

    def options(self, **others):
        return self.server.options(**{"path": self.path, **others})

    def killed_taking(self, key):
        kill_taking("sftp", self.plain(), key)
        assert self.strays() == 1

    def plain(self):
        """The options as JSON can carry them."""
        return self.options(key=self.server.key.reveal())

    def crowd(self):
        return [self.make(f"{folder:04}/item") for folder in range(MANY + 10)]

    def look(self):
        return SftpType().look(self.options())

    def act(self):
        return SftpType().act(self.options())


def fresh(server):
    """A directory for one test, which `empty` removes."""
    path = server.home / "data" / f"{os.getpid()}-{next(_NUMBERS)}"
    path.mkdir()
    owner = os.stat(path.parent)
    os.chown(path, owner.st_uid, owner.st_gid)
    return Served(path, server=server)


def recordings(server, path, port=None, **others):
    """The store as `retentiond.yaml` declares it."""
    said = {"port": port or server.port, "user": server.user, "path": path, "key": f"{{file: {server.home}/client}}"}
    said |= {"host_key": f'"{server.host_key}"', "location": "GB", "timeout": "3 s"} | others
    return "{type: sftp, host: 127.0.0.1, " + ", ".join(f"{name}: {value}" for name, value in said.items()) + "}"


@contextmanager
def world_on(server, folder, files, rows, **others):
    """The small world of the crash tests, its files on the server; a hold on a file and on a row."""
    place = fresh(server)
    world = World(folder, files, rows, recordings=recordings(server, place.path, **others), root=place.path)
    for path in place.path.rglob("*"):
        place.hand_over(path)
    world.hold()
    yield world
    shutil.rmtree(place.path)


@pytest.fixture(scope="session")
def sshd():
    with serving("sftp") as address:
        at = urlsplit(address)
        yield Sshd(at.username, at.hostname, at.port, Path(at.path))


@pytest.fixture
def served_files(sshd):
    """A directory on the server."""
    place = fresh(sshd)
    yield place
    shutil.rmtree(place.path)
