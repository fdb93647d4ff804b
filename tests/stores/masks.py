"""People in a table, and how they are anonymised."""

from dataclasses import replace

from retentiond.core.anonymise import Constant, Hash, Mask, Null, Truncate
from retentiond.core.policy import Action
from retentiond.engine.ports import Batch
from tests.stores.tables import scope

KEY = b"k" * 32
ALL = (
    ("ip", Truncate(24)),
    ("email", Null()),
    ("name", Mask(1)),
    ("ref", Hash(16)),
    ("born", Truncate("year")),
    ("note", Constant("removed")),
)
TABLE = "CREATE TABLE people (id INTEGER PRIMARY KEY, at TEXT, ip TEXT, email TEXT, name TEXT, ref TEXT, born DATE, note TEXT)"


def what(columns=ALL, table="people", where=None, **more):
    found = scope(table, where, **{k: v for k, v in more.items() if k in ("version", "key", "start", "fields", "predicates")})
    rest = {k: v for k, v in more.items() if k in ("leave_done", "waiting_from")}
    return replace(found, columns=tuple(columns), **rest)


def due(store, sc):
    return {item.key: item.revision for page in store.scan(sc) for i, item in enumerate(page) if i not in page.done}


def anonymise(store, sc, plan, predicates=(), key=KEY):
    batch = Batch(1, sc, Action("anonymise", sc.columns), list(plan), list(plan.values()), predicates, "till", key)
    said = {batch.keys[i]: (s.outcome.value, s.code) for s in store.dispose(batch) for i in s.positions}
    assert set(said) == set(plan)
    return said
