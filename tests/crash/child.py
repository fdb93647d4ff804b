"""Runs one command of the program and ends the process with a real SIGKILL at a named place on the way.

    python child.py ARROW NTH [--swapped] -- COMMAND…

ARROW `any` counts every arrow. `--swapped` is the negative control: a saboteur that lets go
before the intent is committed, which the invariants must catch.
"""

import os
import signal
import sys

from retentiond.cli.front import code_of
from retentiond.engine import failpoints


def killer(arrow, nth):
    seen = 0

    def watcher(reached):
        nonlocal seen
        if arrow in ("any", reached):
            seen += 1
            if seen == nth:
                os.kill(os.getpid(), signal.SIGKILL)

    return watcher


def sabotage():
    """Swaps intent and act: the store lets go first, the intent comes after."""
    from retentiond.app import applying

    class Swapped(applying.RunJournal):
        def turn(self, closing, opening, admit):
            if opening is not None:
                batch = opening[2]
                list(Swapped.stores(batch.store).dispose(batch))
            return super().turn(closing, opening, admit)

    class Executor(applying.Executor):
        def __init__(self, open_store, *rest):
            Swapped.stores = staticmethod(open_store)
            super().__init__(open_store, *rest)

    applying.RunJournal, applying.Executor = Swapped, Executor


if __name__ == "__main__":
    own, command = sys.argv[1 : sys.argv.index("--")], sys.argv[sys.argv.index("--") + 1 :]
    failpoints.watch(killer(own[0], int(own[1])))
    if "--swapped" in own:
        sabotage()
    sys.exit(code_of(command))
