"""A server that somebody has alone: to be killed, starved and started again, or to be measured.

The shared servers (`private`) are for everything else. This one dies with the process that started it as well.
"""

import os
import shutil
import signal
import subprocess
import tempfile
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.servers.databases import connected
from tests.servers.keeper import DEADLINE, END, answers, free_port, mariadb, postgres, program, run, unprivileged
from tests.servers.private import missing

DURABLE = {
    "postgres": ("--fsync=on", "--full_page_writes=on", "--synchronous_commit=on", "--shared_buffers=1GB", "--max_wal_size=4GB"),
    "mariadb": ("--innodb-flush-log-at-trx-commit=1", "--innodb-buffer-pool-size=1G", "--innodb-log-file-size=1G"),
}
"""What a server needs so that a commit survives a power cut, with room to work in; for measuring."""

LOGGING = {
    "postgres": ("--wal_level=replica",),
    "mariadb": ("--server-id=1", "--log-bin=log", "--binlog-format=ROW"),
}
"""What a server needs so that another one can follow it."""

_STARTER = ThreadPoolExecutor(1)
"""The thread that starts servers: they die with the thread that started them, and whoever wants one may be a short-lived one."""


class Own:
    """One server in a folder of its own; `start` starts it, anew if it had ended. `options` are added to its command line."""

    def __init__(self, kind, options=(), place=None):
        if why := missing(kind):
            pytest.skip(why)
        self.kind = kind
        self.folder = tempfile.mkdtemp(prefix=f"retentiond-{kind}-", dir=place)
        self.who, uid = unprivileged(kind)
        os.chown(self.folder, uid, -1)
        make = postgres if kind == "postgres" else mariadb
        self.command, self.address, _ = make(self.folder, self.who)
        self.command += options
        self.process = None

    def start(self):
        """Starts it and waits until it answers."""
        self.process = _STARTER.submit(self._begun).result()
        for _ in range(DEADLINE * 10):
            if answers(self.address):
                Path(self.folder, "first.sql").write_text("")  # what the first start had to make is there
                return self
            try:
                self.process.wait(0.1)
            except subprocess.TimeoutExpired:
                continue
            break
        raise AssertionError(Path(self.folder, "log").read_text(errors="replace")[-2000:])

    def _begun(self):
        command = ["setpriv", "--pdeathsig=KILL", *self.who, *self.command]
        with open(f"{self.folder}/log", "ab") as log:
            return subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=self.folder)

    def stop(self, how=None):
        """Ends it: at once, whoever is connected, or by a signal of one's own."""
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(END[self.kind] if how is None else how)
            try:
                self.process.wait(DEADLINE)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()

    def restart(self, how=signal.SIGKILL):
        self.stop(how)
        return self.start()

    def close(self):
        self.stop()
        shutil.rmtree(self.folder, ignore_errors=True)


class Standby(Own):
    """A PostgreSQL that follows another one, from a copy of it."""

    def __init__(self, primary):
        self.kind, self.process = "postgres", None
        self.folder = tempfile.mkdtemp(prefix="retentiond-standby-")
        self.who, uid = unprivileged("postgres")
        os.chown(self.folder, uid, -1)
        data, port = f"{self.folder}/data", free_port()
        there = primary.address.partition("@")[2].partition("/")[0].partition(":")[2]
        run(self.who, program("pg_basebackup"), "-D", data, "-h", "127.0.0.1", "-p", there, "-U", "test", "-R", "-c", "fast")
        settings = {"listen_addresses": "127.0.0.1", "port": port, "unix_socket_directories": self.folder, "fsync": "off"}
        self.command = [program("postgres"), "-D", data, *(f"--{name}={value}" for name, value in settings.items())]
        self.address = f"postgresql://test@127.0.0.1:{port}/postgres"


class Replica(Own):
    """A MariaDB that follows another one, which keeps a binary log (`LOGGING`), from now on."""

    def __init__(self, primary):
        super().__init__("mariadb", ("--server-id=2",))
        self.primary = primary

    def start(self):
        super().start()
        with closing(connected("mariadb", self.primary.address, "mysql")) as there, closing(there.cursor()) as asked:
            asked.execute("SELECT @@gtid_binlog_pos")
            position = asked.fetchone()[0]
        at = urlsplit(self.primary.address)
        with closing(connected("mariadb", self.address, "mysql")) as here, closing(here.cursor()) as told:
            told.execute("SET GLOBAL gtid_slave_pos = %s", [position])
            told.execute(
                "CHANGE MASTER TO MASTER_HOST = %s, MASTER_PORT = %s, MASTER_USER = %s, MASTER_USE_GTID = slave_pos",
                [at.hostname, at.port, at.username],
            )
            told.execute("START SLAVE")
        return self
