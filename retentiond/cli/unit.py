"""`unit`: the drop-in for systemd that opens what the rules need."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from retentiond.cli.desk import answer, house, options, say
from retentiond.cli.front import common
from retentiond.errors import UsageError

if TYPE_CHECKING:
    from retentiond.app.unit import Opening

_HEAD = """\
# Written by `retentiond unit`; write it again when stores or rules change. It opens what the rules need, no more.
[Service]
# The owners of files are seen as they are, and the capabilities below reach them.
PrivateUsers=no
# The user retentiond needs the right to remove: by the directories' owner, group or ACL. With a group:
#SupplementaryGroups=GROUP
# Where that cannot be had: it removes whatever is opened here, and can read every file of this machine.
#CapabilityBoundingSet=CAP_DAC_OVERRIDE CAP_FOWNER
#AmbientCapabilities=CAP_DAC_OVERRIDE CAP_FOWNER"""


@click.command()
@common
def unit() -> None:
    """Print the drop-in for systemd that opens the paths of the rules.

    For /etc/systemd/system/retentiond.service.d/local-files.conf. The unit can write nowhere but
    to its state until this says where. Only the configuration is read; no store is opened.
    """
    from retentiond.app.unit import openings

    with house() as at_home:
        found = openings(at_home.settings, at_home.rulebook)
    text = "\n".join(drop_in(found))
    if options().json:
        answer({"openings": [asdict(o) | {"hidden": o.hidden} for o in found], "drop_in": text + "\n"})
    else:
        say(text)


def drop_in(found: Sequence[Opening]) -> Iterator[str]:
    """The lines of the drop-in. `UsageError` for a path that no unit file can spell."""
    yield _HEAD
    if any(o.hidden for o in found):
        yield "# What lies in homes or in /tmp is shown again by itself, and nothing else of them."
        yield "ProtectHome=tmpfs"
    for opening in found:
        yield f"# {opening.why}"
        yield f"{_setting(opening)}={quoted(opening.path, optional=not opening.vital)}"


def _setting(opening: Opening) -> str:
    if opening.hidden:
        return "BindPaths" if opening.writable else "BindReadOnlyPaths"
    return "ReadWritePaths"


def quoted(path: str, *, optional: bool) -> str:
    """A path as systemd reads it (systemd.syntax(7), systemd.unit(5)): quoted, `%` doubled; `-` where it may be missing."""
    if any(c < " " or c == "\x7f" or "\ud800" <= c <= "\udfff" for c in path):
        raise UsageError("a path has a character that a unit file cannot spell", why=ascii(path), do="rename the folder")
    plain = path.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%")
    return f'"{"-" if optional else ""}{plain}"'
