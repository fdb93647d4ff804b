"""The writer gives the bytes that others give, finishes what a kill left, and never signs another history."""

from __future__ import annotations

import os
import shutil

import pytest

from retentiond.audit.merkle import Tree, leaf_hash
from retentiond.audit.note import Signer
from retentiond.audit.publish import Publisher
from retentiond.audit.verify import examine, verify
from retentiond.core.reference import SIZE
from retentiond.errors import AuditBroken

SEED = "PRIVATE+KEY+example.com/log/testdata+33d7b496+AeymY/SZAX0jZcJ8enZ5FY1Dz+wTML2yWSkK+9DSF3eg"
WORDS = "one two three four five six seven eit nain ten ileven twelf threeten fourten fivten"
PUBLISHING = (
    "head-stored",
    "refs-published",
    "entries-published",
    "tiles-published",
    "checkpoint-kept",
    "checkpoint-published",
)


class Killed(BaseException):
    """Stands for the end of the process."""


def test_tesseras_golden_log_comes_out_byte_for_byte(vectors, log, story, files_of):
    """Another program's checkpoints of the sizes 0 to 15, its tiles and its bundles: the same key gives the same bytes."""
    golden = files_of(vectors / "tessera" / "testdata" / "log")
    publisher = Publisher(log, Signer.from_line(SEED))
    publisher.publish(story)
    for word in WORDS.split():
        story.bodies.append(word.encode())
        publisher.publish(story)
    theirs = {name.replace("checkpoint.", "checkpoints/"): data for name, data in golden.items() if not name.startswith(".")}
    ours = {name: data for name, data in files_of(log).items() if name not in ("audit.jsonl", "public-key")}
    assert theirs == ours
    assert len(theirs) == 1 + 16 + 15 + 15
    assert WORDS.split() == (log / "audit.jsonl").read_text().split()


def test_a_published_log_verifies_and_says_what_it_holds(published, story, signer):
    report = verify(published, signer.verifier)
    assert not report.findings
    assert (story.size(), 4, 3, 2) == (
        report.totals.entries,
        report.checkpoints,
        report.totals.runs,
        report.totals.certificates,
    )
    assert (report.totals.intents, report.totals.open_intents, report.totals.references) == (5, 1, 23)
    assert {name: n for name, n in report.totals.counts.items() if n} == {
        "disposed": 12,
        "inferred": 2,
        "failed": 2,
        "held": 4,
        "unknown": 5,
    }


def test_publishing_again_changes_nothing(published, publisher, story, files_of):
    before = files_of(published)
    times = {p: p.stat().st_mtime_ns for p in published.rglob("*") if p.is_file()}
    assert publisher.publish(story) == publisher.published()
    assert before == files_of(published)
    assert times == {p: p.stat().st_mtime_ns for p in times}


def test_one_publication_of_many_and_many_of_one_sign_the_same_tree(new_story, tmp_path, signer):
    once, often = new_story(), new_story()
    once.beat(600)
    for at in range(600):
        often.beat()
        if at % 37 == 0:
            Publisher(tmp_path / "often", signer).publish(often)
    assert Publisher(tmp_path / "once", signer).publish(once) == Publisher(tmp_path / "often", signer).publish(often)
    verify(tmp_path / "often", signer.verifier)
    verify(tmp_path / "once", signer.verifier)


@pytest.mark.parametrize("size", [0, 1, 255, 256, 257, 512, 65_536, 65_537])
def test_the_edges_of_tiles_verify_and_can_be_gone_on_from(size, log, story, signer):
    story.beat(size)
    Publisher(log, signer).publish(story)
    assert verify(log, signer.verifier).totals.entries == size
    story.beat(2)
    Publisher(log, signer).publish(story)
    assert verify(log, signer.verifier).totals.entries == size + 2


def test_the_cost_of_publishing_is_that_of_the_new_entries(log, story, signer):
    story.beat(20_000)
    Publisher(log, signer).publish(story)
    story.beat(10)
    story.asked = 0
    again = Publisher(log, signer)
    again.publish(story)
    assert story.asked < 10 * 3 + 3 * 256
    story.beat()
    written = sum(1 for p in log.rglob("*") if p.is_file())
    again.publish(story)
    assert written + 4 >= sum(1 for p in log.rglob("*") if p.is_file())


def grown(story, log, signer, sizes):
    """Publishes runs and heartbeats up to each of some sizes."""
    for at, size in enumerate(sizes):
        story.whole_run(f"{at:016x}", f"{at:064x}")
        story.beat(size - story.size())
        if log is not None:
            Publisher(log, signer).publish(story)
    return story


@pytest.mark.parametrize("arrow", PUBLISHING)
@pytest.mark.parametrize("sizes", [(20,), (20, 40), (100, 255, 256), (250, 300), (250, 255, 1000), (256, 512)])
@pytest.mark.parametrize("more", [False, True])
def test_killed_at_any_arrow_the_next_publication_finishes_to_the_same_bytes(
    arrow, sizes, more, new_story, tmp_path, signer, files_of, watch
):
    """Also where the ledger has grown meanwhile: the head that was stored is finished first, then the new one."""
    expected = grown(new_story(), tmp_path / "expected", signer, sizes)
    story = grown(new_story(), tmp_path / "log", signer, sizes[:-1])
    grown_to_last = grown(new_story(), None, signer, sizes)
    story.bodies, story.references = grown_to_last.bodies, grown_to_last.references

    def kill(reached):
        if reached == arrow:
            raise Killed

    watch(kill)
    with pytest.raises(Killed):
        Publisher(tmp_path / "log", signer).publish(story)
    watch(None)
    if more:
        for each in (story, expected):
            each.beat(3)
        Publisher(tmp_path / "expected", signer).publish(expected)
    Publisher(tmp_path / "log", signer).publish(story)
    assert files_of(tmp_path / "expected") == files_of(tmp_path / "log")
    verify(tmp_path / "log", signer.verifier)


@pytest.mark.parametrize("sizes", [(20, 40), (250, 300)])
def test_stopped_before_any_write_lasts_the_next_publication_leaves_no_trace_of_it(
    sizes, new_story, tmp_path, signer, files_of, monkeypatch
):
    """The disk stops at the first, second, third … fsync: each leaves a file beside its name, or a name that may not last."""
    expected = grown(new_story(), tmp_path / "expected", signer, sizes)
    honest, stopped = os.fsync, 0
    for at in range(1000):
        log = tmp_path / str(at)
        story = grown(new_story(), log, signer, sizes[:-1])
        story.bodies, story.references = expected.bodies, expected.references
        left = iter(range(at))

        def fsync(descriptor, left=left):
            if next(left, None) is None:
                raise Killed
            honest(descriptor)

        monkeypatch.setattr(os, "fsync", fsync)
        try:
            Publisher(log, signer).publish(story)
        except Killed:
            stopped += 1
        finally:
            monkeypatch.setattr(os, "fsync", honest)
        Publisher(log, signer).publish(story)
        assert files_of(tmp_path / "expected") == files_of(log)
        shutil.rmtree(log)
        if stopped == at:
            break
    assert stopped > 10


def test_a_publisher_goes_on_after_an_error_of_the_disk(log, story, signer, publisher, watch):
    """The same object, not a new process: what it remembers is still true."""
    story.whole_run()
    publisher.publish(story)
    story.whole_run("e" * 16, "f" * 64)

    def fail(reached):
        if reached == "tiles-published":
            raise OSError(28, "No space left on device")

    watch(fail)
    with pytest.raises(OSError, match="space"):
        publisher.publish(story)
    watch(None)
    publisher.publish(story)
    verify(log, signer.verifier)


def test_the_head_is_stored_before_a_byte_is_published(log, story, publisher, watch):
    story.beat(3)
    tree = Tree()
    for body in story.bodies:
        tree.add(leaf_hash(body))

    def look(reached):
        assert story.stored == (3, tree.root())
        if reached == "head-stored":
            assert [p.name for p in log.iterdir()] == ["public-key"]

    watch(look)
    publisher.publish(story)


def test_a_state_older_than_its_log_is_refused_and_told_the_way_back(published, story, publisher, files_of):
    before = files_of(published)
    del story.bodies[-3:]
    with pytest.raises(AuditBroken, match="older than its log") as caught:
        publisher.publish(story)
    assert "restore a newer one" in str(caught.value)
    assert before == files_of(published)


def test_a_state_older_than_its_log_that_grew_again_is_refused(published, story, publisher, files_of):
    """Restored from a backup with its own, older head; new entries then hide that some are missing."""
    before = files_of(published)
    tree = Tree()
    del story.bodies[-5:]
    for body in story.bodies:
        tree.add(leaf_hash(body))
    story.stored = (story.size(), tree.root())
    story.beat(10)
    with pytest.raises(AuditBroken, match="are not those that were signed"):
        publisher.publish(story)
    assert before == files_of(published)


def test_a_state_that_lost_only_its_head_takes_it_from_the_log(published, story, publisher, signer):
    head, story.stored = story.stored, None
    story.beat()
    publisher.publish(story)
    assert story.stored != head
    verify(published, signer.verifier)


def test_another_root_for_the_same_size_is_refused(published, story, publisher):
    story.stored = (story.stored[0], bytes(32))
    story.beat()
    with pytest.raises(AuditBroken, match="different roots"):
        publisher.publish(story)


def test_a_stored_head_that_the_entries_do_not_lead_to_is_not_signed(log, story, publisher):
    story.beat(3)
    story.stored = (2, bytes(32))
    with pytest.raises(AuditBroken, match="do not lead to the head"):
        publisher.publish(story)
    assert not (log / "checkpoint").exists()


@pytest.mark.parametrize("size", [200, 256])
def test_entries_that_were_changed_after_publication_are_not_published_over(log, story, publisher, size):
    story.beat(size)
    publisher.publish(story)
    story.bodies[-7] = b"{}"
    story.beat()
    with pytest.raises(AuditBroken, match="not those that were published"):
        publisher.publish(story)


def test_published_tiles_that_were_changed_are_not_signed_over(log, story, publisher):
    story.beat(600)
    publisher.publish(story)
    tile = log / "tile/1/000.p/2"
    tile.write_bytes(bytes(32) + tile.read_bytes()[32:])
    story.beat()
    with pytest.raises(AuditBroken, match="do not lead to the signed root"):
        publisher.publish(story)


def test_a_log_of_another_key_is_not_written_to(published, story):
    with pytest.raises(AuditBroken, match="another signing key"):
        Publisher(published, Signer.generate("audit.example.org/retentiond")).publish(story)


def test_a_checkpoint_that_is_not_ours_is_not_built_on(published, story, publisher):
    (published / "checkpoint").write_bytes(Signer.generate("audit.example.org/retentiond").sign("x\n"))
    with pytest.raises(AuditBroken, match="not signed by the log's key"):
        publisher.publish(story)


def test_missing_references_of_earlier_entries_are_not_papered_over(published, story, publisher):
    (published / "refs" / ("2" * 16)).unlink()
    story.intent("2" * 16, "1" * 64, 2)
    with pytest.raises(AuditBroken, match="references"):
        publisher.publish(story)


def test_references_of_a_run_that_goes_on_are_appended(published, story, publisher, signer):
    story.intent("2" * 16, "1" * 64, 2)
    story.whole_run("3" * 16, "3" * 64)
    story.intent("2" * 16, "1" * 64, 3)
    publisher.publish(story)
    assert (published / "refs" / ("2" * 16)).stat().st_size == 10 * SIZE
    verify(published, signer.verifier)


def test_a_torn_tail_of_the_lines_is_mended_and_lost_lines_are_written_again(published, story, signer):
    lines = published / "audit.jsonl"
    for tear in (lambda x: x + b'{"torn', lambda x: x + b"{}\n" * 500, lambda x: x[:100], lambda x: b""):
        lines.write_bytes(tear(lines.read_bytes()))
        assert examine(published, signer.verifier).findings
        story.beat()
        Publisher(published, signer).publish(story)
        verify(published, signer.verifier)


def test_the_folder_can_be_made_anew_from_the_ledger(published, story, publisher, files_of, tmp_path, signer):
    before = files_of(published)
    shutil.rmtree(published)
    Publisher(published, signer).publish(story)
    after = files_of(published)
    assert {name: data for name, data in before.items() if name in after} == after
    verify(published, signer.verifier)


def test_unfinished_tiles_are_kept_until_the_full_one_stands(log, story, signer, files_of):
    for size in (10, 20, 255):
        story.beat(size - story.size())
        Publisher(log, signer).publish(story)
    assert {"10", "20", "255"} == {p.name for p in (log / "tile/0/000.p").iterdir()}
    story.beat()
    Publisher(log, signer).publish(story)
    assert not (log / "tile/0/000.p").exists()
    assert not (log / "tile/entries/000.p").exists()
    assert (log / "tile/1/000.p/1").exists()
    assert {"10", "20", "255", "256"} == {p.name for p in (log / "checkpoints").iterdir()}
