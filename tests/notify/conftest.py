"""The other end, on loopback, and a shop that tells it."""

import socket
from contextlib import ExitStack, closing

import pytest

from retentiond.app.house import House
from tests.acceptance.shop import LETTERS, SETTINGS, Shop
from tests.notify.sinks import MailSink, WebSink, certificate


@pytest.fixture
def sinks():
    """Makes sinks, and closes them all at the end."""
    with ExitStack() as made:

        def make(kind, **options):
            sink = kind(**options)
            made.callback(sink.close)
            return sink

        yield make


@pytest.fixture
def web(sinks):
    return sinks(WebSink)


@pytest.fixture
def mail(sinks):
    return sinks(MailSink)


@pytest.fixture
def trusted(tmp_path, monkeypatch):
    """The context of a server whose certificate this process trusts."""
    context, authority = certificate(tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", str(authority))
    return context


@pytest.fixture
def stranger(tmp_path):
    """The context of a server that nobody vouches for."""
    return certificate(tmp_path)[0]


@pytest.fixture
def nobody():
    """A port at which nobody listens, for as long as the test runs."""
    with closing(socket.socket()) as held:
        held.bind(("127.0.0.1", 0))
        yield held.getsockname()[1]


class Teller(Shop):
    """A shop that tells somebody; `notify` says whom, `house` opens it as a run would."""

    def notify(self, *addresses: str, more: str = "") -> None:
        lines = "".join(f"  - {address}\n" for address in addresses)
        whole = SETTINGS.format(more="", zone="UTC") + more + (f"notify:\n{lines}" if lines else "notify: []\n")
        self.settings(text=whole)

    def house(self, **options) -> House:
        return House(str(self.config), **options)


@pytest.fixture
def teller(tmp_path, web):
    """A shop with one category that is not approved, `post`, and one webhook."""
    shop = Teller(tmp_path / "shop")
    shop.category("post", LETTERS)
    shop.notify(f"{{webhook: '{web.url}'}}")
    return shop
