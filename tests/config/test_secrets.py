"""Secrets are referred to, never held: no spelling of a reference shows a value, and a value that is not there is told."""

import pytest

from retentiond.config.secrets import Secret, refuse_inline_password
from retentiond.config.words import Unreadable
from retentiond.core.policy import StoreDefinition
from retentiond.errors import ConfigurationError

SETTINGS = "retentiond.yaml"


@pytest.fixture
def environ(tmp_path):
    (tmp_path / "pbx").write_bytes(b"swordfish\r\n")
    (tmp_path / "empty").write_bytes(b"\n")
    (tmp_path / "binary").write_bytes(b"\xff\xfe")
    return {"CREDENTIALS_DIRECTORY": str(tmp_path), "PBX": "swordfish", "BLANK": ""}


def test_a_secret_is_revealed_from_each_kind_of_place(environ, tmp_path):
    places = [Secret("credential", "pbx"), Secret("env", "PBX"), Secret("file", str(tmp_path / "pbx"))]
    assert [secret.reveal(environ) for secret in places] == ["swordfish"] * 3


def test_a_secret_never_shows_its_value(environ):
    secret = Secret("env", "PBX")
    secret.reveal(environ)
    meaning = StoreDefinition("pbx", "sql", "GB", {"password": secret}).meaning()
    assert [str(secret), repr(secret), f"{secret}"] == ["{env: PBX}"] * 3
    assert meaning == {"type": "sql", "options": {"password": {"kind": "env", "name": "PBX"}}}


@pytest.mark.parametrize(
    "secret",
    [
        Secret("env", "NOT_SET"),
        Secret("env", "BLANK"),
        Secret("credential", "none"),
        Secret("credential", "empty"),
        Secret("credential", "binary"),
        Secret("file", "/nowhere/at/all"),
        Secret("file", "/"),
    ],
)
def test_a_secret_that_is_not_there_is_an_error_that_names_it(environ, secret):
    with pytest.raises(ConfigurationError) as caught:
        secret.reveal(environ)
    assert str(secret) in str(caught.value)


def test_a_credential_needs_its_directory():
    with pytest.raises(ConfigurationError, match="LoadCredential"):
        Secret("credential", "pbx").reveal({})


@pytest.mark.parametrize(
    "value", ["{credential: a/b}", "{credential: ..}", "{env: ''}", "{env: 7}", "{file: [x]}", "{credential: a, x: b}"]
)
def test_a_malformed_reference_is_a_problem(company, value):
    company.edit(SETTINGS, "{credential: pbx}", value)
    assert [(p.file, p.line, p.column) for p in company.problems()] == [(SETTINGS, 7, 58)]


@pytest.mark.parametrize("value", ["{env: PBX}", "{file: keys/pbx}", "{credential: pbx.2026}"])
def test_a_reference_is_accepted_in_each_spelling(company, value):
    company.edit(SETTINGS, "{credential: pbx}", value)
    assert isinstance(company.load().settings.stores["pbx"].options["password"], Secret)


def test_the_path_of_a_secret_is_relative_to_the_configuration(company):
    company.edit(SETTINGS, "{credential: pbx}", "{file: keys/pbx}")
    assert Secret("file", str(company.folder / "keys/pbx")) == company.load().settings.stores["pbx"].options["password"]


def test_keys_of_the_audit_trail_may_be_secrets_too(company):
    company.edit(SETTINGS, "anchors: []", "signing_key: {credential: signing}, reference_keys: keys/reference")
    audit = company.load().settings.audit
    assert (Secret("credential", "signing"), str(company.folder / "keys/reference")) == (audit.signing_key, audit.reference_keys)


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://me:swordfish@db/pbx",
        "postgresql+psycopg://me:sword/fish@db/pbx",
        "mysql://:swordfish@db",
        "https://me:swordfish@host",
        "postgresql://db/pbx?password=swordfish",
        "postgresql://db/pbx?user=me&PASSWORD=swordfish",
    ],
)
def test_a_url_with_a_password_is_refused_without_quoting_it(url):
    with pytest.raises(Unreadable) as caught:
        refuse_inline_password(url)
    assert "swordfish" not in f"{caught.value.what} {caught.value.why} {caught.value.do}"


@pytest.mark.parametrize(
    "url",
    [
        "postgresql+psycopg://retentiond@db/pbx",
        "sqlite:///pbx.db",
        "sqlite:////srv/a:b@c.db",
        "https://host:9000",
        "plain text",
        7,
    ],
)
def test_a_url_without_a_password_is_let_through(url):
    refuse_inline_password(url)


@pytest.mark.parametrize(
    "option",
    ["access_key: AKIA", "secret_key: swordfish", "endpoint: 'https://me:swordfish@host'", "headers: {password: swordfish}"],
)
def test_a_secret_written_down_anywhere_in_a_store_is_refused(company, option):
    company.edit(SETTINGS, "identities:", f"  cloud: {{type: cloud, bucket: b, location: GB, {option}}}\nidentities:")
    problems = company.problems()
    assert len(problems) == 1
    assert "swordfish" not in str(problems[0])
