"""What is handed over is the log, whole and checked, in a folder of its own."""

from __future__ import annotations

import pytest

from retentiond.audit.export import export
from retentiond.audit.verify import verify
from retentiond.errors import AuditBroken, UsageError


def test_a_copy_has_every_byte_and_verifies_by_itself(published, tmp_path, signer, files_of):
    report = export(published, tmp_path / "for" / "auditor", signer.verifier)
    assert report.totals.entries == 22
    assert files_of(published) == files_of(tmp_path / "for" / "auditor")
    verify(tmp_path / "for" / "auditor", signer.verifier)


def test_an_empty_folder_will_do_and_a_used_one_will_not(published, tmp_path, signer):
    (tmp_path / "empty").mkdir()
    export(published, tmp_path / "empty", signer.verifier)
    with pytest.raises(UsageError, match="new or empty"):
        export(published, tmp_path / "empty", signer.verifier)


def test_a_log_is_not_copied_into_itself(published, signer):
    with pytest.raises(UsageError, match="new or empty"):
        export(published, published / "copy", signer.verifier)


def test_a_log_that_is_not_there_makes_no_folder(tmp_path, signer):
    with pytest.raises(UsageError):
        export(tmp_path / "nothing", tmp_path / "copy", signer.verifier)
    assert not (tmp_path / "copy").exists()


def test_a_log_that_is_not_sound_is_not_called_so(published, tmp_path, signer):
    (published / "checkpoints" / "1").unlink()
    with pytest.raises(AuditBroken, match="checkpoints/1 is missing"):
        export(published, tmp_path / "copy", signer.verifier)


def test_a_link_is_not_followed_into_a_copy(published, tmp_path, signer):
    (tmp_path / "secret").write_text("secret")
    (published / "checkpoints" / "7").symlink_to(tmp_path / "secret")
    with pytest.raises(AuditBroken, match="no regular file"):
        export(published, tmp_path / "copy", signer.verifier)
    assert not (tmp_path / "copy" / "checkpoints" / "7").exists()
