"""A shell that types what a page shows, and compares what the program answers with what the page says.

In a page, a fenced block `console` holds commands after `$ ` (further lines of one after `> `) and their
answers. `…` stands for any lines. What differs from day to day (names, keys, numbers, widths) is not compared;
but a name that a page shows twice must be the same twice, and it is replaced by the one that turned up, so that
later commands can use it.
"""

import os
import re
import subprocess
import sys

_NAME = re.compile(r"\b[0-9a-f]{12,64}\b")
_SHORTEST = 12


def blocks(text):
    """The console blocks of a page, each as a list of (command, expected lines)."""
    return [_steps(block) for block in re.findall(r"^```console\n(.*?)^```", text, re.DOTALL | re.MULTILINE)]


def _steps(block):
    found = []
    for line in block.splitlines():
        if line.startswith("$ "):
            found.append((line[2:], []))
        elif line.startswith("> ") and not found[-1][1]:
            found[-1] = (f"{found[-1][0]}\n{line[2:]}", [])
        else:
            found[-1][1].append(line)
    return found


def shape(line):
    """A line without what differs from day to day."""
    line = re.sub(r"\+[0-9a-f]{8}\+\S+", "KEY", line)
    line = re.sub(r"\b[0-9a-f]{12,64}\b", "NAME", line)
    line = re.sub(r"[0-9][0-9,.]*", "#", line)
    return re.sub(r"\s+", " ", line).strip()


class Terminal:
    """A shell in a folder that remembers where it is, and what the page's names are called here."""

    def __init__(self, folder, page="README"):
        self.folder, self.page, self.names = str(folder), page, {}
        self.environ = os.environ | {"PATH": f"{os.path.dirname(sys.executable)}:{os.environ['PATH']}"}

    def type(self, command):
        """The lines that a command writes to standard output."""
        for name in sorted(self.names, key=len, reverse=True):
            command = command.replace(name, self.names[name])
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
        """Runs a command and checks that its answer has these lines in this order."""
        actual = self.type(command)
        at = 0
        for line in (line for line in expected if line.strip() not in ("…", "")):
            while at < len(actual) and shape(actual[at]) != shape(line):
                at += 1
            assert at < len(actual), f"{command}: {self.page} says {line!r}, the program says:\n" + "\n".join(actual)
            for old, new in zip(_NAME.findall(line), _NAME.findall(actual[at]), strict=True):
                assert self.names.get(old, new) == new, f"{command}: {self.page} means one thing by {old}, the program two"
                self.names |= {old: new, old[:_SHORTEST]: new[:_SHORTEST]}
            at += 1

    def play(self, block):
        """Types a block, command by command."""
        for command, expected in block:
            self.answers(command, expected)
