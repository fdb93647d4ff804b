"""A message as JSON to an address of the web: one POST, which any answer of 2xx takes.

Certificates are verified, nothing is followed to another address, and what is answered is not read.
With a shared secret the body is signed: `Retentiond-Signature: sha256=…`, an HMAC (RFC 2104) in hexadecimal.
"""

from __future__ import annotations

import hashlib
import hmac
import http.client
import json
import re
import ssl
import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass, field

from retentiond.errors import NotDelivered
from retentiond.notify.message import Message

SIGNATURE = "Retentiond-Signature"


@dataclass(frozen=True, slots=True, repr=False)
class Webhook:
    """A webhook, with everything that is secret of it."""

    url: str
    timeout: float
    headers: Mapping[str, str] = field(default_factory=dict)
    secret: str = ""

    def send(self, message: Message) -> None:
        body = json.dumps(message.value, ensure_ascii=False).encode()
        try:
            with _opener().open(self._request(body), timeout=self.timeout):
                return
        except urllib.error.HTTPError as error:
            error.close()
            raise _answered(error.code) from None
        except TimeoutError:
            raise NotDelivered("the address did not answer in time") from None
        except urllib.error.URLError as error:
            raise _unreached(error.reason) from None
        except (OSError, http.client.HTTPException, ValueError) as error:
            raise _unreached(error) from None

    def _request(self, body: bytes) -> urllib.request.Request:
        headers = {"User-Agent": "retentiond", "Accept": "*/*", **self.headers, "Content-Type": "application/json"}
        if any(not re.fullmatch(r"[\x21-\x7e]([\x20-\x7e]*[\x21-\x7e])?", value) for value in headers.values()):
            raise NotDelivered("a header cannot be sent", why="its value is not one line of ASCII", do="look at the secret")
        if self.secret:
            headers[SIGNATURE] = "sha256=" + hmac.new(self.secret.encode(), body, hashlib.sha256).hexdigest()
        return urllib.request.Request(self.url, body, headers, method="POST")  # noqa: S310 `_opener` opens no other scheme


def _opener() -> urllib.request.OpenerDirector:
    """Knows http and https and the environment's proxies. It follows nothing: a message is for the address that was told."""
    opener = urllib.request.OpenerDirector()
    for part in (
        urllib.request.ProxyHandler(),
        urllib.request.HTTPHandler(),
        urllib.request.HTTPSHandler(context=ssl.create_default_context()),
        urllib.request.UnknownHandler(),
        urllib.request.HTTPDefaultErrorHandler(),
        urllib.request.HTTPErrorProcessor(),
    ):
        opener.add_handler(part)
    return opener


def _answered(code: int) -> NotDelivered:
    if 300 <= code < 400:
        return NotDelivered(f"the address answered {code}", why="it leads elsewhere", do="configure where it leads")
    if code in (401, 403):
        return NotDelivered(f"the address answered {code}", why="it does not know us", do="look at its headers and secrets")
    return NotDelivered(f"the address answered {code}")


def _unreached(reason: object) -> NotDelivered:
    if isinstance(reason, TimeoutError):
        return NotDelivered("the address did not answer in time")
    if isinstance(reason, ssl.SSLCertVerificationError):
        return NotDelivered("the certificate of the address is not trusted", do="see $SSL_CERT_FILE for an authority of your own")
    if isinstance(reason, ConnectionRefusedError):
        return NotDelivered("the address refuses connections")
    return NotDelivered("the address cannot be reached")
