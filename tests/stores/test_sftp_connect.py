"""Who the server is and who we are: what is wrong with either is told apart, in words, before anything is looked at."""

import base64
import hashlib
import hmac
import subprocess
from contextlib import closing

import pytest

from retentiond.errors import StoreDenied, StoreUnavailable
from retentiond.stores.sftp import SftpType
from retentiond.stores.sftp.known_hosts import keys_of
from retentiond.testing.wire import DOWN, Wire
from tests.stores.places import seen
from tests.stores.rogue import Rogue, running, status

ANOTHER = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIH0lOTyBzqJ2LtlVPzuvY4svpjL2eoj9jrKhJ4c3kp0V"
USUAL = {"host": "h", "user": "u", "path": "/srv", "key": "k", "host_key": ANOTHER}


def look(options):
    return closing(SftpType().look(options))


def refused(options, error, match):
    with pytest.raises(error, match=match) as told, look(options):
        pass
    said = f"{told.value} {told.value.why} {told.value.do}"
    assert not [secret for secret in ("PRIVATE", "open sesame", "127.0.0.1") if secret in said]
    return told.value


@pytest.fixture(scope="module")
def keys(tmp_path_factory):
    """Private keys that the server does not know, one of them encrypted."""
    folder = tmp_path_factory.mktemp("keys")
    for name, phrase in (("stranger", ""), ("locked", "open sesame")):
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", phrase, "-f", folder / name], check=True)
    return {name: (folder / name).read_text() for name in ("stranger", "locked")}


def test_options_are_judged_all_at_once():
    kind = SftpType()
    wrong = {
        "host": "sftp://h",
        "user": "",
        "path": "srv",
        "port": 0,
        "host_key": "ssh-dss AAAA",
        "known_hosts": "/x",
        "passphrase": "x",
        "timeout": "soon",
        "bucket": "b",
    }
    assert {option for option, _ in kind.problems(wrong)} == {*wrong, "key"}
    assert {option for option, _ in kind.problems({})} == {"host", "user", "path", "key", "host_key"}
    for good in (
        {"port": 2222, "timeout": "5 s", "location": "GB", "site": "a"},
        {"host_key": [ANOTHER + " a comment", ANOTHER]},
        {"host_key": None, "known_hosts": "/etc/known"},
        {"key": None, "password": "p"},
    ):
        assert not list(kind.problems({k: v for k, v in (USUAL | good).items() if v is not None}))
    for name, value in (
        ("path", "/srv/../etc"),
        ("path", "/a\0"),
        ("host_key", []),
        ("host_key", "ssh-rsa AAAA"),
        ("port", "22"),
    ):
        assert [option for option, _ in kind.problems(USUAL | {name: value})] == [name]
    assert "did you mean 'host_key'" in dict(kind.problems(USUAL | {"hostkey": "x"}))["hostkey"]


def test_a_server_with_another_key_is_told_nothing(served_files):
    refused(served_files.options(host_key=ANOTHER), StoreDenied, "another host key")
    rsa = (served_files.server.home / "host_rsa.pub").read_text()
    for known in (rsa, [rsa, served_files.server.host_key]):
        with look(served_files.options(host_key=known)) as view:
            assert seen(view) == {}
    ecdsa = Rogue().key
    told = refused(
        served_files.options(host_key=f"{ecdsa.get_name()} {ecdsa.get_base64()}"), StoreDenied, "no algorithm in common"
    )
    assert "SHA-1" in told.why


def test_a_server_is_known_by_a_file(served_files, tmp_path):
    server = served_files.server
    name, key = f"[{server.host}]:{server.port}", " ".join(server.host_key.split()[:2])
    salt = base64.b64encode(b"s" * 20).decode()
    hashed = "|1|{}|{}".format(salt, base64.b64encode(hmac.digest(b"s" * 20, name.encode(), hashlib.sha1)).decode())
    file = tmp_path / "known_hosts"
    for line in (f"{name} {key}", f"other,{name} {key} c", f"{hashed} {key}", f"[127.*]:{server.port} {key}"):
        file.write_text(f"# a comment\n\n{name} ssh-dss AAAA\n{line}\n")
        with look(served_files.options(host_key=None, known_hosts=str(file))) as view:
            assert seen(view) == {}
    for line in (
        "",
        f"{server.host} {key}",
        f"!{name},* {key}",
        f"{name} {key}\n@revoked * {key}",
        f"@cert-authority * {key}",
        "|1|x|y z",
    ):
        file.write_text(line)
        with pytest.raises(StoreDenied, match="no key of the server is known"):
            keys_of(str(file), server.host, server.port)
    file.unlink()
    refused(served_files.options(host_key=None, known_hosts=str(file)), StoreDenied, "cannot be read")


def test_who_we_are(served_files, keys):
    refused(served_files.options(key=keys["stranger"]), StoreDenied, "does not let us in")
    refused(served_files.options(user="nobody-here"), StoreDenied, "does not let us in")
    refused(served_files.options(key="no key"), StoreDenied, "private key cannot be read")
    refused(served_files.options(key=keys["locked"]), StoreDenied, "is encrypted")
    refused(served_files.options(key=keys["locked"], passphrase="wrong"), StoreDenied, "private key cannot be read")
    refused(served_files.options(key=keys["locked"], passphrase="open sesame"), StoreDenied, "does not let us in")
    refused(served_files.options(key=None, password="wrong"), StoreDenied, "let us")
    if served_files.server.user == "files":
        with look(served_files.options(key=None, password="open sesame")) as view:
            assert seen(view) == {}


def test_a_server_may_want_a_key_and_a_password(keys):
    with running(Rogue(passwords="open sesame")) as options:
        refused(options | {"key": keys["stranger"]}, StoreDenied, "wants more")
        refused(options | {"key": keys["stranger"], "password": "wrong"}, StoreDenied, "does not let us in")
        with look(options | {"key": keys["stranger"], "password": "open sesame"}) as view:
            assert view.place.startswith("sftp://files@127.0.0.1:")


def test_nobody_there(served_files):
    with Wire("127.0.0.1", 1) as wire:
        refused(served_files.options(port=wire.port), StoreUnavailable, "was lost|reached")
    refused(served_files.options(port=1), StoreUnavailable, "cannot be reached")
    refused(served_files.options(host="no-such-host.invalid"), StoreUnavailable, "no address")


@pytest.mark.parametrize("count", [0, 30, 1200, 2500, 2900])
def test_a_server_that_falls_silent_is_waited_for_no_longer_than_the_timeout(served_files, count):
    server = served_files.server
    with Wire(server.host, server.port) as wire:
        wire.silence_after(DOWN, count)
        told = refused(served_files.options(port=wire.port, timeout=0.5), StoreUnavailable, "does not answer")
        assert "0.5 s" in told.why


@pytest.mark.parametrize("count", [0, 30, 1200, 2500, 2900])
def test_a_connection_that_is_cut_while_it_is_made(served_files, count):
    server = served_files.server
    with Wire(server.host, server.port) as wire:
        wire.cut_after(DOWN, count)
        refused(served_files.options(port=wire.port), StoreUnavailable, "was lost|does not answer")
        with look(served_files.options(port=wire.port)) as view:
            assert seen(view) == {}


def test_the_root(served_files):
    home = served_files.path
    served_files.put("folder/file")
    (home / "link").symlink_to("folder")
    refused(served_files.options(path=str(home / "none")), StoreUnavailable, "missing")
    refused(served_files.options(path=str(home / "folder/file")), StoreDenied, "not a directory")
    refused(served_files.options(path=str(home / "link/")), StoreDenied, "symbolic link")
    with look(served_files.options(path=f"{home}/folder/")) as view:
        assert (
            view.place == f"sftp://{served_files.server.user}@{served_files.server.host}:{served_files.server.port}{home}/folder"
        )


def test_a_server_that_speaks_otherwise(keys):
    for rogue, match in ((Rogue(version=2), "no SFTP of version 3"), (Rogue(garbled=(199, b"")), "cannot be read")):
        with running(rogue) as options:
            refused(options | {"key": keys["stranger"]}, StoreDenied if rogue.version == 2 else StoreUnavailable, match)
    with running(Rogue(garbled=status(3))) as options:
        refused(options | {"key": keys["stranger"]}, StoreDenied, "may not be read")
