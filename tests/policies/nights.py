"""What lies in the stores of backups, of their copies and of archived letters, and what must become of it."""

from datetime import date, timedelta

import pyrage
from pyrage import x25519

from tests.policies.company import Company, Story, ages, day


def kept_nights(nights: set[date], daily: int = 7, weekly: int = 4, monthly: int = 12) -> set[date]:
    """What the rule of backups.yaml keeps, worked out by another way: night by night, newest first."""
    kept, ordered = set(), sorted(nights, reverse=True)
    counts = (
        (3, lambda d: d),
        (daily, lambda d: d),
        (weekly, lambda d: d.isocalendar()[:2]),
        (monthly, lambda d: (d.year, d.month)),
    )
    for count, of in counts:
        seen = []
        for night in ordered:
            if of(night) not in seen and len(seen) < count:
                seen.append(of(night))
                kept.add(night)
        if len(seen) < count:
            kept.add(ordered[-1])
    return kept


def backups(company: Company) -> Story:
    story, today = Story(), day(0)
    before = kept_nights({today - timedelta(days=n) for n in range(6, 420)})
    there = before | {today - timedelta(days=n) for n in range(1, 6)}
    stays = kept_nights(there)
    for system in ("crm", "mail", "files", "wiki", "shop", "desk"):
        for night in there:
            for name in (f"{system}.dump", f"{system}.dump.sha256"):
                key = company.put("backups", f"{system}/{night}/{name}")
                if night in stays:
                    story.stay("nights", key, "kept", "")
                else:  # copied in the first night, and gone in the second
                    story.stay("nights", key, "kept", "it has no verified copy in offsite yet")
                    story.goes("nights", key, night=2)
        newest = f"daily 1 of 7: {today - timedelta(days=1)}"
        story.stay("nights", f"{system}/{today - timedelta(days=1)}/{system}.dump", "kept", newest)
    story.stay("nights", company.put("backups", f"crm/{today}/crm.dump"), "undetermined", "future")  # is being written
    return story


def offsite(company: Company) -> Story:
    story, today = Story(), day(0)
    encrypted = pyrage.encrypt(b"a backup", [x25519.Identity.generate().to_public()])
    nights = sorted(today - timedelta(days=n) for n in (*range(1, 14), *range(20, 90, 7)))
    plain = today - timedelta(days=2)
    good = [night for night in nights if night != plain]
    stays = kept_nights(set(good), daily=10, weekly=5, monthly=13)
    for night in good:
        key = company.put("offsite", f"erp/{night}/erp.dump.age", encrypted)
        if night in stays:
            story.stay("copies", key, "kept", "")
        else:
            story.goes("copies", key)
    key = company.put("offsite", f"erp/{plain}/erp.dump.age")
    story.stay("copies", key, "undetermined", "it is not encrypted as promised")
    return story


def mail_archive(company: Company) -> Story:
    story = Story()
    encrypted = pyrage.encrypt(b"a letter", [x25519.Identity.generate().to_public()])
    for n, age in enumerate(ages(40, 190, 300) + ages(160, 1, 175)):
        key = company.letter("accounts", f"{n}.desk", f"Re: your account [C{60_000 + n % 9}]", f"c{60_000 + n % 9}@example.net")
        company.age("mail", f"accounts/cur/{n}.desk:2,S", age)
        if n < 40:
            story.goes("letters", key)
        else:
            story.stay("letters", key, "waiting", "6 months is not over")
    company.letter("accounts", "other.desk", "no number, so it is nobody's yet")
    for n, age in enumerate((1200, 1190, *range(10, 30))):
        key = company.put("vault", f"letters/{60_000 + n % 9}/{n}.archived.age", encrypted)
        company.age("vault", key, age)
        if n < 2:
            story.goes("archived", key)
        else:
            story.stay("archived", key, "waiting", "3 years is not over")
    key = company.put("vault", "letters/60001/by-hand.age", b"Dear sirs, whatever my name says")
    story.stay("archived", key, "waiting", "3 years is not over")
    return story
