"""Mail: the store type `mail`, messages in Maildirs, in mbox files, or on an IMAP server.

    stores:
      archive: {type: mail, path: /var/mail/archive, format: maildir, location: GB}

One message is one item, and its key is `folder/message`. The rooms, from the ground up: `head` (reading
headers), `sieve` (what a scope wants of messages), `boxes` (what a kind of mailbox shows), `view` and `store`
(pages and disposal, alike for all kinds), and the kinds: `maildir` with `claiming`, and
`mbox`, `locks` and `mboxes` with `rewriting`. Those that let go are loaded only to act.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from retentiond.stores.mail.maildir import Maildirs
from retentiond.stores.mail.mboxes import Mboxes
from retentiond.stores.mail.view import MailView

if TYPE_CHECKING:
    from retentiond.stores.mail.boxes import Boxes, LettingGo
    from retentiond.stores.mail.store import MailStore

_EVERYWHERE = ("location", "site", "zone")
_LOCAL = ("path", "format")
_ROOTS = ("/", "/proc", "/sys", "/dev", "/run")
FORMATS = ("maildir", "mbox")


class MailType:
    """The kind of store that keeps mail."""

    name = "mail"
    selects = "mail"

    def problems(self, options: Mapping[str, Any]) -> Iterable[tuple[str, str]]:
        """What is wrong with the options. `location`, `site` and `zone` belong to every store and are not read here."""
        for option in options:
            if option not in (*_EVERYWHERE, *_LOCAL):
                yield option, "a mail store has no such option"
        path, form = options.get("path"), options.get("format")
        if not isinstance(path, str) or not path:
            yield "path", "a mail store needs the path of its mailboxes"
        elif not os.path.isabs(path) or "\0" in path:
            yield "path", "the path of the mailboxes is absolute"
        elif os.path.normpath(path) in _ROOTS:
            yield "path", "the root of a system is no store"
        if form not in FORMATS:
            yield "format", f"a mail store says how its messages are kept: {' or '.join(FORMATS)}"

    def look(self, options: Mapping[str, Any]) -> MailView:
        """Opens mail for looking; `StoreUnavailable` if it is missing, `StoreDenied` if it may not be read."""
        return MailView(_boxes(options))

    def act(self, options: Mapping[str, Any]) -> MailStore:
        """Opens mail for disposal; errors as in `look`."""
        from retentiond.stores.mail.store import MailStore

        return MailStore(_letting_go(options))


def _boxes(options: Mapping[str, Any]) -> Boxes:
    return Maildirs(options["path"]) if options["format"] == "maildir" else Mboxes(options["path"])


def _letting_go(options: Mapping[str, Any]) -> LettingGo:
    if options["format"] == "maildir":
        from retentiond.stores.mail.claiming import ClaimingMaildirs

        return ClaimingMaildirs(options["path"])
    from retentiond.stores.mail.rewriting import RewritingMboxes

    return RewritingMboxes(options["path"])
