"""Whole processes, timed side by side in one run: what the peers need, what we need, and the ratio.

Machines differ and are noisy, so the ratio of medians is what counts. Each round makes the same
data anew for every contestant, and the contestants take turns.
"""

import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).parents[1]
PROGRAM = [sys.executable, "-m", "retentiond"]
ROUNDS = int(os.environ.get("ROUNDS", "3"))
ENVIRONMENT = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"} | {"PYTHONPATH": str(ROOT)}
"""As installed: modules are compiled once, not at every start."""


@dataclass
class Contestant:
    """Something to be timed: `commands` are run one after the other, in `folder`, in each of the first `rounds` rounds."""

    name: str
    commands: Sequence[Sequence[str] | Callable[[], Sequence[str]]]
    rounds: int = ROUNDS
    seconds: list[float] = field(default_factory=list)
    parts: list[list[float]] = field(default_factory=list)
    peak: int = 0

    @property
    def median(self) -> float:
        return statistics.median(self.seconds)


def timed(command: Sequence[str], folder: Path) -> tuple[float, int, bytes]:
    """Wall seconds, peak memory in KiB, and what a command printed; it must end well."""
    start = time.perf_counter()
    process = subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, env=ENVIRONMENT)
    out = process.stdout.read()
    _, status, usage = os.wait4(process.pid, 0)
    seconds = time.perf_counter() - start
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"{' '.join(command)} ended with {process.returncode}: {out.decode()[:500]}")
    return seconds, usage.ru_maxrss, out


def race(contestants: Sequence[Contestant], folder: Path, prepare: Callable[[], None]) -> None:
    """Runs every contestant `ROUNDS` times, or fewer where it says so, each on data made anew."""
    for number in range(ROUNDS):
        for contestant in [c for c in contestants if number < c.rounds]:
            prepare()
            parts = []
            for command in contestant.commands:
                seconds, peak, _ = timed(command() if callable(command) else command, folder)
                parts.append(seconds)
                contestant.peak = max(contestant.peak, peak)
            contestant.parts.append(parts)
            contestant.seconds.append(sum(parts))


def table(title: str, contestants: Sequence[Contestant], items: int) -> str:
    """A Markdown table: the first contestant is the peer that the ratio is taken against."""
    rows = [f"### {title}", "", "| | seconds | µs an item | × the first | peak MiB |", "|---|---:|---:|---:|---:|"]
    for c in contestants:
        ratio = c.median / contestants[0].median
        rows.append(f"| {c.name} | {c.median:.2f} | {c.median / items * 1e6:.1f} | {ratio:.2f} | {c.peak / 1024:.0f} |")
    spread = ", ".join(f"{c.name}: {min(c.seconds):.2f}–{max(c.seconds):.2f}" for c in contestants)
    rows += ["", f"{max(c.rounds for c in contestants)} rounds, medians; spread {spread}"]
    return "\n".join(rows) + "\n"


def report(name: str, text: str) -> None:
    """Prints a table and writes it beside the others."""
    print(text)
    folder = ROOT / "benchmarks" / "results"
    folder.mkdir(exist_ok=True)
    (folder / f"{name}.md").write_text(text)


SETTINGS = """\
organisation: Benchmark
timezone: Europe/London
state: state
policies: policies.d
stores:
  {store}
audit: {{origin: benchmark.example.org/log}}
"""
CATEGORY = """\
category: bench
title: Benchmark
purpose: [measuring]
lawful_basis: contract
data: [nothing]
subjects: [nobody]
owner: dpo@example.org
locations: [GB]
schedule: daily at 02:00
approval: none
limits: {{items: 100000000, share: 100%, bytes: 1000 GiB}}
rules:
  old:
    {rule}
    action: delete
"""


def configure(folder: Path, store: str, rule: str) -> None:
    """Writes a configuration with one store and one rule."""
    (folder / "policies.d").mkdir(parents=True, exist_ok=True)
    (folder / "retentiond.yaml").write_text(SETTINGS.format(store=store))
    (folder / "policies.d" / "bench.yaml").write_text(CATEGORY.format(rule=rule))


def by_category() -> Sequence[str]:
    """The command that plans and carries out in one process, as a timer or the daemon would."""
    return [*PROGRAM, "apply", "--category", "bench"]


def newest_plan(folder: Path) -> Callable[[], Sequence[str]]:
    """The command that carries out the plan that was made last."""

    def command() -> Sequence[str]:
        plans = sorted((folder / "state" / "plans").glob("*.jsonl"), key=lambda p: p.stat().st_mtime_ns)
        return [*PROGRAM, "apply", str(plans[-1])]

    return command
