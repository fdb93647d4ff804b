"""One page of HTML for people: without scripts, pictures or anything from elsewhere; whatever is put in is escaped."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from html import escape
from typing import Any

_STYLE = (
    "body{font:16px/1.5 sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem}"
    "table{border-collapse:collapse;width:100%}td,th{border-bottom:1px solid #ccc;text-align:left;padding:.3rem .6rem .3rem 0}"
    "pre{font-size:12px;overflow-x:auto}"
)


def page(title: str, parts: Iterable[str]) -> str:
    """The whole page. `parts` are HTML already, as the functions below make it."""
    head = f'<meta charset="utf-8"><title>{escape(title)}</title><style>{_STYLE}</style>'
    body = f"<h1>{escape(title)}</h1>{''.join(parts)}"
    return f'<!doctype html><html lang="en"><head>{head}</head><body>{body}</body></html>\n'


def paragraph(text: str) -> str:
    """A text on lines of its own."""
    return f"<p>{escape(text)}</p>"


def pairs(values: Mapping[str, str | None]) -> str:
    """Names and values, one below the other; what has no value is left out."""
    rows = "".join(f"<tr><th>{escape(name)}</th><td>{escape(value)}</td></tr>" for name, value in values.items() if value)
    return f"<table>{rows}</table>"


def table(title: str, columns: Mapping[str, str], rows: Iterable[Mapping[str, Any]]) -> str:
    """A heading and a table of these columns (by their names in the rows); nothing where there are no rows."""
    lines = ["".join(f"<td>{escape(str(row[name] if row[name] is not None else '–'))}</td>" for name in columns) for row in rows]
    if not lines:
        return ""
    head = "".join(f"<th>{escape(name)}</th>" for name in columns.values())
    return f"<h2>{escape(title)}</h2><table><tr>{head}</tr>{''.join(f'<tr>{line}</tr>' for line in lines)}</table>"


def verbatim(title: str, text: str) -> str:
    """A heading and a text as it stands, line by line."""
    return f"<h2>{escape(title)}</h2><pre>{escape(text)}</pre>"
