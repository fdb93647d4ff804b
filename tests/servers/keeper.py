"""A program that keeps one private server while somebody needs it: `keeper.py postgres|mariadb|sftp|dovecot|ceph FOLDER`.

Whoever uses the server holds a shared lock on FOLDER.users, which the kernel lets go of when a process dies,
however it dies. The keeper waits for the lock alone: then nobody is left, and it stops the server that it
started, and removes its folder. The server in turn dies with the keeper (PR_SET_PDEATHSIG). Nothing is
written through to the disk (fsync is off): these databases prove behaviour, not what survives a power cut.
"""

import fcntl
import grp
import os
import pwd
import shutil
import signal
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path
from urllib.parse import urlsplit

DEADLINE = 60
USERS = {"postgres": "postgres", "mariadb": "mysql", "sftp": "nobody", "dovecot": "dovecot", "ceph": "ceph"}
END = {
    "postgres": signal.SIGINT,
    "mariadb": signal.SIGTERM,
    "sftp": signal.SIGTERM,
    "dovecot": signal.SIGTERM,
    "ceph": signal.SIGKILL,
}
"""What makes a server stop at once, whoever is connected."""


def program(name):
    """The path of a server's program; None where it is not installed."""
    newest = sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"), key=lambda path: int(path.parts[4]))
    return str(newest[-1]) if newest else shutil.which(name, path=os.environ.get("PATH", "") + ":/usr/sbin:/usr/bin")


def unprivileged(kind):
    """Neither server runs as root; what it may become."""
    if os.getuid() != 0:
        return [], os.getuid()
    for name in (USERS[kind], "nobody"):
        try:
            user = pwd.getpwnam(name)
        except KeyError:
            continue
        return [f"--reuid={user.pw_uid}", f"--regid={user.pw_gid}", "--clear-groups"], user.pw_uid
    raise SystemExit("there is no user but root to run a server as")


def free_port():
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


def run(who, *command):
    done = subprocess.run(["setpriv", *who, *command] if who else command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{command[0]}: {done.stderr or done.stdout}")


def postgres(folder, who):
    """Makes a cluster; the command of its server, and the address of its superuser."""
    data, port = f"{folder}/data", free_port()
    run(who, program("initdb"), "-D", data, "-U", "test", "--auth=trust", "-E", "UTF8", "--locale=C.UTF-8", "--no-sync")
    options = {"listen_addresses": "127.0.0.1", "port": port, "unix_socket_directories": folder, "fsync": "off",
               "full_page_writes": "off", "max_connections": 100, "autovacuum": "off", "log_min_messages": "fatal"}  # fmt: skip
    settings = [f"--{name}={value}" for name, value in options.items()]
    return [program("postgres"), "-D", data, *settings], f"postgresql://test@127.0.0.1:{port}/postgres", []


def mariadb(folder, who):
    data, port = f"{folder}/data", free_port()
    run(who, program("mariadb-install-db"), "--no-defaults", f"--datadir={data}", "--auth-root-authentication-method=normal",
        "--skip-test-db", "--skip-name-resolve")  # fmt: skip
    Path(folder, "first.sql").write_text(
        "CREATE USER test@'127.0.0.1';\nGRANT ALL ON *.* TO test@'127.0.0.1' WITH GRANT OPTION;\n"
    )
    options = {"datadir": data, "socket": f"{folder}/s", "pid-file": f"{folder}/pid", "bind-address": "127.0.0.1", "port": port,
               "innodb-flush-log-at-trx-commit": 0, "innodb-log-file-size": "32M", "innodb-buffer-pool-size": "64M",
               "skip-name-resolve": 1, "skip-log-bin": 1, "init-file": f"{folder}/first.sql"}  # fmt: skip
    settings = [f"--{name}={value}" for name, value in options.items()]
    return [program("mariadbd"), "--no-defaults", *settings], f"mysql://test@127.0.0.1:{port}/mysql", []


def ceph(folder, who):
    from ceph import mini

    return mini(folder, who, program, free_port)


PASSWORD = "$6$retentiond$/itWAwk84NUO7.7FGD52EBw4tfq80u74PCN0ynDWafZ.OAjTf8GKEcdxHo6UJSsjR9Mu4V6qr2x8CTWEK0lRs0"
"""`open sesame`, as crypt(3) writes it: what the account of sshd may log in with as well, where it has one of its own."""
SSHD = """\
Port {port}
ListenAddress 127.0.0.1
HostKey {folder}/host_ed25519
HostKey {folder}/host_rsa
AuthorizedKeysFile {folder}/client.pub
PidFile none
StrictModes no
UsePAM no
UseDNS no
PasswordAuthentication {passwords}
KbdInteractiveAuthentication no
MaxStartups 200
Subsystem sftp internal-sftp
"""


def sftp(folder, who):
    """OpenSSH, which lets in only the user that it runs as, by the key `client`; files are to be below `data`."""
    for name, kind in (("host_ed25519", "ed25519"), ("host_rsa", "rsa"), ("client", "ed25519")):
        run(who, "ssh-keygen", "-q", "-t", kind, "-N", "", "-C", "test", "-f", f"{folder}/{name}")
    run(who, "mkdir", f"{folder}/data")
    port, owner = free_port(), os.stat(f"{folder}/data")
    Path(folder, "config").write_text(SSHD.format(port=port, folder=folder, passwords="yes" if who else "no"))
    user = "files" if who else pwd.getpwuid(owner.st_uid).pw_name
    account = f"{user}:{PASSWORD}:{owner.st_uid}:{owner.st_gid}::{folder}/data:/bin/sh\n"
    Path(folder, "passwd").write_text(Path("/etc/passwd").read_text() + account)
    return [program("sshd"), "-D", "-e", "-f", f"{folder}/config"], f"sftp://{user}@127.0.0.1:{port}{folder}", []


DOVECOT = """\
protocols = imap
base_dir = {folder}/run
state_dir = {folder}/run
log_path = /dev/stderr
mail_location = maildir:{folder}/mail/%u:LAYOUT=fs
mail_fsync = never
first_valid_uid = 1
first_valid_gid = 1
default_internal_user = {user}
default_login_user = {user}
default_internal_group = {group}
disable_plaintext_auth = no
auth_mechanisms = plain login
listen = 127.0.0.1
ssl = yes
ssl_cert = <{folder}/cert.pem
ssl_key = <{folder}/key.pem
mail_max_userip_connections = 200
passdb {{
  driver = passwd-file
  args = scheme=plain username_format=any {folder}/users
}}
userdb {{
  driver = static
  args = uid={uid} gid={gid} home={folder}/home/%u
}}
service imap-login {{
  chroot =
  inet_listener imap {{
    port = {plain}
  }}
  inet_listener imaps {{
    port = {port}
    ssl = yes
  }}
}}
service anvil {{
  chroot =
}}
service stats {{
  chroot =
}}
namespace inbox {{
  inbox = yes
  separator = /
}}
"""


def dovecot(folder, who):
    """Dovecot, which lets in everybody who knows the password, with TLS by a certificate of its own, and a port without."""
    owner = os.stat(folder)
    user, group = pwd.getpwuid(owner.st_uid).pw_name, grp.getgrgid(pwd.getpwuid(owner.st_uid).pw_gid).gr_name
    run(who, "openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2",
        "-keyout", f"{folder}/key.pem", "-out", f"{folder}/cert.pem", "-subj", "/CN=mail.test",
        "-addext", "subjectAltName=IP:127.0.0.1")  # fmt: skip
    Path(folder, "users").write_text("any:open.sesame\n")
    port, plain = free_port(), free_port()
    names = {"user": user, "group": group, "uid": owner.st_uid, "gid": pwd.getpwuid(owner.st_uid).pw_gid}
    Path(folder, "dovecot.conf").write_text(DOVECOT.format(folder=folder, port=port, plain=plain, **names))
    return [program("dovecot"), "-F", "-c", f"{folder}/dovecot.conf"], f"imaps://any@127.0.0.1:{port}/{plain}{folder}", []


def around(kind, who, folder):
    """What a server's command is run by: sshd lets nobody in who has no account, so it gets one, which it alone sees."""
    if kind != "sftp" or not who:
        return []
    return ["unshare", "--mount", "sh", "-c", 'mount --bind "$0" /etc/passwd && exec "$@"', f"{folder}/passwd"]


MAKERS = {"postgres": postgres, "mariadb": mariadb, "sftp": sftp, "dovecot": dovecot, "ceph": ceph}


def answers(address):
    """Whether the server at an address lets its first user in."""
    host = address.partition("@")[2].partition("/")[0]
    if address.startswith(("sftp", "imaps")):
        port, hello = (
            (host.partition(":")[2], b"SSH-") if address.startswith("sftp") else (urlsplit(address).path.split("/")[1], b"* OK")
        )
        try:
            with socket.create_connection(("127.0.0.1", int(port)), 2) as plug:
                return plug.recv(4) == hello
        except OSError:
            return False
    if address.startswith("http"):
        try:
            urllib.request.urlopen(f"http://{host}/", timeout=2).close()
        except urllib.error.HTTPError:
            return True
        except OSError:
            return False
        return True
    if address.startswith("postgresql"):
        import psycopg

        try:
            psycopg.connect(address, connect_timeout=2).close()
        except psycopg.OperationalError:
            return False
        return True
    import pymysql

    try:
        pymysql.connect(host="127.0.0.1", port=int(host.partition(":")[2]), user="test", connect_timeout=2).close()
    except pymysql.err.OperationalError:
        return False
    return True


def keep(kind, folder):
    who, uid = unprivileged(kind)
    os.makedirs(folder, 0o700)
    os.chown(folder, uid, -1)
    os.chdir(folder)
    try:
        command, address, beside = MAKERS[kind](folder, who)
        log = open(f"{folder}/log", "wb")  # noqa: SIM115 the server writes to it as long as it lives
        command = [*around(kind, who, folder), "setpriv", f"--pdeathsig={END[kind].name[3:]}", *who, *command]
        server = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        try:
            for _ in range(DEADLINE * 10):
                if server.poll() is not None:
                    raise SystemExit(Path(folder, "log").read_text(errors="replace")[-2000:])
                if answers(address):
                    break
                try:
                    server.wait(0.1)
                except subprocess.TimeoutExpired:
                    continue
            else:
                raise SystemExit("the server does not answer")
            print(address, flush=True)
            with open(folder + ".users", "wb") as users:
                fcntl.flock(users, fcntl.LOCK_EX)
        finally:
            server.send_signal(END[kind])
            try:
                server.wait(DEADLINE)
            except subprocess.TimeoutExpired:
                server.kill()
                server.wait()
            for other in beside:
                other.kill()
                other.wait()
    finally:
        os.chdir("/")
        shutil.rmtree(folder, ignore_errors=True)
        for lock in (".users", ".start", ".address"):
            Path(folder + lock).unlink(missing_ok=True)


if __name__ == "__main__":
    keep(*sys.argv[1:])
