"""The peer: a careful person's loop, by keyset and `DELETE … RETURNING`, 1,000 rows a transaction, no evidence."""

import json
import sqlite3
import sys
from datetime import UTC, datetime, timedelta

cut = (datetime.now(UTC) - timedelta(days=731)).strftime("%Y-%m-%d %H:%M:%S")  # noqa: TID251 the peer has its own clock
db = sqlite3.connect(sys.argv[1], isolation_level=None)
for pragma in ("journal_mode=WAL", "synchronous=FULL", "cache_size=-200000"):
    db.execute(f"PRAGMA {pragma}")
last, gone = ("", 0), 0
while True:
    db.execute("BEGIN IMMEDIATE")
    wanted = "created_at < ? AND (created_at, id) > (?, ?) ORDER BY created_at, id LIMIT 1000"
    rows = db.execute(f"SELECT id, created_at FROM call_recordings WHERE {wanted}", (cut, *last)).fetchall()
    if not rows:
        db.execute("COMMIT")
        break
    last = (rows[-1][1], rows[-1][0])
    keys = json.dumps([row[0] for row in rows])
    doomed = "DELETE FROM call_recordings WHERE id IN (SELECT value FROM json_each(?)) RETURNING id"
    gone += len(db.execute(doomed, (keys,)).fetchall())
    db.execute("COMMIT")
print(gone)
