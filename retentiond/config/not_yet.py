"""Words of the policy language that this version does not carry out: one table.

Each is refused by name, never ignored, because a rule that is half read is another rule.
Whoever builds a room deletes its rows here and adds the field to its shape.
"""

from __future__ import annotations

from collections.abc import Mapping

NOT_YET: Mapping[str, frozenset[str]] = {
    "rule": frozenset(),
    "path selection": frozenset(),
    "table selection": frozenset(),
    "start": frozenset(),
    "engine": frozenset({"dask"}),
}
"""By kind of thing: the keys, or the words, that are refused as not in this version."""

WHY = "the language has it, this version does not carry it out, and a rule that is half read would be another rule"
DO = "leave it out, or use a version that has it"
