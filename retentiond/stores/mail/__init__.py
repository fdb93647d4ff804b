"""Mail: the store type `mail`, messages in Maildirs, in mbox files, or on an IMAP server.

    stores:
      archive: {type: mail, path: /var/mail/archive, format: maildir, location: GB}
      post: {type: mail, host: mail.example.org, user: archive, password: {credential: post}, location: GB}

One message is one item, and its key is `folder/message`. The rooms, from the ground up: `head` (reading
headers), `sieve` (what a scope wants of messages), `boxes` (what a kind of mailbox shows), `view` and `store`
(pages and disposal, alike for all kinds), and the kinds: `maildir` with `claiming`, `mbox`,
`locks` and `mboxes` with `rewriting`, `server` and `imap` with `expunging`. Those that let go are loaded only to act.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from ipaddress import ip_address
from typing import TYPE_CHECKING, Any

from retentiond.stores.mail.view import MailView

if TYPE_CHECKING:
    from retentiond.stores.mail.boxes import Boxes, LettingGo
    from retentiond.stores.mail.server import Address
    from retentiond.stores.mail.store import MailStore

_EVERYWHERE = ("location", "site", "zone", "format")
_LOCAL = ("path",)
_SERVED = ("host", "port", "user", "password", "tls", "ca", "folders")
_ROOTS = ("/", "/proc", "/sys", "/dev", "/run")
_TLS: Mapping[Any, str] = {"yes": "yes", True: "yes", "starttls": "starttls", "no": "no", False: "no"}
FORMATS = ("maildir", "mbox")


class MailType:
    """The kind of store that keeps mail."""

    name = "mail"
    selects = "mail"

    def problems(self, options: Mapping[str, Any]) -> Iterable[tuple[str, str]]:
        """What is wrong with the options. `location`, `site` and `zone` belong to every store and are not read here."""
        served = "host" in options or options.get("format") == "imap"
        own, strange = (_SERVED, _LOCAL) if served else (_LOCAL, _SERVED)
        for option in options:
            if option in strange:
                yield option, "mail is kept on a server, or in files of this machine, not both"
            elif option not in (*_EVERYWHERE, *own):
                yield option, "a mail store has no such option"
        yield from _served_problems(options) if served else _local_problems(options)

    def look(self, options: Mapping[str, Any]) -> MailView:
        """Opens mail for looking; `StoreUnavailable` if it is missing, `StoreDenied` if it may not be read."""
        return MailView(_boxes(options))

    def act(self, options: Mapping[str, Any]) -> MailStore:
        """Opens mail for disposal; errors as in `look`."""
        from retentiond.stores.mail.store import MailStore

        return MailStore(_letting_go(options))


def _local_problems(options: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    path = options.get("path")
    if not isinstance(path, str) or not path:
        yield "path", "a mail store needs the path of its mailboxes, or the host of its server"
    elif not os.path.isabs(path) or "\0" in path:
        yield "path", "the path of the mailboxes is absolute"
    elif os.path.normpath(path) in _ROOTS:
        yield "path", "the root of a system is no store"
    if options.get("format") not in FORMATS:
        yield "format", f"a mail store says how its messages are kept: {' or '.join(FORMATS)}"


def _served_problems(options: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for option in ("host", "user"):
        value = options.get(option)
        if not isinstance(value, str) or not value.strip():
            yield option, f"mail on a server needs its {option}"
    if options.get("password") is None:
        yield "password", "mail on a server needs the password of its user: {credential: NAME}"
    if options.get("format", "imap") != "imap":
        yield "format", "mail on a server is reached by IMAP: leave it out"
    port, folders, ca = options.get("port"), options.get("folders"), options.get("ca")
    if port is not None and (not isinstance(port, int) or isinstance(port, bool) or not 1 <= port <= 65_535):
        yield "port", "a port is a number from 1 to 65535"
    if folders is not None and (
        not isinstance(folders, list) or not folders or not all(isinstance(f, str) and f for f in folders)
    ):
        yield "folders", "it is a list of names of folders"
    if ca is not None and (not isinstance(ca, str) or not os.path.isabs(ca)):
        yield "ca", "it is the absolute path of a file with certificates"
    tls = options.get("tls", "yes")
    if not isinstance(tls, str | bool) or tls not in _TLS:
        yield "tls", "it is yes, starttls or no"
    elif _TLS[tls] == "no" and not _is_loopback(options.get("host")):
        yield "tls", "without TLS passwords and mail could be read on the way; no is for this machine itself"


def _is_loopback(host: Any) -> bool:
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False


def _address(options: Mapping[str, Any]) -> Address:
    from retentiond.stores.mail.server import PORTS, Address

    tls, password = _TLS[options.get("tls", "yes")], options["password"]
    revealed = password.reveal() if hasattr(password, "reveal") else password
    return Address(options["host"], options.get("port") or PORTS[tls], options["user"], revealed, tls, options.get("ca"))


def _boxes(options: Mapping[str, Any]) -> Boxes:
    if "host" in options:
        from retentiond.stores.mail.imap import Folders

        return Folders(_address(options), options.get("folders") or ())
    if options["format"] == "maildir":
        from retentiond.stores.mail.maildir import Maildirs

        return Maildirs(options["path"])
    from retentiond.stores.mail.mboxes import Mboxes

    return Mboxes(options["path"])


def _letting_go(options: Mapping[str, Any]) -> LettingGo:
    if "host" in options:
        from retentiond.stores.mail.expunging import ExpungingFolders

        return ExpungingFolders(_address(options), options.get("folders") or ())
    if options["format"] == "maildir":
        from retentiond.stores.mail.claiming import ClaimingMaildirs

        return ClaimingMaildirs(options["path"])
    from retentiond.stores.mail.rewriting import RewritingMboxes

    return RewritingMboxes(options["path"])
