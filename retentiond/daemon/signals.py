"""Signals as something that a loop can wait for: SIGHUP to reload, SIGTERM and SIGINT to end."""

from __future__ import annotations

import signal
import socket
from contextlib import suppress
from types import FrameType, TracebackType

_HEARD = (signal.SIGHUP, signal.SIGTERM, signal.SIGINT)


class Signals:
    """Within the block, signals wake whoever selects on it, and are taken one after the other. For the main thread."""

    def __init__(self) -> None:
        self._names: list[str] = []

    def __enter__(self) -> Signals:
        self._ear, self._mouth = socket.socketpair()
        self._ear.setblocking(False)
        self._mouth.setblocking(False)
        self._before = {number: signal.signal(number, self._hear) for number in _HEARD}
        self._wakeup = signal.set_wakeup_fd(self._mouth.fileno(), warn_on_full_buffer=False)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        signal.set_wakeup_fd(self._wakeup)
        for number, before in self._before.items():
            signal.signal(number, before)
        self._ear.close()
        self._mouth.close()

    def fileno(self) -> int:
        """For `select`."""
        return self._ear.fileno()

    def taken(self) -> list[str]:
        """The names of the signals that came since the last call, in their order."""
        with suppress(BlockingIOError):
            while self._ear.recv(4096):
                pass
        names, self._names = self._names, []
        return names

    def _hear(self, number: int, _frame: FrameType | None) -> None:
        self._names.append(signal.Signals(number).name)
