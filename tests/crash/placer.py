"""Places holds on single items as fast as it can, through the register.

    python placer.py CONFIG NAME STORE PATH FIRST LAST STEP

PATH is a pattern of Python's (`calls/{}`). Prints a line when it has begun.
"""

import sys

from retentiond.app.house import House
from retentiond.core.registers import Hold


def main(config, name, store, path, first, last, step):
    with House(config) as house:
        word = house.word
        for n, i in enumerate(range(first, last, step)):
            house.holds.place(Hold(f"{name}-{i}", "race", "race", store=store, path=path.format(i)), word)
            if n == 0:
                print("begun", flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:5], *map(int, sys.argv[5:8]))
