"""What is installed is whole: the company of the demo travels with the program, and the lock covers it."""

import re
import shutil
import subprocess
import sys
import tomllib
import zipfile

import pytest


@pytest.fixture(scope="module")
def wheel(root, tmp_path_factory):
    """The names within a wheel built from a copy of the project."""
    copy = tmp_path_factory.mktemp("release")
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(root / name, copy)
    shutil.copytree(root / "retentiond", copy / "retentiond", ignore=shutil.ignore_patterns("__pycache__"))
    program = "from setuptools.build_meta import build_wheel; build_wheel('dist')"
    done = subprocess.run([sys.executable, "-c", program], cwd=copy, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    with zipfile.ZipFile(next((copy / "dist").glob("*.whl"))) as archive:
        return set(archive.namelist())


def test_every_file_of_the_package_is_in_the_wheel(root, wheel):
    files = [path for path in (root / "retentiond").rglob("*") if path.is_file() and "__pycache__" not in path.parts]
    assert {path.relative_to(root).as_posix() for path in files} <= wheel


def test_the_demo_company_is_in_the_wheel(wheel):
    company = {name.removeprefix("retentiond/demo/company/") for name in wheel if name.startswith("retentiond/demo/company/")}
    assert {"retentiond.yaml", "pbx.sql", "helpdesk.sql", "notices/privacy.txt", "policies.d/web-log.yaml"} <= company


def locked(text: str) -> dict[str, str]:
    return dict(re.findall(r"^([a-z0-9._-]+)==(\S+)", text, re.MULTILINE))


def test_the_lock_names_every_dependency_with_digests(root):
    project = tomllib.loads((root / "pyproject.toml").read_text())
    wanted = [*project["project"]["dependencies"], *project["dependency-groups"]["build"]]
    names = {re.match(r"[A-Za-z0-9._-]+", line)[0].lower() for line in wanted}
    text = (root / "requirements.txt").read_text()
    assert names <= set(locked(text))
    blocks = re.split(r"^(?=[a-z0-9._-]+==)", text, flags=re.MULTILINE)
    assert [block.split()[0] for block in blocks if "==" in block and "--hash=sha256:" not in block] == []


def test_both_locks_agree(root):
    release, development = (locked((root / name).read_text()) for name in ("requirements.txt", "requirements-dev.txt"))
    assert release.items() <= development.items()
