"""The command line: one file per command, rendering apart, no orchestration in it.

`retentiond --help` starts in a fraction of a second because a command's file is loaded only
when the command is used.
"""

from __future__ import annotations


def main() -> None:
    """The console entry point."""
    from retentiond.cli.front import run

    run()
