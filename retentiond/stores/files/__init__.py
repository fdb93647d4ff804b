"""Files in a tree: the store type `files`.

    stores:
      desk: {type: files, path: /srv/desk, location: GB}

The rooms, from the ground up: `tree` (an open root and the ways below it), `claims` (reading what
a cut-short disposal left), `columns` and `paths` (pages and keys), `view` (looking); and apart
from those `claiming` and `store` (letting go), which are loaded only to act.

A revision is `inode:size:mtime_ns`. There is no test for files that are still being written
beside that comparison: a category whose clock starts when a file was last modified has one.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from retentiond.stores.files.view import FilesView

if TYPE_CHECKING:
    from retentiond.stores.files.store import FilesStore

_OPTIONS = ("path", "location", "site", "zone")
_ROOTS = ("/", "/proc", "/sys", "/dev", "/run")


class FilesType:
    """The kind of store that keeps files in a tree. Its one option of its own is `path`, absolute."""

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

    def look(self, options: Mapping[str, Any]) -> FilesView:
        """Opens a tree for looking; `StoreUnavailable` if it is missing, `StoreDenied` if it is a link or may not be read."""
        return FilesView(options["path"])

    def act(self, options: Mapping[str, Any]) -> FilesStore:
        """Opens a tree for disposal; errors as in `look`."""
        from retentiond.stores.files.store import FilesStore

        return FilesStore(options["path"])
