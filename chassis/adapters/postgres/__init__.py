"""Postgres as every service sees it: a pool bound to the service's own schema, migrations, named queries.

This room knows asyncpg, psycopg (for migrations only) and `.sql` files; it knows no table of any service.
"""

from chassis.adapters.postgres.errors import MigrationFailed, PostgresError, PostgresUnavailable
from chassis.adapters.postgres.migrate import migrate
from chassis.adapters.postgres.pool import Connection, Pool, check, open_pool, wait_for_postgres

__all__ = [
    "Connection",
    "MigrationFailed",
    "Pool",
    "PostgresError",
    "PostgresUnavailable",
    "check",
    "migrate",
    "open_pool",
    "wait_for_postgres",
]
