"""Messages on their way: from an address of the configuration to whoever sends, and what came of it.

Guarantee: an address that fails holds nobody up for longer than its time, and fails nothing; what it
is owed is kept, and tried again later. What is said of a failure are words of this program.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from retentiond import notify
from retentiond.app.house import House
from retentiond.config.notify import Address, webhook_problem
from retentiond.config.secrets import Secret
from retentiond.core.alarm import Alarm, News
from retentiond.errors import ConfigurationError, NotDelivered, Problem
from retentiond.ledger.alarms import Debtor
from retentiond.ledger.clock import micros
from retentiond.notify import TIMEOUT
from retentiond.notify.message import Message, compose

_TOGETHER = 50
"""One message carries so many pieces of news at most."""


@dataclass(frozen=True, slots=True)
class Receiver:
    """Somebody who is told: an address, and of a mail address one recipient, who takes or refuses by themselves."""

    address: Address
    recipient: int = 0

    @property
    def label(self) -> str:
        """How messages name it: neither a host nor a person nor a secret."""
        return self.address.label + (f", recipient {self.recipient + 1}" if len(self.address.ids) > 1 else "")

    @property
    def id(self) -> str:
        """What the ledger knows it by."""
        return self.address.ids[self.recipient]

    def send(self, message: Message, timeout: float) -> None:
        """Sends a message; `NotDelivered`, also where a secret is not there."""
        try:
            way = self._opened(timeout)
        except ConfigurationError as error:
            problem = error.problems[0]
            raise NotDelivered(problem.what, why=problem.why, do=problem.do) from None
        way.send(message)

    def _opened(self, timeout: float) -> notify.Address:
        """The way to it, its secrets read now."""
        options = self.address.options
        if self.address.way == "webhook":
            from retentiond.notify.webhook import Webhook

            url = _plain(options["webhook"])
            wrong = webhook_problem(url)
            if wrong:
                raise NotDelivered(wrong.what, why=wrong.why, do="look at the secret")
            headers = {name: _plain(value) for name, value in options.get("headers", {}).items()}
            return Webhook(url, timeout, headers, _plain(options.get("secret", "")))
        if self.address.way == "smtp":
            from retentiond.notify.smtp import Mail

            security, user = options.get("security", "starttls"), options.get("user", "")
            password = _plain(options.get("password", ""))
            to, port = options["to"][self.recipient], options.get("port", 0)
            return Mail(options["smtp"], options["from"], to, timeout, port, security, user, password)
        from retentiond.notify.apprise import Apprised

        return Apprised(_plain(options["apprise"]))


def _plain(value: str | Secret) -> str:
    return value.reveal() if isinstance(value, Secret) else value


def receivers(house: House) -> list[Receiver]:
    """Everybody who is told, in the order of the configuration."""
    return [Receiver(address, i) for address in house.settings.notify for i in range(len(address.ids))]


def deliver(house: House, receiver: Receiver, now: datetime, timeout: float = TIMEOUT) -> tuple[int, str]:
    """Sends what a receiver is owed, unless it is being left alone: how many messages went, and what went wrong."""
    sent, at = 0, micros(now)
    while owed := house.alarms.claim(receiver.id, at, _TOGETHER):
        try:
            receiver.send(compose(house.settings.organisation, [one for _, one in owed], now), timeout)
        except NotDelivered as error:
            house.alarms.put_off(receiver.id, error.what, at)
            return sent, error.what
        house.alarms.delivered(receiver.id, [number for number, _ in owed])
        sent += 1
    return sent, ""


def try_each(house: House, now: datetime, timeout: float = TIMEOUT) -> Iterator[tuple[str, Problem | None]]:
    """Sends a test message to everybody who is told: the label of each, and what went wrong. The ledger is not asked."""
    message = compose(house.settings.organisation, [News("test", micros(now), Alarm("failure", since=micros(now)))], now)
    for receiver in receivers(house):
        try:
            receiver.send(message, timeout)
        except NotDelivered as error:
            yield receiver.label, error.problems[0]
        else:
            yield receiver.label, None


def standing_of(house: House) -> Sequence[tuple[str, Debtor]]:
    """How everybody who is told stands: what they are owed, and how their address fails."""
    known = house.alarms.debtors()
    return [(receiver.label, known.get(receiver.id, Debtor())) for receiver in receivers(house)]
