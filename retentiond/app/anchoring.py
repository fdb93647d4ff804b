"""Handing every checkpoint to somebody else, so that the log of an earlier day cannot be exchanged unseen.

Whoever is root here holds the signing key, and can rewrite history up to the last checkpoint that others keep. An anchor
that fails fails nothing and holds nobody up: it is said, it is an alarm, and it is tried again. What an anchor is given is
the signed checkpoint and nothing else, which holds no personal data.
"""

from __future__ import annotations

import socket
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass

from retentiond.app.house import House
from retentiond.app.trail import publish
from retentiond.audit.layout import CHECKPOINT, read_file
from retentiond.audit.note import LONGEST, open_checkpoint
from retentiond.config.anchors import Anchor
from retentiond.core.naming import placed
from retentiond.engine.ports import Writable
from retentiond.errors import NotDelivered, Occupied, RetentiondError
from retentiond.ledger.anchors import Anchored
from retentiond.ledger.clock import micros
from retentiond.ledger.schema import keeping

JOURNAL_SOCKET = "/run/systemd/journal/socket"
TIMEOUT = 15.0
"""A program has so many seconds to take a checkpoint."""


@dataclass(frozen=True, slots=True)
class Handed:
    """A checkpoint on its way: the signed note, what it says, and who is given it."""

    note: bytes
    size: int
    root: str


def anchor(house: House, *, anyway: bool = False, journal: str = JOURNAL_SOCKET) -> dict[str, str]:
    """Hands the published checkpoint to every anchor that has not had it; why it failed, by the label of the anchor.

    `anyway` tries one again that has failed a moment ago. What anchors have taken is published at the end.
    """
    wanted = house.settings.audit.anchors
    handed = _published(house) if wanted else None
    if handed is None:
        return {}
    troubles: dict[str, str] = {}
    taken = False
    for one in wanted:
        if not house.anchors.claim(one.id, handed.size, micros(house.clock().now), anyway=anyway):
            continue
        try:
            _hand(house, one, handed, journal)
        except RetentiondError as error:
            troubles[one.label] = error.what
            house.anchors.failed(one.id, error.what, micros(house.clock().now))
        else:
            taken = True
            house.anchors.took(one.id, handed.size, handed.root, micros(house.clock().now), house.word)
    if taken:
        publish(house)
    return troubles


def is_wanting(house: House) -> bool:
    """Whether some anchor is to be handed something now. No anchor is asked."""
    head, now = house.ledger.head(), micros(house.clock().now)
    return head is not None and any(house.anchors.wants(one.id, head[0], now) for one in house.settings.audit.anchors)


def standing_of(house: House) -> Iterator[tuple[Anchor, Anchored]]:
    """How every anchor stands."""
    for one in house.settings.audit.anchors:
        yield one, house.anchors.of(one.id)


def _published(house: House) -> Handed | None:
    with keeping():
        note = read_file(house.directory.log / CHECKPOINT, LONGEST)
    if note is None:
        return None
    checkpoint = open_checkpoint(note, house.verifier)
    return Handed(note, checkpoint.size, checkpoint.root.hex())


def _hand(house: House, one: Anchor, handed: Handed, journal: str) -> None:
    """Returns when the anchor has it; an error of `errors.py` otherwise."""
    if one.way == "command":
        _to_program(one.place, handed)
    elif one.way == "store":
        _to_store(house, one.place[0], one.place[1], handed)
    else:
        _to_journal(journal, handed)


def _to_store(house: House, name: str, folder: str, handed: Handed) -> None:
    """A new item, whose name says which checkpoint it is: what lies there already is that one."""
    store = house.store(name)
    if not isinstance(store, Writable):
        raise NotDelivered(f"the store {name} takes in no copies")
    try:
        store.take(placed(store.home, f"{folder}/{handed.size:012}-{handed.root[:16]}"), [handed.note])
    except Occupied:
        return


def _to_program(command: tuple[str, ...], handed: Handed) -> None:
    try:
        done = subprocess.run(  # noqa: S603 the operator's own words, and no shell
            command, input=handed.note, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, timeout=TIMEOUT, check=False
        )
    except subprocess.TimeoutExpired:
        raise NotDelivered("the program did not end in time") from None
    except OSError as error:
        raise NotDelivered("the program cannot be started", why=type(error).__name__) from None
    if done.returncode:
        raise NotDelivered(f"the program ended with {done.returncode}")


def _to_journal(path: str, handed: Handed) -> None:
    """One entry in the journal's own protocol (systemd.io/JOURNAL_NATIVE_PROTOCOL), with the whole note as a field."""
    told = f"checkpoint of {handed.size} entries, root {handed.root}"
    fields = {"MESSAGE": told, "PRIORITY": "5", "SYSLOG_IDENTIFIER": "retentiond"}
    lines = "".join(f"{name}={value}\n" for name, value in fields.items()).encode()
    note = b"RETENTIOND_CHECKPOINT\n" + len(handed.note).to_bytes(8, "little") + handed.note + b"\n"
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as line:
            line.setblocking(False)
            line.sendto(lines + note, path)
    except OSError as error:
        raise NotDelivered("the journal does not take it", why=type(error).__name__) from None
