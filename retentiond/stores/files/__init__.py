"""Files in a tree: the store type `files`.

    stores:
      desk: {type: files, path: /srv/desk, location: GB}

The rooms, from the ground up: `tree` (an open root and the ways below it), `claims` (reading what
a cut-short disposal left), `columns` (a status), `content` (bytes), `view` (looking); and apart
from those `claiming`, `taking` and `store` (letting go, taking in), which are loaded only to act.

A revision is `inode:size:mtime_ns`. What is still being written is told by that comparison, by a clock that
starts when a file was last modified, and where neither will do by `quiet`: what has changed less than so long
ago is in doubt, and stays.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from retentiond.stores.files.view import FilesView

if TYPE_CHECKING:
    from retentiond.stores.files.store import FilesStore

_OPTIONS = ("path", "quiet", "location", "site", "zone")
_QUIET = re.compile(r"([1-9][0-9]{0,5}) (second|minute|hour)s?")
_ROOTS = ("/", "/proc", "/sys", "/dev", "/run")


class FilesType:
    """The kind of store that keeps files in a tree. Options of its own: `path`, absolute, and `quiet`, such as `10 minutes`."""

    name = "files"

    def problems(self, options: Mapping[str, Any]) -> Iterable[tuple[str, str]]:
        """What is wrong with the options. `location`, `site` and `zone` belong to every store and are not read here."""
        for option in options:
            if option not in _OPTIONS:
                yield option, "a files store has no such option"
        path = options.get("path")
        if not isinstance(path, str) or not path:
            yield "path", "a files store needs the path of its root"
        elif not os.path.isabs(path) or "\0" in path:
            yield "path", "the path of the root is absolute"
        elif os.path.normpath(path) in _ROOTS:
            yield "path", "the root of a system is no store"
        if options.get("quiet") is not None and _quiet(options["quiet"]) is None:
            yield "quiet", "is no time: write `30 seconds`, `10 minutes` or `1 hour`"

    def look(self, options: Mapping[str, Any]) -> FilesView:
        """Opens a tree for looking; `StoreUnavailable` if it is missing, `StoreDenied` if it is a link or may not be read."""
        return FilesView(options["path"], _quiet(options.get("quiet")) or timedelta(0))

    def act(self, options: Mapping[str, Any]) -> FilesStore:
        """Opens a tree for disposal; errors as in `look`."""
        from retentiond.stores.files.store import FilesStore

        return FilesStore(options["path"], _quiet(options.get("quiet")) or timedelta(0))


def _quiet(value: Any) -> timedelta | None:
    """So many seconds, minutes or hours; None for anything else."""
    found = _QUIET.fullmatch(value.strip()) if isinstance(value, str) else None
    return timedelta(**{f"{found[2]}s": int(found[1])}) if found else None
