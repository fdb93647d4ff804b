"""`demo`: builds a small company on disk and plays the way of a deletion on it, with the real commands."""

from __future__ import annotations

import contextlib
import io
import json
from pathlib import Path

import click

from retentiond.cli.desk import answer, options, progress, relative, say
from retentiond.cli.front import code_of, common
from retentiond.cli.render import short

CALM = ("call-index", "call-recordings", "letters", "newsletter", "support-files")
"""The categories of the demo whose plans no limit refuses."""

NEXT = """\
The folder is yours to play with. Try:

  cd {folder}
  retentiond plan web-log                     the limit again, on its own
  retentiond plan --at 2030-01-01             what would be due on that day
  retentiond plan show PLAN                   the steps of a plan, keys and dates
  retentiond explain recordings {recording}
  retentiond hold place CASE-7 --reason "claim" --mandate "Art. 17(3)(e) GDPR" --subject call={call}
  retentiond plan call-recordings             and see that call held when its time comes
  retentiond audit lookup recordings {gone}
  retentiond archive list --store vault       what was archived, and how it is now
  retentiond explain offsite {plain}
  retentiond audit show
"""


@click.command()
@click.argument("directory", metavar="[DIR]", default="./demo")
@common
def demo(directory: str) -> int:
    """Build a small company in DIR (default ./demo) and play plan, approve, apply and verify on it.

    Everything is invented, lies in DIR, and nothing else is touched. An existing folder is
    never overwritten.
    """
    from retentiond.app.house import read_clock
    from retentiond.demo import POPULATION, build

    folder = Path(directory).resolve()
    now = read_clock().now
    if options().json:
        build(folder, now)
        answer({"folder": str(folder), "steps": _silently(folder)})
        return 0
    say(f"Building a small company in {relative(folder)}: recordings, two databases, uploads, mail, backups, a privacy notice.")
    with progress(sum(POPULATION.values())) as show:
        build(folder, now, lambda what, done, _total: show(what, done))
    _play(folder)
    return 0


def _play(folder: Path) -> None:
    say("\n1. What is due? Planning looks at everything and changes nothing.\n")
    _shown(folder, "plan")
    plan = short(json.loads(_heard(folder, "plans")[1])["plans"][0]["plan"])
    say("\n   One category is refused: nobody ever deleted a line of the web log, so most of it is due at")
    say("   once. That may be right, or a wrong rule, so a person has to say that it is meant.")
    say("\n2. Approve: from now on the daemon may enforce this category as it stands.\n")
    _shown(folder, "approve", "call-recordings", "--by", "you", "--yes")
    say("\n3. Apply: exactly what the plan says, less where something has changed. The refused category waits.\n")
    _shown(folder, "apply", plan)
    say("\n4. Plan again: nothing is due any more.\n")
    _shown(folder, "plan", *CALM)
    say("\n5. The backups: that run has copied them, encrypted, so the old ones may go. One in the other building is plain.\n")
    _shown(folder, "plan", "backups")
    say("\n6. The archive: what has gone from the mailbox comes back for who holds the identity.\n")
    _shown(folder, *_restore(folder))
    say("\n7. Verify: every file of the audit log, hashes and meaning.\n")
    _shown(folder, "audit", "verify")
    recording, gone = _recordings(folder, plan)
    say(
        "\n"
        + NEXT.format(
            folder=relative(folder),
            recording=recording,
            call=recording.rpartition("-")[2].removesuffix(".wav"),
            gone=gone,
            plain=next((folder / "offsite").glob("*/*/by-hand*")).relative_to(folder / "offsite"),
        )
    )


def _shown(folder: Path, *args: str) -> int:
    """Runs a command of the program and shows it as if it were typed in the folder."""
    say(f"$ retentiond {' '.join(args).replace(f'{folder}/', '')}")
    return code_of(["--config", str(folder / "retentiond.yaml"), *args])


def _heard(folder: Path, *args: str) -> tuple[int, str]:
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        code = code_of(["--config", str(folder / "retentiond.yaml"), "--json", *args])
    return code, out.getvalue()


def _silently(folder: Path) -> list[dict[str, object]]:
    """The play for machines: each command with its exit code and its answer."""
    code, text = _heard(folder, "plan")
    plan = json.loads(text)["plan"]
    steps: list[dict[str, object]] = [{"command": "plan", "exit": code, "answer": json.loads(text)}]
    approve, apply = ("approve", "call-recordings", "--by", "you", "--yes"), ("apply", plan)
    for args in (approve, apply, ("plan", *CALM), ("plan", "backups"), ("archive", "list"), ("audit", "verify")):
        code, text = _heard(folder, *args)
        steps.append({"command": " ".join(args), "exit": code, "answer": json.loads(text)})
    return steps


def _restore(folder: Path) -> tuple[str, ...]:
    """The command that brings the first letter back from the archive."""
    known = json.loads(_heard(folder, "archive", "list", "--store", "vault")[1])["archives"]
    key = next(one["key"] for one in known if one["purpose"] == "archive")
    where = ("--identity", str(folder / "vault-identity.txt"), "--into", str(folder / "brought-back"))
    return ("archive", "restore", key, "--store", "vault", *where)


def _recordings(folder: Path, plan: str) -> tuple[str, str]:
    """A recording that is still there, and one that has gone."""
    root = folder / "recordings"
    left = min(path.relative_to(root).as_posix() for path in root.glob("*/*/*/*.wav"))
    lines = json.loads(_heard(folder, "plan", "show", plan, "--limit", "0")[1])["lines"]
    return left, next(line["key"] for line in lines if line["store"] == "recordings")
