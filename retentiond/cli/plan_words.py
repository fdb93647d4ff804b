"""A plan in words and tables."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

from retentiond.cli.desk import say
from retentiond.cli.render import minute, sentence, short, size, table
from retentiond.core.assurance import ASSURANCES
from retentiond.core.generations import KINDS
from retentiond.core.ladder import WAITS
from retentiond.core.limits import UNPASSABLE, passing_line, words
from retentiond.core.plan import Header

if TYPE_CHECKING:
    from retentiond.app.planning import Planned

_OTHERS = ("kept", "held", "locked", "undetermined")


def tell(planned: Planned) -> None:
    """What planning came to."""
    tell_header(planned.name, planned.header)
    _tell_sets(planned)
    for warning in planned.warnings:
        sentence(f"  note: {warning}")
    for where, error in planned.unseen.items():
        sentence(f"  not seen: {where}: {error.problems[0]}")
    say()
    say("Nothing was changed." + _next(planned))


def _tell_sets(planned: Planned) -> None:
    """The sets of each category by verdict; orphans with the keys of the first few."""
    for name, linked in planned.linked.items():
        states = [f"{linked.states.get(state, 0):,} {state}" for state in ("complete", "partial", "blocked")]
        sentence(f"  sets: {name}: {', '.join(states)}")
        for orphans in linked.orphans:
            more = f" and {orphans.count - len(orphans.keys):,} more" if orphans.count > len(orphans.keys) else ""
            keys = f": {', '.join(orphans.keys)}{more}" if orphans.keys else ""
            sentence(f"  orphans: {name}/{orphans.rule}: {orphans.count:,} without {orphans.without}{keys}")


def tell_header(name: str, header: Header) -> None:
    """The counts of a plan, and what stands in its way."""
    kind = "Forecast" if header.forecast else "Plan"
    say(f"{kind} {name}")
    say(f"judged as of {minute(header.at)} UTC, good until {minute(header.expires)} UTC")
    say()
    counts(header.counts)
    tell_refused(name, header)


def counts(rows: Sequence[Mapping[str, Any]]) -> None:
    """The table of a plan: what is due, and how much stays; then why, where it is for more than time."""
    if not rows:
        return
    table(
        ("rule", "due", "overdue", "waiting", "other", "bytes", "oldest"),
        [
            (
                f"{r['category']}/{r['rule']}",
                r["due"],
                r["overdue"],
                r["waiting"],
                sum(r[n] for n in _OTHERS),
                size(r["bytes_due"]) if r["due"] else "·",
                _day(r["oldest"]),
            )
            for r in rows
        ],
        left=("rule",),
    )
    for r in rows:
        for kind, rest in _further(r):
            sentence(f"  {kind}: {r['category']}/{r['rule']}: {rest}")
    if any(one["why"] == WAITS for r in rows for one in r.get("reasons", {}).get("kept", ())):
        say("  What waits for review waits for a person: retentiond review list")


def _further(r: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """What the table cannot say of a rule: a word, and the rest of the sentence."""
    others = ", ".join(f"{r[n]:,} {n}{_why(r, n)}" for n in _OTHERS if r[n])
    if others:
        yield "other", others
    if why := _why(r, "waiting"):
        yield "waiting", f"{r['waiting']:,}{why}"
    if r.get("overdue_staying"):
        yield "overdue", f"{r['overdue_staying']:,} of them stay all the same"
    if r.get("children"):
        yield "family", f"of what is due, {r['children']:,} go with other rows, before them"
    if r.get("erased"):
        yield "erasure", f"of what is due, {r['erased']:,} go on the ground of an erasure request"
    if r.get("newer"):
        yield "returned", f"{r['newer']:,} are about somebody who was erased, and newer than the request: left to you"
    if r.get("violations"):
        yield "violation", f"{r['violations']:,} {_broken(r)}"
    if r.get("bypass"):
        yield "locked", f"of what is due, {r['bypass']:,} in governance mode go only with: apply PLAN --bypass-governance PLAN"
    if known := r.get("lifecycle"):
        yield "lifecycle", lifecycle(known)
    if known := r.get("assurance"):
        yield "encryption", ", ".join(f"{known[name]:,} {name}" for name in ASSURANCES if name in known)


def lifecycle(known: Mapping[str, Any]) -> str:
    """How the bucket keeps a rule by itself, and what has gone since the last look."""
    after = f"the bucket's own rule, which lets go after {known['expires_after']} days,"
    words = {
        "installed": f"{after} is there as it should be: what is due goes by it",
        "absent": f"{after} is to be installed: all that is due goes by it, and what will be",
        "different": f"{after} is to be installed in the place of another one",
        "held": f"{after} is not to be installed: a hold may mean what it would take",
        "in-doubt": f"{after} is not to be installed: it would not know what is in doubt",
    }
    told = words[known["state"]]
    if gone := known.get("inferred"):
        told += f"; expired by it since {gone['since'][:10]}, as is inferred: {gone['expired']:,}"
        told += f"; gone before their time: {gone['early']:,}" if gone["early"] else ""
    return told


def _broken(counts: Mapping[str, Any]) -> str:
    """What the violations of a rule are: of a requirement, by what is broken."""
    broken = counts.get("breaches")
    return breaches(broken) if broken else "that must not exist"


def breaches(broken: Mapping[str, int]) -> str:
    """What is broken of what is required, each with its number."""
    return "not as required (" + ", ".join(f"{code.replace('-', ' ')}: {n:,}" for code, n in sorted(broken.items())) + ")"


def _why(counts: Mapping[str, Any], verdict: str) -> str:
    """The reasons of a verdict, each with its number where there are several."""
    by = (counts.get("reasons") or {}).get(verdict, ())
    words = [
        f"{one['why']}: {one['items']:,}" if len(by) > 1 else one["why"] for one in sorted(by, key=lambda one: -one["items"])
    ]
    own = _kept_by(counts) if verdict == "kept" else ""
    return f"{own} ({'; '.join(words)})" if words else own


def _kept_by(counts: Mapping[str, Any]) -> str:
    """Which of a rule's own words keep how many; an item may be kept by several."""
    by = counts.get("kept_by") or {}
    order = [*(name for name in KINDS if name in by), *sorted(by.keys() - {*KINDS})]
    return f" ({', '.join(f'{name} {by[name]:,}' for name in order)})" if by else ""


def tell_refused(name: str, header: Header) -> None:
    """The limits that were crossed, and the line that lets the plan pass."""
    if not header.refused:
        return
    for refusal in header.refused:
        sentence(f"  refused: {words(refusal)}")
    blocking = [r for r in header.refused if r.blocks]
    if not blocking:
        return
    if header.forecast:
        return
    if header.whole:
        sentence("  Nothing of this erasure will be carried out: an identifier that matches so much may be mistaken.")
        say("  To look at what would go:")
        say(f"    retentiond plan show {short(name)}")
    else:
        sentence(f"  The steps of {', '.join(sorted(header.blocked()))} will not be carried out.")
    if any(r.limit in UNPASSABLE for r in blocking):
        say("  This cannot be passed: see `retentiond clock` and `retentiond approve`.")
    else:
        say("  If this is meant, a person lets the whole plan pass with:")
        say(f"    {passing_line(name)}")


def _next(planned: Planned) -> str:
    header = planned.header
    if header.forecast:
        return " A forecast cannot be applied."
    free = [c for c in planned.counts if c.category not in header.blocked()]
    if header.total and any(c.due or c.lifecycle.get("state") in ("absent", "different") for c in free):
        return f" To carry it out: retentiond apply {short(planned.name)}"
    if planned.unseen:
        return " Nothing is due of what was seen."
    return "" if header.total else " Nothing is due."


def _day(oldest: str | None) -> str:
    return datetime.fromisoformat(oldest).strftime("%Y-%m-%d") if oldest else ""
