"""Private servers for the tests: one for each engine and run of pytest, shared by its workers.

`RETENTIOND_TEST_POSTGRES` and `RETENTIOND_TEST_MARIADB` name a server that is there already instead, by the address
of a user who may make databases and users, and `RETENTIOND_TEST_S3` one of Ceph (`http://KEY:SECRET@HOST:PORT`). Where
the programs are missing, tests are skipped, and say so; where `CI` is set, that is an error.
"""

import fcntl
import os
import subprocess
import sys
import tempfile
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.servers.keeper import program

NEEDS = {
    "postgres": (("initdb", "postgres"), "postgresql", "RETENTIOND_TEST_POSTGRES"),
    "mariadb": (("mariadb-install-db", "mariadbd"), "mariadb-server", "RETENTIOND_TEST_MARIADB"),
    "sftp": (("sshd", "ssh-keygen"), "openssh-server", ""),
    "dovecot": (("dovecot", "openssl"), "dovecot-imapd", ""),
    "ceph": (("ceph-mon", "ceph-osd", "radosgw", "radosgw-admin"), "radosgw", "RETENTIOND_TEST_S3"),
}


@contextmanager
def serving(kind):
    """The address of a server of some kind, for as long as the context lasts."""
    variable = NEEDS[kind][2]
    if os.environ.get(variable):
        yield os.environ[variable]
        return
    if why := missing(kind):
        why += f", and ${variable} names no server" if variable else ""
        if os.environ.get("CI"):
            pytest.fail(why)
        pytest.skip(why)
    run = os.environ.get("PYTEST_XDIST_TESTRUNUID") or str(os.getpid())
    folder = f"{tempfile.gettempdir()}/retentiond-{kind}-{run}"
    with open(folder + ".start", "wb") as start, open(folder + ".users", "wb") as users:
        fcntl.flock(start, fcntl.LOCK_EX)
        fcntl.flock(users, fcntl.LOCK_SH)
        address = Path(folder + ".address")
        if not address.exists():
            address.write_text(_started(kind, folder))
        fcntl.flock(start, fcntl.LOCK_UN)
        yield address.read_text()


def missing(kind):
    """Which programs of a server are not there, in words; empty where all are."""
    programs, package, _ = NEEDS[kind]
    absent = [name for name in programs if program(name) is None]
    return f"{', '.join(absent)} of Debian's {package} is not on this machine" if absent else ""


def _started(kind, folder):
    """A server with a keeper of its own, which ends both when nobody is left."""
    command = [sys.executable, str(Path(__file__).with_name("keeper.py")), kind, folder]
    with tempfile.TemporaryFile() as errors:
        keeper = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=errors, text=True, start_new_session=True
        )
        said = keeper.stdout.readline().strip()
        keeper.stdout.close()
        if not said:
            keeper.wait()
            errors.seek(0)
            pytest.fail(f"a private {kind} does not start: {errors.read().decode(errors='replace')}")
    keeper.returncode = 0  # it outlives this object, as it is meant to: it ends when the last worker has gone
    return said
