"""Killed while mail goes: nothing is lost, nothing is gone without evidence, and the same command finishes the work."""

import pytest

from tests.stores.letters import FROM_LINE, Maildir, Mbox, letter, mbox_key
from tests.world import NEW, OLD, World, fates, verified

CONFIG = """\
organisation: Crash Test Ltd
timezone: UTC
state: state
policies: policies.d
stores:
  post: {{type: mail, path: post, format: {format}, location: GB}}
audit: {{origin: crash.example.org/log}}
"""
CATEGORY = """\
category: letters
title: Letters
purpose: [answering]
lawful_basis: contract
data: [letters]
subjects: [people]
owner: dpo@example.org
locations: [GB]
schedule: daily at 02:00
limits: {share: 100%}
rules:
  letters:
    store: post
    select: {folder: in, to: support@example.org}
    start: {header: Date}
    retention_period: 3 months
    action: delete
    subject: {email: correspondents}
"""
COUNT, YOUNG = 30, 5
HELD = COUNT + YOUNG


class Post(World):
    """A mailbox of old letters, some young ones, and an old one under a hold."""

    def __init__(self, folder, kind):
        self.folder, self.kind = folder, kind
        (folder / "policies.d").mkdir(parents=True)
        (folder / "retentiond.yaml").write_text(CONFIG.format(format=kind))
        (folder / "policies.d" / "letters.yaml").write_text(CATEGORY)
        self.place = Maildir(folder / "post") if kind == "maildir" else Mbox(folder / "post")
        for n in range(HELD + 1):
            dated = f"{NEW if COUNT <= n < HELD else OLD:%a, %d %b %Y %H:%M:%S} +0000"
            message = letter(n, Date=dated)
            if kind == "maildir":
                self.place.put(f"{n}", message, file=f"new/{n}" if n % 2 else "")
            else:
                self.place.append(message)

    def key(self, n):
        return f"in/{n}" if self.kind == "maildir" else mbox_key(f"{n}@example.net")

    def keys(self):
        return {"post": [self.key(n) for n in range(HELD + 1)]}

    def there(self):
        """The numbers of the letters that are anywhere in the mailbox, under a claim's name or their own, byte for byte."""
        files = [path.read_bytes() for path in (self.folder / "post").rglob("*") if path.is_file() and path.parent.name != "tmp"]
        if self.kind == "mbox":
            files = [FROM_LINE + one for one in (self.folder / "post" / "in").read_bytes().split(FROM_LINE)[1:]]
        return {n for n in range(HELD + 1) if any(b"<%d@example.net>" % n in one for one in files)}

    def leftovers(self):
        return [str(path) for path in (self.folder / "post").rglob("*") if ".retentiond~" in path.name or path.suffix == ".lock"]

    def check(self, finished):
        there, told = self.there(), fates(self)
        assert set(range(COUNT, HELD + 1)) <= there
        for n in range(COUNT):
            said = told.get(("post", self.key(n)), [])
            if n in there:
                assert "disposed" not in said
            else:
                assert "disposed" in said or (not finished and "open" in said), f"gone without evidence: {said}"
        report = verified(self)
        if finished:
            assert there == set(range(COUNT, HELD + 1))
            assert self.leftovers() == []
            assert (report.totals.open_intents, report.totals.counts["disposed"]) == (0, COUNT)


@pytest.mark.parametrize("kind", ["maildir", "mbox"])
@pytest.mark.parametrize("arrow", ["claimed", "compared", "destroyed", "settled"])
def test_killed_while_mail_goes(tmp_path, kind, arrow):
    post = Post(tmp_path / "world", kind)
    claim = ("--reason", "r", "--mandate", "m")
    assert post.here("hold", "place", "H", *claim, "--subject", f"email=jo{HELD}@example.net") == 0
    plan = post.run("plan")["plan"]
    assert post.killed_at(arrow, 1, "apply", plan) == -9
    assert post.here("clock") == 0
    post.check(finished=False)
    assert post.here("apply", plan) == 0
    post.check(finished=True)
