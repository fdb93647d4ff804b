"""Every command that README shows is run, and answers as README says."""

import os
import re
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```console\n(.*?)^```", README, re.DOTALL | re.MULTILINE)
_NAME = re.compile(r"\b[0-9a-f]{12,64}\b")


def steps(block):
    """(command, expected lines) of one block."""
    found = []
    for line in block.splitlines():
        if line.startswith("$ "):
            found.append((line[2:], []))
        else:
            found[-1][1].append(line)
    return found


def shape(line):
    """A line without what differs from day to day: names, keys, numbers, widths."""
    line = re.sub(r"\+[0-9a-f]{8}\+\S+", "KEY", line)
    line = re.sub(r"\b[0-9a-f]{12,64}\b", "NAME", line)
    line = re.sub(r"[0-9][0-9,.]*", "#", line)
    return re.sub(r"\s+", " ", line).strip()


class Terminal:
    """A shell in a folder that remembers where it is, and what README's plan names are called here."""

    def __init__(self, folder):
        self.folder, self.names = folder, {}
        self.environ = os.environ | {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}

    def type(self, command):
        for name, real in self.names.items():
            command = command.replace(name, real)
        script = f"{command}\necho; pwd >&3"
        read, write = os.pipe()
        done = subprocess.run(
            ["bash", "-c", f"exec 3>&{write}\n{script}"],
            cwd=self.folder, env=self.environ, capture_output=True, text=True, timeout=120, check=False, pass_fds=(write,),
        )  # fmt: skip
        os.close(write)
        self.folder = os.read(read, 4096).decode().strip() or self.folder
        os.close(read)
        assert "Traceback" not in done.stderr
        return done.stdout.splitlines()

    def answers(self, command, expected):
        """Runs a command and checks that its answer has these lines in this order; `…` stands for any lines."""
        actual = self.type(command)
        at = 0
        for line in (line for line in expected if line.strip() not in ("…", "")):
            while at < len(actual) and shape(actual[at]) != shape(line):
                at += 1
            assert at < len(actual), f"{command}: README says {line!r}, the program says:\n" + "\n".join(actual)
            self.names |= {old[:12]: new[:12] for old, new in zip(_NAME.findall(line), _NAME.findall(actual[at]), strict=True)}
            at += 1


@pytest.fixture(scope="module")
def company(tmp_path_factory):
    from retentiond.demo import build

    folder = tmp_path_factory.mktemp("readme") / "demo"
    build(folder, datetime.now(UTC))
    return folder


def test_the_demo_that_readme_shows_is_what_it_does(company):
    """The first block, in the demo's folder; what it shows does not depend on the day."""
    terminal = Terminal(str(company))
    for command, expected in steps(BLOCKS[0]):
        terminal.answers(command, expected)


def test_the_walk_through_that_readme_shows_works(tmp_path):
    """All further blocks, one after the other, in an empty folder."""
    terminal = Terminal(str(tmp_path))
    for block in BLOCKS[1:]:
        for command, expected in steps(block):
            terminal.answers(command, expected)


def test_every_make_target_that_readme_shows_is_there():
    """`make demo` and `make test` are targets of the Makefile."""
    shown = set(re.findall(r"^make (\w+)", README, re.MULTILINE))
    targets = set(re.findall(r"^(\w+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    assert {"demo", "test"} <= shown <= targets
