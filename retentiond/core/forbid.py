"""Forbid: items that must not exist, unless an event of their subject allows them.

The opposite of a starting point: without the event (a consent) an item is a violation and due at
once, with it the item is kept. An item of which nothing says whose it is cannot be looked up, so it
is undetermined and stays.
"""

from __future__ import annotations

from dataclasses import dataclass

from retentiond.core.item import Page

NO_SUBJECT = "nothing says whose it is, so no event can be looked up"


@dataclass(frozen=True, slots=True)
class Forbid:
    """Forbidden unless the event `event` is known of the subject that the field `by` names."""

    event: str
    by: str

    @property
    def words(self) -> str:
        """Why an item goes."""
        return f"forbidden, as no event {self.event} allows it"

    @property
    def allowed(self) -> str:
        """Why an item stays."""
        return f"the event {self.event} allows it"

    def violations(self, page: Page) -> list[int]:
        """The positions of a page that must not exist. `page.starts` are the events; what is anonymised already is nobody's."""
        subjects = page.facts[self.by] if len(page) else ()
        return [i for i, at in enumerate(page.starts) if at is None and subjects[i] is not None and i not in page.done]

    def still_due(self, page: Page) -> list[bool]:
        """Asked again at the moment of disposal: which of the items no event allows."""
        found = set(self.violations(page))
        return [i in found for i in range(len(page))]
