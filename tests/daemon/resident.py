"""The real daemon in a process of its own, with a socket that plays systemd and everything that it says.

Waiting is for what it says (a line of its log, a datagram), with a deadline.
"""

import json
import os
import select
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

DEADLINE = 60.0


class PretendSystemd:
    """A datagram socket at which a service says how it is; every datagram is kept in its order."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(str(path))
        self.said: list[str] = []

    def hear(self, wanted: str, seconds: float = DEADLINE) -> str:
        """The next datagram with such a line, or such a beginning of one."""
        until = time.monotonic() + seconds
        while True:
            self.socket.settimeout(max(0.01, until - time.monotonic()))
            try:
                datagram = self.socket.recv(65_536).decode()
            except TimeoutError:
                raise AssertionError(f"systemd never heard {wanted}; it heard {self.said}") from None
            self.said.append(datagram)
            if any(line.startswith(wanted) for line in datagram.splitlines()):
                return datagram

    def silent(self, seconds: float) -> bool:
        """Whether nothing at all is said for so long."""
        return not select.select([self.socket], [], [], seconds)[0]

    def drain(self) -> None:
        while not self.silent(0):
            self.said.append(self.socket.recv(65_536).decode())

    def close(self) -> None:
        self.drain()
        self.socket.close()


class Daemon:
    """`retentiond run` on a configuration. What it says is kept as `said`; it is gone at the end of the block."""

    def __init__(self, config: Path, *options: str, systemd: PretendSystemd | None = None, watchdog: float | None = None) -> None:
        environ = {name: value for name, value in os.environ.items() if not name.startswith(("NOTIFY_", "WATCHDOG_"))}
        if systemd is not None:
            environ["NOTIFY_SOCKET"] = str(systemd.path)
        if watchdog is not None:
            environ["WATCHDOG_USEC"] = str(int(watchdog * 1_000_000))
        listen = [] if "--listen" in options else ["--listen", "off"]
        command = [sys.executable, "-m", "retentiond", "--config", str(config), "run", *listen, *options]
        self.process = subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.PIPE, env=environ)
        os.set_blocking(self.process.stderr.fileno(), False)
        self.said: list[dict] = []
        self.words: list[str] = []
        self._taken = 0
        self._rest = b""

    def __enter__(self) -> "Daemon":
        return self

    def __exit__(self, *_error: object) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait(DEADLINE)
        self._read()
        self.process.stderr.close()
        self.process.stdout.close()

    @property
    def pid(self) -> int:
        return self.process.pid

    def says(self, event: str, **facts: object) -> dict:
        """The next line with this event and these facts; lines before it are passed over."""
        until = time.monotonic() + DEADLINE
        while True:
            while self._taken < len(self.said):
                line = self.said[self._taken]
                self._taken += 1
                if line["event"] == event and all(line.get(name) == value for name, value in facts.items()):
                    return line
            if time.monotonic() > until or not self._more(until):
                raise AssertionError(f"never said: {event} {facts}; but: {self.said} {self.words}")

    def ended(self, category: str, **facts: object) -> dict:
        """The end of the next run of a category that came to this."""
        return self.says("run-ended", category=category, **facts)

    def events(self) -> list[str]:
        return [line["event"] for line in self.said]

    def reload(self) -> None:
        self.process.send_signal(signal.SIGHUP)

    def end(self) -> int:
        """Tells it to stop; its exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self.wait()

    def wait(self) -> int:
        until = time.monotonic() + DEADLINE
        while self._more(until):
            pass
        return self.process.wait(DEADLINE)

    def runs(self) -> list[int]:
        """The processes of its runs."""
        try:
            return [int(word) for word in Path(f"/proc/{self.pid}/task/{self.pid}/children").read_text().split()]
        except FileNotFoundError:
            return []

    def _more(self, until: float) -> bool:
        """Waits for more; False where nothing comes any more."""
        if not select.select([self.process.stderr], [], [], max(0.0, until - time.monotonic()))[0]:
            return False
        return self._read()

    def _read(self) -> bool:
        try:
            chunk = os.read(self.process.stderr.fileno(), 65_536)
        except BlockingIOError:
            return True
        *lines, self._rest = (self._rest + chunk).split(b"\n")
        for line in lines:
            if line.startswith(b"{"):
                self.said.append(json.loads(line))
            else:
                self.words.append(line.decode())
        return bool(chunk)
