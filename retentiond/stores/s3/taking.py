"""Taking in a copy: written under a reserved key, read back, compared, and put under its own by the server itself.

    <prefix>.retentiond~new-<digest of the key>

S3 cannot rename. What was proven is copied within the server, and the ETags of the copy are compared, of one in several
parts before it has its key; then what lies under the reserved key goes. So whatever breaks off, a kill included, nothing
has a name of which not every byte was read back. A reserved key is never an item; the next copy of the same key takes away
what a crash has left there. Who wants copies that retentiond cannot delete lets it delete reserved keys only.

`If-None-Match: *` lets a server refuse what would replace something. Not every server heeds it (Ceph 16 does not, of
what is put together from parts), so the key is looked at as well, just before: there an upload by somebody
else at that very moment is the one thing that cannot be kept out.

A bucket that locks whatever comes in for a time would keep the first copy as well as the second. There a copy is written
under its own key at once, read back, and taken away if it is not what was given, as far as the lock lets it go.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

from retentiond.core.item import key_of, raw_of
from retentiond.engine.digest import Digest
from retentiond.engine.ports import Deposit
from retentiond.errors import ItemChanged, Occupied, StoreDenied, StoreUnavailable
from retentiond.stores.paths import NEW
from retentiond.stores.s3.client import Bucket
from retentiond.stores.s3.content import pieces_of
from retentiond.stores.s3.listing import NULL, Row
from retentiond.stores.s3.looking import Looking
from retentiond.stores.s3.sending import Sending, current, remove

_WHO = "see who else is at work in that bucket"


class Taking:
    """One copy on its way into a bucket."""

    def __init__(self, bucket: Bucket, looking: Looking, key: str) -> None:
        self._bucket, self._looking, self._key = bucket, looking, key
        prefix = bucket.options.prefix
        try:
            self._raw = raw_of(key)
        except ValueError as error:
            raise StoreDenied("an object cannot be given this name", key=key) from error
        if not self._raw.startswith(prefix) or self._raw == prefix or self._raw.startswith(prefix + NEW):
            raise StoreDenied("an object of this name would not be one of the store", key=key)
        self._reserved = f"{prefix}{NEW}{hashlib.sha256(self._raw.encode('utf-8', 'surrogateescape')).hexdigest()[:32]}"

    def take(self, pieces: Iterable[bytes]) -> Deposit:
        """`engine.ports.Writable.take`."""
        if self._bucket.locks_all:
            self._refuse_occupied()
            sending = self._sending(self._raw, pieces, anew=True)[0]
        else:
            sending = self._named(pieces)
        return Deposit(self._key, sending.digest.hex(), sending.digest.size)

    def _named(self, pieces: Iterable[bytes]) -> Sending:
        """The two steps of a copy: proven under the reserved key, then named."""
        self._clear()
        self._refuse_occupied()
        first, row = self._sending(self._reserved, pieces, anew=False)
        second = Sending(self._bucket, self._looking, self._raw, anew=True)
        try:
            self._refuse_occupied()
            self._name(first, row, second)
            self._drop(row)
        except BaseException:
            second.withdraw()
            first.withdraw()
            raise
        return first

    def _sending(self, raw: str, pieces: Iterable[bytes], *, anew: bool) -> tuple[Sending, Row]:
        """What was sent under a key, and lies there as it was given; else nothing of it does."""
        sending = Sending(self._bucket, self._looking, raw, anew=anew)
        try:
            sending.send(pieces)
            row = self._read_back(sending, sending.digest)
        except BaseException:
            sending.withdraw()
            raise
        return sending, row

    def _name(self, first: Sending, row: Row, second: Sending) -> None:
        same = second.copy(self._reserved, row, first.parts)
        if same:
            return
        if not second.is_sealed:
            raise StoreUnavailable("the server did not copy what was proven", do=_WHO, key=self._key)
        self._read_back(second, first.digest)

    def _drop(self, row: Row) -> None:
        """What lies under the reserved key goes. Where the answer is lost it is sent again: nobody else has such a key."""
        try:
            remove(self._bucket, self._reserved, row.version)
        except StoreUnavailable:
            remove(self._bucket, self._reserved, row.version)

    def _read_back(self, sending: Sending, given: Digest) -> Row:
        """That what lies there now is what was given."""
        row = sending.current()
        if row is None:
            raise StoreUnavailable("what was uploaded is not there", do=_WHO, key=self._key)
        digest = Digest()
        try:
            for piece in pieces_of(self._bucket, key_of(sending.raw), row.revision):
                digest.add(piece)
        except ItemChanged as error:
            raise StoreUnavailable("a copy was replaced while it was read back", do=_WHO, key=self._key) from error
        if (digest.hex(), digest.size) != (given.hex(), given.size):
            raise StoreUnavailable("what was uploaded does not read back as it was given", do="look at the server", key=self._key)
        return row

    def _clear(self) -> None:
        """Takes away what a crash has left under the reserved key. So it shows at once where nothing may be taken away."""
        try:
            remove(self._bucket, self._reserved, NULL)
            for row in self._looking.at([self._reserved])[self._reserved] if self._bucket.versioning != "unversioned" else ():
                remove(self._bucket, self._reserved, row.version)
        except StoreDenied as error:
            raise StoreDenied(
                "a copy on its way could not be taken away again",
                why=error.why or error.what,
                do=f"grant s3:DeleteObject and s3:DeleteObjectVersion on {self._bucket.options.prefix}{NEW}*",
            ) from error

    def _refuse_occupied(self) -> None:
        if current(self._looking, self._raw) is not None:
            raise Occupied(key=self._key)
