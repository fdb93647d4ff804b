"""What a sandbox hides or changes, and what the program makes of it; a real one is in test_machine.py."""

import os
import subprocess
from contextlib import closing, contextmanager
from dataclasses import replace

import pytest

from retentiond.app.house import read_clock
from retentiond.ledger.clock import Reading, step, stored
from retentiond.stores.files import FilesType

MINUTE = 60_000_000
HERE = Reading(wall=1_000 * MINUTE, uptime=100 * MINUTE, boot="one")


def later(before, minutes, **others):
    """A reading so many minutes later, of a clock that goes right."""
    return replace(before, wall=before.wall + minutes * MINUTE, uptime=before.uptime + minutes * MINUTE, **others)


def seen_after(before, reading):
    return step(stored(before), reading)


def test_the_boot_is_spelled_as_systemd_spells_it():
    """`%b` of a unit (systemd.unit(5)) has no dashes, and must be the same boot as that which a command line sees."""
    assert "-" not in read_clock().boot


@pytest.mark.parametrize(("first", "second"), [("", ""), ("", "one"), ("one", ""), ("one", "one")])
def test_a_clock_that_is_set_forward_is_seen_though_a_boot_is_not_known(first, second):
    before = replace(HERE, boot=first)
    assert seen_after(before, later(before, 5, boot=second)) == 0
    ahead = replace(later(before, 5, boot=second), wall=before.wall + 600 * MINUTE)
    assert seen_after(before, ahead) == 595 * MINUTE


@pytest.mark.parametrize("boot", ["", "two"])
def test_a_reboot_is_no_step_even_where_it_is_only_seen_by_the_uptime(boot):
    before = replace(HERE, boot="one" if boot else "")
    assert seen_after(before, Reading(before.wall + 30 * MINUTE, uptime=MINUTE, boot=boot)) == 0
    assert seen_after(before, Reading(before.wall - 30 * MINUTE, uptime=MINUTE, boot=boot)) == -30 * MINUTE


@contextmanager
def bound(where, what):
    if subprocess.run(["mount", "--bind", str(what), str(where)], capture_output=True, check=False).returncode:
        pytest.skip("MOUNT IS NOT PERMITTED HERE: a store that a sandbox opens was not tested")
    try:
        yield
    finally:
        subprocess.run(["umount", str(where)], check=True)


def place(path):
    with closing(FilesType().look({"path": str(path)})) as view:
        return view.place


def test_a_store_that_a_sandbox_opens_is_the_place_that_it_was(tmp_path):
    """ReadWritePaths= mounts a directory upon itself; a plan that was made outside must be good inside."""
    store, below = tmp_path / "store", tmp_path / "store" / "below"
    below.mkdir(parents=True)
    before = place(store), place(below)
    with bound(store, store):
        assert (place(store), place(below)) == before


def test_another_directory_in_its_stead_is_another_place(tmp_path):
    store, other = tmp_path / "store", tmp_path / "other"
    store.mkdir()
    other.mkdir()
    before = place(store)
    with bound(store, other):
        assert place(store) != before
    assert os.path.basename(store) in before
