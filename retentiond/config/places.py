"""Paths, URLs and zones as the configuration writes them, made definite.

Guarantee: a relative path is relative to the folder of `retentiond.yaml`, never to the working
directory; links are followed only to compare places, never to change what was written.
"""

from __future__ import annotations

import os
import re
from zoneinfo import ZoneInfo, available_timezones

from retentiond.config.suggest import did_you_mean, quoted


def absolute(folder: str, path: str) -> str:
    """A path of the configuration, from its folder."""
    return os.path.normpath(os.path.join(folder, path))


def absolute_url(folder: str, url: str) -> str:
    """A `sqlite:///relative.db` URL with its path from the folder; any other URL as it is."""
    found = re.fullmatch(r"(sqlite(?:\+\w+)?:///)([^/:?][^?]*)(\?.*)?", url, re.DOTALL)
    if not found or found[2].startswith("file:"):
        return url
    return f"{found[1]}{absolute(folder, found[2])}{found[3] or ''}"


def inside(path: str, folder: str) -> bool:
    """Whether a path is a folder or lies in it, links followed."""
    real, real_folder = os.path.realpath(path), os.path.realpath(folder)
    return real == real_folder or real.startswith(real_folder.rstrip("/") + "/")


def zone_problem(name: str) -> tuple[str, str, str] | None:
    """What, why and what to do, for a name that is no time zone."""
    try:
        if name and ZoneInfo(name).key == name:
            return None
    except (KeyError, ValueError, OSError):
        pass
    why = "zones have names such as Europe/London, from the IANA time zone database"
    return f"{quoted(name)} is no time zone", why, did_you_mean(name, available_timezones())


def shown(path: str, folder: str) -> str:
    """A file as messages name it: relative to the folder where it is below it, on one line, printable."""
    below = path.removeprefix(folder.rstrip("/") + "/")
    return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in below)
