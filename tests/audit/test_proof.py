"""One entry can be shown to be in the log, to somebody who has the entry, the key and the proof alone."""

from __future__ import annotations

import pytest

from retentiond.audit.merkle import consistency, consistent
from retentiond.audit.note import Signer, open_checkpoint
from retentiond.audit.proof import prove, proven
from retentiond.audit.publish import Publisher
from retentiond.audit.tiles import Tiles
from retentiond.errors import AuditBroken, UsageError


@pytest.fixture
def large(log, story, signer):
    for size in (5, 300, 70_000):
        story.beat(size - story.size())
        Publisher(log, signer).publish(story)
    return log


def test_the_proof_of_any_entry_holds_and_names_its_index_and_checkpoint(large, story, signer):
    """Also in a tree of three levels of tiles, at their edges."""
    for index in (0, 1, 4, 255, 256, 299, 65_535, 65_536, 69_999):
        found, checkpoint = proven(prove(large, signer.verifier, index), story.bodies[index], signer.verifier)
        assert (index, 70_000) == (found, checkpoint.size)


def test_a_proof_under_a_kept_checkpoint_reads_the_full_tiles_where_the_unfinished_are_gone(large, story, signer):
    for size in (5, 300):
        for index in (0, size - 1):
            proof = prove(large, signer.verifier, index, size)
            found, checkpoint = proven(proof, story.bodies[index], signer.verifier)
            assert (index, size) == (found, checkpoint.size)


def test_kept_checkpoints_are_proved_consistent_from_the_tiles_alone(large, signer):
    new = open_checkpoint((large / "checkpoint").read_bytes(), signer.verifier)
    for size in (5, 300):
        old = open_checkpoint((large / f"checkpoints/{size}").read_bytes(), signer.verifier)
        path = consistency(size, new.size, Tiles(large, new.size).span)
        assert consistent(size, new.size, old.root, new.root, path)


def test_a_proof_reads_like_its_specification(published, signer):
    lines = prove(published, signer.verifier, 3).decode().split("\n")
    assert lines[:2] == ["c2sp.org/tlog-proof@v1", "index 3"]
    assert ["", signer.name, "22"] == lines[lines.index("") : lines.index("") + 3]


def test_a_log_of_one_entry_needs_no_hashes(log, story, publisher, signer):
    story.beat()
    publisher.publish(story)
    assert proven(prove(log, signer.verifier, 0), story.bodies[0], signer.verifier)[0] == 0


def test_a_proof_shows_no_other_entry(published, story, signer):
    with pytest.raises(AuditBroken, match="does not lead"):
        proven(prove(published, signer.verifier, 3), story.bodies[4], signer.verifier)


def test_every_flipped_bit_of_a_proof_is_found(published, story, signer):
    proof = prove(published, signer.verifier, 3)
    for at in range(len(proof)):
        spoiled = proof[:at] + bytes([proof[at] ^ 1]) + proof[at + 1 :]
        with pytest.raises(AuditBroken):
            proven(spoiled, story.bodies[3], signer.verifier)


@pytest.mark.parametrize(
    "spoil",
    [
        lambda p: b"",
        lambda p: p.replace(b"@v1", b"@v2"),
        lambda p: p.replace(b"index 3", b"index 03"),
        lambda p: p.replace(b"index 3", b"index 4"),
        lambda p: p.replace(b"index 3", b"extra AAAA\nindex 3"),
        lambda p: p.replace(b"\n\n", b"\nAAAA\n\n", 1),
        lambda p: p.replace(b"\n\n", b"\n\n\n", 1),
        lambda p: p.replace(b"\n", b"\r\n"),
        lambda p: p + b"\n",
    ],
)
def test_a_proof_in_any_other_spelling_is_refused(published, story, signer, spoil):
    with pytest.raises(AuditBroken):
        proven(spoil(prove(published, signer.verifier, 3)), story.bodies[3], signer.verifier)


def test_a_proof_by_another_key_is_refused(published, story, signer):
    with pytest.raises(AuditBroken, match="not signed"):
        proven(prove(published, signer.verifier, 3), story.bodies[3], Signer.generate(signer.name).verifier)


def test_there_is_no_proof_of_what_is_not_in_the_log(published, signer):
    for index, size in ((22, None), (-1, None), (0, 3)):
        with pytest.raises(UsageError):
            prove(published, signer.verifier, index, size)


def test_a_tile_that_is_missing_is_told(published, signer):
    for tile in (published / "tile/0/000.p").iterdir():
        tile.unlink()
    with pytest.raises(AuditBroken, match="tile/0/000"):
        prove(published, signer.verifier, 3)
