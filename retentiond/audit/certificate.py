"""A certificate as a file: a value, its seal, and the same for people as HTML.

It names stores, counts, dates and grounds, and nobody. Its seal is a signed note (C2SP signed-note) over the
SHA-256 of its canonical bytes (RFC 8785), made with the key of the log under a text of its own, so that
no checkpoint can stand for a certificate, nor the other way round.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from html import escape
from typing import Any

from retentiond.audit.note import Signer, Verifier, open_note
from retentiond.core.canonical import digest

_STYLE = (
    "body{font:16px/1.5 sans-serif;max-width:48rem;margin:2rem auto;padding:0 1rem}"
    "table{border-collapse:collapse;width:100%}td,th{border-bottom:1px solid #ccc;text-align:left;padding:.3rem .6rem .3rem 0}"
    "pre{font-size:12px;overflow-x:auto}"
)


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
        f"<h1>{title}</h1><p>{escape(certificate['organisation'])}</p>",
        f"<p>{escape(certificate['summary'])}</p>",
        _dates(certificate["dates"]),
        _table("What was erased" if erasure else "What was disposed of", _DISPOSED, certificate["disposed"]),
        _table("What was refused, and on which ground", _STAYS, (s for s in certificate["stays"] if s["lawful"])),
        _table("What is not done yet", _STAYS, (s for s in certificate["stays"] if not s["lawful"])),
        _table("Copies beyond use, and places that could not be searched", _BEYOND, certificate["beyond_use"]),
        _table("Recipients who were told", {"category": "for", "recipient": "recipient"}, certificate["recipients"]),
        f"<p>{escape(certificate['method'])}</p>",
        f"<h2>Proof</h2><pre>{escape(certificate['id'])}\n{escape(certificate['seal'])}</pre>",
    ]
    head = f'<meta charset="utf-8"><title>{title}</title><style>{_STYLE}</style>'
    return f'<!doctype html><html lang="en"><head>{head}</head><body>{"".join(parts)}</body></html>\n'


_DISPOSED = {"title": "data", "store": "store", "location": "where", "items": "items", "how": "how", "last": "last on"}
_STAYS = {"title": "data", "store": "store", "items": "items", "words": "ground", "until": "until"}
_BEYOND = {"title": "data", "store": "store", "items": "items", "words": "what it is", "until": "gone by"}


def _dates(dates: Mapping[str, str | None]) -> str:
    rows = "".join(f"<tr><th>{escape(name)}</th><td>{escape(day)}</td></tr>" for name, day in dates.items() if day)
    return f"<table>{rows}</table>"


def _table(title: str, columns: Mapping[str, str], rows: Iterable[Mapping[str, Any]]) -> str:
    lines = ["".join(f"<td>{escape(str(row[name] if row[name] is not None else '–'))}</td>" for name in columns) for row in rows]
    if not lines:
        return ""
    head = "".join(f"<th>{escape(name)}</th>" for name in columns.values())
    return f"<h2>{title}</h2><table><tr>{head}</tr>{''.join(f'<tr>{line}</tr>' for line in lines)}</table>"
