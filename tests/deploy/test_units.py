"""The units of deploy/systemd: systemd understands each line, and they are as closed as they say."""

import re
import shutil
import subprocess

import pytest

from tests.deploy.staged import SHIPPED, UNITS

EXPOSURES = {
    "retentiond.service": 1.2,
    "retentiond-apply@.service": 1.2,
    "retentiond-verify.service": 0.3,
    "retentiond-failure@.service": 0.3,
}
EXAMPLES = {
    "credentials.conf": "retentiond.service",
    "mail.conf": "retentiond-failure@.service",
    "reload.conf": "retentiond.service",
}


def sandbox(unit):
    """The settings that close a unit, from NoNewPrivileges on."""
    _, begin, rest = (SHIPPED / unit).read_text().partition("NoNewPrivileges=")
    lines = (begin + rest).partition("\n[")[0].splitlines()
    return [line for line in lines if line and not line.startswith("#")]


@pytest.mark.parametrize("unit", UNITS)
def test_systemd_has_nothing_to_say_about_a_unit(staged, unit):
    assert staged.complaints(unit) == ""


@pytest.mark.parametrize("line", ["[Service]\nNoSuchSetting=yes", "[Service]\nProtectSystem=strictly", "[Service]\nUser=a b"])
def test_systemd_would_say_so_of_a_line_that_it_does_not_know(staged, line):
    staged.add("retentiond.service", line + "\n")
    assert staged.complaints("retentiond.service") != ""


def test_every_unit_has_a_bound_on_its_exposure():
    assert set(EXPOSURES) == {unit for unit in UNITS if unit.endswith(".service")}


@pytest.mark.parametrize("unit", sorted(EXPOSURES))
def test_a_unit_is_closed(staged, unit):
    assert staged.exposure(unit) <= EXPOSURES[unit]


def test_a_unit_without_its_sandbox_would_not_pass(staged):
    text = (staged.units / "retentiond.service").read_text()
    (staged.units / "retentiond.service").write_text(text.partition("NoNewPrivileges")[0].replace("User=retentiond\n", ""))
    assert staged.exposure("retentiond.service") > 9


def test_the_timer_runs_in_the_sandbox_of_the_daemon():
    assert sandbox("retentiond-apply@.service") == sandbox("retentiond.service")


def test_the_verifier_is_closed_as_the_daemon_is_and_has_no_network():
    assert set(sandbox("retentiond-verify.service")) >= {
        *(line for line in sandbox("retentiond.service") if not line.startswith("RestrictAddressFamilies=")),
        "PrivateNetwork=yes",
        "RestrictAddressFamilies=none",
    }


def test_every_unit_that_works_tells_a_person_when_it_fails(staged):
    for unit in UNITS:
        if unit.endswith(".service") and "failure" not in unit:
            assert "OnFailure=retentiond-failure@%n.service\n" in (SHIPPED / unit).read_text()


@pytest.mark.parametrize("example", sorted(path.name for path in (SHIPPED / "examples").iterdir()))
def test_systemd_has_nothing_to_say_about_an_example(staged, example):
    unit = EXAMPLES[example]
    staged.add(unit, (SHIPPED / "examples" / example).read_text())
    said = staged.complaints(unit)
    if example == "reload.conf" and staged.version() < 253:
        assert "notify-reload" in said, "this systemd is too old for the example, and should say so"
    else:
        assert said == ""


def test_the_times_of_the_timers_are_times():
    if shutil.which("systemd-analyze") is None:
        pytest.skip("SYSTEMD-ANALYZE IS NOT HERE: the times of the timers were not judged")
    times = [time for unit in UNITS for time in re.findall(r"^OnCalendar=(.*)$", (SHIPPED / unit).read_text(), re.MULTILINE)]
    assert len(times) == 2
    for time in times:
        done = subprocess.run(["systemd-analyze", "calendar", time], capture_output=True, text=True, check=False)
        assert f"Normalized form: {time}" in done.stdout


def test_the_users_and_the_folders_are_made_as_the_units_expect_them(tmp_path):
    """By the real programs, in a root of their own."""
    if shutil.which("systemd-sysusers") is None or shutil.which("systemd-tmpfiles") is None:
        pytest.skip("SYSTEMD-SYSUSERS IS NOT HERE: the users of deploy/systemd were not made")
    users = ["systemd-sysusers", f"--root={tmp_path}", str(SHIPPED / "retentiond.sysusers.conf")]
    said = subprocess.run([*users, "--dry-run"], capture_output=True, text=True, check=False)
    made = set(re.findall(r"Creating (user|group) '([a-z-]+)'", said.stdout + said.stderr))
    assert made >= {("user", "retentiond"), ("user", "retentiond-verify"), ("group", "retentiond-audit")}
    folders = [line.split() for line in (SHIPPED / "retentiond.tmpfiles.conf").read_text().splitlines() if line[:1] == "d"]
    assert [(line[1], line[2], line[4]) for line in folders] == [
        ("/var/lib/retentiond", "0711", "retentiond"),
        ("/var/lib/retentiond/log", "2750", "retentiond-audit"),
    ]
