"""The root of a store on a server, and the ways below it, which lead to where their names say or nowhere.

SFTP has paths, and no open directories to start from. So every directory is asked for its real path before anything is
done in it: where a link has been put in its place, that is another one. Between the question and the deed a link can
still be put there by whoever may write to the directory above; claims are asked for their real path once more before
anything in them is removed.
"""

from __future__ import annotations

import posixpath
from collections.abc import Sequence

from retentiond.core.item import key_of
from retentiond.errors import RetentiondError, StoreDenied, StoreUnavailable
from retentiond.stores.sftp import packets
from retentiond.stores.sftp.connection import Connection
from retentiond.stores.sftp.options import Options
from retentiond.stores.sftp.session import Session

_CODES = {packets.ABSENT: "absent", packets.DENIED: "denied", packets.UNSUPPORTED: "unsupported"}


class Root:
    """An open root on a server. `path` is its real path there, `place` names the server, the user and that path."""

    def __init__(self, options: Options) -> None:
        self._options = options
        self._connection = Connection(options)
        self._session: Session | None = None
        try:
            self.path = self._real_path(self.session())
            self.file_system = self.file_system_of("")
        except BaseException:
            self.close()
            raise
        self.place = f"sftp://{options.user}@{options.address}{packets.raw(self.path).decode('utf-8', 'backslashreplace')}"

    def session(self) -> Session:
        """The channel for looking and acting, opened anew where it was lost; `StoreDenied` where the root is another now."""
        if self._session is None or self._session.is_lost:
            session = self._connection.session()
            if hasattr(self, "path") and self._real_path(session) != self.path:
                session.close()
                raise StoreDenied("the root of the store is another one now", do="look at what has been put in its place")
            self._session = session
        return self._session

    def channel(self) -> Session:
        """A further channel, for a listing or a transfer; whoever asks for it closes it."""
        self.session()
        return self._connection.session()

    def close(self) -> None:
        """Ends the connection; again does nothing."""
        self._session = None
        self._connection.close()

    def at(self, relative: str) -> str:
        """The whole path of one below the root; "" is the root itself."""
        return f"{self.path.rstrip('/')}/{relative}" if relative else self.path

    def are_where_they_say(self, directories: Sequence[str]) -> list[bool]:
        """Whether the real path of each directory is the one that its name says, so that no link stands in the way."""
        answers = self.session().ask_all([packets.realpath(self.at(directory)) for directory in directories])
        return [packets.path_of(answer) == self.at(directory) for answer, directory in zip(answers, directories, strict=True)]

    def file_system_of(self, directory: str) -> int | None:
        """The number of the file system that a directory is on; None where the server tells none."""
        session = self.session()
        if b"statvfs@openssh.com" not in session.extensions:
            return None
        return packets.file_system_of(session.ask(packets.statvfs(self.at(directory))))

    def _real_path(self, session: Session) -> str:
        written = posixpath.normpath("/" + self._options.path.strip("/"))
        looked, way = session.ask_all([packets.lstat(written), packets.realpath(written)])
        try:
            found = packets.attributes_of(looked)
        except packets.Refused as error:
            raise refusal(error.code, "") from error
        real = packets.path_of(way)
        if found is None or real is None:
            raise StoreUnavailable("the root of the store is missing", why="no such directory there", do="is its disk mounted?")
        if found.is_link:
            raise StoreDenied("the root of the store is a symbolic link", do="write the path that it leads to", key=key_of(real))
        if not found.is_directory:
            raise StoreDenied("the root of the store is not a directory", do="correct `path`")
        return real


def refusal(code: int, directory: str) -> RetentiondError:
    """What the server says while we look, as an error that says whether trying again may help; the key is the directory."""
    if code == packets.DENIED:
        return StoreDenied(
            "a directory of the store may not be read",
            why="a listing in part must not look like a whole one",
            do="let the user read and enter every directory that the selection covers",
            key=key_of(directory),
        )
    return StoreUnavailable("the store cannot be read now", why=f"the server says: {code_of(code)}", key=key_of(directory))


def code_of(code: int) -> str:
    """The fixed word for a code of the server."""
    return _CODES.get(code, "refused")
