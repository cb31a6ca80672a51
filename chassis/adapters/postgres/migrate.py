"""Forward-only migrations of one schema, safe when several replicas start at once.

yoyo reads the files and records what was applied; two of its behaviours are replaced. It records a migration in a
transaction of its own after running it, so that a kill between the two leaves a migration that can neither be run nor
skipped: here both are one transaction. And its lock is a row that outlives a killed process: here an advisory lock is
held, which does not.
"""

import asyncio
import re
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from importlib import resources
from typing import Any

import psycopg
from yoyo.backends.core.postgresql import PostgresqlPsycopgBackend
from yoyo.connections import DatabaseURI
from yoyo.migrations import Migration, MigrationList, default_migration_table

from chassis.adapters.postgres import sql
from chassis.adapters.postgres.connection import MigrationFailed
from chassis.adapters.postgres.schema_state import compare, read_files, schema_state

KEEPALIVES: dict[str, Any] = {"keepalives_idle": 10, "keepalives_interval": 5, "keepalives_count": 3}
"""No statement timeout: a migration may take long; but a server that disappeared ends it."""
_SCHEMA = re.compile(r"[a-z][a-z0-9_]{0,62}")


async def migrate(dsn: str, schema: str, sources: Sequence[str], *, wait: float = 60.0) -> list[str]:
    """Creates `schema` and applies, in order, the numbered `.sql` files of each package in `sources`; their ids.

    A migration is identified by package and file name, so that packages number theirs independently. Its SQL runs with
    `schema` alone on the search path. A schema that has everything is only read, so that a role without rights to
    change it may call this as well. Waits up to `wait` seconds for Postgres. Raises `MigrationFailed`, naming the file
    (the migrations before it stay applied), and `MigrationChanged`.
    """
    if not _SCHEMA.fullmatch(schema):
        raise ValueError(f"{schema!r} is not a plain schema name")
    state = await schema_state(dsn, schema, sources, wait=wait)
    if sources and not state.pending and not state.unknown:
        return []
    return await asyncio.to_thread(_migrate, dsn, schema, tuple(sources))


class _Backend(PostgresqlPsycopgBackend):  # type: ignore[misc]  # yoyo has no types
    """yoyo's backend for psycopg 3, opened by a libpq address and recording a migration as it applies it."""

    checksums: Mapping[str, str] = {}

    def connect(self, dburi: DatabaseURI) -> "psycopg.Connection[Any]":
        self.schema = dburi.args["schema"]
        return psycopg.connect(
            dburi.args["dsn"], autocommit=True, application_name="bitmill.migrate", connect_timeout=10, **KEEPALIVES
        )

    def apply_one(self, migration: Migration, force: bool = False, mark: bool = True) -> None:  # noqa: ARG002 - yoyo passes it
        self.ensure_internal_schema_updated()
        with self.transaction():
            migration.process_steps(self, "apply", force=force)
            self.mark_one(migration, log=False)
            self.record_checksum(migration.id)

    def record_checksum(self, id: str) -> None:
        record = sql.load("chassis.adapters.postgres")["record_checksum"]
        self.execute(record, {"id": id, "checksum": self.checksums[id]})


def _migrate(dsn: str, schema: str, sources: Sequence[str]) -> list[str]:
    uri = DatabaseURI("postgresql+psycopg", None, None, None, None, None, {"dsn": dsn, "schema": schema})
    applied = []
    with ExitStack() as files, _Backend(uri, default_migration_table) as backend:
        try:
            migrations = _prepare(backend, schema, sources, files)
        except psycopg.errors.InsufficientPrivilege as error:
            raise MigrationFailed(
                f"Schema {schema} has migrations to be applied, and this role of Postgres may not change it "
                f"({str(error).strip()}): run `bitmill migrate {schema}` as the owner of the schema."
            ) from error
        for migration in backend.to_apply(migrations):
            try:
                backend.apply_one(migration)
            except psycopg.Error as error:
                raise MigrationFailed(f"Migration {migration.id} of schema {schema} failed: {error}") from error
            applied.append(str(migration.id))
    return applied


def _prepare(backend: _Backend, schema: str, sources: Sequence[str], files: ExitStack) -> MigrationList:
    """Locks the schema, creates what is missing of the bookkeeping, and compares the checksums; all migrations."""
    queries = sql.load("chassis.adapters.postgres")
    backend.execute(queries["lock_schema"], {"schema": schema})
    backend.execute(queries["create_schema"].format(schema=schema))
    if backend.lock_table not in backend.list_tables():
        backend.create_lock_table()
    backend.break_lock()  # we hold the advisory lock, so that a lock row of yoyo was left by a killed process
    backend.ensure_internal_schema_updated()
    backend.execute(queries["create_checksums"])
    found = read_files(sources)
    backend.checksums = {file.id: file.checksum for file in found}
    recorded = dict(backend.execute(queries["applied_with_checksums"].format(schema=schema)).fetchall())
    for id in compare(schema, found, recorded).unknown:
        backend.record_checksum(id)
    paths = [(file, files.enter_context(resources.as_file(file.entry))) for file in found]
    return MigrationList([Migration(file.id, str(path), file.package) for file, path in paths])
