"""Files on a server that is reached by SFTP: the store type `sftp`.

    stores:
      uploads: {type: sftp, host: files.internal, user: retentiond, path: /srv/support,
                key: {credential: sftp_key}, host_key: "ssh-ed25519 AAAA…", location: GB}

The rooms, from the ground up: `options` and `known_hosts` (what the operator says), `packets` (the protocol), `session`
(requests on their way), `connection` (the door to paramiko), `root` (where a store begins), `listing` (reading
directories), `claims`, `view` and `content` (looking); and apart from those `claiming`, `taking` and `store`, which are
loaded only to act.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from retentiond.stores.sftp.options import problems, read

if TYPE_CHECKING:
    from retentiond.stores.sftp.store import SftpStore
    from retentiond.stores.sftp.view import SftpView


class SftpType:
    """The kind `sftp`. Options: `host`, `port` (22), `user`, `path`; `key`, with its `passphrase`, and `password`, by reference;
    `host_key` (one, or a list) or `known_hosts`; `timeout` (`60 s`), which an answer may take.
    """

    name = "sftp"

    def problems(self, options: Mapping[str, Any]) -> Iterable[tuple[str, str]]:
        return problems(options)

    def look(self, options: Mapping[str, Any]) -> SftpView:
        """Opens a root for looking.

        `StoreUnavailable` where the server cannot be reached or the root is missing, `StoreDenied` where the server is
        another than the pinned one, does not let us in, or has something else there.
        """
        from retentiond.stores.sftp.view import SftpView

        return SftpView(read(options))

    def act(self, options: Mapping[str, Any]) -> SftpStore:
        """Opens a root for disposal; errors as in `look`."""
        from retentiond.stores.sftp.store import SftpStore

        return SftpStore(read(options))
