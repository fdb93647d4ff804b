"""Telling people: a message goes out by webhook, by mail, or by whatever apprise knows.

Each way has a `send` that returns when the message was taken, and raises `NotDelivered` in fixed words
otherwise: nothing that a server, a driver or an address says is repeated.
"""

from __future__ import annotations

from typing import Protocol

from retentiond.notify.message import Message

TIMEOUT = 10.0
"""Seconds that one address may take."""


class Address(Protocol):
    """Somewhere a message can be sent to."""

    def send(self, message: Message) -> None:
        """Returns when the message was taken; else `NotDelivered`."""
