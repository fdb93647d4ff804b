"""The front door: the sample means what it says, all mistakes are told at once, and only ConfigurationError comes out."""

import os
import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from retentiond.config.load import find, load, promise_findings, secret_findings
from retentiond.config.secrets import Secret
from retentiond.config.settings import Identity
from retentiond.config.shapes import schemas
from retentiond.core.anonymise import Constant, Hash, Mask, Null, Truncate
from retentiond.core.period import IMMEDIATELY, Period
from retentiond.core.policy import (
    Action,
    EventSource,
    Limits,
    Minimum,
    PathSelection,
    Promise,
    Rule,
    Start,
    StoreDefinition,
    TableSelection,
)
from retentiond.errors import ConfigurationError, Problem

CATEGORY = "policies.d/support.yaml"


def told(problems):
    return [f"{p.file}:{p.line}:{p.column}: {p.what}" for p in problems]


def test_the_settings_mean_what_they_say(company):
    found = company.load().settings
    folder = str(company.folder)
    assert (
        found.organisation,
        found.timezone,
        found.engine,
        found.notify,
    ) == ("Example Telephony Ltd", "Europe/London", "local", ())
    assert (f"{folder}/state", f"sqlite:///{folder}/state/state.db") == (found.state.directory, found.state.database)
    assert (f"{folder}/policies.d", f"{folder}/retentiond.yaml") == (found.policies, found.file)
    assert ("audit.example.org/retentiond", f"{folder}/state/keys") == (found.audit.origin, found.audit.signing_key)
    assert {
        "customer-by-email": Identity("customer-by-email", "pbx", "SELECT id AS customer FROM customers WHERE email = :email")
    } == (found.identities)


def test_stores_have_definite_places_and_secrets_by_reference(company):
    found, folder = company.load().settings, str(company.folder)
    options = {"url": f"sqlite:///{folder}/pbx.db", "password": Secret("credential", "pbx"), "zone": "UTC"}
    assert StoreDefinition("pbx", "sql", "GB", options) == found.stores["pbx"]
    assert StoreDefinition("uploads", "files", "IE", {"path": f"{folder}/srv/uploads"}) == found.stores["uploads"]
    assert (found.written) == {
        "uploads": {"path": "srv/uploads"},
        "pbx": {"url": "sqlite:///pbx.db"},
        "helpdesk": {"url": "sqlite:///helpdesk.db"},
    }


def test_a_category_means_what_it_says(company):
    found = company.load().rulebook.categories["support-files"]
    assert (
        found.title,
        found.lawful_basis,
        found.schedule,
        found.approval,
    ) == ("Files obtained for support", "contract", "every 15 minutes", "first")
    assert (("GB", "IE"), (), Limits(5000, 25, 50 * 2**30)) == (found.locations, found.recipients, found.limits)
    notice = str(company.folder / "notices/support.txt")
    assert Promise("deleted as soon as the issue has been resolved", notice) == found.promise
    query = "SELECT id AS subject, resolved_at AS at FROM tickets WHERE status = 'resolved'"
    resolved = EventSource("ticket-resolved", "helpdesk", query, Period(minutes=60, words="1 hour"), zone="UTC")
    assert {
        "ticket-resolved": resolved,
        "contract-ended": EventSource("contract-ended", recorded=True, zone="Europe/London"),
    } == found.events


def test_rules_mean_what_they_say(company):
    uploads, senders = company.load().rulebook.categories["support-files"].rules
    start = Start("event", "ticket-resolved", "ticket", "Europe/London")
    assert uploads == Rule(
        "uploads",
        "uploads",
        PathSelection("tickets/{ticket}/**"),
        start,
        IMMEDIATELY,
        Period(0, 1, words="1 day"),
        Action("delete"),
        subject={"ticket": "ticket"},
    )
    assert senders == Rule(
        "senders",
        "helpdesk",
        TableSelection("attachments", "kind = 'upload'"),
        Start("column", "closed_at", zone="UTC"),
        Period(3, words="3 months"),
        Period(4, words="4 months"),
        Action("delete"),
        Minimum(Period(1, words="1 month"), "the Act"),
        {"email": "sender_email"},
    )


def test_the_sample_has_nothing_to_warn_about_and_a_digest(company):
    loaded = company.load()
    assert [] == loaded.warnings == promise_findings(loaded)
    assert len(loaded.rulebook.digest(["support-files"])) == 64
    assert loaded.files == {"support-files": CATEGORY}


def test_a_comment_leaves_the_digest_alone_and_a_period_does_not(company):
    before = company.load().rulebook.digest(["support-files"])
    company.edit(CATEGORY, "title: Files", "title: All files   # for support")
    assert before == company.load().rulebook.digest(["support-files"])
    company.edit(CATEGORY, "3 months", "2 months")
    assert before != company.load().rulebook.digest(["support-files"])


@pytest.mark.parametrize(
    ("old", "new", "rule", "expected"),
    [
        (
            "{column: closed_at, zone: UTC}",
            "{column: closed_at, zone: Asia/Tokyo}",
            1,
            Start("column", "closed_at", zone="Asia/Tokyo"),
        ),
        ("{column: closed_at, zone: UTC}", "{column: closed_at}", 1, Start("column", "closed_at", zone="Europe/London")),
        (
            "{column: closed_at, zone: UTC}",
            "{column: closed_at, unit: ms}",
            1,
            Start("column", "closed_at", zone="Europe/London", unit="ms"),
        ),
        ("{event: ticket-resolved, by: ticket}", "modified", 0, Start("modified", zone="Europe/London")),
    ],
)
def test_the_zone_of_a_start_is_its_own_else_its_stores_else_the_organisations(company, old, new, rule, expected):
    company.edit(CATEGORY, old, new)
    assert expected == company.load().rulebook.categories["support-files"].rules[rule].start


def test_a_store_may_declare_the_zone_of_its_times(company):
    company.edit("retentiond.yaml", "url: sqlite:///helpdesk.db", "url: sqlite:///helpdesk.db, zone: Asia/Tokyo")
    company.edit(CATEGORY, "{column: closed_at, zone: UTC}", "{column: closed_at}")
    company.edit(CATEGORY, "    zone: UTC\n", "")
    found = company.load()
    category = found.rulebook.categories["support-files"]
    assert (category.rules[1].start.zone, category.events["ticket-resolved"].zone) == ("Asia/Tokyo", "Asia/Tokyo")
    assert found.warnings == []


def test_a_date_in_a_path_starts_a_clock(company):
    company.edit(CATEGORY, '"tickets/{ticket}/**"', '"{ticket}/{day:%Y-%m-%d}/**"')
    company.edit(CATEGORY, "{event: ticket-resolved, by: ticket}", "{path: day, zone: UTC}")
    assert Start("path", "day", zone="UTC") == company.load().rulebook.categories["support-files"].rules[0].start


@pytest.mark.parametrize("spelling", ["legitimate interests", "legitimate_interests", "Legitimate Interests"])
def test_a_lawful_basis_has_a_space_or_an_underscore(company, spelling):
    company.edit(CATEGORY, "lawful_basis: contract", f"lawful_basis: {spelling}")
    assert company.load().rulebook.categories["support-files"].lawful_basis == "legitimate_interests"


@pytest.mark.parametrize("answer", ["yes", "true", '"yes"'])
def test_an_event_may_be_recorded_by_hand(company, answer):
    company.edit(CATEGORY, "recorded: yes", f"recorded: {answer}")
    assert company.load().rulebook.categories["support-files"].events["contract-ended"].recorded


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("where: \"kind = 'upload'\"}", 'where: "1=1"}\n    everything: "yes, every item in attachments"'),
        (", where: \"kind = 'upload'\"}", '}\n    everything: "yes, every item in helpdesk"'),
        (", where: \"kind = 'upload'\"}", ', everything: "yes, every item in attachments"}'),
    ],
)
def test_everything_may_be_meant_if_it_is_said(company, old, new):
    company.edit(CATEGORY, old, new)
    assert company.problems() == []


def test_a_selection_of_nothing_said_to_be_everything_is_everything(company):
    company.edit(CATEGORY, '{path: "tickets/{ticket}/**"}', '{}\n    everything: "yes, every item in uploads"')
    company.edit(CATEGORY, "{event: ticket-resolved, by: ticket}", "modified")
    company.edit(CATEGORY, "    subject: {ticket: ticket}\n", "")
    assert PathSelection("**") == company.load().rulebook.categories["support-files"].rules[0].selection


def test_keys_and_children_of_tables(company):
    company.edit(CATEGORY, "{table: attachments, ", "{table: attachments, key: [a, b], version: v, children: forbid, ")
    selection = company.load().rulebook.categories["support-files"].rules[1].selection
    assert TableSelection("attachments", "kind = 'upload'", ("a", "b"), "v", "forbid") == selection
    company.edit(CATEGORY, "children: forbid", "children: [x, y]")
    selection = company.load().rulebook.categories["support-files"].rules[1].selection
    assert (("x", "y"), ()) == (selection.children, selection.apart)


def test_all_mistakes_of_all_files_are_told_at_once(company):
    company.edit("retentiond.yaml", "Europe/London", "Europe/Londn")
    company.edit("retentiond.yaml", "path: srv/uploads", "path: srv/uploads, paht: x")
    company.edit(CATEGORY, "owner: dpo@example.org", "owner: 7")
    company.edit(CATEGORY, "3 months", "0 months")
    company.edit(CATEGORY, "    store: uploads", "    store: upload")
    company.write("policies.d/a.yaml", "category: [\n")
    assert told(company.problems()) == [
        "retentiond.yaml:2:11: 'Europe/Londn' is no time zone",
        "retentiond.yaml:6:46: 'paht': a files store has no such option",
        "policies.d/a.yaml:2:1: this is no YAML",
        "policies.d/support.yaml:9:8: 'owner' is not text",
        "policies.d/support.yaml:23:12: the store 'upload' is not declared",
        "policies.d/support.yaml:33:23: 'retention_period': '0 months' has a zero in it",
    ]


def test_a_store_with_a_mistake_is_declared_all_the_same(company):
    company.edit("retentiond.yaml", "path: srv/uploads, ", "")
    assert told(company.problems()) == ["retentiond.yaml:6:3: 'path': a files store needs one"]


def test_one_name_for_two_categories_names_both_files(company):
    company.write("policies.d/again.yaml", company.files[CATEGORY])
    problem = next(p for p in company.problems() if "two files" in p.what)
    assert (problem.file, problem.line, problem.column) == ("policies.d/support.yaml", 1, 11)
    assert "policies.d/again.yaml" in problem.why


def test_only_yaml_files_count(company):
    for name in (".support.yaml", ".#support.yaml", "support.yaml~", "#support.yaml#", "support.yaml.swp", "notes.txt"):
        company.write(f"policies.d/{name}", "nonsense: [")
    company.write("policies.d/other.yml", "nonsense: [")
    assert told(company.load().warnings) == ["policies.d/other.yml:1:1: a file that is not read"]


def test_no_category_files_at_all_is_a_problem(company):
    (company.folder / CATEGORY).unlink()
    assert told(company.problems()) == ["retentiond.yaml:4:11: no category files"]


def test_a_folder_and_a_dangling_link_are_no_category_files(company):
    (company.folder / "policies.d/folder.yaml").mkdir()
    (company.folder / "policies.d/link.yaml").symlink_to("nowhere")
    assert told(company.problems()) == [
        "policies.d/folder.yaml:1:1: the file cannot be read",
        "policies.d/link.yaml:1:1: the file cannot be read",
    ]


def test_a_file_name_that_is_not_utf8_is_named_all_the_same(company):
    (company.folder / "policies.d" / os.fsdecode(b"\xff.yaml")).write_text("category: x\n")
    assert all(p.file.isprintable() for p in company.problems())
    assert company.problems()


def test_the_configuration_may_be_loaded_from_anywhere(company, monkeypatch):
    monkeypatch.chdir(company.folder.parent)
    relative = os.path.join(company.folder.name, "retentiond.yaml")
    from_here = load(relative, company.types)
    assert company.load().settings == from_here.settings


def test_times_without_a_zone_are_told(company):
    company.edit(CATEGORY, "{column: closed_at, zone: UTC}", "{column: closed_at}")
    company.edit(CATEGORY, "    zone: UTC\n", "")
    assert [f"{CATEGORY}:17:12: times without a zone", f"{CATEGORY}:31:21: times without a zone"] == told(company.load().warnings)


@pytest.mark.parametrize(
    ("schedule", "warned"),
    [("every 12 hours", False), ("daily at 02:00", True), ("weekly on sunday at 03:00", True), ('{cron: "0 * * * *"}', False)],
)
def test_a_schedule_that_cannot_keep_the_promise_is_told(company, schedule, warned):
    company.edit(CATEGORY, "every 15 minutes", schedule)
    expected = [f"{CATEGORY}:11:11: the schedule cannot keep the deletion period"] if warned else []
    assert expected == told(company.load().warnings)


def test_no_schedule_is_too_seldom_for_what_is_kept_for_ever(company):
    company.edit(CATEGORY, "every 15 minutes", "weekly on sunday at 03:00")
    company.edit(CATEGORY, "retention_period: immediately", "retention_period: forever")
    assert [] == company.load().warnings


def test_a_deletion_period_that_is_too_short_for_some_starts_is_told(company):
    company.edit(CATEGORY, "deletion_period: 4 months", "deletion_period: 90 days")
    assert [f"{CATEGORY}:34:5: the deletion period can be below the retention period"] == told(company.load().warnings)


def test_a_promise_is_looked_for_in_its_notice(company):
    company.write("notices/support.txt", "Your files are kept for ever.")
    assert [f"{CATEGORY}:3:17: the promise is not in its notice"] == told(promise_findings(company.load()))
    (company.folder / "notices/support.txt").unlink()
    assert [f"{CATEGORY}:3:73: the notice cannot be read"] == told(promise_findings(company.load()))


def test_secrets_that_are_not_there_are_told_only_when_asked_for(company):
    loaded = company.load()
    assert told(secret_findings(loaded, {})) == ["retentiond.yaml:7:58: the secret {credential: pbx} is not there"]
    company.write("credentials/pbx", "swordfish\n")
    assert secret_findings(loaded, {"CREDENTIALS_DIRECTORY": str(company.folder / "credentials")}) == []


def test_secrets_inside_of_options_are_looked_at_too(company):
    cloud = "  cloud: {type: cloud, bucket: b, location: GB, headers: {a: [x, {env: NOT_SET}], b: {env: NOT_SET}}}\n"
    company.edit("retentiond.yaml", "identities:", f"{cloud}identities:")
    found = [p for p in secret_findings(company.load(), {}) if p.line == 9]
    assert [p.column for p in found] == [66, 86]


def test_the_configuration_is_found_where_it_is_said_to_be(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert find("a.yaml", {"RETENTIOND_CONFIG": "b.yaml"}) == "a.yaml"
    assert find(None, {"RETENTIOND_CONFIG": "b.yaml"}) == "b.yaml"
    (tmp_path / "retentiond.yaml").write_text("")
    assert find(None, {}) == "retentiond.yaml"


@pytest.mark.skipif(Path("/etc/retentiond/retentiond.yaml").exists(), reason="this machine has a configuration of its own")
def test_no_configuration_at_all_says_how_to_begin(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigurationError) as caught:
        find(None, {})
    assert caught.value.problems[0].do == "write one with: retentiond init"


def test_a_configuration_that_is_not_there_is_a_problem(tmp_path):
    with pytest.raises(ConfigurationError) as caught:
        load(str(tmp_path / "retentiond.yaml"), {})
    assert told(caught.value.problems) == ["retentiond.yaml:1:1: the file cannot be read"]


def test_a_plugin_that_fails_to_load_is_told_like_any_other_mistake(company):
    class Broken(dict):
        """Installed types, of which one cannot be loaded."""

        def __getitem__(self, name):
            if name == "files":
                raise ConfigurationError([Problem("the store type files cannot be used", "it lacks act", "repair it")])
            return super().__getitem__(name)

    company.types = Broken(company.types)
    company.edit(CATEGORY, "owner: dpo@example.org", "owner: 7")
    assert told(company.problems()) == [
        "retentiond.yaml:6:20: the store type files cannot be used",
        f"{CATEGORY}:9:8: 'owner' is not text",
    ]


def fields_of(schema):
    shapes = [schema, *schema.get("$defs", {}).values()]
    return [field for shape in shapes for field in shape.get("properties", {}).values()]


def test_every_key_has_a_description_and_an_example_for_editors():
    for schema in schemas().values():
        assert [f for f in fields_of(schema) if not (f.get("description") and f.get("examples"))] == []


words = st.sampled_from(
    [
        "category",
        "title",
        "rules",
        "stores",
        "uploads",
        "pbx",
        "select",
        "start",
        "path",
        "table",
        "where",
        "everything",
        "column",
        "event",
        "delete",
        "keep",
        "{}",
        "[]",
        "|",
        ">",
        "-",
        ":",
        ",",
        "'tickets/{ticket}/**'",
        "immediately",
        "3",
        "-1",
        "true",
        "null",
        "~",
        "yes",
        "&",
        "*",
        "!",
        "%",
        '"',
        "'",
        "\n",
        "\n  ",
        "\t",
        "\0",
        "é",
        "{credential: pbx}",
        "type",
        "files",
        "sql",
        "location",
    ]
)
pieces = st.text(max_size=40) | st.lists(words, max_size=12).map(" ".join)


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_nothing_but_problems_comes_of_any_text(company, data):
    """Somewhere in a good file, some lines are replaced by anything."""
    name = data.draw(st.sampled_from(["retentiond.yaml", CATEGORY]))
    good = company.files[name]
    cut = sorted(data.draw(st.tuples(st.integers(0, len(good)), st.integers(0, len(good)))))
    text = good[: cut[0]] + data.draw(pieces) + good[cut[1] :]
    judged(company, {name: text.encode("utf-8", "surrogatepass")})


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_nothing_but_problems_comes_of_any_value(company, data):
    """Any one value of a good file is replaced by anything of any type."""
    name = data.draw(st.sampled_from(["retentiond.yaml", CATEGORY]))
    lines = company.files[name].splitlines()
    n = data.draw(st.integers(0, len(lines) - 1))
    value = data.draw(
        st.sampled_from(["7", "-1", "true", "~", "[]", "{}", "[7]", "{a: b}", "{a: {b: [c]}}", "x", "''", "[[]]", '"\\u00e9"'])
    )
    lines[n] = lines[n].partition(":")[0] + ": " + value
    judged(company, {name: "\n".join(lines).encode()})


@example(b"")
@example(b"\xff\xfe")
@given(st.binary(max_size=100))
@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_nothing_but_problems_comes_of_any_bytes(company, raw):
    judged(company, {CATEGORY: raw})
    judged(company, {"retentiond.yaml": raw})


def judged(company, changed):
    with tempfile.TemporaryDirectory() as folder:
        copy = type(company)(Path(folder))
        for name, text in {**company.files, **changed}.items():
            copy.write(name, text)
        problems = copy.problems()
        assert all(p.what and p.line >= 1 and p.column >= 1 and "\n" not in str(p) for p in problems)
        if not problems:
            loaded = copy.load()
            assert loaded.rulebook.digest(loaded.rulebook.categories)


ANONYMISE = "{anonymise: {a: removed, b: null, c: {hash: 16}, d: {truncate: 24}, e: {truncate: year}, f: {mask: 0}, g: 0, h: ''}}"


def test_anonymise_means_what_it_says(company):
    company.edit(CATEGORY, "action: delete\n    subject: {email", f"action: {ANONYMISE}\n    subject: {{email")
    action = company.load().rulebook.categories["support-files"].rules[1].action
    made = [Constant("removed"), Null(), Hash(16), Truncate(24), Truncate("year"), Mask(0), Constant(0), Constant("")]
    assert Action("anonymise", tuple(zip("abcdefgh", made, strict=True))) == action


@pytest.mark.parametrize("name", ["ref", "Ref", "rev", "closed_at"])
def test_what_names_times_or_compares_a_row_is_not_anonymised(company, name):
    company.edit(CATEGORY, "where: \"kind = 'upload'\"", "where: \"kind = 'upload'\", key: [ref, no], version: rev")
    company.edit(CATEGORY, "action: delete\n    subject: {email", f"action: {{anonymise: {{{name}: x}}}}\n    subject: {{email")
    assert [f"'{name}' cannot be anonymised"] == [p.what for p in company.problems()]
