"""Places holds on single files as fast as it can, through the register.

    python placer.py CONFIG PREFIX FIRST LAST STEP

Prints a line when it has begun.
"""

import sys

from retentiond.app.house import House
from retentiond.core.registers import Hold


def main(config, prefix, first, last, step):
    with House(config) as house:
        word = house.word
        for n, i in enumerate(range(first, last, step)):
            hold = Hold(f"{prefix}-{i}", "race", "race", store="recordings", path=f"{prefix.split(':')[1]}/{i:05}.wav")
            house.holds.place(hold, word)
            if n == 0:
                print("begun", flush=True)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], *map(int, sys.argv[3:6]))
