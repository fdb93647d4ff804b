"""Kinds of store are found by entry points, loaded when needed, and a broken one stops the program."""

import subprocess
import sys
from pathlib import Path

import pytest

from retentiond.errors import ConfigurationError
from retentiond.stores.plugin import store_type, store_types


@pytest.fixture
def install(tmp_path, monkeypatch):
    """Puts a distribution with one store kind on the path, as pip would."""

    def _install(distribution: str, name: str, value: str, module: str = "") -> None:
        info = tmp_path / f"{distribution}-1.2.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {distribution}\nVersion: 1.2\n")
        (info / "entry_points.txt").write_text(f"[retentiond.stores]\n{name} = {value}\n")
        if module:
            (tmp_path / f"{value.partition(':')[0]}.py").write_text(module)

    monkeypatch.syspath_prepend(tmp_path)
    return _install


GOOD = """
class TapeType:
    name = "tape"
    def problems(self, options): return []
    def look(self, options): return None
    def act(self, options): return None
"""


def test_ours_are_registered_like_anybodys():
    assert {"files", "sql"} <= set(store_types())
    assert store_type("files").name == "files"


def test_listing_the_kinds_and_using_files_imports_no_database_library():
    code = (
        "import sys; from retentiond.stores.plugin import store_type, store_types; store_types(); store_type('files');"
        "print([m for m in ('sqlalchemy', 'boto3', 'ctypes') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=Path(__file__).parents[2])
    assert done.stdout.strip() == "[]"


def test_a_strangers_kind_is_found(install):
    install("a-tape", "tape", "tape_one:TapeType", GOOD)
    assert store_type("tape").name == "tape"


@pytest.mark.parametrize(
    ("module", "why"),
    [
        ("import no_such_library", "ModuleNotFoundError"),
        ("TapeType = object", "lacks name, problems, look, act"),
        (GOOD.replace('"tape"', '"disk"'), "calls itself disk"),
    ],
)
def test_one_that_cannot_be_loaded_names_its_distribution(install, module, why, request):
    install("b-tape", "tape", f"tape_{abs(hash(request.node.name))}:TapeType", module)
    store_types()
    with pytest.raises(ConfigurationError, match=r"b-tape 1\.2") as refused:
        store_type("tape")
    assert why in str(refused.value)


def test_two_that_claim_one_name_are_refused(install):
    install("c-files", "files", "tape_three:TapeType", GOOD)
    with pytest.raises(ConfigurationError, match="registers the same name"):
        store_types()


def test_an_unknown_kind_is_refused_with_a_suggestion():
    with pytest.raises(ConfigurationError, match="did you mean files"):
        store_type("file")
    with pytest.raises(ConfigurationError, match="installed are"):
        store_type("zzzzzz")


OPTIONS = {
    "files": {"path": "/x", "quiet": "10 minutes"},
    "mail": {"path": "/m", "format": "maildir", "host": "h", "port": 993, "user": "u", "tls": "starttls", "ca": "/c",
             "folders": ["a"]},
    "s3": {"bucket": "bbb", "prefix": "in/", "region": "eu-west-2", "endpoint": "https://s",
           "profile": "x", "owner": "1", "content_md5": True, "conditional_deletes": True, "inventory": {"prefix": "x/"}},
    "sftp": {"host": "h", "port": 22, "user": "u", "path": "/x", "host_key": "ssh-ed25519 AAAA", "known_hosts": "/k",
             "timeout": "1 s"},
    "sql": {"url": "postgresql+psycopg://u@h:5432/d", "lock_timeout": "5 s", "statement_timeout": "30 s",
            "replicas": {"urls": ["postgresql+psycopg://u@s/d"], "lag": "5 s"}},
}  # fmt: skip
NONSENSE = (5, -1, 10**30, True, None, "", "ü", "{a", "https://[x", "a\0b", [], [1], [[]], {}, {"a": 1})


@pytest.mark.parametrize(("name", "option"), [(name, option) for name, options in OPTIONS.items() for option in options])
def test_an_option_that_is_nonsense_is_answered_and_never_a_fault(name, option):
    type_ = store_type(name)
    answers = [list(type_.problems(OPTIONS[name] | {option: value})) for value in NONSENSE]
    assert any(option in {key for key, _ in answer} for answer in answers)
    assert all(what for answer in answers for _, what in answer)
