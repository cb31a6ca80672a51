"""What a schema has, compared with the migration files of this release: what is missing, and what was changed since.

yoyo's table `_yoyo_migration` says which files were applied, `migration_checksums` with which text. A file that was
applied by a release without checksums gets the one that it has when this release migrates for the first time.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from importlib import import_module, resources
from importlib.resources.abc import Traversable
from pathlib import Path

import asyncpg

from chassis.adapters.postgres import sql
from chassis.adapters.postgres.connection import MigrationChanged, MigrationsPending, RoleRefused, wait_for_postgres

_CONNECT_SECONDS = 10.0
_QUERY_SECONDS = 30.0


@dataclass(frozen=True)
class MigrationFile:
    """A numbered `.sql` file. `id` is package and file name; `package` the name under which it is recorded."""

    id: str
    package: str
    entry: Traversable
    checksum: str


@dataclass(frozen=True)
class SchemaState:
    """`pending`: ids of files that were not applied; `unknown`: applied files whose checksum was not recorded."""

    pending: tuple[str, ...]
    unknown: tuple[str, ...]


def read_files(sources: Sequence[str]) -> list[MigrationFile]:
    """The files of each package in order. A package that moved keeps the name under which its files were recorded."""
    found = []
    for source in sources:
        package = getattr(import_module(source), "RECORDED_AS", source)
        entries = (entry for entry in resources.files(source).iterdir() if entry.name.endswith(".sql"))
        for entry in sorted(entries, key=lambda entry: entry.name):
            found.append(
                MigrationFile(f"{package}:{Path(entry.name).stem}", package, entry, checksum(entry.read_bytes()))
            )
    return found


def checksum(content: bytes) -> str:
    """SHA-256 of a file, the same whether a checkout has written its line ends as LF or CRLF (pure)."""
    return sha256(content.replace(b"\r\n", b"\n")).hexdigest()


def compare(schema: str, files: Sequence[MigrationFile], recorded: Mapping[str, str | None]) -> SchemaState:
    """Compares files with what was applied: the checksum by id, None where it was not recorded (pure).

    What was applied and has no file is of a newer release, which the previous one has to work with. Raises
    MigrationChanged.
    """
    changed = [file.id for file in files if recorded.get(file.id) not in (None, file.checksum)]
    if changed:
        raise MigrationChanged(
            f"Schema {schema}: {', '.join(changed)} was changed after it had been applied. Restore the file as it was, "
            "and put the change into a new migration."
        )
    return SchemaState(
        pending=tuple(file.id for file in files if file.id not in recorded),
        unknown=tuple(file.id for file in files if file.id in recorded and recorded[file.id] is None),
    )


async def schema_state(dsn: str, schema: str, sources: Sequence[str], *, wait: float = 60.0) -> SchemaState:
    """Reads what was applied, and changes nothing. Waits up to `wait` seconds for Postgres.

    Raises MigrationChanged, and RoleRefused if the role may not use the schema.
    """
    await wait_for_postgres(dsn, wait)
    connection = await asyncpg.connect(dsn, timeout=_CONNECT_SECONDS, command_timeout=_QUERY_SECONDS)
    try:
        recorded = await _recorded(connection, schema)
    except asyncpg.InsufficientPrivilegeError as error:
        raise RoleRefused(f"This role of Postgres may not use schema {schema}: {error}.") from error
    finally:
        await connection.close(timeout=_CONNECT_SECONDS)
    return compare(schema, read_files(sources), recorded)


async def require_current(dsn: str, schema: str, sources: Sequence[str], *, wait: float = 60.0) -> None:
    """Raises MigrationsPending unless every file was applied, and MigrationChanged if one was changed since."""
    state = await schema_state(dsn, schema, sources, wait=wait)
    if state.pending:
        raise MigrationsPending(
            f"Schema {schema} has {len(state.pending)} migrations to be applied ({', '.join(state.pending)}): "
            f"run `bitmill migrate {schema}`."
        )


async def _recorded(connection: "asyncpg.Connection[asyncpg.Record]", schema: str) -> dict[str, str | None]:
    queries = sql.load("chassis.adapters.postgres")
    if not await connection.fetchval(queries["has_table"], schema, "_yoyo_migration"):
        return {}
    known = await connection.fetchval(queries["has_table"], schema, "migration_checksums")
    query = queries["applied_with_checksums" if known else "applied_without_checksums"]
    return {row["id"]: row["checksum"] for row in await connection.fetch(query.format(schema=schema))}
