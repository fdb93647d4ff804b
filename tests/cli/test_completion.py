"""A shell completes commands, options and names, quickly and without a word of complaint."""

import os
import re
import shlex
import subprocess
import sys
from datetime import UTC, datetime

import pytest

from retentiond.cli.front import COMMANDS
from tests.world import World


def offered(folder, line):
    """What the completion protocol of bash answers for the last word of a line."""
    words = shlex.split(line)
    last = len(words) if line.endswith(" ") else len(words) - 1
    asked = {"_RETENTIOND_COMPLETE": "bash_complete", "COMP_WORDS": line, "COMP_CWORD": str(last)}
    environ = {name: value for name, value in os.environ.items() if name != "RETENTIOND_CONFIG"} | asked
    done = subprocess.run(
        [sys.executable, "-m", "retentiond"], cwd=folder, env=environ, capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    return [answer.partition(",")[2] for answer in done.stdout.splitlines() if answer]


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    made = World(tmp_path_factory.mktemp("completion") / "w", files=3, rows=3)
    category = made.folder / "policies.d" / "calls.yaml"
    category.write_text(category.read_text().replace("rules:", "events:\n  call-settled: {recorded: yes}\nrules:", 1))
    made.names = [made.run("plan")["plan"], made.run("plan")["plan"]]
    return made


def test_commands_are_offered_and_none_is_forgotten(tmp_path):
    assert offered(tmp_path, "retentiond ") == list(COMMANDS)
    assert offered(tmp_path, "retentiond pl") == ["plan", "plans"]
    assert set(offered(tmp_path, "retentiond --")) == {"--config", "--json", "--verbose", "--version", "--help"}


@pytest.mark.parametrize(
    ("line", "answer"),
    {
        "retentiond audit ": ["anchor", "certificate", "export", "lookup", "show", "verify"],
        "retentiond hold re": ["release"],
        "retentiond schema ": ["category", "settings"],
        "retentiond plan ": ["show", "diff", "calls"],
        "retentiond plan c": ["calls"],
        "retentiond plan calls ": [],
        "retentiond approve ": ["calls"],
        "retentiond apply --category ": ["calls"],
        "retentiond apply --ov": ["--over-limits"],
        "retentiond explain ": ["recordings", "pbx"],
        "retentiond audit lookup r": ["recordings"],
        "retentiond hold place X --store p": ["pbx"],
        "retentiond event record ": ["call-settled"],
    }.items(),
)
def test_each_place_has_its_own_offers(world, line, answer):
    found = offered(world.folder, line)
    assert found == answer


def test_plans_are_offered_newest_first(world):
    short = [name[:12] for name in reversed(world.names)]
    assert offered(world.folder, "retentiond apply ") == short
    assert offered(world.folder, "retentiond plan show ") == short
    assert offered(world.folder, f"retentiond apply --over-limits {short[0][:3]}") == [short[0]]
    assert offered(world.folder, f"retentiond apply {world.names[0][:20]}") == [world.names[0][:20]]


def test_another_configuration_may_be_named_on_the_line(world, tmp_path):
    assert offered(tmp_path, f"retentiond --config {world.folder}/retentiond.yaml approve ") == ["calls"]
    assert offered(tmp_path, f"retentiond plan --config {world.folder}/retentiond.yaml ") == ["show", "diff", "calls"]


@pytest.mark.parametrize("text", [None, "stores: ["])
@pytest.mark.parametrize("line", ["plan ", "apply ", "explain ", "event record ", "nonsense x"])
def test_without_a_usable_configuration_nothing_is_offered_and_nothing_is_said(tmp_path, text, line):
    if text is not None:
        (tmp_path / "retentiond.yaml").write_text(text)
    names = [word for word in offered(tmp_path, f"retentiond {line}") if word not in ("show", "diff", "")]
    assert names == []
    assert sorted(path.name for path in tmp_path.iterdir()) == ([] if text is None else ["retentiond.yaml"])


def test_completing_makes_no_state(tmp_path):
    world = World(tmp_path / "w", files=1, rows=1)
    for line in ("plan ", "apply ", "audit lookup ", "hold place X --category "):
        offered(world.folder, f"retentiond {line}")
    assert not (world.folder / "state").exists()


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_each_shell_gets_a_script(shell):
    asked = os.environ | {"_RETENTIOND_COMPLETE": f"{shell}_source"}
    done = subprocess.run([sys.executable, "-m", "retentiond"], env=asked, capture_output=True, text=True, check=True)
    assert re.search(rf"_RETENTIOND_COMPLETE={shell}_complete", done.stdout)


def test_commands_are_offered_at_once(tmp_path):
    """Well under a second, of which most is the start of Python; the bound is for a busy machine."""
    began = datetime.now(UTC)
    offered(tmp_path, "retentiond a")
    assert (datetime.now(UTC) - began).total_seconds() < 2
