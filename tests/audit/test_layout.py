"""The names are those of c2sp.org/tlog-tiles, and a file is there whole or not at all."""

from __future__ import annotations

import os
import stat

import pytest

from retentiond.audit.layout import Folder, full_tiles, open_file, partial_tiles, read_file, refs_name, tile_name
from retentiond.errors import AuditBroken


@pytest.mark.parametrize(
    ("index", "name"),
    [(0, "000"), (7, "007"), (999, "999"), (1000, "x001/000"), (1_234_067, "x001/x234/067"), (10**9, "x001/x000/x000/000")],
)
def test_an_index_is_written_in_groups_of_three_digits(index, name):
    assert tile_name(0, index) == f"tile/0/{name}"
    assert tile_name("entries", index, 9) == f"tile/entries/{name}.p/9"


def test_a_tree_of_70_000_has_the_tiles_that_the_specification_counts():
    """The example in c2sp.org/tlog-tiles: 273 full and one of 112, one full and one of 17, one of 1."""
    full, partial = list(full_tiles(70_000)), list(partial_tiles(70_000, 70_000))
    assert tuple(sum(n.startswith(f"tile/{x}/") for n in full) for x in ("entries", 0, 1)) == (273, 273, 1)
    assert partial == ["tile/entries/273.p/112", "tile/0/273.p/112", "tile/1/001.p/17", "tile/2/000.p/1"]


def test_a_tree_of_256_has_a_full_tile_and_one_hash_above_it():
    assert list(full_tiles(256)) == ["tile/entries/000", "tile/0/000"]
    assert list(partial_tiles(256, 256)) == ["tile/1/000.p/1"]


def test_unfinished_tiles_go_when_the_full_one_stands():
    assert list(partial_tiles(9, 255)) == ["tile/entries/000.p/9", "tile/0/000.p/9"]
    assert list(partial_tiles(9, 256)) == []
    assert list(partial_tiles(300, 600)) == ["tile/1/000.p/1"]


def test_what_is_no_run_names_no_file():
    assert refs_name("0123abcd") == "refs/0123abcd"
    for run in ("", "../../etc", "0123ABCD", "0123abc", "a" * 33, "0123abcd\n"):
        with pytest.raises(ValueError, match="run"):
            refs_name(run)


def test_the_group_may_read_and_nobody_else_whatever_the_umask(tmp_path):
    """Auditors read the folder through its group; a set-group-id bit on it passes down."""
    old = os.umask(0o077)
    try:
        root = tmp_path / "log"
        root.mkdir()
        root.chmod(0o2750)
        Folder(root).put("tile/0/000.p/1", b"x")
    finally:
        os.umask(old)
    modes = {p.name: stat.S_IMODE(p.stat().st_mode) for p in root.rglob("*")}
    assert modes == {"tile": 0o2750, "0": 0o2750, "000.p": 0o2750, "1": 0o640}


def test_a_file_that_never_changes_is_not_overwritten(tmp_path):
    folder = Folder(tmp_path)
    folder.put("checkpoints/1", b"one")
    folder.put("checkpoints/1", b"one")
    with pytest.raises(AuditBroken, match="other content"):
        folder.put("checkpoints/1", b"two")
    assert (tmp_path / "checkpoints/1").read_bytes() == b"one"


def test_reading_follows_no_link_and_waits_for_no_pipe(tmp_path):
    (tmp_path / "file").write_bytes(b"x" * 10)
    (tmp_path / "link").symlink_to("file")
    os.mkfifo(tmp_path / "pipe")
    assert read_file(tmp_path / "file", 4) == b"x" * 5
    for name in ("link", "pipe", "nothing", "file/below", ""):
        assert open_file(tmp_path / name) is None
