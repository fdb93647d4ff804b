"""A company's database as one finds it: customers, orders with their lines and payments, calls, and a log in partitions.

Foreign keys of all three kinds: lines go with their order (CASCADE), payments and calls would lose what they refer to
(SET NULL), and nobody may delete a customer who has orders (RESTRICT).
"""

from datetime import datetime, timedelta

from tests.acceptance.shop import NOW, Shop

DAY = timedelta(days=1)
CUSTOMERS, ORDERS, CALLS, LOGGED = 400, 2000, 3000, 2600
TABLES = """
CREATE TABLE customers (id BIGINT PRIMARY KEY, name VARCHAR(60) NOT NULL, email VARCHAR(80) UNIQUE, phone VARCHAR(30),
  closed_at TIMESTAMP NULL);
CREATE TABLE orders (id BIGINT PRIMARY KEY, customer_id BIGINT NOT NULL, placed_at TIMESTAMP NULL, total DECIMAL(10, 2),
  FOREIGN KEY (customer_id) REFERENCES customers (id) ON DELETE RESTRICT);
CREATE TABLE order_lines (order_id BIGINT, line INT, article VARCHAR(40), PRIMARY KEY (order_id, line),
  FOREIGN KEY (order_id) REFERENCES orders (id) ON DELETE CASCADE);
CREATE TABLE payments (id BIGINT PRIMARY KEY, order_id BIGINT, iban VARCHAR(34), amount DECIMAL(10, 2),
  FOREIGN KEY (order_id) REFERENCES orders (id) ON DELETE SET NULL);
CREATE TABLE calls (id BIGINT PRIMARY KEY, customer_id BIGINT, at TIMESTAMP NULL, caller VARCHAR(30),
  FOREIGN KEY (customer_id) REFERENCES customers (id) ON DELETE SET NULL);
CREATE INDEX calls_at ON calls (at);
CREATE INDEX calls_customer ON calls (customer_id);
CREATE INDEX orders_customer ON orders (customer_id);
CREATE INDEX orders_placed ON orders (placed_at);
CREATE INDEX payments_order ON payments (order_id)
"""
LOG = (
    "CREATE TABLE logins (at DATETIME NOT NULL, id BIGINT NOT NULL, address VARCHAR(40), PRIMARY KEY (id, at))"
    " PARTITION BY RANGE COLUMNS (at)"
)
RULES = """\
  calls:
    store: till
    select: {table: calls, everything: "yes, every item in calls"}
    start: {column: at}
    retention_period: 3 months
    action: delete
  logins:
    store: till
    select: {table: logins, everything: "yes, every item in logins"}
    start: {column: at}
    retention_period: 90 days
    action: delete
  orders:
    store: till
    select: {table: orders, children: [order_lines, payments], everything: "yes, every item in orders"}
    start: {column: placed_at}
    retention_period: 6 years
    action: delete
  former-customers:
    store: till
    select: {table: customers, where: "closed_at IS NOT NULL"}
    start: {column: closed_at}
    retention_period: 1 year
    action: {anonymise: {name: removed, email: {hash: 20}, phone: {mask: 3}}}
"""


class Trade(Shop):
    """The company, with its till on a server. A tenth of what is there is due, or more."""

    def __init__(self, folder, database):
        super().__init__(folder)
        self.database = database
        self.settings(text=self.config.read_text().replace("sqlite:///till.db", database.url))
        self.category("trade", RULES)
        database.sql(*filter(str.strip, TABLES.split(";")))
        self._partitions()
        self._fill()

    def _partitions(self):
        ends = [NOW - n * DAY for n in (300, 200, 100)]
        days = [f"{end:%Y-%m-%d}" for end in ends]
        if self.database.kind == "mariadb":
            parts = [f"PARTITION p{n} VALUES LESS THAN ('{day}')" for n, day in enumerate(days)]
            self.database.sql(f"{LOG} ({', '.join(parts)}, PARTITION rest VALUES LESS THAN (MAXVALUE))")
            return
        self.database.sql(LOG.replace("DATETIME", "TIMESTAMP").replace("RANGE COLUMNS", "RANGE"))
        bounds = ["MINVALUE", *(f"'{day}'" for day in days), "MAXVALUE"]
        for name, low, high in zip(["p0", "p1", "p2", "rest"], bounds, bounds[1:], strict=False):
            self.database.sql(f"CREATE TABLE {name} PARTITION OF logins FOR VALUES FROM ({low}) TO ({high})")

    def _fill(self):
        many = self.database.many
        closed = [NOW - 500 * DAY if n % 8 == 0 else NOW - 30 * DAY if n % 8 == 1 else None for n in range(CUSTOMERS)]
        many(
            "INSERT INTO customers VALUES (%s, %s, %s, %s, %s)",
            [(n, f"Customer {n}", f"c{n}@example.org", f"+44 20 {n:06}", written(at)) for n, at in enumerate(closed)],
        )
        placed = [NOW - (2400 if n % 5 == 0 else n % 1500) * DAY for n in range(ORDERS)]
        many("INSERT INTO orders VALUES (%s, %s, %s, 10.50)", [(n, n % CUSTOMERS, written(at)) for n, at in enumerate(placed)])
        many("INSERT INTO order_lines VALUES (%s, %s, 'a thing')", [(n, line) for n in range(ORDERS) for line in (1, 2)])
        many("INSERT INTO payments VALUES (%s, %s, 'GB00', 10.50)", [(n, n) for n in range(ORDERS)])
        heard = [NOW - (200 if n % 3 == 0 else n % 60) * DAY for n in range(CALLS)]
        many("INSERT INTO calls VALUES (%s, %s, %s, '+44 20')", [(n, n % CUSTOMERS, written(at)) for n, at in enumerate(heard)])
        logged = [NOW - timedelta(days=320 - 320 * n / LOGGED) for n in range(LOGGED)]
        many(
            "INSERT INTO logins (at, id, address) VALUES (%s, %s, '192.0.2.1')",
            [(written(at), n if n % 7 else LOGGED + n) for n, at in enumerate(logged)],  # not all in the order of their time
        )

    def count(self, table, where="1 = 1"):
        return self.database.sql(f"SELECT count(*) FROM {table} WHERE {where}")[0][0]

    def parts(self):
        """The names of the partitions that are left."""
        asked = (
            "SELECT PARTITION_NAME FROM information_schema.PARTITIONS WHERE TABLE_NAME = 'logins' AND TABLE_SCHEMA = DATABASE()"
        )
        if self.database.kind == "postgres":
            asked = "SELECT inhrelid::regclass::text FROM pg_inherits WHERE inhparent = 'logins'::regclass"
        return sorted(row[0] for row in self.database.sql(asked))


def written(at: datetime | None):
    return at and f"{at:%Y-%m-%d %H:%M:%S}"
