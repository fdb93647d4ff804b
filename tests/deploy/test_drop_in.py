"""`retentiond unit`: what it opens is what the rules need, and systemd reads it as it is meant."""

import json
import os
from pathlib import Path

import pytest

from retentiond.cli.front import code_of
from tests.world import CATEGORY

CONFIG = """\
organisation: Drop-in Ltd
timezone: UTC
state: STATE
policies: policies.d
stores:
  recordings: {type: files, path: "RECORDINGS", location: GB}
  pbx: {type: sql, url: "sqlite:////srv/pbx/pbx.db", zone: UTC, location: GB}
  unused: {type: files, path: /srv/unused, location: GB}
audit: {origin: drop-in.example.org/log}
"""
STRANGE = '/srv/call 100% "of\' all"\\x20 $HOME ;:#é'


class Written:
    """A configuration, and what the command makes of it."""

    def __init__(self, folder):
        self.folder = folder
        (folder / "policies.d").mkdir()
        self.category(CATEGORY)
        self.config()

    def config(self, state="/var/lib/retentiond", recordings="/srv/recordings", more=""):
        written = CONFIG.replace("STATE", state).replace("RECORDINGS", recordings.replace("\\", "\\\\").replace('"', '\\"'))
        (self.folder / "retentiond.yaml").write_text(written + more)

    def category(self, text):
        (self.folder / "policies.d" / "calls.yaml").write_text(text)

    def unit(self, capsys, *args, code=0):
        assert code_of(["--config", str(self.folder / "retentiond.yaml"), "unit", *args]) == code
        return capsys.readouterr().out

    def opened(self, capsys):
        """Each opening's path, whether it may be written, and whether nothing runs without it."""
        found = json.loads(self.unit(capsys, "--json"))["openings"]
        return {o["path"]: (o["writable"], o["vital"]) for o in found if not Path(o["path"]).is_relative_to(self.folder)}


@pytest.fixture
def written(tmp_path):
    return Written(tmp_path)


def test_it_opens_the_state_and_the_stores_of_rules_and_no_other(written, capsys):
    """SQLite needs the folder of a database; a store that is away must not keep the others from being looked at."""
    assert written.opened(capsys) == {
        "/srv/pbx": (True, False),
        "/srv/recordings": (True, False),
        "/var/lib/retentiond": (True, True),
    }


def test_a_store_whose_rules_only_keep_stays_closed(written, capsys):
    written.category(CATEGORY.replace("action: delete", "action: keep", 1))
    assert "/srv/recordings" not in written.opened(capsys)


def test_a_database_that_only_an_event_asks_is_opened_for_its_journal(written, capsys):
    rows = CATEGORY.index("  rows:")
    asked = "events:\n  ended: {store: pbx, query: 'SELECT id AS subject, at FROM calls'}\nrules:"
    written.category(CATEGORY[:rows].replace("rules:", asked))
    assert written.opened(capsys)["/srv/pbx"] == (True, False)


def test_what_the_state_keeps_elsewhere_is_opened_too(written, capsys):
    written.config(state="{directory: /srv/state, database: 'sqlite:////srv/ledger/state.db'}")
    text = (written.folder / "retentiond.yaml").read_text().replace("/log}", "/log, reference_keys: /srv/keys}")
    (written.folder / "retentiond.yaml").write_text(text)
    opened = written.opened(capsys)
    assert [opened[path] for path in ("/srv/state", "/srv/ledger", "/srv/keys")] == [(True, True)] * 3


def test_what_lies_below_another_opening_is_not_opened_twice(written, capsys):
    """A mount within a store would be another place, which is never entered."""
    written.config(recordings="/srv/pbx/recordings")
    assert set(written.opened(capsys)) == {"/srv/pbx", "/var/lib/retentiond"}


@pytest.mark.parametrize("home", ["/home/desk", "/root/desk", "/var/tmp/desk"])
def test_what_lies_where_the_sandbox_shows_nothing_is_shown_again(written, capsys, home):
    written.config(recordings=home)
    text = written.unit(capsys)
    assert f'BindPaths="-{home}"\n' in text
    assert "ProtectHome=tmpfs\n" in text


def test_a_link_is_followed_to_the_place_that_systemd_has_to_open(written, capsys, tmp_path):
    real, link = tmp_path / "real", tmp_path / "link"
    real.mkdir()
    link.symlink_to(real)
    written.config(recordings=f"{link}/desk")
    assert f'"-{os.path.realpath(real)}/desk"' in written.unit(capsys)


@pytest.mark.parametrize(("folder", "setting"), [(STRANGE, "ReadWritePaths"), ("/home" + STRANGE, "BindPaths")])
@pytest.mark.parametrize("unit", ["retentiond.service", "retentiond-apply@.service"])
def test_systemd_reads_every_path_as_it_is(written, staged, capsys, folder, setting, unit):
    written.config(recordings=folder)
    staged.add(unit, written.unit(capsys))
    assert staged.complaints(unit) == ""
    (understood,) = staged.understood(unit, setting)
    assert f"-{folder}" in understood


def test_a_path_that_no_unit_can_spell_is_refused(written, capsys):
    written.config(recordings="/srv/a\\nb")
    text = (written.folder / "retentiond.yaml").read_text().replace("a\\\\nb", "a\\nb")
    (written.folder / "retentiond.yaml").write_text(text)
    assert "BindPaths" not in written.unit(capsys, code=2)


def test_local_files_cost_half_a_point_even_with_capabilities(written, staged, capsys):
    """Capabilities reach no file from a namespace of users, so that one goes; what they reach is opened path by path."""
    staged.add("retentiond.service", written.unit(capsys).replace("#CapabilityB", "CapabilityB").replace("#Ambient", "Ambient"))
    assert staged.complaints("retentiond.service") == ""
    assert staged.exposure("retentiond.service") <= 1.6
