"""A certificate as a file: a value, its seal, and the same for people as HTML.

It names stores, counts, dates and grounds, and nobody. Its seal is a signed note (C2SP signed-note) over the
SHA-256 of its canonical bytes (RFC 8785), made with the key of the log under a text of its own, so that
no checkpoint can stand for a certificate, nor the other way round.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from retentiond.audit.note import Signer, Verifier, open_note
from retentiond.audit.page import page, pairs, paragraph, table, verbatim
from retentiond.core.canonical import digest


def sealed(value: Mapping[str, Any], signer: Signer) -> dict[str, Any]:
    """A certificate with its `id` and its `seal`."""
    body = dict(value) | {"id": digest(value)[:32]}
    return body | {"seal": signer.sign(_text(signer.verifier, body)).decode()}


def is_sealed(certificate: Mapping[str, Any], verifier: Verifier) -> bool:
    """Whether a certificate is what was sealed with this key."""
    body = {name: part for name, part in certificate.items() if name != "seal"}
    unnamed = {name: part for name, part in body.items() if name != "id"}
    try:
        text = open_note(str(certificate.get("seal", "")).encode(), verifier)
    except ValueError:
        return False
    return text == _text(verifier, body) and body.get("id") == digest(unnamed)[:32]


def _text(verifier: Verifier, body: Mapping[str, Any]) -> str:
    return f"{verifier.name}\ncertificate\n{digest(body)}\n"


def as_html(certificate: Mapping[str, Any]) -> str:
    """The certificate as one page without scripts, pictures or anything from elsewhere."""
    erasure = certificate["kind"] == "erasure"
    title = "What became of your request for erasure" if erasure else "Certificate of disposal"
    parts = [
        paragraph(certificate["organisation"]),
        paragraph(certificate["summary"]),
        pairs(certificate["dates"]),
        table("What was erased" if erasure else "What was disposed of", _DISPOSED, certificate["disposed"]),
        table("What was refused, and on which ground", _STAYS, (s for s in certificate["stays"] if s["lawful"])),
        table("What is not done yet", _STAYS, (_shown(s) for s in certificate["stays"] if not s["lawful"])),
        table("Copies beyond use, and places that could not be searched", _BEYOND, certificate["beyond_use"]),
        table("Recipients who were told", _RECIPIENTS, certificate["recipients"]),
        table("Recipients who have still to be told, by a person", _RECIPIENTS, certificate["to_be_told"]),
        paragraph(certificate["method"]),
        verbatim("Proof", f"{certificate['id']}\n{certificate['seal']}"),
    ]
    return page(title, parts)


def _shown(stay: Mapping[str, Any]) -> Mapping[str, Any]:
    """How many items a store has that nobody could look at is not known, which is not none."""
    return {**stay, "items": stay["items"] if stay["items"] is not None else "not known"}


_WHAT = {"title": "data", "rule": "rule", "store": "store"}
_DISPOSED = {**_WHAT, "location": "where", "items": "items", "words": "how", "last": "last on"}
_STAYS = {**_WHAT, "items": "items", "words": "ground", "until": "until"}
_BEYOND = {**_WHAT, "items": "items", "words": "what it is", "until": "gone by"}
_RECIPIENTS = {"category": "for", "recipient": "recipient"}
