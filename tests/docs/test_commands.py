"""docs/commands.md has every command with every option, and the form of each JSON answer is the one that it shows."""

import contextlib
import io
import json
import re
from datetime import UTC, datetime

import click
import pytest

from retentiond.cli.front import COMMANDS, code_of, retentiond
from tests.docs.test_readme import ROOT
from tests.world import World

PAGE = (ROOT / "docs" / "commands.md").read_text(encoding="utf-8")
COMMON = {"--config", "--json", "--verbose", "--help", "-h"}
SECTIONS = {
    re.match(r"((?:[a-z]+ ?)+)", title)[1].strip(): (title, body)
    for title, body in re.findall(r"^### `retentiond ([^`]+)`\n(.*?)(?=^##|\Z)", PAGE, re.DOTALL | re.MULTILINE)
}


def found_in(group, path=()):
    """Every command that does something, by its name on the line; `plan make` is what `plan` alone does."""
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        if isinstance(command, click.Group):
            yield from found_in(command, (*path, name))
        else:
            yield " ".join(path if name == "make" else (*path, name)), command


def commands():
    return list(found_in(retentiond))


def options(command):
    return {opt for param in command.params if isinstance(param, click.Option) for opt in param.opts} - COMMON


def test_every_command_has_its_section_and_no_other():
    assert sorted(SECTIONS) == sorted(name for name, _ in commands())


@pytest.mark.parametrize(("name", "command"), commands(), ids=[name for name, _ in commands()])
def test_every_option_has_its_line_and_no_other(name, command):
    shown = set(re.findall(r"^\| `(--[a-z-]+)", SECTIONS[name][1], re.MULTILINE))
    assert shown == options(command)


@pytest.mark.parametrize(("name", "command"), commands(), ids=[name for name, _ in commands()])
def test_every_argument_stands_in_the_title(name, command):
    arguments = [param for param in command.params if isinstance(param, click.Argument)]
    words = SECTIONS[name][0].removeprefix(name).split()
    assert len(words) == len(arguments)
    assert [word.startswith("[") for word in words] == [not param.required for param in arguments]


def test_the_options_of_every_command_stand_on_the_page():
    shown = set(re.findall(r"`(-[a-z-]+)[ `]", PAGE.partition("## Options of every command")[2].partition("## Exit codes")[0]))
    assert shown >= COMMON


def test_what_is_not_there_yet_is_not_there():
    """A command that somebody builds moves from the last section to one of its own."""
    names = re.findall(r"`([a-z]+(?: [a-z]+)*)`", PAGE.partition("## What is not there yet")[2])
    there = {name for name, _ in commands()} | set(COMMANDS)
    assert names
    assert there.isdisjoint(names)


# The JSON answers, compared with those of a small world


def told(world, *args, code=0):
    """The JSON answer of one command, run in this process."""
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        assert code_of(["--json", "--config", str(world.folder / "retentiond.yaml"), *args]) == code
    return json.loads(out.getvalue())


@pytest.fixture(scope="module")
def answers(tmp_path_factory):
    """What each command answers with `--json`, by its name."""
    folder = tmp_path_factory.mktemp("answers")
    world = World(folder / "w", files=3, rows=3)
    category = world.folder / "policies.d" / "calls.yaml"
    category.write_text(category.read_text().replace("rules:", "events:\n  contract-ended: {recorded: yes}\nrules:", 1))
    place = ("hold", "place", "CASE-7", "--reason", "a claim", "--mandate", "m", "--path", world.held_file)
    found = {"check": told(world, "check"), "init": told(world, "init", str(folder / "shop"))}
    found["hold place"] = told(world, *place)
    found["plan"] = told(world, "plan")
    name = found["plan"]["plan"]
    found |= {"plans": told(world, "plans"), "plan show": told(world, "plan", "show", name)}
    found["plan diff"] = told(world, "plan", "diff", name, told(world, "plan", "--at", "2040-01-01")["plan"])
    found |= {"hold list": told(world, "hold", "list"), "explain": told(world, "explain", "recordings", world.held_file)}
    found["event record"] = told(world, "event", "record", "contract-ended", "1017")
    found |= {"event list": told(world, "event", "list")}
    found["event take"] = told(world, "event", "take")
    found["event withdraw"] = told(world, "event", "withdraw", "contract-ended", "1017")
    found["approve"] = told(world, "approve", "calls", "--yes")
    found |= {"apply": told(world, "apply", name), "runs": told(world, "runs"), "clock": told(world, "clock")}
    found["status"] = told(world, "status")
    found["hold release"] = told(world, "hold", "release", "CASE-7", "--reason", "settled")
    found |= {"audit show": told(world, "audit", "show", "--type", "hold-released")}
    found["audit lookup"] = told(world, "audit", "lookup", "recordings", world.due_files[0])
    found["audit certificate"] = told(world, "audit", "certificate", found["apply"]["run"])
    found |= reviewed(folder / "reviews") | archived(folder / "archives") | erased(folder / "requests")
    found["notify test"] = tried(world)
    found |= {
        "unit": told(world, "unit"),
        "audit verify": told(world, "audit", "verify"),
        "audit anchor": anchored(world),
        "audit export": told(world, "audit", "export", str(folder / "copy")),
    }
    return found


def tried(world):
    """What `notify test` answers about an address at which nobody listens."""
    settings = world.folder / "retentiond.yaml"
    whole = settings.read_text()
    settings.write_text(f'{whole}\nnotify: [{{webhook: "http://127.0.0.1:1/"}}]\n')
    answer = told(world, "notify", "test", code=1)
    settings.write_text(whole)
    return answer


def anchored(world):
    """What `audit anchor` answers about a program that takes what it is given."""
    settings = world.folder / "retentiond.yaml"
    whole = settings.read_text()
    settings.write_text(whole.replace("/log}", '/log, anchors: [{command: ["/bin/true"]}]}'))
    answer = told(world, "audit", "anchor")
    settings.write_text(whole)
    return answer


def erased(folder):
    """What `erase` answers, in a world of its own."""
    world = World(folder, files=3, rows=3)
    category = world.folder / "policies.d" / "calls.yaml"
    category.write_text(f"{category.read_text()}    subject: {{customer: id}}\n")
    found = {"erase": told(world, "erase", "customer=2", "--request", "R-1", "--reason", "asked", "--yes")}
    told(world, "hold", "place", "CASE-8", "--reason", "a claim", "--mandate", "m", "--subject", "customer=3")
    told(world, "erase", "customer=3", "--request", "R-2", "--reason", "asked", "--yes")
    found |= {"request list": told(world, "request", "list")}
    found |= {"request withdraw": told(world, "request", "withdraw", "R-2", "--reason", "asked")}
    return found | {"replay": told(world, "replay", "--since", "2026-01-01")}


def reviewed(folder):
    """What the commands of a review answer, in a world of their own."""
    world = World(folder, files=3, rows=3)
    for category in (world.folder / "policies.d").glob("*.yaml"):
        category.write_text(category.read_text().replace("action: delete", "action: review"))
    found = {"review list": told(world, "review", "list")}
    one, *_ = found["review list"]["waiting"]
    why = (one["store"], one["key"], "--reason", "looked at")
    found["review approve"] = told(world, "review", "approve", *why, "--yes")
    return found | {"review extend": told(world, "review", "extend", *why, "--until", "2100-01-31")}


def archived(folder):
    """What the commands about archives answer, in a world of their own."""
    world = World(folder, files=3, rows=3)
    (folder / "vault").mkdir()
    settings, category = folder / "retentiond.yaml", folder / "policies.d" / "calls.yaml"
    settings.write_text(settings.read_text().replace("stores:", "stores:\n  vault: {type: files, path: vault, location: GB}"))
    category.write_text(category.read_text().replace("action: delete", "action: {archive: {to: vault}}"))
    told(world, "apply", told(world, "plan")["plan"])
    found = {"archive list": told(world, "archive", "list")}
    return found | {"archive restore": told(world, "archive", "restore", "--all", "--into", str(folder / "back"))}


def differences(shown, actual, at="$"):
    """Where an answer is not of the form that the page shows. An empty mapping or list, and null, stand for any of their kind."""
    if isinstance(shown, dict) and isinstance(actual, dict):
        if not shown:
            return []
        others = [f"{at}: {sorted(shown.keys() ^ actual.keys())}"] if shown.keys() != actual.keys() else []
        return others + [d for key in shown.keys() & actual.keys() for d in differences(shown[key], actual[key], f"{at}.{key}")]
    if isinstance(shown, list) and isinstance(actual, list):
        return differences(shown[0], actual[0], f"{at}[0]") if shown and actual else []
    same = shown is None or actual is None or type(shown) is type(actual)
    return [] if same else [f"{at}: {type(shown).__name__} is shown, {type(actual).__name__} is answered"]


@pytest.mark.parametrize("name", sorted(set(SECTIONS) - {"demo", "schema", "run"}))
def test_the_answer_has_the_form_that_the_page_shows(name, answers):
    shown = re.search(r"^```json\n(.*?)^```", SECTIONS[name][1], re.DOTALL | re.MULTILINE)
    assert shown, "no answer is shown"
    assert differences(json.loads(shown[1]), answers[name]) == []


def test_an_error_has_the_form_that_the_page_shows(answers, tmp_path):
    shown = json.loads(re.search(r"^```json\n(\{\"errors\".*?)^```", PAGE, re.DOTALL | re.MULTILINE)[1])
    world = World(tmp_path / "w", files=1, rows=1)
    assert differences(shown, told(world, "plan", "nothing-of-the-kind", code=2)) == []


def test_every_code_of_an_error_stands_on_the_page():
    from retentiond import errors

    kinds = [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, errors.RetentiondError)]
    listed = PAGE.partition("`code` is one of")[2].partition("\n\n")[0]
    assert {kind.code for kind in kinds} - {"error"} <= set(re.findall(r"`([a-z-]+)`", listed))


def test_samples_are_of_this_century():
    """Times in samples look like times."""
    for text in re.findall(r'"(2\d{3}-[^"]*)"', PAGE):
        assert datetime.fromisoformat(text).tzinfo in (UTC, None), text
