"""The peer: a careful person's loop in psycopg, by keyset and `DELETE … RETURNING`, 1,000 rows a transaction, no evidence."""

import sys

import psycopg

con = psycopg.connect(sys.argv[1])
cut = con.execute("SELECT now() - interval '731 days'").fetchone()[0]
last, gone = None, 0
while True:
    after = "" if last is None else "AND (created_at, id) > (%s, %s)"
    wanted = f"created_at < %s {after} ORDER BY created_at, id LIMIT 1000"
    rows = con.execute(f"SELECT id, created_at FROM call_recordings WHERE {wanted}", (cut, *(last or ()))).fetchall()
    if not rows:
        con.commit()
        break
    last = (rows[-1][1], rows[-1][0])
    keys = [row[0] for row in rows]
    gone += len(con.execute("DELETE FROM call_recordings WHERE id = ANY(%s) RETURNING id", (keys,)).fetchall())
    con.commit()
print(gone)
