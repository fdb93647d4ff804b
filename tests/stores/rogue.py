"""An SFTP server of one directory that answers as it is told, which no decent server does.

It speaks real SSH (paramiko's server side) on a free loopback port; only what it says inside is made up. `names` yields the
parts of the listing, one for each request, each a list of (name, attributes as bytes).
"""

import socket
import struct
import threading
from contextlib import contextmanager
from itertools import repeat

import paramiko

from retentiond.stores.sftp import packets

DIRECTORY, FILE = 0o40755, 0o100644


def attributes(mode=FILE, size=7, modified=1_500_000_000):
    flags = (size is not None) | (4 if mode is not None else 0) | (8 if modified is not None else 0)
    body = struct.pack(">I", flags)
    body += b"" if size is None else struct.pack(">Q", size)
    body += b"" if mode is None else struct.pack(">I", mode)
    return body + (b"" if modified is None else struct.pack(">II", modified, modified))


def string(value):
    return struct.pack(">I", len(value)) + value


def listing(names):
    body = struct.pack(">I", len(names))
    for name, described in names:
        body += string(name) + string(b"") + described
    return packets.NAME, body


def status(code):
    return packets.STATUS, struct.pack(">I", code) + string(b"") + string(b"")


class Rogue(paramiko.ServerInterface):
    """One directory, listed as `names` say; `garbled` replaces each answer to a request for attributes.

    `extensions` are announced, and each request for one ends with the status `extended`. `asked` are the kinds of requests.
    """

    def __init__(self, names=(), version=3, garbled=None, passwords=None, extensions=(), extended=packets.OK):
        self.names, self.version, self.garbled, self.passwords = names, version, garbled, passwords
        self.extensions, self.extended = extensions, extended
        self.key = paramiko.ECDSAKey.generate()
        self.asked = []

    def get_allowed_auths(self, username):
        return "publickey" if self.passwords is None else "publickey,password"

    def check_auth_publickey(self, username, key):
        return paramiko.AUTH_SUCCESSFUL if self.passwords is None else paramiko.AUTH_PARTIALLY_SUCCESSFUL

    def check_auth_password(self, username, password):
        return paramiko.AUTH_SUCCESSFUL if password == self.passwords else paramiko.AUTH_FAILED

    def check_channel_request(self, kind, chanid):
        return paramiko.OPEN_SUCCEEDED

    def answers(self):
        """What is said to each request, in order; a generator that is sent (kind, body)."""
        parts, answer = iter(self.names), None
        while True:
            kind, body = yield answer
            self.asked.append(kind)
            if kind in (7, 8, 17):
                answer = self.garbled or (packets.ATTRS, attributes(mode=DIRECTORY))
            elif kind == 16:
                answer = listing([(body[4:], attributes(mode=DIRECTORY))])
            elif kind == packets.EXTENDED:
                answer = status(self.extended)
            elif kind in (3, 11):
                answer = (packets.HANDLE, string(b"h"))
            elif kind == 12:
                part = next(parts, None)
                answer = status(packets.EOF) if part is None else listing(part)
            else:
                answer = status(packets.OK)


class Subsystem(paramiko.SubsystemHandler):
    """Reads requests and sends what the rogue says."""

    def start_subsystem(self, name, transport, channel):
        rogue = self.get_server()
        answers = rogue.answers()
        next(answers)
        try:
            self.take(channel)
            known = b"".join(string(name) + string(b"1") for name in rogue.extensions)
            channel.sendall(self.framed(packets.VERSION, struct.pack(">I", rogue.version) + known))
            while True:
                kind, body = self.take(channel)
                said, answer = answers.send((kind, body[4:]))
                channel.sendall(self.framed(said, body[:4] + answer))
        except (EOFError, OSError):
            channel.close()

    def take(self, channel):
        (length,) = struct.unpack(">I", self.exactly(channel, 4))
        packet = self.exactly(channel, length)
        return packet[0], packet[1:]

    @staticmethod
    def exactly(channel, count):
        got = b""
        while len(got) < count:
            piece = channel.recv(count - len(got))
            if not piece:
                raise EOFError
            got += piece
        return got

    @staticmethod
    def framed(kind, body):
        return struct.pack(">IB", len(body) + 1, kind) + body


@contextmanager
def running(rogue):
    """The options of a store that is opened on a rogue, for as long as the context lasts."""
    listening = socket.create_server(("127.0.0.1", 0))
    transports = []

    def serve():
        while True:
            try:
                plug, _ = listening.accept()
            except OSError:
                return
            transport = paramiko.Transport(plug)
            transport.add_server_key(rogue.key)
            transport.set_subsystem_handler("sftp", Subsystem)
            transports.append(transport)
            try:
                transport.start_server(server=rogue)
            except (paramiko.SSHException, EOFError):
                continue

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield {
            "host": "127.0.0.1",
            "port": listening.getsockname()[1],
            "user": "files",
            "path": "/in",
            "host_key": f"{rogue.key.get_name()} {rogue.key.get_base64()}",
        }
    finally:
        listening.shutdown(socket.SHUT_RDWR)
        listening.close()
        thread.join()
        for transport in transports:
            transport.close()


def endless():
    """A listing that never says anything new."""
    return repeat([(b"again", attributes())] * 100)
