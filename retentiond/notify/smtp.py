"""A message as mail, by SMTP with STARTTLS (default), TLS, or on a trusted way without.

Certificates are verified. The mail is plain text; it says that a program wrote it (RFC 3834), so that nothing
answers it, and does not say on which machine. The same news has the same Message-ID, so that mail programs
know what came twice.
"""

from __future__ import annotations

import smtplib
import ssl
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from email.message import EmailMessage
from email.policy import SMTP as LINES
from email.utils import format_datetime
from typing import Literal

from retentiond.errors import NotDelivered
from retentiond.notify.message import Message

Security = Literal["starttls", "tls", "none"]
PORTS = {"starttls": 587, "tls": 465, "none": 25}


@dataclass(frozen=True, slots=True, repr=False)
class Mail:
    """One recipient behind a server, with everything that is secret of it."""

    host: str
    sender: str
    to: str
    timeout: float
    port: int = 0
    security: Security = "starttls"
    user: str = ""
    password: str = ""

    def send(self, message: Message) -> None:
        end = time.monotonic() + self.timeout
        try:
            server = self._connect()
        except (OSError, smtplib.SMTPException, ValueError) as error:
            raise _refused(error) from None
        try:
            self._say(server, message, lambda: _hurry(server, end))
        except (OSError, smtplib.SMTPException, ValueError) as error:
            raise _refused(error) from None
        finally:
            with suppress(OSError, smtplib.SMTPException):  # the message was taken, however the server takes its leave
                server.quit()
            server.close()

    def _connect(self) -> smtplib.SMTP:
        port = self.port or PORTS[self.security]
        own = self.sender.rpartition("@")[2]
        if self.security == "tls":
            return smtplib.SMTP_SSL(self.host, port, own, timeout=self.timeout, context=ssl.create_default_context())
        return smtplib.SMTP(self.host, port, own, timeout=self.timeout)

    def _say(self, server: smtplib.SMTP, message: Message, hurry: Callable[[], None]) -> None:
        if self.security == "starttls":
            hurry()
            server.starttls(context=ssl.create_default_context())
        if self.user:
            hurry()
            server.login(self.user, self.password)
        hurry()
        server.ehlo_or_helo_if_needed()
        hurry()
        server.send_message(self._written(message), self.sender, self.to)

    def _written(self, message: Message) -> EmailMessage:
        mail = EmailMessage(policy=LINES)
        mail["From"] = self.sender
        mail["To"] = self.to
        mail["Subject"] = message.subject
        mail["Date"] = format_datetime(message.at)
        mail["Message-ID"] = f"<{message.id}@{self.sender.rpartition('@')[2]}>"
        mail["Auto-Submitted"] = "auto-generated"
        mail.set_content(message.text, cte="quoted-printable")
        return mail


def _hurry(server: smtplib.SMTP, end: float) -> None:
    """Each step has what is left of the time, so that a server which is slow at all of them gains nothing by it."""
    left = end - time.monotonic()
    if left <= 0:
        raise TimeoutError
    if server.sock is not None:
        server.sock.settimeout(left)


def _unreached(error: Exception) -> NotDelivered:
    if isinstance(error, TimeoutError):
        return NotDelivered("the mail server did not answer in time")
    if isinstance(error, ssl.SSLCertVerificationError):
        return NotDelivered("the certificate of the mail server is not trusted", do="see $SSL_CERT_FILE for your own authority")
    if isinstance(error, ConnectionRefusedError):
        return NotDelivered("the mail server refuses connections")
    return NotDelivered("the mail server cannot be reached")


def _refused(error: Exception) -> NotDelivered:
    if isinstance(error, smtplib.SMTPAuthenticationError):
        return NotDelivered("the mail server refuses the user or the password")
    if isinstance(error, smtplib.SMTPNotSupportedError):
        return NotDelivered("the mail server lacks what is asked of it", why="STARTTLS, or a way to log in")
    if isinstance(error, smtplib.SMTPSenderRefused):
        return NotDelivered("the mail server refuses the sender", do="look at `from`")
    if isinstance(error, smtplib.SMTPRecipientsRefused):
        return NotDelivered("the mail server refuses the recipient", do="look at `to`")
    if isinstance(error, smtplib.SMTPResponseException):
        known = error.smtp_code > 0
        return NotDelivered(f"the mail server answered {error.smtp_code}" if known else "the mail server does not speak SMTP")
    if isinstance(error, smtplib.SMTPServerDisconnected):
        return NotDelivered("the mail server broke off, or did not answer in time")
    return _unreached(error)
