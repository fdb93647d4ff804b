"""On a pipe: no escape codes, no progress, and no line over 80 columns but where a digest, a key or a path needs it."""

import os
import pty
import re
import subprocess
import sys

import pytest

from retentiond.cli.render import table
from tests.world import World

WIDTH = 80
_LONG = re.compile(r"[0-9a-f]{32}|/|\S{30}|: .*; ")
"""What may make a line long: a digest, a path or a key, a word of its own, a problem in its one line."""


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """A world in which something was planned, held, applied and refused; `names` are its plans."""
    made = World(tmp_path_factory.mktemp("pipes") / "a-folder", files=60, rows=60)
    category = made.folder / "policies.d" / "calls.yaml"
    limits = "limits: {items: 100000, share: 100%, bytes: 1 GiB}"
    text = category.read_text()
    category.write_text(text.replace("rules:", "events:\n  call-settled: {recorded: yes}\nrules:", 1))
    made.names = [made.run("plan")["plan"]]
    made.hold()
    made.run("event", "record", "call-settled", "4711")
    made.run("approve", "calls", "--yes", "--by", "a person with a rather long name of several words")
    made.run("apply", made.names[0])
    (made.folder / "policies.d" / "again.yaml").write_text(
        text.replace("category: calls", "category: a-category-with-a-long-name")
        .replace(limits, "limits: {items: 1}")
        .replace("{day:%Y-%m-%d}/**", "further/{day:%Y-%m-%d}/**")
        .partition("  rows:")[0]
    )
    for number in range(60):
        path = made.folder / "recordings" / "further" / made.due_files[number]
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"RIFF")
    made.long_name = f"a name of many words {'and more ' * 20}.wav"
    path.with_name(made.long_name).write_bytes(b"RIFF")
    made.names.append(made.run("plan")["plan"])
    return made


def said(world, *args, environ=None):
    """Standard output and standard error of one command on pipes."""
    command = [sys.executable, "-m", "retentiond", "--config", str(world.folder / "retentiond.yaml"), *args]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False, env=environ)


COMMANDS = {
    "check": ["check"],
    "plan": ["plan"],
    "plan --at": ["plan", "--at", "2035-01-01", "calls"],
    "plans": ["plans"],
    "plan show": ["plan", "show", "FIRST"],
    "apply": ["apply", "FIRST"],
    "runs": ["runs"],
    "explain a file": ["explain", "recordings", "KEPT"],
    "explain a held file": ["explain", "recordings", "HELD"],
    "explain a row": ["explain", "pbx", "calls/81"],
    "hold place --dry-run": ["hold", "place", "X", "--reason", "r", "--mandate", "m", "--category", "calls", "--dry-run"],
    "hold list": ["hold", "list"],
    "event list": ["event", "list"],
    "audit show": ["audit", "show"],
    "audit lookup": ["audit", "lookup", "recordings", "GONE"],
    "audit verify": ["audit", "verify"],
    "clock": ["clock"],
    "help": ["--help"],
    **{f"help of {name}": [*name.split(), "--help"] for name in ("plan", "plan make", "apply", "hold place", "audit verify")},
}


@pytest.mark.parametrize("name", COMMANDS)
def test_what_is_said_on_a_pipe_fits_and_has_no_escape_codes(world, name):
    words = {"FIRST": world.names[0], "KEPT": world.kept_files[0], "HELD": world.held_file, "GONE": world.due_files[0]}
    done = said(world, *[words.get(word, word) for word in COMMANDS[name]])
    assert done.stdout, done.stderr
    assert "\x1b" not in done.stdout + done.stderr
    assert "\r" not in done.stdout + done.stderr
    width = 88 if "help" in name else WIDTH
    long = [line for line in done.stdout.splitlines() if len(line) > width and not _LONG.search(line)]
    assert long == []
    assert [line for line in done.stdout.splitlines() if line != line.rstrip()] == []


def test_a_table_never_exceeds_the_width_whatever_stands_in_it(world):
    world.run("event", "record", "call-settled", "x/" * 80)
    lines = said(world, "event", "list").stdout.splitlines()
    assert max(map(len, lines)) <= WIDTH


def test_a_key_is_whole_on_a_pipe_so_that_it_can_be_copied_and_wrapped_on_a_terminal(world):
    show = ("plan", "show", world.names[1], "--limit", "0")
    lines = said(world, *show).stdout.splitlines()
    assert 1 == len([line for line in lines if world.long_name in line])
    assert [line for line in lines if line != line.rstrip()] == []
    text = re.sub(r"\x1b\[[0-9;]*m|\r", "", on_a_terminal(world, {"COLUMNS": "80"}, *show))
    assert world.long_name not in text
    assert [line for line in text.splitlines() if len(line) > WIDTH and not re.search("[0-9a-f]{32}", line)] == []


def test_columns_stand_closer_together_before_a_name_is_cut(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    columns = ("rule", "due", "overdue", "waiting", "other", "bytes", "oldest")
    table(columns, [("customer-accounts/customers", 16_159, 16_159, 16_160, 2_346, "1.4 MiB", "2026-05-28")], left=("rule",))
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 3
    assert lines[2].startswith("customer-accounts/customers ")
    assert max(map(len, lines)) <= WIDTH


def test_progress_shows_nothing_on_a_pipe(world):
    assert said(world, "plan", "calls").stderr == ""
    assert said(world, "apply", world.names[0]).stderr == ""


def on_a_terminal(world, environ, *args):
    """What a command writes to a terminal of 80 columns."""
    ours, theirs = pty.openpty()
    command = [sys.executable, "-m", "retentiond", "--config", str(world.folder / "retentiond.yaml"), *args]
    with subprocess.Popen(command, stdin=theirs, stdout=theirs, stderr=theirs, env=os.environ | environ) as running:
        os.close(theirs)
        text = b""
        while True:
            try:
                more = os.read(ours, 4096)
            except OSError:
                break
            if not more:
                break
            text += more
        running.wait(60)
    os.close(ours)
    return text.decode()


def test_no_colour_means_no_colour_on_a_terminal_too(world):
    """NO_COLOR (no-color.org) forbids colours, not bold type: no code from 30 to 49 or from 90 to 107."""
    text = on_a_terminal(world, {"NO_COLOR": "1", "TERM": "xterm-256color", "COLUMNS": "80"}, "plan", "calls")
    codes = [int(code) for found in re.findall(r"\x1b\[([0-9;]*)m", text) for code in found.split(";") if code]
    assert "calls/sound" in text
    assert [code for code in codes if 30 <= code <= 49 or 90 <= code <= 107] == []


def test_an_error_at_a_terminal_is_in_whole_words_and_its_command_on_one_line(world):
    text = on_a_terminal(world, {"COLUMNS": "80"}, "apply", "--category", "a-category-with-a-long-name")
    lines = text.replace("\r", "").rstrip("\n").split("\n")
    assert lines[-2:] == ["  stands; it was never approved", "  retentiond approve a-category-with-a-long-name"]
