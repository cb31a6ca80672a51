"""Postgres for every service: a pool bound to the service's own schema, migrations, named queries from `.sql` files."""

from chassis.adapters.postgres.connection import (
    ConnectionLost,
    MigrationChanged,
    MigrationFailed,
    MigrationsPending,
    PostgresError,
    PostgresUnavailable,
    RoleRefused,
    wait_for_postgres,
)
from chassis.adapters.postgres.migrate import migrate
from chassis.adapters.postgres.pool import Connection, Deadlines, Pool, check, open_pool, set_schema
from chassis.adapters.postgres.roles import ServiceRole, grant_roles
from chassis.adapters.postgres.schema_state import SchemaState, require_current, schema_state

__all__ = [
    "Connection",
    "ConnectionLost",
    "Deadlines",
    "MigrationChanged",
    "MigrationFailed",
    "MigrationsPending",
    "Pool",
    "PostgresError",
    "PostgresUnavailable",
    "RoleRefused",
    "SchemaState",
    "ServiceRole",
    "check",
    "grant_roles",
    "migrate",
    "open_pool",
    "require_current",
    "schema_state",
    "set_schema",
    "wait_for_postgres",
]
