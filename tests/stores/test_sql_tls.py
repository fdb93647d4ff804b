"""SQL on servers, TLS: what an address asks for is verified, however it is spelled, and a refused certificate is called one."""

import os
import subprocess
from contextlib import closing
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from retentiond.errors import StoreDenied
from retentiond.stores.sql import SqlType
from tests.servers.own import Own

TRUSTED = {"postgres": "sslmode=verify-ca&sslrootcert={}", "mariadb": "ssl_ca={}"}
MEANT = {"postgres": "sslmode=verify-full&sslrootcert={}", "mariadb": "ssl_ca={}&ssl_verify_identity=True"}


def certificate(folder, name):
    """A certificate of `localhost`, for which only itself vouches."""
    folder.mkdir(exist_ok=True)
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2"]
    files = ["-keyout", folder / f"{name}.key", "-out", folder / f"{name}.pem"]
    names = ["-subj", "/CN=db.test", "-addext", "subjectAltName=DNS:localhost"]
    subprocess.run([*command, *files, *names], check=True, capture_output=True)
    return str(folder / f"{name}.pem")


@pytest.fixture(scope="module", params=["postgres", "mariadb"])
def server(request, tmp_path_factory):
    """A server with a certificate of its own; its file, and that of a stranger, can be read by whoever connects."""
    kind, folder = request.param, tmp_path_factory.mktemp("tls")
    own = Own(kind)
    try:
        certificate(Path(own.folder), "own")
        owner = os.stat(own.folder)
        for name in ("own.pem", "own.key"):
            os.chown(f"{own.folder}/{name}", owner.st_uid, owner.st_gid)
        names = ("ssl_cert_file", "ssl_key_file") if kind == "postgres" else ("ssl-cert", "ssl-key")
        own.command += [f"--{name}={own.folder}/own.{end}" for name, end in zip(names, ("pem", "key"), strict=True)]
        own.command += ["--ssl=on"] if kind == "postgres" else []
        own.start()
        (folder / "own.pem").write_bytes(Path(own.folder, "own.pem").read_bytes())
        certificate(folder, "stranger")
        yield own, folder
    finally:
        own.close()


def opened(server, options, host="localhost"):
    """Whether a store opens its address, which asks the server to be at this host."""
    own, _ = server
    at = urlsplit(own.address)
    scheme, name = ("postgresql", "postgres") if own.kind == "postgres" else ("mysql", "mysql")
    url = f"{scheme}://test@{host}:{at.port}/{name}?{options}".rstrip("?")
    assert [] == list(SqlType().problems({"url": url}))
    with closing(SqlType().look({"url": url})) as view:
        return bool(view.place)


def test_a_certificate_is_verified_where_authorities_are_named(server):
    own, folder = server
    for host in ("localhost", "127.0.0.1"):
        assert opened(server, TRUSTED[own.kind].format(folder / "own.pem"), host)
        with pytest.raises(StoreDenied) as refusal:
            opened(server, TRUSTED[own.kind].format(folder / "stranger.pem"), host)
        assert "certificate" in f"{refusal.value.what} {refusal.value.why}"


def test_the_host_is_looked_at_where_it_is_to_be_the_one_that_is_meant(server):
    own, folder = server
    options = MEANT[own.kind].format(folder / "own.pem")
    assert opened(server, options)
    with pytest.raises(StoreDenied) as refusal:
        opened(server, options, "127.0.0.1")
    assert "certificate" in f"{refusal.value.what} {refusal.value.why}"


@pytest.mark.parametrize("server", ["mariadb"], indirect=True)
@pytest.mark.parametrize("said", ["1", "true", "True", "TRUE", "yes", "on"])
@pytest.mark.parametrize("option", ["ssl_verify_cert", "ssl_verify_identity"])
def test_a_switch_is_on_however_it_is_spelled_and_the_authorities_of_the_system_count(server, option, said, monkeypatch):
    _, folder = server
    with pytest.raises(StoreDenied, match="the certificate of the database is refused"):
        opened(server, f"{option}={said}")
    monkeypatch.setenv("SSL_CERT_FILE", str(folder / "own.pem"))
    assert opened(server, f"{option}={said}")
    if option == "ssl_verify_identity":
        with pytest.raises(StoreDenied, match="the certificate of the database is refused") as refusal:
            opened(server, f"{option}={said}", "127.0.0.1")
        assert "127.0.0.1" in refusal.value.why


@pytest.mark.parametrize("server", ["mariadb"], indirect=True)
@pytest.mark.parametrize("said", ["", "ssl_verify_cert=off", "ssl_verify_identity=False"])
def test_nothing_is_verified_where_nothing_is_asked_for(server, said):
    assert opened(server, said)


def test_a_file_that_is_no_certificate_is_no_fault(server):
    own, folder = server
    (folder / "empty.pem").write_text("nothing\n")
    with pytest.raises(StoreDenied):
        opened(server, TRUSTED[own.kind].format(folder / "empty.pem"))


def test_a_server_without_tls_says_so_where_it_is_asked_for(served):
    option = "sslmode=require" if served.kind == "postgres" else "ssl_verify_cert=true"
    with pytest.raises(StoreDenied, match=r"no TLS|not trusted"):
        SqlType().look({"url": f"{served.url}?{option}"})


WRONG = {
    "no switch": "mysql://me@db/pbx?ssl_verify_identity=ture",
    "nothing": "mysql://me@db/pbx?ssl_verify_cert=",
    "no file": "mysql://me@db/pbx?ssl_ca=/nosuch.pem",
    "no certificate": "mysql://me@db/pbx?ssl_cert=/nosuch.pem",
    "no key": "mysql://me@db/pbx?ssl_key=/nosuch.pem",
    "against itself": f"mysql://me@db/pbx?ssl_ca={__file__}&ssl_verify_cert=no",
    "against itself, too": "mysql://me@db/pbx?ssl_verify_identity=on&ssl_verify_cert=no",
    "no mode": "postgresql://me@db/pbx?sslmode=verify",
    "no authorities": "postgresql://me@db/pbx?sslmode=verify-full&sslrootcert=/nosuch.pem",
    "no certificate of ours": "postgresql://me@db/pbx?sslcert=/nosuch.pem",
    "no key of ours": "postgresql://me@db/pbx?sslkey=/nosuch.pem",
    "no list of the revoked": "postgresql://me@db/pbx?sslcrl=/nosuch.pem",
    "no binding": "postgresql://me@db/pbx?channel_binding=yes",
    "no attribute": "postgresql://me@db/pbx?target_session_attrs=first",
}


@pytest.mark.parametrize("url", WRONG.values(), ids=WRONG.keys())
def test_an_option_that_cannot_be_meant_is_a_mistake_in_the_address(url):
    ((option, what),) = SqlType().problems({"url": url})
    assert "url" == option
    assert "has ssl" in what or "none of its values" in what
    ((option, what),) = SqlType().problems({"url": url.partition("?")[0], "replicas": [url]})
    assert "replicas" == option
