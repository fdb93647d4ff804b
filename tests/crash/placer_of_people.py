"""Places holds on single rows as fast as it can, through the register.

    python placer_of_people.py CONFIG KIND FIRST LAST STEP

KIND says how a hold means its row: by `subject`, or by `where`, a predicate. Prints a line when it has begun.
"""

import sys

from retentiond.app.house import House
from retentiond.core.registers import Hold


def main(config, kind, first, last, step):
    with House(config) as house:
        word = house.word
        for n, i in enumerate(range(first, last, step)):
            scope = {"subjects": (("call", str(i)),)} if kind == "subject" else {"where": f"id = {i}"}
            house.holds.place(Hold(f"{kind}-{i}", "race", "race", store="pbx", **scope), word)
            if n == 0:
                print("begun", flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:3], *map(int, sys.argv[3:6]))
