"""The small world with its calls on a server, and some ways to disturb who works there."""

from contextlib import closing

from retentiond.engine import failpoints
from tests.servers.databases import CUT_OFF
from tests.world import CATEGORY, NEW, OLD, World

TABLES = {
    "plain": "CREATE TABLE calls (id BIGINT PRIMARY KEY, at TIMESTAMP NULL, caller VARCHAR(20))",
    "postgres": "CREATE TABLE calls (id BIGINT PRIMARY KEY, at TIMESTAMP NULL, caller VARCHAR(20)) PARTITION BY RANGE (id)",
    "mariadb": "CREATE TABLE calls (id BIGINT PRIMARY KEY, at TIMESTAMP NULL, caller VARCHAR(20)) PARTITION BY RANGE (id) "
    "(PARTITION p1 VALUES LESS THAN ({0}), PARTITION p2 VALUES LESS THAN ({1}), PARTITION p3 VALUES LESS THAN MAXVALUE)",
}
PARTS = [
    "CREATE TABLE p1 PARTITION OF calls FOR VALUES FROM (MINVALUE) TO ({0})",
    "CREATE TABLE p2 PARTITION OF calls FOR VALUES FROM ({0}) TO ({1})",
    "CREATE TABLE p3 PARTITION OF calls FOR VALUES FROM ({1}) TO (MAXVALUE)",
]
ENDS = (1201, 2401)


class Rows(World):
    """1 to 2,500 are due, some later ones are not, and the last one is held. Partitioned, all of the first two parts is due."""

    def __init__(self, folder, database, *, files=20, rows=2500, partitioned=False, ends=ENDS):
        super().__init__(folder, files, 0)
        self.database = database
        self.due_rows, self.kept_rows, self.held_row = [*range(1, rows + 1)], [*range(rows + 1, rows + 21)], rows + 21
        self.tell('"sqlite:///pbx.db"', f'"{database.url}"')
        made = [TABLES[database.kind if partitioned else "plain"], *(PARTS if partitioned and self.is_postgres else ())]
        database.sql(*(text.format(*ends) for text in made))
        times = dict.fromkeys(self.kept_rows, f"{NEW:%Y-%m-%d %H:%M:%S}")
        old = f"{OLD:%Y-%m-%d %H:%M:%S}"
        database.many("INSERT INTO calls VALUES (%s, %s, 'x')", [(i, times.get(i, old)) for i in range(1, rows + 22)])

    @property
    def is_postgres(self):
        return self.database.kind == "postgres"

    def tell(self, old, new):
        """Changes the configuration."""
        path = self.folder / "retentiond.yaml"
        path.write_text(path.read_text().replace(old, new))

    def act(self, text):
        """Lets the rule of the rows do something else."""
        (self.folder / "policies.d" / "calls.yaml").write_text(f"{text}".join(CATEGORY.rsplit("delete", 1)))

    def rows_left(self):
        with closing(self.database.connect()) as con, closing(con.cursor()) as cursor:
            cursor.execute("SELECT id FROM calls")
            return {row[0] for row in cursor.fetchall()}

    def parts(self):
        """The names of the partitions."""
        parts = "information_schema.PARTITIONS WHERE TABLE_NAME = 'calls' AND TABLE_SCHEMA = DATABASE()"
        if self.is_postgres:
            parts = (
                "(SELECT inhrelid::regclass::text AS PARTITION_NAME FROM pg_inherits WHERE inhparent = 'calls'::regclass) AS p"
            )
        asked = f"SELECT PARTITION_NAME FROM {parts} ORDER BY 1"
        return [row[0] for row in self.database.sql(asked)]

    def disturbed(self, arrow, act, *args, nth=1):
        """The exit code of a command in this process, in which something happens when it first comes to an arrow of the rows."""
        seen = []

        def watch(reached):
            seen.append(reached)
            if reached == arrow and seen.count(reached) == nth:
                act()

        failpoints.watch(watch)
        try:
            return self.here(*args)
        finally:
            failpoints.watch(None)

    def cut_off(self):
        """Ends every session of the program: the server's backends die under it."""
        if self.is_postgres:
            self.database.sql(CUT_OFF)
            return
        own = self.database.sql("SELECT CONNECTION_ID()")[0][0]
        for number in self.database.sql(f"SELECT ID FROM information_schema.PROCESSLIST WHERE ID <> {own} AND DB = DATABASE()"):
            self.database.sql(f"KILL {number[0]}")
