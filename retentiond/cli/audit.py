"""`audit`: the trail that a stranger can check."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from retentiond.cli import complete
from retentiond.cli.certificate import certificate
from retentiond.cli.desk import answer, house, options, say
from retentiond.cli.front import common
from retentiond.cli.render import many, minute, sentence
from retentiond.core.entry import FIELDS
from retentiond.core.plan import written
from retentiond.errors import AuditBroken, UsageError

if TYPE_CHECKING:
    from retentiond.audit.note import Verifier
    from retentiond.audit.verify import Report


@click.group()
@common
def audit() -> None:
    """Show, look up, verify and export the audit trail."""


@audit.command()
@click.option("--limit", default=40, show_default=True, help="So many of the newest entries; 0 for all.")
@click.option("--type", "type_", metavar="TYPE", help="Only entries of this type.")
@common
def show(limit: int, type_: str | None) -> None:
    """Show the entries of the log, newest last."""
    from retentiond.app.trail import show as entries

    with house() as at_home:
        at_home.require_state()
        found = [e for e in entries(at_home) if type_ in (None, e["type"])]
    found = found[-limit:] if limit else found
    if options().json:
        answer({"entries": found})
        return
    for entry in found:
        at = datetime.fromtimestamp(entry["time"] // 1_000_000, UTC)
        sentence(f"{entry['index']:>6}  {minute(at)}  {entry['type']:<19}  {_in_words(entry)}".rstrip(), " " * 47)


def _in_words(entry: dict[str, Any]) -> str:
    left = {k: v for k, v in entry.items() if k not in ("index", "time", "type")}
    if entry["type"] in ("intent", "spared"):
        return f"{left['category']}/{left['rule']}: {left['count']:,} items"
    if entry["type"] == "outcome":
        others = ", ".join(f"{len(p):,} {name}" for name, p in left["otherwise"].items())
        return f"of entry {left['intent']}: {left['disposed']:,} disposed" + (f", {others}" if others else "")
    if entry["type"] == "plan-made":
        left["at"] = minute(datetime.fromtimestamp(left["at"] // 1_000_000, UTC))
    return ", ".join(f"{k} {_brief(left[k])}" for k in FIELDS[entry["type"]])


def _brief(value: object) -> str:
    if isinstance(value, str) and re.fullmatch("[0-9a-f]{32,64}", value):
        return value[: 12 if len(value) == 64 else 8] + "…"
    if isinstance(value, int):
        return f"{value:,}" if value >= 10_000 else str(value)
    if isinstance(value, dict):
        return "{" + ", ".join(f"{k}: {_brief(v)}" for k, v in value.items()) + "}"
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)


@audit.command()
@click.argument("store", shell_complete=complete.stores)
@click.argument("key")
@common
def lookup(store: str, key: str) -> int:
    """Say what the log knows of one item. Exit 0 where there is evidence, 1 where there is none."""
    from retentiond.app.trail import lookup as look_up
    from retentiond.cli.explain import evidence_json, tell_evidence

    with house() as at_home:
        at_home.require_state()
        found, lost = look_up(at_home, store, key)
    if options().json:
        answer({"store": store, "key": key, "evidence": [evidence_json(e) for e in found], "destroyed_years": lost})
        return 0 if found else 1
    for e in found:
        tell_evidence(e)
        say(f"    nonce {e.nonce}")
    if not found:
        say("The log holds no evidence of this item.")
    for year in lost:
        say(f"note: the reference key of {year} is gone, so what was recorded that year cannot be looked up")
    return 0 if found else 1


@audit.command()
@click.option("--log", "log", metavar="DIR", shell_complete=complete.folders, help="The log folder (default: that of the state).")
@click.option("--key", metavar="VKEY", help="The public key line (default: the key of the state).")
@click.option(
    "--since",
    metavar="CHECKPOINT",
    shell_complete=complete.files,
    help="A checkpoint kept from an earlier visit: the log must extend it.",
)
@common
def verify(log: str | None, key: str | None, since: str | None) -> int:
    """Check every file of the log, hashes and meaning, from the folder and the public key alone."""
    from retentiond.audit.verify import examine

    folder, verifier, warning = _whom(log, key)
    older = _read(since) if since else None
    report = examine(folder, verifier, older)
    if options().json:
        answer(_json(report, warning))
    elif report.findings:
        raise AuditBroken(report.findings)
    else:
        _tell(report, warning, since=bool(since))
    return 6 if report.findings else 0


def _whom(log: str | None, key: str | None) -> tuple[Path, Verifier, str | None]:
    """The folder to check, the key to check it with, and what to be wary of."""
    from retentiond.audit.verify import own_key

    warning = None
    if log is None:
        with house() as at_home:
            at_home.require_state()
            return at_home.directory.log, _verifier(key) if key else at_home.verifier, None
    folder = Path(log)
    if key is None:
        warning = "the key is the folder's own: whoever can change the log could have changed it too; give --key"
        return folder, own_key(folder), warning
    return folder, _verifier(key), warning


def _verifier(key: str) -> Verifier:
    from retentiond.audit.note import Verifier

    try:
        return Verifier.from_line(key.strip())
    except ValueError as error:
        raise UsageError("--key is no public key line", why=str(error), do="it looks like name+1a2b3c4d+base64") from error


def _read(path: str) -> bytes:
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise UsageError(f"{path} cannot be read", why=error.strerror or "") from error


def _json(report: Report, warning: str | None) -> dict[str, Any]:
    totals = report.totals
    value: dict[str, Any] = {
        "ok": not report.findings,
        "entries": totals.entries,
        "checkpoints": report.checkpoints,
        "intents": totals.intents,
        "open_intents": totals.open_intents,
        "references": totals.references,
        "runs": totals.runs,
        "counts": dict(totals.counts),
        "checkpoint": report.checkpoint and {"size": report.checkpoint.size, "root": report.checkpoint.root.hex()},
        "warnings": [warning] if warning else [],
    }
    if report.findings:
        value["errors"] = [
            {"code": "audit", "file": "", "line": 0, "column": 0, "what": f, "why": "", "do": ""} for f in report.findings
        ]
    return value


def _tell(report: Report, warning: str | None, *, since: bool) -> None:
    totals = report.totals
    if warning:
        say(f"warning: {warning}")
    say("The audit trail verifies." + (" It extends the checkpoint that you hold." if since else ""))
    say(f"  {totals.entries:,} entries under {report.checkpoints:,} signed checkpoints")
    say(f"  {many(totals.runs, 'run')}, {many(totals.intents, 'intent')} with {many(totals.references, 'item reference')}")
    counts = ", ".join(f"{n:,} {name}" for name, n in totals.counts.items() if n)
    say(f"  outcomes: {counts or 'none'}")
    if totals.open_intents:
        say(f"  {totals.open_intents:,} intents have no outcome yet: run `retentiond apply` again to look at them")


@audit.command()
@common
def anchor() -> int:
    """Hand the newest checkpoint to every anchor that has not had it, now. Exit 5 where one does not take it."""
    from retentiond.app.anchoring import anchor as hand_over
    from retentiond.app.anchoring import standing_of
    from retentiond.app.trail import publish

    with house() as at_home:
        at_home.require_state()
        if not at_home.settings.audit.anchors:
            raise UsageError("there is no anchor", why="audit: {anchors: []}", do="name one; see docs/policies.md")
        publish(at_home)
        troubles = hand_over(at_home, anyway=True)
        stand = list(standing_of(at_home))
    if options().json:
        names = [
            {"anchor": one.label, "size": known.size, "at": _instant(known.at), "trouble": known.trouble} for one, known in stand
        ]
        answer({"anchors": names})
    else:
        for one, known in stand:
            had = f"has the checkpoint of {known.size:,} entries, since {_minute(known.at)} UTC" if known.at else "has none yet"
            sentence(f"{one.label} {had}" + (f"; it fails now: {known.trouble}" if known.trouble else ""))
    return 5 if troubles else 0


def _instant(micros: int) -> str | None:
    return written(datetime.fromtimestamp(micros // 1_000_000, UTC)) if micros else None


def _minute(micros: int) -> str:
    return minute(datetime.fromtimestamp(micros // 1_000_000, UTC))


@audit.command()
@click.argument("directory", metavar="DIR", shell_complete=complete.folders)
@common
def export(directory: str) -> None:
    """Copy the log into a new folder and verify the copy: what to hand to an auditor."""
    from retentiond.app.trail import hand_over

    with house() as at_home:
        at_home.require_state()
        report = hand_over(at_home, Path(directory))
        line = at_home.verifier.line
    if options().json:
        answer(_json(report, None) | {"directory": directory, "key": line})
        return
    say(f"Copied to {directory}: {report.totals.entries:,} entries, verified.")
    say("Hand over the key on another way. It is checked with:")
    say(f"  retentiond audit verify --log {directory} --key '{line}'")


audit.add_command(certificate)
