"""What lies in the stores of backups and of their copies, and what must become of it."""

from datetime import date, timedelta

import pyrage
from pyrage import x25519

from tests.policies.company import Company, Story, day


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
