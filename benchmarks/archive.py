"""Files into an encrypted archive, many and one large, against a loop of `age` and against `rclone move` with its `crypt`.

The peers write, and remove the original. retentiond writes, reads back what it has written, compares, notes it with its
evidence, and compares the original once more before it goes; each file is made durable.
"""

import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from side_by_side import CATEGORY, ENVIRONMENT, Contestant, by_category, race, report, table

FILES, SIZE = int(os.environ.get("FILES", "400")), 2**20
LARGE = int(os.environ.get("LARGE", str(2 * 2**30)))
MIB = 2**20
SETTINGS = """\
organisation: Benchmark
timezone: Europe/London
state: state
policies: policies.d
stores:
  desk: {type: files, path: data, location: GB}
  vault: {type: files, path: vault, location: GB}
audit: {origin: benchmark.example.org/log}
"""
RULE = """\
store: desk
    select: {path: "**", everything: "yes, every item in desk"}
    start: modified
    retention_period: 90 days"""
LOOP = 'for f in data/*; do age -r "$0" -o "vault/${f##*/}.age" "$f" && rm "$f" || exit 1; done'


def make(data: Path, files: int, size: int) -> None:
    """Files of bytes that nobody can compress, 400 days old."""
    data.mkdir()
    piece = os.urandom(MIB)
    moment = time.time() - 400 * 86_400  # noqa: TID251 the ages of the files
    for i in range(files):
        path = data / f"{i:05}.bin"
        with path.open("wb") as file:
            for _ in range(size // MIB):
                file.write(piece)
        os.utime(path, (moment, moment))


def configure(folder: Path, recipient: str) -> None:
    (folder / "policies.d").mkdir()
    (folder / "retentiond.yaml").write_text(SETTINGS)
    action = f"action: {{archive: {{to: vault, encrypt: [{recipient}]}}}}"
    (folder / "policies.d" / "bench.yaml").write_text(CATEGORY.format(rule=RULE).replace("action: delete", action))


def peers(recipient: str) -> list[Contestant]:
    """Those that are installed, retentiond last."""
    found = [Contestant("age, file by file, and rm", [["sh", "-c", LOOP, recipient]])]
    if shutil.which("rclone"):
        obscured = subprocess.run(["rclone", "obscure", "a long pass phrase"], capture_output=True, text=True, check=True).stdout
        crypt = {"TYPE": "crypt", "REMOTE": "vault", "PASSWORD": obscured.strip(), "FILENAME_ENCRYPTION": "off"}
        ENVIRONMENT.update(
            {f"RCLONE_CONFIG_SECRET_{key}": value for key, value in crypt.items()} | {"RCLONE_CONFIG": "/dev/null"}
        )
        found.append(Contestant("rclone move, crypt", [["rclone", "move", "data", "secret:", "-q"]]))
    return [*found, Contestant("retentiond apply --category", [by_category()])]


def measured(folder: Path, recipient: str, files: int, size: int) -> str:
    def prepare() -> None:
        for name in ("data", "vault", "state"):
            shutil.rmtree(folder / name, ignore_errors=True)
        make(folder / "data", files, size)
        (folder / "vault").mkdir()

    there = peers(recipient)
    race(there, folder, prepare)
    text = table(f"{files:,} × {size // MIB:,} MiB, encrypted to one recipient", there, files)
    speeds = ", ".join(f"{one.name}: {files * size / MIB / one.median:,.0f} MiB/s" for one in there)
    return text + f"\n{speeds}\n"


def main(place: str | None) -> None:
    folder = Path(tempfile.mkdtemp(dir=place))
    try:
        subprocess.run(["age-keygen", "-o", folder / "identity"], check=True, capture_output=True)
        recipient = subprocess.run(
            ["age-keygen", "-y", folder / "identity"], check=True, capture_output=True, text=True
        ).stdout.strip()
        configure(folder, recipient)
        report("archive", "\n".join(measured(folder, recipient, *each) for each in ((FILES, SIZE), (1, LARGE))))
    finally:
        shutil.rmtree(folder)


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else None)
