"""Looking at files on a server, without the means to change them.

Guarantees: nothing here asks for anything that changes a file, a directory or a name. A listing is whole or it is an
error. Links, directories and special files are never items, and no link is followed. An item that a cut-short disposal
left in a claim directory is shown under its old key in the revision it had; where the name is taken again, the newcomer
has the key, and a scan doubts it for as long as the other is there (in a directory of thousands, if it comes late enough).

A revision is `size:mtime`, and servers tell times in whole seconds: what was modified in the second of the look, or later,
could change again without a trace, so it is doubted until the next look.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import replace
from datetime import datetime, timedelta
from operator import attrgetter

from retentiond.core.item import Page
from retentiond.core.pattern import PathPattern
from retentiond.engine.ports import OUTSIDE, PAGE, Scope, Traits
from retentiond.errors import StoreDenied
from retentiond.stores import parts
from retentiond.stores.columns import EPOCH, SHADOWED, Columns, Match, Reading, base_of, pattern_of, waiting_window
from retentiond.stores.paths import RESERVED, Step, by_directory
from retentiond.stores.sftp import packets
from retentiond.stores.sftp.claims import Claims, claimed_in, is_claim
from retentiond.stores.sftp.content import edges_of, pieces_of
from retentiond.stores.sftp.listing import Part, walked
from retentiond.stores.sftp.options import Options
from retentiond.stores.sftp.packets import Attributes, Refused
from retentiond.stores.sftp.root import Root, refusal
from retentiond.stores.sftp.session import Session

LINKED = "it has other hard links, so removing one name would not erase it"
UNDATED = "the server does not say how long it is or when it was modified, so that a change could not be noticed"
FRESH = "it was modified at the moment of the look, so that a further change could not be noticed"
_NOTHING_WAITS = (0, 0)
MANY = 300
"""So many directories are worth a split. Fewer are listed by one handle before a second could be opened."""
_DEEPEST = 4
"""So far down a split looks for enough directories."""
LANES = 3
"""Listing gains nothing by a further connection, letting go does, and opening one costs as much as a hundred items."""


class SftpView:
    """An open handle on a root on a server that only looks; it belongs to the thread that opened it."""

    def __init__(self, options: Options) -> None:
        if sys.getfilesystemencoding() != "utf-8":
            raise StoreDenied("names cannot be kept byte for byte", why="the locale is not UTF-8", do="start with PYTHONUTF8=1")
        self._root = Root(options)
        self._claims = Claims(self._root)

    @property
    def place(self) -> str:
        """The user, the server and the real path there."""
        return self._root.place

    @property
    def traits(self) -> Traits:
        """Not atomic. No clock: a server tells its time only by what it writes, and looking writes nothing."""
        return Traits(atomic=False, notes=self._notes(), lanes=LANES)

    def scan(self, scope: Scope) -> Iterator[Page]:
        """Every file of the scope, once. `ValueError` for a scope that files do not have, before anything is asked for."""
        return self._scan(_Sieve(scope, pattern_of(scope)))

    def probe(self, scope: Scope, keys: Sequence[str]) -> Page:
        """These files as they are now. What is no key of a file here (`../x`, a claim directory) is absent."""
        pattern = pattern_of(scope)
        columns = Columns(scope, pattern, reading(scope))
        columns.expect(len(keys))
        self._refresh()
        for parent, steps in self._sighted(keys).items():
            every = pattern.below(parent) == "all"
            prefix = parent and parent + "/"
            for (position, name), attributes in steps.items():
                match = None if every else pattern.match(prefix + name)
                columns.put(position, attributes, match, None if every or match else OUTSIDE)
        return columns.page(list(keys))

    def read(self, scope: Scope, key: str, revision: str) -> Iterator[bytes]:
        """The bytes of a file in this revision; a claimed one is found under its old key."""
        pattern_of(scope)
        self._refresh()
        return pieces_of(self._root, self._claims, key, revision)

    def edges(self, scope: Scope, key: str, revision: str, head: int, tail: int) -> tuple[bytes, bytes]:
        """The first and the last bytes of a file in this revision."""
        pattern_of(scope)
        self._refresh()
        return edges_of(self._root, self._claims, key, revision, head, tail)

    def shards(self, scope: Scope, wanted: int) -> Sequence[Scope]:
        """The scope by the directories that its files are in; the scope itself where they are too few."""
        pattern = pattern_of(scope)
        depth = self._depth(pattern, wanted) if wanted > 1 and not scope.part else 0
        return [replace(scope, part=str(parts.Part(depth, i, wanted))) for i in range(wanted)] if depth else [scope]

    def samples(self, scope: Scope, count: int = 5) -> Sequence[str]:
        """The first few keys that a scan meets."""
        with closing(self._scan(_Sieve(scope, pattern_of(scope)))) as pages:
            return next((page.keys[:count] for page in pages if len(page)), ())

    def warnings(self, scope: Scope) -> Sequence[str]:
        found = [] if self.samples(scope, 1) else ["the pattern matches nothing"]
        if self._root.file_system is None:
            found.append("the server does not tell file systems apart, so that what is mounted inside the root is looked at, too")
        return found

    def close(self) -> None:
        self._root.close()

    def _notes(self) -> Sequence[str]:
        return (
            "a program that keeps a file open through its disposal loses what it writes after the comparison",
            "a change that leaves the size and the second of the modification as they were is not noticed",
        )

    def _scan(self, sieve: _Sieve) -> Generator[Page, None, None]:
        with closing(self._root.channel()) as session, closing(walked(self._root, session, [""], sieve.enters)) as walk:
            for part in walk:
                yield from self._shown(part, sieve, session)
        if len(sieve.columns) or sieve.unseen:
            yield sieve.page()

    def _depth(self, pattern: PathPattern, wanted: int) -> int:
        """After how many segments there are directories enough to be split; 0 where there are not.

        No more than a few directories are looked at, and of a long one no more than its first part.
        """
        base, session = base_of(pattern.text), self._root.session()
        level, above = [base], len(base.split("/")) if base else 0
        for depth in range(above + 1, above + 1 + _DEEPEST):
            below: list[str] = []
            with closing(walked(self._root, session, level, lambda _: False)) as walk:
                for part in walk:
                    prefix = part.directory and part.directory + "/"
                    names = [prefix + name for name, attributes in part.entries if attributes.is_directory]
                    below += [name for name in names if may_hold(pattern, name)]
                    if len(below) >= MANY:
                        return depth
                    if not part.is_last:
                        return 0
            if not 0 < len(below) <= wanted:
                return 0
            level = below
        return 0

    def _shown(self, part: Part, sieve: _Sieve, session: Session) -> Iterator[Page]:
        """Pages as they fill, of a part of a directory and of the claims that are in it."""
        if sieve.part is not None and not sieve.part.has(part.directory):
            return
        names = [name for name, attributes in part.entries if is_claim(name, attributes)]
        claims = claimed_in(self._root, session, part.directory, names) if names else {}
        prefix = part.directory and part.directory + "/"
        match, columns = sieve.matcher(part.directory), sieve.columns
        low, high = sieve.window
        for name, attributes in part.entries:
            if not attributes.is_file or name.startswith(RESERVED):
                continue
            found: Match = None
            if match is not None and (found := match(prefix + name)) is None:
                continue
            claim = claims.pop(name, None) if claims else None
            doubt = SHADOWED if claim is not None and not is_twin(attributes, claim.attributes) else None
            if (
                doubt is None
                and attributes.modified is not None
                and low <= attributes.modified < high
                and not _doubted(attributes)
            ):
                sieve.unseen += 1
                continue
            columns.add(prefix + name, attributes, found, doubt)
            if len(columns.raws) >= PAGE:
                yield sieve.page()
        for name, claim in claims.items():
            found = sieve.pattern.match(prefix + name)
            if found is not None and not part.knows(name):
                columns.add(prefix + name, claim.attributes, found)
            if len(columns) >= PAGE:
                yield sieve.page()

    def _refresh(self) -> None:
        """Forgets which claims there were: another handle may have made some."""
        self._claims.forget()

    def _sighted(self, keys: Sequence[str]) -> Mapping[str, dict[Step, Attributes]]:
        """Those files that are there, under their own names or in a claim, by directory. No link is followed to them."""
        found: dict[str, dict[Step, Attributes]] = {}
        absent: dict[str, list[Step]] = {}
        for parent, step, attributes in self._looked_at(by_directory(keys)[0]):
            if attributes is not None and attributes.is_file:
                found.setdefault(parent, {})[step] = attributes
            else:
                absent.setdefault(parent, []).append(step)
        for parent, (claims, _) in self._claims.of(absent).items():
            claimed = {step: claims[step[1]].attributes for step in absent[parent] if step[1] in claims}
            if claimed:
                found.setdefault(parent, {}).update(claimed)
        return found

    def _looked_at(self, directories: Mapping[str, Sequence[Step]]) -> Iterator[tuple[str, Step, Attributes | None]]:
        """What each name is, None where there is nothing; of those directories only in whose way no link stands."""
        root, session = self._root, self._root.session()
        asked = [session.post(packets.realpath(root.at(parent))) for parent in directories]
        steps = [(parent, step) for parent, some in directories.items() for step in some]
        answers = session.ask_all([packets.lstat(root.at(f"{parent}/{name}" if parent else name)) for parent, (_, name) in steps])
        ways = {
            parent
            for parent, way in zip(directories, asked, strict=True)
            if packets.path_of(session.answer(way)) == root.at(parent)
        }
        for (parent, step), answer in zip(steps, answers, strict=True):
            if parent not in ways:
                continue
            try:
                yield parent, step, packets.attributes_of(answer)
            except Refused as error:
                raise refusal(error.code, parent) from error


class _Sieve:
    """What one scan is looking for, and what it has in hand."""

    def __init__(self, scope: Scope, pattern: PathPattern) -> None:
        self.pattern = pattern
        self.columns = Columns(scope, pattern, reading(scope))
        low, high = waiting_window(scope) or _NOTHING_WAITS
        self.window = -(-low // 1_000_000), -(-high // 1_000_000)  # the server has whole seconds
        self.unseen = 0
        self.part = parts.Part.read(scope.part) if scope.part else None

    def enters(self, directory: str) -> bool:
        """Whether a directory may hold items of the scope's part."""
        return may_hold(self.pattern, directory) and (self.part is None or self.part.reaches(directory))

    def matcher(self, directory: str) -> Callable[[str], Match] | None:
        """What tells the items of a directory from its other files; None where every file is one."""
        return None if self.pattern.below(directory) == "all" else self.pattern.match

    def page(self) -> Page:
        """A page of what is in hand."""
        unseen, self.unseen = self.unseen, 0
        return self.columns.page(unseen=unseen)


def may_hold(pattern: PathPattern, directory: str) -> bool:
    """Whether a directory may hold items; claim directories are looked at otherwise."""
    return not directory.rpartition("/")[2].startswith(RESERVED) and pattern.below(directory) != "none"


def is_twin(one: Attributes, other: Attributes) -> bool:
    """Whether two names are those of one file, which a cut-short rename has left: both have it as a link, and it is alike."""
    return one.links == other.links == 2 and one.revision == other.revision


def reading(scope: Scope) -> Reading[Attributes]:
    """How what the server says of a file is read, for one scope."""
    fresh = None if scope.now is None else int((scope.now - EPOCH) // timedelta(seconds=1))

    def doubt(attributes: Attributes) -> str | None:
        if fresh is not None and attributes.modified is not None and attributes.modified >= fresh:
            return FRESH
        return _doubted(attributes)

    return Reading(attrgetter("revision"), _size, _modified_at, doubt)


def _doubted(attributes: Attributes) -> str | None:
    if attributes.size is None or attributes.modified is None:
        return UNDATED
    return LINKED if attributes.links is not None and attributes.links > 1 else None


def _size(attributes: Attributes) -> int:
    return attributes.size or 0


def _modified_at(attributes: Attributes) -> datetime | None:
    return None if attributes.modified is None else EPOCH + timedelta(0, attributes.modified)
