"""A database on a server, for a state that is kept there."""

from tests.servers.databases import postgres, postgres_database, postgres_server  # noqa: F401 these are fixtures
