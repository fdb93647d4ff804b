"""One node of Ceph that keeps everything in memory: a monitor, a store, and the gateway that speaks S3.

`mini(folder, who, program, free_port)` starts the first two and says how the third is started; all three
end with whoever started them. What is ended by SIGTERM writes its memory into the folder, and `again` starts from there.
"""

import subprocess
import uuid
from pathlib import Path

ACCESS, SECRET = "testaccesskey", "testsecretkey0123456789"
OTHER, OTHER_SECRET = "otheraccesskey", "othersecretkey0123456789"
"""A second user, who has no rights in the first one's buckets."""
TRIES = 600

CONF = """\
[global]
fsid = {fsid}
mon host = v1:127.0.0.1:{mon}
public addr = 127.0.0.1
cluster addr = 127.0.0.1
ms bind ipv6 = false
auth cluster required = none
auth service required = none
auth client required = none
run dir = {folder}
admin socket = {folder}/$cluster-$name.asok
log file = {folder}/$name.log
crash dir = {folder}
osd pool default size = 1
osd pool default min size = 1
osd pool default pg num = 8
osd pool default pgp num = 8
osd pool default pg autoscale mode = off
osd crush chooseleaf type = 0
mon allow pool size one = true
mon max pg per osd = 2000
[mon]
mon data = {folder}/mon
mon data avail crit = 1
mon data avail warn = 1
# a change of the map is proposed at once: the gateway makes its pools in tenths of a second
paxos propose interval = 0.05
paxos min wait = 0.01
[osd]
osd data = {folder}/osd
osd objectstore = memstore
memstore device bytes = 2147483648
memstore page size = 4096
osd fast shutdown = false
osd min pg log entries = 200
osd max pg log entries = 200
# without cephx the store's own two commands at its start can come before it has the map; it is placed by hand below
osd class update on start = false
osd crush update on start = false
[client.rgw]
rgw data = {folder}/rgw
rgw frontends = beast endpoint=127.0.0.1:{port} tcp_nodelay=1
rgw enable usage log = false
rgw thread pool size = 64
rgw lc debug interval = 3
"""


def mini(folder, who, program, free_port):
    """The gateway's command, its address with the keys of its first user, and the two processes beside it."""
    port, mon, fsid = free_port(), free_port(), str(uuid.uuid4())
    conf = f"{folder}/ceph.conf"
    for name in ("mon", "osd", "rgw"):
        Path(folder, name).mkdir()
    Path(conf).write_text(CONF.format(folder=folder, port=port, mon=mon, fsid=fsid))

    def owned():
        if who:
            subprocess.run(["chown", "-R", "--", who[0].partition("=")[2], folder], check=True)

    def run(name, *args, check=True, patience=60):
        command = [*(["setpriv", *who] if who else []), program(name), *args]
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=patience)
        if check and done.returncode:
            raise SystemExit(f"{name}: {done.stderr or done.stdout}")
        return done.stdout

    def begin(name, number):
        return begun(folder, who, program, name, number)

    def ceph(*args):
        return run("ceph", "-c", conf, "--connect-timeout", "2", *args, check=False)

    def told(*args):
        """Says it again while the monitor, which answers already, is not ready for commands ("problem getting command ...")."""
        command = [*(["setpriv", *who] if who else []), program("ceph"), "-c", conf, *args]
        until(lambda: not subprocess.run(command, capture_output=True, check=False, timeout=60).returncode, beside[0])

    owned()
    run("monmaptool", "--create", "--fsid", fsid, "--addv", "a", f"v1:127.0.0.1:{mon}", f"{folder}/monmap")
    run("ceph-authtool", "--create-keyring", f"{folder}/keyring", "--gen-key", "-n", "mon.", "--cap", "mon", "allow *")
    run("ceph-mon", "-c", conf, "--mkfs", "-i", "a", "--monmap", f"{folder}/monmap", "--keyring", f"{folder}/keyring")
    beside = [begin("ceph-mon", "a")]
    until(lambda: ceph("mon", "stat"), beside[0])
    store = str(uuid.uuid4())
    told("osd", "new", store)
    run("ceph-osd", "-c", conf, "-i", "0", "--mkfs", "--osd-uuid", store)
    told("osd", "crush", "add", "osd.0", "1.0", "host=localhost", "root=default")
    beside.append(begin("ceph-osd", "0"))
    until(lambda: "1 up" in ceph("osd", "stat"), beside[1])
    for user, key, secret in (("test", ACCESS, SECRET), ("other", OTHER, OTHER_SECRET)):
        told = ["user", "create", f"--uid={user}", f"--display-name={user}", f"--access-key={key}", f"--secret-key={secret}"]
        run("radosgw-admin", "-c", conf, "-n", "client.rgw", *told, "--max-buckets=100000")
    return gateway(folder, program), f"http://{ACCESS}:{SECRET}@127.0.0.1:{port}", beside


def again(folder, who, program):
    """The monitor and the store of a folder in which both have been ended well."""
    return [begun(folder, who, program, "ceph-mon", "a"), begun(folder, who, program, "ceph-osd", "0")]


def begun(folder, who, program, name, number):
    command = ["setpriv", "--pdeathsig=KILL", *who, program(name), "-c", f"{folder}/ceph.conf", "-i", number, "-f"]
    log = open(f"{folder}/{name}.out", "wb")  # noqa: SIM115 the process writes to it as long as it lives
    return subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)


def gateway(folder, program):
    return [program("radosgw"), "-c", f"{folder}/ceph.conf", "-n", "client.rgw", "-f"]


def until(answers, process):
    for _ in range(TRIES):
        if answers():
            return
        try:
            process.wait(0.1)
        except subprocess.TimeoutExpired:
            continue
        raise SystemExit(f"{process.args} has ended")
    raise SystemExit(f"{process.args} does not answer")
