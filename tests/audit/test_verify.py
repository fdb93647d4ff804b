"""Whatever is changed, taken away or added in a log's folder is found, with nothing but the folder and the public key."""

from __future__ import annotations

import os
import shutil
import time
import tracemalloc

import pytest

from retentiond.audit.note import Checkpoint, Signer
from retentiond.audit.publish import Publisher
from retentiond.audit.tiles import bundle, unbundled
from retentiond.audit.verify import examine, own_key, verify
from retentiond.errors import AuditBroken, UsageError


@pytest.fixture
def longer(log, story, publisher):
    """600 entries in five publications: full tiles, a level above them, unfinished ones of earlier sizes."""
    for at, size in enumerate((100, 400, 520, 550, 600)):
        story.whole_run(f"{at:016x}", f"{at:064x}")
        story.beat(size - story.size())
        publisher.publish(story)
    return log


@pytest.fixture(params=["published", "longer"])
def sound(request, signer):
    """A sound log, small and larger."""
    directory = request.getfixturevalue(request.param)
    verify(directory, signer.verifier)
    return directory


def files(directory):
    return sorted(p for p in directory.rglob("*") if p.is_file())


def test_one_flipped_bit_in_any_byte_tried_of_any_file_is_found(sound, signer):
    """Every byte of the small files, and 8 places spread over each of the others."""
    for path in files(sound):
        honest = path.read_bytes()
        step = 1 if len(honest) < 8 else len(honest) // 8
        for at in sorted({*range(0, len(honest), step), len(honest) - 1}):
            path.write_bytes(honest[:at] + bytes([honest[at] ^ 1]) + honest[at + 1 :])
            assert examine(sound, signer.verifier).findings, f"{path} byte {at}"
        path.write_bytes(honest)
    verify(sound, signer.verifier)


def test_any_file_that_is_missing_is_found_by_name(sound, signer):
    """All but kept checkpoints whose unfinished tiles are gone: those are for whoever holds them to ask about."""
    for path in files(sound):
        if path.parent.name == "checkpoints" and path.name in ("100", "400"):
            continue
        honest = path.read_bytes()
        path.unlink()
        name = str(path.relative_to(sound))
        assert any(name in finding for finding in examine(sound, signer.verifier).findings), name
        path.write_bytes(honest)
    verify(sound, signer.verifier)


@pytest.mark.parametrize(
    "spoil",
    [lambda d: d[:-1], lambda d: b"", lambda d: d + b"\0", lambda d: d + b"\n", lambda d: d + d, lambda d: d[: len(d) // 2]],
)
def test_any_file_that_is_cut_or_lengthened_is_found(sound, signer, spoil):
    for path in files(sound):
        honest = path.read_bytes()
        path.write_bytes(spoil(honest))
        assert examine(sound, signer.verifier).findings, path
        path.write_bytes(honest)


def test_a_file_too_many_is_found_wherever_it_lies(sound, signer):
    places = [sound, *(p for p in sound.rglob("*") if p.is_dir())]
    for place in places:
        for name in ("stray", ".hidden", ".tmp-checkpoint", "999", "000.bak", "0123456789abcdef", "1"):
            path = place / name
            if path.exists():
                continue
            path.write_bytes(b"x")
            findings = examine(sound, signer.verifier).findings
            assert any("does not belong" in finding or "checkpoints/" in finding for finding in findings), path
            path.unlink()
    verify(sound, signer.verifier)


def test_what_is_no_file_is_found_even_where_a_file_belongs(sound, signer):
    for path in files(sound):
        away = sound.parent / "away"
        path.rename(away)
        for put in (lambda p: p.symlink_to(away), os.mkfifo):  # noqa: B023 called at once
            put(path)
            assert any("no regular file" in finding for finding in examine(sound, signer.verifier).findings), path
            path.unlink()
        path.mkdir()
        assert any("directory" in finding for finding in examine(sound, signer.verifier).findings), path
        path.rmdir()
        away.rename(path)
    (sound / "empty").mkdir()
    assert examine(sound, signer.verifier).findings == ("'empty' is an empty directory, and does not belong to the log",)


def test_a_linked_directory_is_found(sound, signer):
    (sound / "checkpoints").rename(sound.parent / "elsewhere")
    (sound / "checkpoints").symlink_to(sound.parent / "elsewhere")
    assert any("no regular file" in finding for finding in examine(sound, signer.verifier).findings)


def test_swapped_references_are_found(published, signer):
    path = next((published / "refs").iterdir())
    data = path.read_bytes()
    path.write_bytes(data[16:32] + data[:16] + data[32:])
    assert any("references 0 to 3 are not those" in finding for finding in examine(published, signer.verifier).findings)


def test_two_runs_with_each_others_references_are_found(published, signer):
    first, second, *_ = sorted((published / "refs").iterdir())
    one, two = first.read_bytes(), second.read_bytes()
    first.write_bytes(two)
    second.write_bytes(one)
    assert len(examine(published, signer.verifier).findings) >= 2


def test_reordered_entries_are_found_although_each_of_them_is_genuine(published, signer):
    for path in (published / "tile/entries/000.p").iterdir():
        entries = unbundled(path.read_bytes(), int(path.name))
        if len(entries) > 5:
            path.write_bytes(bundle([*entries[:2], entries[3], entries[2], *entries[4:]]))
    assert any("do not lead to its root" in finding for finding in examine(published, signer.verifier).findings)


def test_reordered_lines_are_found(published, signer):
    path = published / "audit.jsonl"
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join([*lines[:2], lines[3], lines[2], *lines[4:]]))
    assert examine(published, signer.verifier).findings == ("audit.jsonl: line 2 is not entry 2 (2 such lines)",)


def test_swapped_kept_checkpoints_are_found(published, signer):
    one, two, *_ = sorted((published / "checkpoints").iterdir())
    one_note, two_note = one.read_bytes(), two.read_bytes()
    one.write_bytes(two_note)
    two.write_bytes(one_note)
    assert sum("of another size" in finding for finding in examine(published, signer.verifier).findings) == 2


def test_a_genuine_older_checkpoint_in_place_of_the_newest_is_found(published, signer):
    older = min((published / "checkpoints").iterdir(), key=lambda p: int(p.name))
    shutil.copy(older, published / "checkpoint")
    assert any("is newer than checkpoint" in finding for finding in examine(published, signer.verifier).findings)


def test_an_entry_that_is_missing_in_the_middle_does_not_stop_the_search(longer, signer):
    """Everything that is wrong is told, also beyond a bundle that cannot be read."""
    (longer / "tile/entries/000").unlink()
    (longer / "tile/0/001").write_bytes(b"")
    (longer / "checkpoints/400").write_bytes(b"")
    findings = examine(longer, signer.verifier).findings
    for name in ("tile/entries/000 is missing", "tile/0/001", "checkpoints/400", "checked only up to entry 0"):
        assert any(name in finding for finding in findings), name
    assert not any("refs/" in finding for finding in findings)


def test_a_log_without_entries_and_tiles_is_still_gone_through(longer, signer):
    shutil.rmtree(longer / "tile")
    findings = examine(longer, signer.verifier).findings
    assert "the entries from entry 0 on cannot be checked" in findings
    assert "tile/entries/002.p/88 is missing" in findings


def test_another_key_finds_the_whole_log_unsigned(published):
    findings = examine(published, Signer.generate("audit.example.org/retentiond").verifier).findings
    assert any("public-key" in finding for finding in findings)
    assert any("checkpoint: the note is not signed" in finding for finding in findings)


def test_the_key_in_the_folder_can_be_used_where_no_other_is_at_hand(published, signer):
    assert own_key(published) == signer.verifier
    for spoiled in (b"", b"\xff", b"name+00000000+AAAA\n"):
        (published / "public-key").write_bytes(spoiled)
        with pytest.raises(UsageError, match="public-key"):
            own_key(published)


def test_a_folder_that_is_not_there_is_an_error_of_usage(tmp_path, signer):
    with pytest.raises(UsageError):
        verify(tmp_path / "nothing", signer.verifier)
    (tmp_path / "empty").mkdir()
    with pytest.raises(AuditBroken, match="checkpoint is missing"):
        verify(tmp_path / "empty", signer.verifier)


def test_a_publication_cut_short_is_found_and_the_next_one_mends_it(published, story, publisher, signer, watch):
    story.beat(3)

    def kill(reached):
        if reached == "tiles-published":
            raise KeyboardInterrupt

    watch(kill)
    with pytest.raises(KeyboardInterrupt):
        publisher.publish(story)
    watch(None)
    assert examine(published, signer.verifier).findings
    publisher.publish(story)
    verify(published, signer.verifier)


def test_a_thousand_findings_are_told_and_the_rest_is_counted(log, story, publisher, signer):
    story.bodies = [b"{}"] * 1500
    publisher.publish(story)
    findings = examine(log, signer.verifier).findings
    assert len(findings) == 1001
    assert findings[-1] == "and 500 more findings"


def test_a_signed_size_beyond_all_bounds_does_not_keep_the_verifier_busy(published, signer):
    note = signer.sign(Checkpoint(signer.name, 10**17, bytes(32)).text)
    for name in ("checkpoint", f"checkpoints/{10**17}"):
        (published / name).write_bytes(note)
    assert examine(published, signer.verifier).findings


# --since


def test_every_earlier_checkpoint_is_the_beginning_of_the_log(sound, signer):
    for note in sorted((sound / "checkpoints").iterdir()):
        verify(sound, signer.verifier, since=note.read_bytes())


def test_a_rewritten_history_is_sound_by_itself_and_found_by_whoever_kept_a_checkpoint(published, signer, new_story):
    """Whoever has the key can write another history. That is why an auditor takes a checkpoint home."""
    kept = (published / "checkpoint").read_bytes()
    shutil.rmtree(published)
    other = new_story()
    other.beat(100)
    Publisher(published, signer).publish(other)
    verify(published, signer.verifier)
    with pytest.raises(AuditBroken, match="the checkpoint that you hold: the first 22 entries do not lead to its root"):
        verify(published, signer.verifier, since=kept)


def test_a_log_that_was_rolled_back_is_found_by_whoever_kept_a_later_checkpoint(published, story, publisher, signer, tmp_path):
    shutil.copytree(published, tmp_path / "older")
    story.beat()
    publisher.publish(story)
    verify(tmp_path / "older", signer.verifier)
    with pytest.raises(AuditBroken, match="entries were taken away"):
        verify(tmp_path / "older", signer.verifier, since=(published / "checkpoint").read_bytes())


def test_a_checkpoint_of_another_key_or_in_another_spelling_proves_nothing(published, signer):
    genuine = (published / "checkpoint").read_bytes()
    forged = Signer.generate(signer.name).sign(Checkpoint(signer.name, 1, bytes(32)).text)
    for since in (forged, b"", genuine + b"\n", genuine.replace(b"\n", b"\r\n")):
        with pytest.raises(AuditBroken, match="the checkpoint that you hold"):
            verify(published, signer.verifier, since=since)


# Size


def test_a_million_references_verify_within_a_few_seconds_in_flat_memory(log, story, signer):
    plan, run = story.plan(steps=1_000_000), "d" * 16
    story.allow(plan, run)
    for at in range(1000):
        story.outcome(story.intent(run, plan, 1000, first=1 + at * 1000), 1000)
    story.certificate(run, plan, disposed=1_000_000)
    Publisher(log, signer).publish(story)
    begun = time.perf_counter()
    assert verify(log, signer.verifier).totals.references == 1_000_000
    assert time.perf_counter() - begun < 15
    tracemalloc.start()
    verify(log, signer.verifier)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 3_000_000


def test_an_anchor_was_given_a_checkpoint_of_this_log_and_no_other(log, story, publisher, signer):
    story.beat(3)
    first = publisher.publish(story)
    story.write("checkpoint-anchored", anchor="0" * 32, size=first.size, root=first.root.hex())
    publisher.publish(story)
    verify(log, signer.verifier)
    index = story.write("checkpoint-anchored", anchor="0" * 32, size=first.size, root="0" * 64)
    publisher.publish(story)
    expected = f"entry {index}: an anchor was given a checkpoint that is not among those of the log"
    assert examine(log, signer.verifier).findings == (expected,)
