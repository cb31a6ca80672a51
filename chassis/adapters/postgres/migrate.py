"""Forward-only migrations of one schema, safe when several replicas start at once.

yoyo reads the files and records what was applied; two of its behaviours are replaced. It records a migration in a
transaction of its own after running it, so that a kill between the two leaves a migration that can neither be run nor
skipped: here both are one transaction. And its lock is a row that outlives a killed process: here an advisory lock is
held, which does not.
"""

import asyncio
import re
from collections.abc import Sequence
from contextlib import ExitStack
from importlib import import_module, resources
from pathlib import Path
from typing import Any

import psycopg
from yoyo.backends.core.postgresql import PostgresqlPsycopgBackend
from yoyo.connections import DatabaseURI
from yoyo.migrations import Migration, MigrationList, default_migration_table

from chassis.adapters.postgres import sql
from chassis.adapters.postgres.connection import MigrationFailed, wait_for_postgres

_KEEPALIVES: dict[str, Any] = {"keepalives_idle": 10, "keepalives_interval": 5, "keepalives_count": 3}
"""No statement timeout: a migration may take long; but a server that disappeared ends it."""
_SCHEMA = re.compile(r"[a-z][a-z0-9_]{0,62}")


async def migrate(dsn: str, schema: str, sources: Sequence[str], *, wait: float = 60.0) -> None:
    """Creates `schema` and applies, in order, the numbered `.sql` files of each package in `sources`.

    A migration is identified by package and file name, so that packages number theirs independently. Its SQL runs with
    `schema` alone on the search path. Waits up to `wait` seconds for Postgres. Raises `MigrationFailed`, naming the
    file; the migrations before it stay applied.
    """
    if not _SCHEMA.fullmatch(schema):
        raise ValueError(f"{schema!r} is not a plain schema name")
    await wait_for_postgres(dsn, wait)
    await asyncio.to_thread(_migrate, dsn, schema, tuple(sources))


class _Backend(PostgresqlPsycopgBackend):  # type: ignore[misc]  # yoyo has no types
    """yoyo's backend for psycopg 3, opened by a libpq address and recording a migration as it applies it."""

    def connect(self, dburi: DatabaseURI) -> "psycopg.Connection[Any]":
        self.schema = dburi.args["schema"]
        return psycopg.connect(
            dburi.args["dsn"], autocommit=True, application_name="bitmill.migrate", connect_timeout=10, **_KEEPALIVES
        )

    def apply_one(self, migration: Migration, force: bool = False, mark: bool = True) -> None:  # noqa: ARG002 - yoyo passes it
        self.ensure_internal_schema_updated()
        with self.transaction():
            migration.process_steps(self, "apply", force=force)
            self.mark_one(migration, log=False)


def _migrate(dsn: str, schema: str, sources: Sequence[str]) -> None:
    queries = sql.load("chassis.adapters.postgres")
    uri = DatabaseURI("postgresql+psycopg", None, None, None, None, None, {"dsn": dsn, "schema": schema})
    with ExitStack() as files, _Backend(uri, default_migration_table) as backend:
        backend.execute(queries["lock_schema"], {"schema": schema})
        backend.execute(queries["create_schema"].format(schema=schema))
        if backend.lock_table not in backend.list_tables():
            backend.create_lock_table()
        backend.break_lock()  # we hold the advisory lock, so that a lock row of yoyo was left by a killed process
        migrations = MigrationList([item for source in sources for item in _read(source, files)])
        for migration in backend.to_apply(migrations):
            try:
                backend.apply_one(migration)
            except psycopg.Error as error:
                raise MigrationFailed(f"Migration {migration.id} of schema {schema} failed: {error}") from error


def _read(package: str, files: ExitStack) -> list[Migration]:
    # A package that moved keeps the name under which its migrations were recorded.
    recorded_as = getattr(import_module(package), "RECORDED_AS", package)
    found = []
    entries = (entry for entry in resources.files(package).iterdir() if entry.name.endswith(".sql"))
    for entry in sorted(entries, key=lambda entry: entry.name):
        path = files.enter_context(resources.as_file(entry))
        found.append(Migration(f"{recorded_as}:{Path(entry.name).stem}", str(path), recorded_as))
    return found
