"""A bucket as a place for the contracts, and short ways to look and to let go."""

from dataclasses import dataclass
from datetime import datetime

from retentiond.core.item import key_of, raw_of
from retentiond.core.policy import Action, ObjectSelection, Start
from retentiond.engine.ports import Batch, Scope
from retentiond.stores.paths import NEW
from retentiond.stores.s3 import S3Type
from retentiond.testing.contract import LONG_AGO
from retentiond.testing.copying import kill_taking
from tests.servers.objects import Bucket

STARTED = Start("metadata", "started")
MODIFIED = Start("modified")
UNUSUAL = (
    "tab\t and space ",
    "carriage\rreturn",
    "&amp;<Key>\"'",
    "a+b%2Bc%",
    "q?x=1#f&versionId=null",
    "*",
    "[a]?",
    "..leading",
    "../up",
    "a//b",
    "trailing/",
    "b64:bm90IGJhc2U2NA==",
    "émile",
    "e\u0301mile",
    "\U0001f600",
    "\u202eltr",
    "back\\slash",
    "x" * 900,
    "control\x01",
    "noncharacter\ufffe",
)
ONLY_CEPH = ("line\nbreak",)
"""Moto's server answers an upload of such a key with an error."""


def scope(pattern="in/**", start=MODIFIED, *, versions="all", tags=(), uploads="", **others):
    return Scope(ObjectSelection(pattern, "keep", versions, tags, uploads), start, **others)


@dataclass
class BucketPlace:
    """A bucket below a prefix; items are made below `in/`. Where versions are kept, the current ones are selected."""

    bucket: Bucket
    versions: str = "all"

    @property
    def unusual(self):
        more = ONLY_CEPH if self.bucket.server.kind == "ceph" else ()
        kept = self.versions == "all" or self.bucket.server.kind == "ceph"
        return (*UNUSUAL, *more) if kept else tuple(n for n in UNUSUAL if n.isprintable())

    def key(self, name):
        return key_of(f"store/in/{name}")

    def make(self, name: str, *, start: datetime = LONG_AGO, content: bytes = b"content") -> str:
        return self._put(f"store/in/{name}", start, content)

    def make_outside(self) -> str:
        return self._put("store/elsewhere", LONG_AGO, b"content")

    def change(self, key: str) -> None:
        self._put(raw_of(key), LONG_AGO, self.content(key) + b" changed")

    def remove(self, key: str) -> None:
        for name, version, _ in self.bucket.everything():
            if name == raw_of(key):
                self.bucket.delete_object(Key=name, VersionId=version)

    def content(self, key: str) -> bytes | None:
        return self.bucket.get(raw_of(key))

    def snapshot(self) -> object:
        listed = self.bucket.list_object_versions()
        rows = [(v["Key"], v["VersionId"], v["IsLatest"], str(v["LastModified"]), v["ETag"]) for v in listed.get("Versions", ())]
        return sorted(rows), listed.get("DeleteMarkers"), self.bucket.list_multipart_uploads().get("Uploads")

    def scope(self) -> Scope:
        return scope(start=STARTED, versions=self.versions)

    def look(self):
        return S3Type().look(self.options)

    def act(self):
        return S3Type().act(self.options)

    def crowd(self):
        return [self.make(f"{folder}/{i:02}") for folder in "abcdefgh" for i in range(30)]

    def strays(self):
        on_their_way = [key for key, _, _ in self.bucket.everything() if key.startswith(f"store/{NEW}")]
        return len(on_their_way) + len(self.bucket.list_multipart_uploads().get("Uploads", ()))

    def killed_taking(self, key):
        kill_taking("s3", self.options, key)

    @property
    def options(self):
        return {**self.bucket.options, "prefix": "store/"}

    def _put(self, raw, start, content):
        self.bucket.put_quickly(raw, content, {"started": start.isoformat()})
        return key_of(raw)


def look(at, **options):
    return S3Type().look({**at.options, **options})


def act(at, **options):
    return S3Type().act({**at.options, **options})


def shown(view, sc=None):
    """(key, revision) of every item, in the order of the scan."""
    return [pair for page in view.scan(sc or scope()) for pair in zip(page.keys, page.revisions, strict=True)]


def batch(steps, sc=None, **others):
    return Batch(0, sc or scope(), Action("delete"), [k for k, _ in steps], [r for _, r in steps], **others)


def dispose(store, steps, sc=None, **others):
    """`outcome` or `outcome:code`, step by step."""
    steps = list(steps)
    fates = [None] * len(steps)
    for settled in store.dispose(batch(steps, sc, **others)):
        for i in settled.positions:
            assert fates[i] is None, "a position is settled twice"
            fates[i] = f"{settled.outcome}:{settled.code}" if settled.code else str(settled.outcome)
    return fates
