"""Holds the execute lock of a shared state until it is killed.

    python holder.py URL FILE

Prints a line when it has it.
"""

import sys
from pathlib import Path

from retentiond.ledger.clock import Reading
from retentiond.ledger.leases import lease
from retentiond.ledger.ledger import Ledger
from retentiond.ledger.locks import lock
from retentiond.ledger.postgres import Postgres


def main(url, file):
    ledger = Ledger(Postgres(url), lambda: Reading(1, 1, "boot"))
    with lock(file, "a trial"), lease(ledger, file, "execute", "a trial"):
        print("held", flush=True)
        sys.stdin.read()


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
