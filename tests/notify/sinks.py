"""Fakes of the other end: a web server and a mail server on loopback that keep what they are told.

Both are real servers on real sockets; `WebSink` and `MailSink` only decide what to answer.
"""

import base64
import email
import json
import socketserver
import ssl
import threading
from datetime import UTC, datetime, timedelta
from email.policy import default
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

HANG = 0
"""An answer that never comes."""


class _Quiet:
    """Says nothing of clients that went away, waits for no client at the end."""

    daemon_threads = True
    block_on_close = False
    allow_reuse_address = True

    def handle_error(self, request, client_address):
        pass


class _Web(_Quiet, ThreadingHTTPServer):
    pass


class _Mail(_Quiet, socketserver.ThreadingTCPServer):
    pass


class Sink:
    """A server in a thread of this process. `over` lets go whoever hangs."""

    def __init__(self, server):
        self.server = server
        self.over = threading.Event()
        server.sink = self
        self._thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        self._thread.start()

    @property
    def port(self):
        return self.server.server_address[1]

    def close(self):
        self.over.set()
        self.server.shutdown()
        self.server.server_close()
        self._thread.join()


class WebSink(Sink):
    """Answers with the codes of `answers` in turn, then with 204; keeps the bodies and headers of all it was asked."""

    def __init__(self, tls=None):
        self.answers, self.bodies, self.headers, self.paths = [], [], [], []
        self.away = ""
        server = _Web(("127.0.0.1", 0), _WebTalk)
        if tls:
            server.socket = tls.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
        super().__init__(server)

    @property
    def url(self):
        return f"http://127.0.0.1:{self.port}/hook?token=swordfish"

    @property
    def messages(self):
        """What was taken."""
        return [json.loads(body) for body, code in self.bodies if code and code < 300]

    @property
    def told(self):
        """(change, kind, about) of everything that was taken, in its order."""
        return [(a["change"], a["kind"], a["about"]) for message in self.messages for a in message["alarms"]]


class _WebTalk(BaseHTTPRequestHandler):
    def do_POST(self):
        sink = self.server.sink
        body = self.rfile.read(int(self.headers["Content-Length"]))
        code = sink.answers.pop(0) if sink.answers else 204
        sink.bodies.append((body, code))
        sink.headers.append(dict(self.headers))
        sink.paths.append(self.path)
        if code == HANG:
            sink.over.wait(60)
            return
        self.send_response(code)
        if 300 <= code < 400:
            self.send_header("Location", sink.away)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def do_GET(self):
        self.server.sink.paths.append(f"GET {self.path}")
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *args):
        pass


class MailSink(Sink):
    """A mail server. `answers` replaces the answer to a command: `{"RCPT": "550 canary"}`, or `HANG`."""

    def __init__(self, tls=None, starttls=None, login=""):
        self.mails, self.talk, self.answers = [], [], {}
        self.tls, self.starttls, self.login = tls, starttls, login
        super().__init__(_Mail(("127.0.0.1", 0), _MailTalk))


class _MailTalk(socketserver.BaseRequestHandler):
    def handle(self):
        self.sink = self.server.sink
        self.lines = self.request.makefile("rb")
        if self.sink.tls:
            self.secure(self.sink.tls)
        self.secured = bool(self.sink.tls)
        self.answer("CONNECT", "220 sink")
        while line := self.lines.readline():
            words = line.decode().strip()
            self.sink.talk.append(words)
            command = words.upper().split(" ")[0].split(":")[0]
            if not getattr(self, f"on_{command.lower()}", self.on_other)(words):
                break

    def finish(self):
        self.lines.close()
        self.request.close()

    def answer(self, command, text):
        said = self.sink.answers.get(command, text)
        if said == HANG:
            self.sink.over.wait(60)
            return False
        self.request.sendall(f"{said}\r\n".encode())
        return said == text

    def on_ehlo(self, _words):
        offers = ["sink", *(["STARTTLS"] if self.sink.starttls and not self.secured else []), "AUTH PLAIN"]
        self.answer("EHLO", "\r\n".join([*(f"250-{offer}" for offer in offers[:-1]), f"250 {offers[-1]}"]))
        return True

    def on_starttls(self, _words):
        self.answer("STARTTLS", "220 go on")
        self.secure(self.sink.starttls)
        self.secured = True
        return True

    def secure(self, context):
        self.lines.close()
        self.request = context.wrap_socket(self.request, server_side=True)
        self.lines = self.request.makefile("rb")

    def on_auth(self, words):
        said = base64.b64decode(words.split(" ")[2]).decode().split("\0")[1:]
        self.answer("AUTH", "235 welcome" if ":".join(said) == self.sink.login else "535 canary says no")
        return True

    def on_data(self, _words):
        if not self.answer("DATA", "354 go on"):
            return True
        raw = b""
        while (line := self.lines.readline()) != b".\r\n":
            raw += line.removeprefix(b".")  # RFC 5321, 4.5.2
        if self.answer("BODY", "250 taken"):
            self.sink.mails.append(email.message_from_bytes(raw, policy=default))
        return True

    def on_quit(self, _words):
        self.answer("QUIT", "221 bye")
        return False

    def on_other(self, words):
        self.answer(words.upper().split(" ")[0].split(":")[0], "250 well")
        return True


def certificate(folder, host="127.0.0.1"):
    """A certificate for loopback: the context of a server, and the file of the authority that vouches for it."""
    import ipaddress

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "sink")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address(host))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    authority, whole = folder / "authority.pem", folder / "server.pem"
    authority.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    form = (serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    whole.write_bytes(key.private_bytes(serialization.Encoding.PEM, *form) + authority.read_bytes())
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(whole)
    return context, authority
