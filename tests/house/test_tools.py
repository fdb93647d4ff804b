"""The programs that judge style, types and floors have nothing to say, so `pytest` alone proves all."""

import subprocess
import sys
from pathlib import Path

BIN = Path(sys.executable).parent


def judge(root: Path, *command: str) -> None:
    """Runs a judge over the project; what it prints is the failure's text."""
    done = subprocess.run([str(BIN / command[0]), *command[1:]], cwd=root, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{' '.join(command)}\n{done.stdout}{done.stderr}"


def test_ruff_finds_nothing(root):
    judge(root, "ruff", "check", "--quiet", ".")


def test_every_file_has_the_common_layout(root):
    judge(root, "ruff", "format", "--check", "--quiet", ".")


def test_every_type_holds(root):
    judge(root, "mypy")


def test_each_floor_imports_only_from_floors_below(root):
    judge(root, "lint-imports", "--no-cache")
