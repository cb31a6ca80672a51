"""Postgres for every service: a pool bound to the service's own schema, migrations, named queries from `.sql` files."""

from chassis.adapters.postgres.connection import (
    ConnectionLost,
    MigrationFailed,
    PostgresError,
    PostgresUnavailable,
    wait_for_postgres,
)
from chassis.adapters.postgres.migrate import migrate
from chassis.adapters.postgres.pool import Connection, Deadlines, Pool, check, open_pool

__all__ = [
    "Connection",
    "ConnectionLost",
    "Deadlines",
    "MigrationFailed",
    "Pool",
    "PostgresError",
    "PostgresUnavailable",
    "check",
    "migrate",
    "open_pool",
    "wait_for_postgres",
]
