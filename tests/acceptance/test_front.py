"""The front door: options before and after the command, errors in words and in JSON, the configuration that is found."""

import json

import pytest

from tests.acceptance.shop import LETTERS

SHAPE = ["code", "file", "line", "column", "what", "why", "do"]
READING = [
    ["check"], ["check", "--offline"], ["plan"], ["plan", "post"], ["plans"], ["runs"], ["hold", "list"], ["event", "list"],
    ["explain", "desk", "letters/00000.txt"], ["audit", "show"], ["audit", "verify"], ["clock"],
]  # fmt: skip


@pytest.mark.parametrize("command", READING, ids=" ".join)
def test_json_is_taken_before_and_after_the_command_and_between_its_words(busy, command):
    busy.told("plan")
    for at in range(len(command) + 1):
        value = busy.told(*command[:at], "--json", *command[at:], *(["--verbose"] if at else [])).json
        assert isinstance(value, dict)


@pytest.mark.parametrize("form", ["--config X", "--config=X"])
def test_config_is_taken_before_and_after_the_command(busy, form, monkeypatch):
    monkeypatch.delenv("RETENTIOND_CONFIG", raising=False)
    plan = busy.plan()
    given = form.replace("X", str(busy.config)).split()
    wrong = ["--config", "/nonexistent.yaml"]
    from tests.acceptance.shop import code_of

    for command in (["check"], ["plan", "show", plan], ["hold", "list"]):
        for at in range(len(command)):
            assert code_of([*command[: at + 1], *given, *command[at + 1 :]]) == 0
        assert code_of([*given, *command]) == 0
        assert code_of([*wrong, *command]) == 2
    for at in ([*given, "plan", "show", plan], ["plan", *given, "show", plan], ["plan", "show", *given, plan]):
        assert code_of(at) == 0


def test_the_configuration_is_found_by_the_environment_and_here(busy, monkeypatch, tmp_path):
    from tests.acceptance.shop import code_of

    monkeypatch.delenv("RETENTIOND_CONFIG", raising=False)
    monkeypatch.chdir(tmp_path)
    assert code_of(["check"]) == 2
    monkeypatch.setenv("RETENTIOND_CONFIG", str(busy.config))
    assert code_of(["check"]) == 0
    monkeypatch.delenv("RETENTIOND_CONFIG")
    monkeypatch.chdir(busy.folder)
    assert code_of(["check"]) == 0


def test_errors_under_json_have_the_shape_of_the_contract(busy):
    wrong = [
        (["apply", "0" * 64], 4), (["plan", "no"], 2), (["apply"], 2), (["nonsense"], 2), (["plan", "--nonsense"], 2),
        (["apply", "--category", "post"], 3), (["approve", "post"], 2), (["hold", "place", "X"], 2),
        (["explain", "desk"], 2), (["hold", "release", "X", "--reason", "r"], 2), (["event", "record", "x", "y"], 2),
    ]  # fmt: skip
    for command, code in wrong:
        told = busy.told("--json", *command, code=code)
        assert told.err == "", command
        assert [list(e) for e in told.json["errors"]] == [SHAPE], command
        assert told.json["errors"][0]["what"]
        words = busy.told(*command, code=code)
        assert words.err.startswith("retentiond: "), command


def test_errors_of_the_configuration_come_all_at_once_with_their_places(busy):
    busy.category("post", LETTERS.replace("action: delete", "action: deleet").replace("3 months", "-3 months"))
    busy.settings(text=busy.config.read_text().replace("organisation", "organization"))
    errors = busy.json("check", code=2)["errors"]
    assert {e["file"] for e in errors} == {"retentiond.yaml", "policies.d/post.yaml"}
    assert all(e["line"] > 0 and e["column"] > 0 and e["code"] == "configuration" for e in errors)
    words = busy.told("plan", code=2).err.splitlines()
    assert len(words) == len(errors)
    for e in errors:
        assert any(line.startswith(f"retentiond: {e['file']}:{e['line']}:{e['column']}: ") for line in words)


def test_there_is_a_version_and_help_for_every_command(busy):
    assert busy.told("--version").out.startswith("retentiond 0.")
    listed = busy.told("--help").out
    for command in ("init", "demo", "check", "plan", "plans", "runs", "approve", "apply", "explain", "hold", "event", "audit"):
        assert f"\n  {command} " in listed
        assert "Usage: retentiond " + command in busy.told(command, "--help").out
    assert "did you mean 'approve'" in busy.told("aprove", code=2).err


def test_a_word_that_is_not_utf8_is_a_usage_error(busy):
    busy.told("plan")
    for command in (["explain", "desk", "\udcff"], ["audit", "lookup", "desk", "\udcff"], ["event", "record", "\udcff", "x"]):
        told = busy.told("--json", *command, code=2)
        assert told.json["errors"][0]["code"] == "usage"
    told = busy.told("hold", "place", "A\udcff", "--reason", "r", "--mandate", "m", "--everything", code=2)
    assert "UTF-8" in told.err
    assert busy.json("hold", "list")["holds"] == []


def test_check_says_what_is_wrong_with_a_promise_and_still_exits_0(busy):
    (busy.folder / "notice.txt").write_text("Letters are deleted\n  after three months.")
    head = "promise: {text: deleted after three months, source: notice.txt}\n"
    busy.category("post", LETTERS, head=head + "limits: {share: 100%}")
    assert busy.json("check", "--offline")["warnings"] == []
    (busy.folder / "notice.txt").write_text("Letters are kept.")
    (warning,) = busy.json("check", "--offline")["warnings"]
    assert (warning["file"], warning["line"] > 0) == ("policies.d/post.yaml", True)
    assert json.dumps(warning)
    assert "promise" in busy.told("check").out


def test_a_category_that_there_is_not_is_said_with_those_that_there_are(busy):
    (error,) = busy.json("plan", "nope", code=2)["errors"]
    assert error["do"] == "the categories are: post, trade"
    (error,) = busy.json("approve", "pst", code=2)["errors"]
    assert error["do"] == "did you mean 'post'?"


def test_check_offline_opens_no_store(busy):
    (busy.folder / "till.db").rename(busy.folder / "away.db")
    busy.told("check", "--offline")
    value = busy.json("check", code=5)
    assert (value["ok"], [e["rule"] for e in value["errors"]]) == (False, ["trade/sales"])
    assert [r["rule"] for r in value["rules"]] == ["letters"]
    assert set(SHAPE) <= value["errors"][0].keys()
