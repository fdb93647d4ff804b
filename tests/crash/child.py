"""Runs one command of the program and ends the process with a real SIGKILL at a named place on the way.

    python child.py ARROW NTH [--swapped] [--lanes] -- COMMAND…

ARROW `any` counts every arrow. `--swapped` is the negative control: a saboteur that lets go
before the intent is committed, which the invariants must catch. `--lanes` lets files go by four
lanes, in batches of 200, as a store across a network would.
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


def widen():
    """Several lanes for a store that keeps what it has when its process dies."""
    from retentiond.app import applying
    from retentiond.engine.ports import Traits
    from retentiond.stores.files.view import FilesView

    FilesView.traits = property(lambda self: Traits(atomic=False, lanes=4))
    applying.PAGE = 200


if __name__ == "__main__":
    own, command = sys.argv[1 : sys.argv.index("--")], sys.argv[sys.argv.index("--") + 1 :]
    failpoints.watch(killer(own[0], int(own[1])))
    if "--swapped" in own:
        sabotage()
    if "--lanes" in own:
        widen()
    sys.exit(code_of(command))
