"""A message by whatever apprise knows: the only door to that library, which is an extra (`retentiond[notify]`)."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from importlib.util import find_spec

from retentiond.errors import NotDelivered
from retentiond.notify.message import Message


def installed() -> bool:
    """Whether the extra is there."""
    return find_spec("apprise") is not None


@dataclass(frozen=True, slots=True, repr=False)
class Apprised:
    """One address in apprise's own spelling, which as a rule is a secret as a whole."""

    url: str

    def send(self, message: Message) -> None:
        if not installed():
            raise NotDelivered("apprise is not installed", do="pip install 'retentiond[notify]'")
        import apprise

        logging.getLogger("apprise").disabled = True  # it writes addresses into its log
        sender = apprise.Apprise()
        try:
            if not sender.add(self.url):
                raise NotDelivered("apprise does not know such an address", do="look at the secret")
            taken = bool(sender.notify(title=message.subject, body=message.text))
        except NotDelivered:
            raise
        except Exception:  # noqa: BLE001 a hundred plugins raise what they like, and it may hold the address
            taken = False
        if not taken:
            raise NotDelivered("apprise could not deliver")
