"""A machine of its own, to start units on: the real systemd as process 1, in namespaces, on a copy that is thrown away.

What it changes is in memory, over the files of this system, and gone with it; it has no network.
It needs root, and a kernel that lets root make namespaces, an overlay and a control group.
"""

import os
import pty
import re
import select
import shutil
import subprocess
import sys
import sysconfig
import time
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).parents[2]
SYSTEMD = Path("/lib/systemd/systemd")
_NAMESPACES = ("--mount", "--pid", "--uts", "--ipc", "--net", "--cgroup")

# $1: a folder for the mounts; $2: the folder that is shared with the test; $3: the console; $4: this Python; $5: its
# packages; $6: the project. The program is installed as /usr/bin/retentiond, where no sandbox hides it or its Python.
_BOOT = r"""
set -e
mount -t tmpfs tmpfs "$1"; mkdir "$1/up" "$1/work" "$1/new" "$1/site" "$1/site-work"
mount -t overlay overlay -o "lowerdir=/,upperdir=$1/up,workdir=$1/work" "$1/new"
cd "$1/new"
mount -t proc proc proc; mount --bind proc/sys proc/sys; mount -o remount,bind,ro proc/sys
mount -t sysfs -o ro sysfs sys; mount -t tmpfs tmpfs run; mount -t tmpfs -o mode=1777 tmpfs tmp
mount -t cgroup2 cgroup2 sys/fs/cgroup
mount -t tmpfs -o mode=755 tmpfs dev; mkdir dev/pts dev/shm; mount -t devpts -o newinstance,ptmxmode=666 devpts dev/pts
for name in null zero full random urandom tty; do touch "dev/$name"; mount --bind "/dev/$name" "dev/$name"; done
touch dev/console; mount --bind "$3" dev/console; ln -s pts/ptmx dev/ptmx; ln -s /proc/self/fd dev/fd
mkdir -p etc/systemd/system; mount -t tmpfs tmpfs etc/systemd/system
mount -t tmpfs tmpfs mnt; mkdir mnt/test run/parts; mount --bind "$2" mnt/test
mount -t tmpfs tmpfs opt; lib="opt/venv/lib/$(basename "$(dirname "$5")")"
mkdir -p opt/python opt/project opt/venv/bin "$lib/site-packages"
mount --bind "$4" opt/python; mount --bind "$6" opt/project
mount -t overlay overlay -o "lowerdir=$5,upperdir=$1/site,workdir=$1/site-work" "$lib/site-packages"
cp -r "$6/retentiond" "$lib/site-packages/retentiond"
echo "home = /opt/python/bin" > opt/venv/pyvenv.cfg; ln -s /opt/python/bin/python3 opt/venv/bin/python
printf '#!/opt/venv/bin/python\nfrom retentiond.cli import main\nmain()\n' > usr/bin/retentiond; chmod 755 usr/bin/retentiond
echo /opt/python/lib > etc/ld.so.conf.d/00-python.conf; ldconfig -r .
cp /lib/systemd/system/*.target /lib/systemd/system/systemd-journald.s* run/parts
cp "$2/test.service" "$2/test.target" run/parts
mkdir mnt/old; pivot_root . mnt/old; umount --lazy /mnt/old; mount --make-rshared /
exec /usr/bin/env -i container=test PATH=/usr/bin:/bin SYSTEMD_UNIT_PATH=/etc/systemd/system:/run/parts \
  /lib/systemd/systemd --system --unit=test.target --log-target=console --show-status=no
"""
_TARGET = "[Unit]\nDefaultDependencies=no\nRequires=test.service systemd-journald.service\n"
_SERVICE = """\
[Unit]
DefaultDependencies=no
After=systemd-journald.service systemd-journald.socket
SuccessAction=exit-force
FailureAction=exit-force
[Service]
Type=oneshot
WorkingDirectory=/opt/project
Environment=SYSTEMD_UNIT_PATH=/etc/systemd/system:/run/parts
StandardOutput=file:/mnt/test/out
StandardError=inherit
ExecStart=/bin/bash /mnt/test/script
"""


def why_not():
    """Why no machine can be started here; empty where one can."""
    if os.geteuid() != 0:
        return "only root can start one"
    needed = [name for name in ("unshare", "mount", "pivot_root") if not shutil.which(name)]
    needed += [] if SYSTEMD.exists() else ["systemd"]
    if needed:
        return f"{', '.join(needed)} is missing"
    if not _control_groups():
        return "there are no control groups of the second version"
    tried = subprocess.run(["unshare", *_NAMESPACES, "--fork", "true"], capture_output=True, text=True, check=False)
    return tried.stderr.strip()


def _control_groups():
    """Where the control groups of the second version are mounted."""
    lines = (line.split() for line in Path("/proc/mounts").read_text().splitlines())
    return next((Path(line[1]) for line in lines if line[2] == "cgroup2"), None)


@contextmanager
def _control_group(name):
    group = _control_groups() / name
    group.mkdir()
    try:
        yield group
    finally:
        (group / "cgroup.kill").write_text("1")
        with (group / "cgroup.events").open() as events:
            while "populated 1" in events.read():
                select.select([], [], [events], 1)
                events.seek(0)
        for below in sorted((path for path in group.rglob("*") if path.is_dir()), reverse=True):
            below.rmdir()
        group.rmdir()


def boot(folder, script, seconds=240):
    """Starts a machine that runs a script as root and ends; what the script wrote. `folder` is /mnt/test on it."""
    shared, mounts = folder / "shared", folder / "mounts"
    shared.mkdir(exist_ok=True)
    mounts.mkdir()
    for name, text in (("script", script), ("test.target", _TARGET), ("test.service", _SERVICE)):
        (shared / name).write_text(text)
    console, end = pty.openpty()
    packages = sysconfig.get_path("purelib")
    with _control_group(f"retentiond-test-{os.getpid()}") as group:
        inner = ["sh", "-c", _BOOT, "boot", mounts, shared, os.ttyname(end), sys.base_prefix, packages, ROOT]
        enter = f'echo $$ > {group}/cgroup.procs; exec "$@"'
        command = ["sh", "-c", enter, "sh", "unshare", *_NAMESPACES, "--fork", "--kill-child", "--propagation", "private", *inner]
        machine = subprocess.Popen([str(word) for word in command], stdin=subprocess.DEVNULL, stdout=end, stderr=end)
        try:
            said = _until_it_ends(machine, console, seconds)
        finally:
            machine.kill()
            machine.wait()
            os.close(console)
            os.close(end)
    out = shared / "out"
    return (out.read_text() if out.exists() else ""), re.sub(r"\x1b\[[0-9;]*m", "", said)


def _until_it_ends(machine, console, seconds):
    deadline, said = time.monotonic() + seconds, b""
    while machine.poll() is None or select.select([console], [], [], 0)[0]:
        assert time.monotonic() < deadline, f"the machine did not end:\n{said.decode(errors='replace')}"
        if select.select([console], [], [], 0.1)[0]:
            said += os.read(console, 65536)
    return said.decode(errors="replace")
