"""200,000 files of which half are due, against `find -mtime +N -delete`."""

import os
import shutil
import sys
import tempfile
import time
from pathlib import Path

from side_by_side import PROGRAM, Contestant, by_category, configure, newest_plan, race, report, table

FILES, IN_A_FOLDER = int(os.environ.get("FILES", "200000")), 500
DAY = 86_400


def make(data: Path) -> None:
    """The tree: each second file is 400 days old."""
    now = time.time()  # noqa: TID251 the ages of the files
    for i in range(FILES):
        folder = data / f"{i // IN_A_FOLDER:05}"
        if i % IN_A_FOLDER == 0:
            folder.mkdir(parents=True)
        path = f"{folder}/{i:08}.txt"
        with open(path, "wb") as file:
            file.write(b"x" * 64)
        moment = now - (400 if i % 2 else 1) * DAY
        os.utime(path, (moment, moment))


def main(place: str | None) -> None:
    folder = Path(tempfile.mkdtemp(dir=place))
    try:
        configure(
            folder,
            "desk: {type: files, path: data, location: GB}",
            'store: desk\n    select: {path: "**", everything: "yes, every item in desk"}\n'
            "    start: modified\n    retention_period: 90 days",
        )

        def prepare() -> None:
            for name in ("data", "state"):
                shutil.rmtree(folder / name, ignore_errors=True)
            make(folder / "data")

        peers = [
            Contestant("find -mtime +90 -delete", [["find", "data", "-type", "f", "-mtime", "+90", "-delete"]]),
            Contestant("retentiond plan + apply", [[*PROGRAM, "plan"], newest_plan(folder)]),
            Contestant("retentiond apply --category", [by_category()]),
        ]
        race(peers, folder, prepare)
        text = table(f"{FILES:,} files, half of them due, on {place or 'the temporary folder'}", peers, FILES // 2)
        plan, apply = zip(*peers[1].parts, strict=True)
        report("files", text + f"\nplan {min(plan):.2f} s, apply {min(apply):.2f} s at best\n")
    finally:
        shutil.rmtree(folder)


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else ("/dev/shm" if os.path.isdir("/dev/shm") else None))
