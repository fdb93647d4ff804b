"""The settings beyond the sample: other spellings of the state, the keys and the engine, and where a store may not be."""

import pytest

from retentiond.config.places import absolute_url, inside
from retentiond.stores.s3 import S3Type

FILE = "retentiond.yaml"
UPLOADS = "path: srv/uploads"


def told(company):
    return [f"{p.line}:{p.column} {p.what}" for p in company.problems()]


@pytest.mark.parametrize(
    ("written", "directory", "database"),
    [
        ("state", "{0}/state", "sqlite:///{0}/state/state.db"),
        ("./state/../other", "{0}/other", "sqlite:///{0}/other/state.db"),
        ("/var/lib/r", "/var/lib/r", "sqlite:////var/lib/r/state.db"),
        ("{directory: state}", "{0}/state", "sqlite:///{0}/state/state.db"),
        ("{directory: state, database: sqlite:///db/s.db}", "{0}/state", "sqlite:///{0}/db/s.db"),
        ("{directory: state, database: sqlite+pysqlite:////db/s.db}", "{0}/state", "sqlite+pysqlite:////db/s.db"),
        ("{directory: state, database: postgresql+psycopg://me@db/r}", "{0}/state", "postgresql+psycopg://me@db/r"),
        ("{directory: state, database: 'postgresql+psycopg:///r?host=/run'}", "{0}/state", "postgresql+psycopg:///r?host=/run"),
    ],
)
def test_the_state_has_a_directory_and_a_database(company, written, directory, database):
    company.edit(FILE, "state: state", f"state: {written}")
    state = company.load().settings.state
    assert (state.directory, state.database) == (directory.format(company.folder), database.format(company.folder))


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("7", "3:8 'state' is no place"),
        ("''", "3:8 'state' is no place"),
        ("{database: sqlite:///s.db}", "3:1 'directory' is missing"),
        ("{directory: state, database: postgresql://me:swordfish@db/r}", "3:37 a password in a URL"),
        ("{directory: state, database: sqlite://}", "3:37 this is no database for the state"),
        ("{directory: state, database: postgresql+psycopg://db}", "3:37 this is no database for the state"),
        ("{directory: state, database: mysql+pymysql://db/r}", "3:37 this is no database for the state"),
        ("{directory: state, password: {env: P}}", "3:37 a file needs no 'password'"),
        ("{directory: state, database: postgresql+psycopg://db/r, password: swordfish}", "3:74 a secret is written down"),
    ],
)
def test_a_state_that_cannot_be_used_is_told(company, written, expected):
    company.edit(FILE, "state: state", f"state: {written}")
    assert told(company) == [expected]


@pytest.mark.parametrize(
    ("key", "expected"),
    [
        ("7", "this is no place of a key"),
        ("{env: ''}", "a reference to a secret without its name"),
        ("'-----BEGIN PRIVATE KEY----- swordfish'", "a key is written down"),
    ],
)
def test_a_key_is_a_path_or_a_reference(company, key, expected):
    company.edit(FILE, "anchors: []", f"signing_key: {key}")
    assert [p.what for p in company.problems()] == [expected]
    assert "swordfish" not in str(company.problems()[0])


def test_a_store_must_not_hold_what_the_program_runs_on(company):
    (company.folder / "link").symlink_to("policies.d")
    for path, what in {
        "link": "holds the policies",
        ".": "holds this file",
        "state": "holds the state",
        "state/plans/x": "lies inside the state",
        "policies.d/../policies.d": "holds the policies",
    }.items():
        company.edit(FILE, UPLOADS, f"path: {path}")
        assert told(company) == [f"6:13 the store 'uploads' {what}"]
        company.edit(FILE, f"path: {path}", UPLOADS)


def test_a_store_must_not_be_the_states_database_on_a_server(company):
    company.edit(FILE, "state: state", "state: {directory: state, database: postgresql+psycopg://keeper@db/all}")
    company.edit(FILE, "sqlite:///pbx.db", "postgresql://reader@db:5432/all")
    assert told(company) == ["7:13 the store 'pbx' holds the state's database"]
    company.edit(FILE, "reader@db:5432/all", "reader@db:5432/other")
    assert told(company) == []


def test_a_store_must_not_be_the_states_database(company):
    company.edit(FILE, "sqlite:///pbx.db", "sqlite:///state/state.db")
    assert told(company) == ["7:13 the store 'pbx' holds the state's database"]


def test_a_store_must_not_hold_the_keys(company):
    company.edit(FILE, "anchors: []", "signing_key: srv/uploads/signing.key")
    assert told(company) == ["6:13 the store 'uploads' holds the audit trail's keys"]


def test_a_folder_is_inside_itself_and_not_inside_its_namesake(tmp_path):
    assert inside(str(tmp_path / "a" / "b"), str(tmp_path / "a"))
    assert inside(str(tmp_path), str(tmp_path))
    assert inside(str(tmp_path), "/")
    assert not inside(str(tmp_path / "ab"), str(tmp_path / "a"))


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("sqlite:///a.db", "sqlite:////f/a.db"),
        ("sqlite:///./x/../a.db?mode=ro", "sqlite:////f/a.db?mode=ro"),
        ("sqlite+pysqlite:///a.db", "sqlite+pysqlite:////f/a.db"),
        ("sqlite:////srv/a.db", "sqlite:////srv/a.db"),
        ("sqlite:///:memory:", "sqlite:///:memory:"),
        ("sqlite:///file:a.db?uri=true", "sqlite:///file:a.db?uri=true"),
        ("sqlite://", "sqlite://"),
        ("postgresql://db/pbx", "postgresql://db/pbx"),
    ],
)
def test_relative_databases_are_relative_to_the_configuration(url, expected):
    assert absolute_url("/f", url) == expected


@pytest.mark.parametrize("stores", ["{}", "[]", "7", "x"])
def test_stores_are_a_mapping_with_something_in_it(company, stores):
    head, _, rest = company.files[FILE].partition("stores:\n")
    company.write(FILE, f"{head}stores: {stores}\naudit:{rest.partition('audit:')[2]}")
    assert [p.line for p in company.problems() if p.file == FILE] == [5]


@pytest.mark.parametrize("name", ["a b", "-a", "a/b", "é", "a" * 65])
def test_names_are_names(company, name):
    company.edit(FILE, "  uploads:", f"  {name!r}: {{type: files, path: x, location: GB}}\n  uploads:")
    assert [p.column for p in company.problems()] == [3]


def test_a_store_that_is_no_mapping_is_told(company):
    company.edit(FILE, "{type: sql, url: sqlite:///helpdesk.db, location: GB}", "sqlite:///helpdesk.db")
    assert told(company) == ["8:13 the store 'helpdesk' is no mapping"]


def test_the_path_of_a_plugins_store_is_its_own(company):
    """Only the paths of this machine's own types are made absolute; a path elsewhere is left as it is written."""
    company.edit(FILE, "type: files, path: srv/uploads", "type: cloud, bucket: srv/uploads")
    company.edit("policies.d/support.yaml", "recipients: []", "recipients: [couriers]")
    assert company.load().settings.stores["uploads"].options == {"bucket": "srv/uploads"}


def test_where_a_bucket_is_has_to_be_where_its_store_says(company):
    """The region tells the country; a server of one's own may be anywhere."""
    company.types = {**company.types, "s3": S3Type()}
    company.edit("retentiond.yaml", "{type: files, path: srv/uploads,", "{type: s3, bucket: acme-calls, region: eu-west-1,")
    company.edit("policies.d/support.yaml", "immediately", "1 month")
    assert company.problems() == []
    company.edit("retentiond.yaml", "region: eu-west-1", "region: eu-west-2")
    (problem,) = company.problems()
    assert (problem.file.rpartition("/")[2], problem.line) == ("retentiond.yaml", 6)
    assert "its options put it in GB" in problem.why
    company.edit("retentiond.yaml", "region: eu-west-2", "endpoint: 'http://127.0.0.1:9000', region: eu-west-2")
    assert company.problems() == []
