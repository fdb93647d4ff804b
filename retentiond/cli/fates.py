"""Why steps failed, in words: what each code means, and what to do about it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

_AGAIN = "the next run tries again"
_STORE = "let retentiond write and delete there"
_ROWS = "look at what the database demands of these rows"
_MAILBOX = "the mailbox is in use by another program; " + _AGAIN
_WORDS = {
    # archives and copies
    "no-archive": "the store of the archive cannot be opened, is not where it was, or is the same place; see to it, then "
    + _AGAIN,
    "not-archived": "the store of the archive did not take the copy; see to it, then " + _AGAIN,
    "not-encrypted": "the process that encrypts has failed; see whether it runs: age --version",
    "no-name": "the path of the archive gives no name for it; look at `path` of the rule's archive",
    "no-copy": "no verified copy lies elsewhere now; the next run makes it or looks for it again",
    # files, on this machine and on servers
    "denied": "the store may not let it go; " + _STORE,
    "no-space": "there is no space left on the disk of the store; make room there",
    "not-followed": "a symbolic link stands in the way, and none is followed; look who put it there",
    "other-mount": "another file system is mounted there, and none is entered; declare it as a store of its own",
    "not-a-key": "this is no name that the store could hold; plan again",
    "absent": "it was not found when its turn came; plan again",
    "unsupported": "the server cannot do what is needed; look what it is",
    "refused": "the store has refused, and does not say why; look into its log",
    "busy": _MAILBOX,
    "cut-short": "the store broke off before its turn came; " + _AGAIN,
    "taken-from-claim": "it was taken away while it was being let go; look who else is at work there",
    # rows
    "foreign-key": "other rows refer to it; say `children` in the rule, or let those go first",
    "constraint": "a constraint of the database forbids it; " + _ROWS,
    "trigger": "a trigger of the database forbids it; " + _ROWS,
    "cascade": "other rows would have gone with it; say `children` in the rule",
    "still-there": "the database did not let it go, and said nothing; look for a trigger or a rule on the table",
    "rolled-back": "the database has taken the deletion back; look for a trigger on the table",
    "contended": "others were at work on the row for too long; " + _AGAIN,
    "unmaskable": "its values cannot be replaced as the rule says; look at `anonymise` of the rule",
    "named-twice": "two names mean the same row; plan again",
    # mail and buckets
    "not-expunged": "the server kept the message; look whether others have it open, or whether it may be expunged",
    "server-busy": "the server had too much to do; " + _AGAIN,
    "not-as-written": "the bucket's rule does not read back as it was written; look who else writes it",
    "others-changed": "others have changed the bucket's rules meanwhile; plan again",
}
_TOLD = frozenset({"failed", "unknown"})
"""Of these outcomes every code is told; else only that a copy is missing, which a person can mend."""


def reasons(why: Mapping[tuple[str, str], int], outcome: str) -> Iterator[str]:
    """A sentence for each code of an outcome, the most frequent first. There is no key in it."""
    mine = {code: items for (of, code), items in why.items() if of == outcome and (of in _TOLD or code == "no-copy")}
    for code, items in sorted(mine.items(), key=lambda each: (-each[1], each[0])):
        yield f"{code}: {items:,}: {_WORDS.get(code, 'so the store says; look into its log')}"
