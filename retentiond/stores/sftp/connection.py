"""The door to paramiko: one connection to a server that is known, and channels on it.

Guarantees: before anything is said about who we are, the server has proved that it has a pinned key; none is ever
learned. No agent is asked, no key is looked for, no `ssh_config` is read, no program is run. Everything that waits for
the server waits for at most the store's timeout. The connection is made when it is first needed, and anew when
it was lost; whether what was under way then happened, whoever asked has to look.
"""

from __future__ import annotations

import io
import logging
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import paramiko
from paramiko.ssh_exception import IncompatiblePeer

from retentiond.errors import StoreDenied, StoreTrouble, StoreUnavailable
from retentiond.stores.sftp.known_hosts import keys_of
from retentiond.stores.sftp.options import KEY_TYPES, HostKey, Options
from retentiond.stores.sftp.session import Session

_WINDOW, _PACKET = 2**26, 2**17
"""What may be on its way to us. With paramiko's usual window, what is far away is read in drops."""
_KEYS: tuple[type[paramiko.PKey], ...] = (paramiko.Ed25519Key, paramiko.RSAKey, paramiko.ECDSAKey)
_LOOK = "look at `host`, `port`, the server and the network"
_LOST = "the connection to the server was lost"

logging.getLogger("paramiko").addHandler(logging.NullHandler())  # it would print its own account of what we raise


class _Plug(socket.socket):
    """A socket that says at once what it has received, as long as it is prompt.

    OpenSSH opens its first channel in two small packets, the second of which waits (RFC 896) until the first one is
    acknowledged, which Linux puts off for 40 ms where nothing is sent meanwhile (RFC 1122).
    """

    is_prompt = hasattr(socket, "TCP_QUICKACK")

    def recv(self, size: int, flags: int = 0) -> bytes:
        piece = super().recv(size, flags)
        if self.is_prompt:
            self.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)
        return piece


class Connection:
    """A connection to the server of a store."""

    def __init__(self, options: Options) -> None:
        self._options = options
        self._transport: paramiko.Transport | None = None
        self._plug: _Plug | None = None

    def session(self) -> Session:
        """A new channel. `StoreUnavailable` where the server cannot be reached, `StoreDenied` where it does not let us in."""
        if self._transport is None or not self._transport.is_active():
            self.close()
            self._transport = self._connected()
        transport = self._transport
        with self._in_time(transport):
            try:
                channel = transport.open_session(_WINDOW, _PACKET)
            except paramiko.ChannelException as error:
                raise StoreUnavailable("the server opens no further channel", do="look at its MaxSessions") from error
            try:
                channel.invoke_subsystem("sftp")
            except paramiko.SSHException as error:
                if not transport.is_active():
                    raise
                raise StoreDenied("the server offers no SFTP", do="it needs a `Subsystem sftp`") from error
            if self._plug is not None:
                self._plug.is_prompt = False
            channel.settimeout(self._options.timeout)
            return Session(_Line(channel, self._options.timeout))

    def close(self) -> None:
        """Ends the connection and its channels; again does nothing."""
        transport, self._transport = self._transport, None
        if transport is not None:
            transport.close()

    def _connected(self) -> paramiko.Transport:
        options = self._options
        pinned = options.pinned or keys_of(options.known_hosts, options.host, options.port)
        key, password = _private_key(options), _revealed(options.password)
        self._plug = self._plugged()
        transport = paramiko.Transport(self._plug)
        for limit in ("banner_timeout", "handshake_timeout", "auth_timeout", "channel_timeout"):
            setattr(transport, limit, 2 * options.timeout)  # whether it takes too long is judged here alone, in one way
        accepted = dict.fromkeys(name for one in pinned for name in KEY_TYPES[one.type])
        transport.get_security_options().key_types = tuple(accepted)
        try:
            with self._in_time(transport):
                transport.start_client()
                _check(transport, pinned)
                _log_in(transport, options.user, key, password)
        except BaseException:
            transport.close()
            raise
        return transport

    def _plugged(self) -> _Plug:
        host, timeout = self._options.host, self._options.timeout
        try:
            plug = _Plug(fileno=socket.create_connection((host, self._options.port), timeout).detach())
        except socket.gaierror as error:
            raise StoreUnavailable("the host of the store has no address", do="correct `host`, or look at the DNS") from error
        except TimeoutError as error:
            raise StoreUnavailable("the server does not answer", why="no connection came about in time", do=_LOOK) from error
        except OSError as error:
            raise StoreUnavailable("the server cannot be reached", why=error.strerror or "", do=_LOOK) from error
        plug.settimeout(timeout)
        plug.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if hasattr(socket, "TCP_USER_TIMEOUT"):
            plug.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, int(timeout * 1000))
        return plug

    @contextmanager
    def _in_time(self, transport: paramiko.Transport) -> Iterator[None]:
        """Ends the connection if what is done here takes too long; errors as those of a store."""
        late = threading.Event()

        def give_up() -> None:
            late.set()
            transport.close()

        timer = threading.Timer(self._options.timeout, give_up)
        timer.daemon = True
        timer.start()
        try:
            yield
        except StoreTrouble as error:
            if late.is_set():
                raise _silent(self._options.timeout) from error
            raise
        except (paramiko.SSHException, EOFError, OSError) as error:
            if late.is_set() or isinstance(error, TimeoutError):
                raise _silent(self._options.timeout) from error
            raise _trouble(error) from error
        finally:
            timer.cancel()


class _Line:
    """A channel, as a session uses it."""

    def __init__(self, channel: paramiko.Channel, timeout: float) -> None:
        self._channel, self._timeout = channel, timeout

    def send(self, data: bytes) -> None:
        try:
            self._channel.sendall(data)
        except TimeoutError as error:
            raise _silent(self._timeout) from error
        except (paramiko.SSHException, EOFError, OSError) as error:
            raise StoreUnavailable(_LOST, do="try again later") from error

    def receive(self, most: int) -> bytes:
        try:
            piece = self._channel.recv(most)
            while self._channel.recv_stderr_ready():
                self._channel.recv_stderr(most)
        except TimeoutError as error:
            raise _silent(self._timeout) from error
        except (paramiko.SSHException, EOFError, OSError) as error:
            raise StoreUnavailable(_LOST, do="try again later") from error
        if not piece:
            raise StoreUnavailable(_LOST, do="try again later")
        return piece

    def close(self) -> None:
        try:
            self._channel.close()
        except (paramiko.SSHException, EOFError, OSError):
            return


def _check(transport: paramiko.Transport, pinned: tuple[HostKey, ...]) -> None:
    """`StoreDenied` unless the server has proved that it has one of the keys."""
    shown = transport.get_remote_server_key()
    if HostKey(shown.get_name(), shown.asbytes()) not in pinned:
        raise StoreDenied(
            "the server shows another host key than the pinned one",
            why="it is another machine, or somebody stands in between, or it was installed anew",
            do="ask whoever runs it, over another way, for its public key; nothing was sent to it",
        )


def _log_in(transport: paramiko.Transport, user: str, key: paramiko.PKey | None, password: str | None) -> None:
    try:
        if key is not None:
            transport.auth_publickey(user, key)
        if password is not None and not transport.is_authenticated():
            transport.auth_password(user, password)
    except paramiko.BadAuthenticationType as error:
        allowed = ", ".join(error.allowed_types)
        raise StoreDenied(
            "the server does not let us log in this way", why=f"it takes: {allowed}", do="see `key`, `password`"
        ) from error
    except paramiko.AuthenticationException as error:
        if not transport.is_active():
            raise EOFError from error
        raise StoreDenied("the server does not let us in", why="it refuses the user, or the user's key or password") from error
    if not transport.is_authenticated():
        raise StoreDenied("the server wants more than we have", why="it asks for a key and a password", do="give both")


def _private_key(options: Options) -> paramiko.PKey | None:
    """`StoreDenied`, which never quotes it, for what is no private key that can be used."""
    written = _revealed(options.key)
    if written is None:
        return None
    passphrase = _revealed(options.passphrase)
    for kind in _KEYS:
        try:
            return kind.from_private_key(io.StringIO(written + "\n"), passphrase)
        except paramiko.PasswordRequiredException:
            raise StoreDenied("the private key is encrypted", do="give its passphrase: passphrase: {credential: …}") from None
        except Exception:  # noqa: BLE001, S112 each type of key fails in its own way on those of another, and says the secret's text
            continue
    raise StoreDenied(
        "the private key cannot be read",
        why="it is no Ed25519, RSA or ECDSA key in OpenSSH's format or PEM, or its passphrase is another",
        do="look at what `key` and `passphrase` refer to",
    )


def _revealed(secret: Any) -> str | None:
    text: str | None = secret.reveal() if hasattr(secret, "reveal") else secret
    return text


def _silent(timeout: float) -> StoreUnavailable:
    return StoreUnavailable("the server does not answer", why=f"nothing came within {timeout:g} s", do=_LOOK)


def _trouble(error: BaseException) -> StoreTrouble:
    if isinstance(error, IncompatiblePeer):
        return StoreDenied(
            "the server and we have no algorithm in common",
            why="it has no host key of the pinned type, or it knows nothing newer than SHA-1 (ssh-rsa), which is not accepted",
            do="compare the pinned key's type with the server's keys, or have the server renewed",
        )
    return StoreUnavailable(_LOST, do="try again later")
