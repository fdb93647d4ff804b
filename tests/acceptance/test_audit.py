"""The audit trail as an auditor meets it: shown, looked up, verified from the folder and the key alone, handed over."""

import hashlib
import hmac
import json
import os
import shutil
import stat

import pytest

from tests.acceptance.shop import code_of


@pytest.fixture
def done(busy):
    """A shop in which a plan was carried out, with a hold and an event on the way."""
    plan = busy.plan()
    busy.told("hold", "place", "H", "--reason", "r", "--mandate", "m", "--path", "letters/00003.txt")
    busy.told("apply", plan)
    return busy


@pytest.fixture
def log(done):
    return done.folder / "state" / "log"


def key(log):
    return (log / "public-key").read_text().strip()


def test_the_trail_verifies_from_the_state(done):
    value = done.json("audit", "verify")
    assert value["ok"] is True
    assert {k: n for k, n in value["counts"].items() if n} == {"disposed": 19, "held": 1}
    assert value["checkpoint"] == {"size": value["entries"], "root": value["checkpoint"]["root"]}


def test_the_trail_verifies_from_the_folder_and_the_key_alone(done, log, tmp_path, monkeypatch, capsys):
    copy = tmp_path / "copy"
    shutil.copytree(log, copy)
    line = key(log)
    shutil.rmtree(done.folder)
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("RETENTIOND_CONFIG", raising=False)
    assert code_of(["audit", "verify", "--log", str(copy), "--key", line]) == 0
    assert "warning" not in capsys.readouterr().out
    assert code_of(["audit", "verify", "--log", str(copy)]) == 0
    assert "warning" in capsys.readouterr().out, "the folder's own key proves little"
    assert code_of(["audit", "verify", "--log", str(copy), "--key", "nonsense"]) == 2
    assert code_of(["audit", "verify", "--log", str(copy), "--key", line.replace("shop", "shed")]) in (2, 6)


def test_a_checkpoint_of_an_earlier_visit_must_be_extended(done, log, tmp_path):
    kept = tmp_path / "checkpoint"
    shutil.copy(log / "checkpoint", kept)
    done.told("plan")
    done.told("audit", "verify", "--since", str(kept))
    assert "extends" in done.told("audit", "verify", "--since", str(kept)).out
    done.told("audit", "verify", "--since", str(tmp_path / "missing"), code=2)
    other = type(done)(tmp_path / "other")
    shutil.copytree(done.folder / "policies.d", other.folder / "policies.d", dirs_exist_ok=True)
    other.told("plan")
    done.told("audit", "verify", "--since", str(other.folder / "state/log/checkpoint"), code=6)


def files(log):
    return sorted(p for p in log.rglob("*") if p.is_file())


def test_a_bit_turned_in_any_file_is_found(done, log):
    """Every file of the log, one bit in its middle: exit 6, and 0 again when it is turned back."""
    assert len(files(log)) > 8
    for path in files(log):
        whole = path.read_bytes()
        at = len(whole) // 2
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :])
        assert done.told("audit", "verify", code=None).code == 6, path
        path.write_bytes(whole)
    done.told("audit", "verify")


def test_a_file_that_is_missing_or_added_or_cut_short_is_found(done, log):
    for path in files(log):
        whole = path.read_bytes()
        path.unlink()
        assert done.told("audit", "verify", code=None).code == 6, path
        path.write_bytes(whole[:-1])
        assert done.told("audit", "verify", code=None).code == 6, path
        path.write_bytes(whole)
    (log / "note.txt").write_text("hello")
    errors = done.json("audit", "verify", code=6)["errors"]
    assert [e["code"] for e in errors] == ["audit"]
    (log / "note.txt").unlink()
    done.told("audit", "verify")


@pytest.mark.parametrize("what", ["checkpoint", "tile/0", "public-key"])
def test_nothing_is_destroyed_on_a_trail_that_does_not_verify(done, log, what):
    done.letters(3, first=700)
    plan = done.plan("post")
    path = max((log / what).rglob("*"), key=lambda p: p.is_file() and int(p.name)) if what == "tile/0" else log / what
    whole = path.read_bytes()
    path.write_bytes(whole[:-3] + b"x" + whole[-2:])
    done.told("audit", "verify", code=6)
    done.told("apply", plan, code=6)
    assert len(done.left()) == 5 + 1 + 3
    path.write_bytes(whole)
    done.told("apply", plan)
    assert len(done.left()) == 5 + 1
    done.told("audit", "verify")


def test_a_trail_that_was_cut_back_is_published_again_from_the_ledger(done, log, tmp_path):
    """An older checkpoint is what a kill would have left: found by the verifier, and mended by the next command."""
    before = (log / "checkpoint").read_bytes()
    done.plan("post")
    now = (log / "checkpoint").read_bytes()
    (log / "checkpoint").write_bytes(before)
    done.told("audit", "verify", code=6)
    done.told("clock")
    assert (log / "checkpoint").read_bytes() == now
    done.told("audit", "verify")


def test_lookup_finds_what_was_recorded_and_says_when_there_is_nothing(done):
    value = done.json("audit", "lookup", "desk", "letters/00001.txt")
    (found,) = value["evidence"]
    assert (found["outcome"], found["category"]) == ("disposed", "post")
    nonce = bytes.fromhex(found["nonce"])
    reference = hashlib.sha256(nonce + b"desk\0letters/00001.txt").digest()[:16].hex()
    assert found["reference"] == reference, "anybody can check this one item with its nonce"
    assert found["nonce"] in done.told("audit", "lookup", "desk", "letters/00001.txt").out
    assert [e["outcome"] for e in done.json("audit", "lookup", "desk", "letters/00003.txt")["evidence"]] == ["held"]
    for store, name in (("desk", "letters/00100.txt"), ("till", "letters/00001.txt"), ("desk", "sales/1"), ("nowhere", "x")):
        assert done.json("audit", "lookup", store, name, code=1)["evidence"] == []


def test_references_are_keyed_so_that_nobody_can_guess_them(done, log):
    refs = b"".join(p.read_bytes() for p in (log / "refs").iterdir())
    assert len(refs) == 20 * 16
    for guess in (b"letters/00001.txt", b"desk\0letters/00001.txt"):
        assert hashlib.sha256(guess).digest()[:16] not in refs
        assert hmac.digest(b"", guess, "sha256")[:16] not in refs


def test_show_lists_entries_in_their_order(done):
    entries = done.json("audit", "show", "--limit", "0")["entries"]
    assert [e["index"] for e in entries] == list(range(len(entries)))
    assert [e["time"] for e in entries] == sorted(e["time"] for e in entries)
    types = [e["type"] for e in entries]
    assert types[0] == "log-started"
    assert types.index("plan-made") < types.index("plan-allowed") < types.index("intent") < types.index("outcome")
    assert types[-1] == "certificate"
    assert len(done.json("audit", "show", "--limit", "3")["entries"]) == 3
    intents = done.json("audit", "show", "--type", "intent", "--limit", "0")["entries"]
    assert {e["type"] for e in intents} == {"intent"}
    assert sum(e["count"] for e in intents) == 19


def test_the_lines_for_people_are_the_entries(done, log):
    lines = [json.loads(line) for line in (log / "audit.jsonl").read_text().splitlines()]
    entries = done.json("audit", "show", "--limit", "0")["entries"]
    assert lines == [{k: v for k, v in e.items() if k != "index"} for e in entries]


def test_export_hands_over_a_copy_that_verifies_with_the_line_it_prints(done, tmp_path):
    out = tmp_path / "handed"
    told = done.told("audit", "export", str(out))
    line = next(line.strip() for line in told.out.splitlines() if "audit verify" in line)
    import shlex

    assert code_of(shlex.split(line)[1:]) == 0
    done.told("audit", "export", str(out), code=2)
    done.told("audit", "export", str(done.folder / "state/log/inside"), code=2)
    value = done.json("audit", "export", str(tmp_path / "more"))
    assert value["ok"] is True
    assert value["key"] == key(out)


@pytest.mark.parametrize("umask", [0o022, 0o077, 0o000])
def test_the_state_is_closed_but_for_the_log(busy, umask):
    before = os.umask(umask)
    try:
        busy.told("apply", busy.plan("--all"))
        busy.told("hold", "place", "H", "--reason", "r", "--mandate", "m", "--everything")
    finally:
        os.umask(before)
    state = busy.folder / "state"

    def mode(path):
        return stat.S_IMODE(path.stat().st_mode)

    assert mode(state) == 0o711
    assert (mode(state / "keys"), mode(state / "plans")) == (0o700, 0o700)
    for path in state.rglob("*"):
        inside = path.relative_to(state).parts
        if inside[0] == "log":
            assert mode(path) == (0o750 if path.is_dir() else 0o640), path
        else:
            assert mode(path) & 0o077 == 0, path


def test_a_log_that_nobody_wrote_is_no_evidence(bare, tmp_path):
    assert code_of(["--config", str(bare.config), "audit", "verify", "--log", str(tmp_path / "none")]) != 0
    (tmp_path / "empty").mkdir()
    assert code_of(["--config", str(bare.config), "audit", "verify", "--log", str(tmp_path / "empty")]) != 0


def test_commands_that_read_the_trail_say_so_where_there_is_none(busy):
    for command in (["audit", "show"], ["audit", "verify"], ["audit", "export", "x"]):
        assert busy.json(*command, code=5)["errors"][0]["what"] == "there is no state yet"
    assert not (busy.folder / "state").exists()
