"""The line with faults passes bytes on as they are, and loses exactly what it was told to lose."""

import socket
import threading
import time
from contextlib import closing, contextmanager

import pytest

from retentiond.testing.wire import DOWN, UP, Wire, apart

PATIENCE = 10
BRIEFLY = 0.2


class Echo(threading.Thread):
    """A server that sends back what it hears; `heard` is everything that reached it."""

    def __init__(self):
        super().__init__(daemon=True)
        self.listening = socket.create_server(("127.0.0.1", 0))
        self.port = self.listening.getsockname()[1]
        self.heard, self.ended = bytearray(), threading.Semaphore(0)

    def run(self):
        while True:
            try:
                plug, _ = self.listening.accept()
            except OSError:
                return
            threading.Thread(target=self.serve, args=(plug,), daemon=True).start()

    def serve(self, plug):
        with plug:
            try:
                while piece := plug.recv(65536):
                    self.heard += piece
                    plug.sendall(piece)
            except OSError:
                pass
        self.ended.release()

    def close(self):
        self.listening.shutdown(socket.SHUT_RDWR)
        self.listening.close()
        self.join()


@pytest.fixture
def echo():
    with closing(Echo()) as server:
        server.start()
        yield server


@pytest.fixture
def wire(echo):
    with Wire("127.0.0.1", echo.port) as line:
        yield line


@contextmanager
def plugged(line, patience=PATIENCE):
    with socket.create_connection((line.host, line.port), timeout=patience) as plug:
        yield plug


def hear(plug):
    """All that arrives until the line ends or is reset."""
    got = bytearray()
    try:
        while piece := plug.recv(65536):
            got += piece
    except ConnectionResetError:
        pass
    return bytes(got)


def exchanged(plug, said, count=None):
    plug.sendall(said)
    got = bytearray()
    while len(got) < (len(said) if count is None else count):
        got += plug.recv(65536)
    return bytes(got)


def test_bytes_and_ends_arrive_as_they_were_sent(wire, echo):
    said = bytes(range(256)) * 8000
    with plugged(wire) as plug:
        threading.Thread(target=lambda: (plug.sendall(said), plug.shutdown(socket.SHUT_WR)), daemon=True).start()
        assert hear(plug) == said
    assert echo.ended.acquire(timeout=PATIENCE)
    assert wire.passed == {UP: len(said), DOWN: len(said)}


def test_a_delay_holds_each_way_and_does_not_add_up_over_what_is_sent_together(echo):
    with Wire("127.0.0.1", echo.port, delay=0.05) as line, plugged(line) as plug:
        began = time.monotonic()
        for _ in range(20):
            plug.sendall(b"x" * 100)
        assert exchanged(plug, b"", 2000) == b"x" * 2000
        assert 0.1 <= time.monotonic() - began < 1


@pytest.mark.parametrize("count", [0, 1, 777, 70_000])
def test_a_line_is_cut_after_so_many_bytes_and_works_again(wire, echo, count):
    for way in (DOWN, UP):
        echo.heard.clear()
        with plugged(wire) as plug:
            assert exchanged(plug, b"before") == b"before"
            wire.cut_after(way, count)
            plug.sendall(b"y" * 100_000)
            got = hear(plug)
        assert echo.ended.acquire(timeout=PATIENCE)
        if way == DOWN:
            assert len(got) == count
        else:
            assert len(echo.heard) == len(b"before") + count
    with plugged(wire) as plug:
        assert exchanged(plug, b"again") == b"again"


def test_a_cut_ends_every_connection(wire, echo):
    with plugged(wire) as one, plugged(wire) as other:
        assert exchanged(one, b"one") + exchanged(other, b"other") == b"oneother"
        wire.cut()
        assert hear(one) + hear(other) == b""
    assert echo.ended.acquire(timeout=PATIENCE)
    assert echo.ended.acquire(timeout=PATIENCE)


def test_silence_swallows_and_tells_nobody(wire, echo):
    with plugged(wire) as old:
        assert exchanged(old, b"before") == b"before"
        wire.silence_after(DOWN, 3)
        assert exchanged(old, b"swallowed", 3) == b"swa"
        old.settimeout(BRIEFLY)
        with pytest.raises(TimeoutError):
            old.recv(1)
        with plugged(wire, BRIEFLY) as new:
            new.sendall(b"into the dark")
            with pytest.raises(TimeoutError):
                new.recv(1)
        wire.mend()
        old.sendall(b"half-open")
        with pytest.raises(TimeoutError):
            old.recv(1)
        with plugged(wire) as new:
            assert exchanged(new, b"light") == b"light"
    assert echo.heard == b"beforeswallowedlight"


def test_a_server_that_is_not_there_is_told_by_a_reset():
    with closing(Echo()) as server:
        server.start()
    with Wire("127.0.0.1", server.port) as line, plugged(line) as plug:
        assert hear(plug) == b""


def test_a_line_of_its_own_process_ends_with_whoever_wanted_it(echo):
    with apart("127.0.0.1", echo.port, delay=0.01) as port, socket.create_connection(("127.0.0.1", port), PATIENCE) as plug:
        assert exchanged(plug, b"far away") == b"far away"
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port), timeout=PATIENCE)
