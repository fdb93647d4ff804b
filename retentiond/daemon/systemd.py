"""What systemd is told, over its datagram socket (sd_notify(3)); nothing where there is none.

Guarantees: a message is one datagram; nothing here raises or waits, because a daemon must not
depend on who watches it; `STATUS=` holds counts and never names. The variables are taken out of the
environment, so that no child speaks in the daemon's place.
"""

from __future__ import annotations

import os
import socket
import time
from collections.abc import MutableMapping
from contextlib import suppress


class Systemd:
    """The service's line to its manager. `watchdog` is how often it wants a sign, in seconds; None for never."""

    def __init__(self, environ: MutableMapping[str, str] = os.environ) -> None:
        address = environ.pop("NOTIFY_SOCKET", "")
        self._address = "\0" + address[1:] if address.startswith("@") else address
        wanted, pid = environ.pop("WATCHDOG_USEC", ""), environ.pop("WATCHDOG_PID", "")
        mine = wanted.isdecimal() and int(wanted) > 0 and pid in ("", str(os.getpid()))
        self.watchdog = int(wanted) / 1_000_000 if mine else None

    def ready(self) -> None:
        """The start, or a reload, is over."""
        self._send("READY=1")

    def reloading(self) -> None:
        """A reload begins; the time of the monotonic clock goes in the same datagram."""
        self._send(f"RELOADING=1\nMONOTONIC_USEC={time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000}")

    def stopping(self) -> None:
        """The end has begun."""
        self._send("STOPPING=1")

    def status(self, words: str) -> None:
        """One line for `systemctl status`."""
        self._send(f"STATUS={words}")

    def alive(self) -> None:
        """The watchdog may rest for another interval."""
        if self.watchdog is not None:
            self._send("WATCHDOG=1")

    def extend(self, seconds: int) -> None:
        """The start or the stop needs so much longer from now on."""
        self._send(f"EXTEND_TIMEOUT_USEC={seconds * 1_000_000}")

    def _send(self, message: str) -> None:
        if not self._address:
            return
        with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as line:
            line.setblocking(False)
            line.sendto(message.encode(), self._address)
