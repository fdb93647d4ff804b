"""Uploads on a server, through the command line: looked at, planned, let go, verified; and a server that is not to be trusted."""

import subprocess
from pathlib import Path

import pytest

from retentiond.testing.wire import DOWN, UP, Wire
from tests.servers.sftp import recordings, world_on
from tests.stores.rogue import Rogue, endless, running
from tests.world import check_invariants, verified

ANOTHER = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIH0lOTyBzqJ2LtlVPzuvY4svpjL2eoj9jrKhJ4c3kp0V"


@pytest.fixture
def wire(sshd):
    with Wire(sshd.host, sshd.port) as line:
        yield line


@pytest.fixture
def world(tmp_path, sshd, wire):
    """Files on the server and rows in a database, with a hold on one of each; the server is at the other end of a line."""
    with world_on(sshd, tmp_path / "world", 120, 20, port=wire.port) as world:
        yield world


def declared(world, sshd, **others):
    """Declares the store otherwise."""
    file = world.folder / "retentiond.yaml"
    lines = file.read_text().splitlines(keepends=True)
    new = f"  recordings: {recordings(sshd, others.pop('path', world.root), **others)}\n"
    file.write_text("".join(new if line.startswith("  recordings:") else line for line in lines))


def test_uploads_are_planned_let_go_and_verified(world):
    before = world.files_left()
    planned = world.run("plan")
    (rule,) = [rule for rule in planned["rules"] if rule["store"] == "recordings"]
    assert (rule["due"], rule["kept"], rule["held"], rule["waiting"]) == (120, 0, 1, 20)
    assert world.files_left() == before
    done = world.run("apply", planned["plan"])
    assert (done["counts"]["disposed"], done["counts"]["inferred"]) == (140, 0)
    check_invariants(world, finished=True)
    assert world.run("apply", planned["plan"])["counts"]["disposed"] == 0


@pytest.mark.parametrize(("way", "after"), [(UP, 9000), (DOWN, 3000), (DOWN, 8000)])
def test_a_line_that_is_cut_during_apply_loses_nothing_and_running_again_finishes(world, wire, way, after):
    plan = world.run("plan")["plan"]
    wire.cut_after(way, after)
    code = world.here("apply", plan)
    assert code in (0, 1, 5)
    check_invariants(world, finished=False)
    wire.mend()
    assert world.here("apply", plan) == 0
    check_invariants(world, finished=True)


def test_a_server_that_is_down_leaves_the_others_to_go_on(world, wire):
    plan = world.run("plan")["plan"]
    wire.silence()
    done = world.run("apply", plan, code=5)
    assert done["counts"]["disposed"] == 20
    assert world.rows_left() == {*world.kept_rows, world.held_row}
    wire.mend()
    assert world.run("apply", plan)["counts"]["disposed"] == 120
    check_invariants(world, finished=True)


def test_a_server_with_another_key_is_never_looked_at(world, sshd):
    plan = world.run("plan")["plan"]
    declared(world, sshd, host_key=f'"{ANOTHER}"')
    (error,) = [error for error in world.run("check", code=5)["errors"] if error["code"] == "store-denied"]
    assert "another host key" in error["what"]
    assert "127.0.0.1" not in str(error)
    before = world.files_left()
    assert world.here("apply", plan) in (4, 5)
    assert world.files_left() == before


@pytest.mark.parametrize("who", ["another key", "another password", "nobody"])
def test_a_server_that_does_not_let_us_in_leaves_the_others_to_go_on(world, sshd, tmp_path, who):
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", tmp_path / "stranger"], check=True)
    (tmp_path / "password").write_text("wrong")
    wrong = {
        "another key": {"key": f"{{file: {tmp_path}/stranger}}"},
        "another password": {"key": f"{{file: {tmp_path}/stranger}}", "password": f"{{file: {tmp_path}/password}}"},
        "nobody": {"user": "nobody-here"},
    }[who]
    before, kept = world.files_left(), (world.folder / "retentiond.yaml").read_text()
    declared(world, sshd, **wrong)
    planned = world.run("plan", code=5)
    (error,) = planned["errors"]
    assert error["code"] == "store-denied"
    assert "let us" in error["what"]
    assert not [secret for secret in ("PRIVATE", "wrong", "127.0.0.1", "stranger") if secret in str(error)]
    assert world.run("apply", planned["plan"])["counts"]["disposed"] == 20
    assert world.files_left() == before
    verified(world)
    (world.folder / "retentiond.yaml").write_text(kept)
    assert world.run("apply", world.run("plan")["plan"])["counts"]["disposed"] == 120
    check_invariants(world, finished=True)


def test_a_server_whose_listing_never_ends_leaves_the_others_to_go_on(world, sshd):
    kept = (world.folder / "retentiond.yaml").read_text()
    with running(Rogue(names=endless())) as rogue:
        declared(world, sshd, **{name: rogue[name] for name in ("port", "user", "path")}, host_key=f'"{rogue["host_key"]}"')
        planned = world.run("plan", code=5)
        assert ["does not end" in error["what"] for error in planned["errors"]] == [True]
        assert world.run("apply", planned["plan"])["counts"]["disposed"] == 20
    verified(world)
    (world.folder / "retentiond.yaml").write_text(kept)
    assert world.run("apply", world.run("plan")["plan"])["counts"]["disposed"] == 120
    check_invariants(world, finished=True)


def test_a_file_that_was_changed_or_replaced_since_the_plan_is_left(world):
    plan = world.run("plan")["plan"]
    changed, replaced = (world.root / name for name in world.due_files[:2])
    changed.write_bytes(b"longer than it was before, by its users")
    replaced.unlink()
    replaced.write_bytes(b"a newcomer of another length")
    subprocess.run(["chown", "--reference", world.root, changed, replaced], check=True)
    assert world.run("apply", plan)["counts"]["changed"] == 2
    assert Path(changed).read_bytes().startswith(b"longer")
    assert Path(replaced).read_bytes().startswith(b"a newcomer")
    verified(world)
