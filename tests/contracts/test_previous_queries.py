"""The queries of the previous release work on today's schemas: see previous_release/README.md.

While a release is rolled out, the schemas are migrated and processes of the previous release still work on them.
"""

import re
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import asyncpg
import pytest

from chassis.adapters.postgres import migrate, sql
from cli.migrate import spec_of
from schemas.topics import Service

FOLDER = Path(__file__).parent / "previous_release" / "sql"
PACKAGES: dict[Service, tuple[str, ...]] = {
    "ingest": ("outbox", "job_queue", "ingest"),
    "transcoder": ("outbox", "job_queue"),
    "thumbnailer": ("outbox", "job_queue"),
    "catalog": ("catalog",),
    "notifier": ("outbox", "job_queue", "notifier"),
}
"""The folders with the queries and migrations that each service of the previous release had."""
TEMPLATES = {"sort": ("created_at", "filesize", "filename"), "order": ("ASC", "DESC")}
"""What that release put into its queries by `str.format`."""
HEADS = {"with_jobs": ("outbox", "put")}
"""Queries that are the head of another one, by package and name."""
SAME = {"jsonb": "json"}
"""Types that its codecs treat alike."""
VALUES = {
    "text": "'x'",
    "json": "'{}'",
    "jsonb": "'{}'",
    "bytea": "'x'",
    "boolean": "false",
    "uuid": "gen_random_uuid()",
    "timestamp with time zone": "now()",
}
COLUMNS = """
SELECT relname AS table, attname AS column, format_type(atttypid, NULL) AS type,
    attnotnull AND NOT atthasdef AND attidentity = '' AS required
FROM pg_attribute JOIN pg_class ON pg_class.oid = attrelid
WHERE relnamespace = $1::regnamespace AND relkind = 'r' AND attnum > 0 AND relname !~ 'yoyo|migration'
ORDER BY pg_class.oid, attnum
"""
CHECKS = """
SELECT relname AS table, pg_get_constraintdef(pg_constraint.oid) AS definition
FROM pg_constraint JOIN pg_class ON pg_class.oid = conrelid
WHERE relnamespace = $1::regnamespace AND contype = 'c'
"""


def queries(service: Service) -> Iterator[tuple[str, str]]:
    """Every query of the service in that release, with each text that was put into it."""
    for package in PACKAGES[service]:
        for file in sorted((FOLDER / package).glob("*.sql")):
            for name, text in sql.parse(file.read_text(encoding="utf-8")):
                query = f"{text}\n{read(*HEADS[name])}" if name in HEADS else text
                found = {part for part in TEMPLATES if f"{{{part}}}" in query}
                for sort in TEMPLATES["sort"] if "sort" in found else ("",):
                    for order in TEMPLATES["order"] if "order" in found else ("",):
                        made = query.format(sort=sort, order=order) if found else query
                        yield f"{package}.{name} {sort} {order}".strip(), made


def read(package: str, name: str) -> str:
    """One query of a package."""
    texts = (file.read_text(encoding="utf-8") for file in (FOLDER / package).glob("*.sql"))
    return next(query for text in texts for found, query in sql.parse(text) if found == name)


@asynccontextmanager
async def connected(dsn: str, schema: str) -> AsyncIterator["asyncpg.Connection[asyncpg.Record]"]:
    connection = await asyncpg.connect(dsn, server_settings={"search_path": schema})
    try:
        yield connection
    finally:
        await connection.close()


@asynccontextmanager
async def both(
    dsn: str, service: Service
) -> AsyncIterator[tuple["asyncpg.Connection[asyncpg.Record]", "asyncpg.Connection[asyncpg.Record]"]]:
    """Connections to the schema as the previous release had it, and to that schema with today's migrations."""
    await migrate(dsn, service, spec_of(service).all_migrations)
    async with connected(dsn, "previous") as old, connected(dsn, service) as new:
        await old.execute("CREATE SCHEMA previous")
        for package in PACKAGES[service]:
            for file in sorted((FOLDER / package / "migrations").glob("*.sql")):
                await old.execute(file.read_text(encoding="utf-8"))
        yield old, new


async def types(connection: "asyncpg.Connection[asyncpg.Record]", query: str) -> tuple[list[str], dict[str, str]]:
    """The types of a query's parameters, and those of its columns by name."""
    prepared = await connection.prepare(query)
    parameters = [SAME.get(each.name, each.name) for each in prepared.get_parameters()]
    return parameters, {each.name: SAME.get(each.type.name, each.type.name) for each in prepared.get_attributes()}


@pytest.mark.parametrize("service", PACKAGES)
async def test_every_query_of_the_previous_release_has_the_same_types_on_the_new_schema(
    service: Service, fresh_dsn: str
) -> None:
    found = list(queries(service))
    assert len(found) > 10
    async with both(fresh_dsn, service) as (old, new):
        for name, query in found:
            assert await types(new, query) == await types(old, query), name


async def outcome(connection: "asyncpg.Connection[asyncpg.Record]", statement: str) -> str:
    try:
        return await connection.execute(statement)
    except asyncpg.IntegrityConstraintViolationError as error:
        return type(error).__name__


@pytest.mark.parametrize("service", PACKAGES)
async def test_every_row_that_the_previous_release_writes_is_taken_by_the_new_schema(
    service: Service, fresh_dsn: str
) -> None:
    """A row of each table with the columns that it had to have, and each value of its enums."""
    async with both(fresh_dsn, service) as (old, new):
        tables: dict[str, dict[str, str]] = {}
        for column in await old.fetch(COLUMNS, "previous"):
            values = tables.setdefault(column["table"], {})
            if column["required"]:
                values[column["column"]] = VALUES.get(column["type"], "1")
        statements = [
            f"INSERT INTO {table} ({', '.join(values)}) VALUES ({', '.join(values.values())})"
            for table, values in tables.items()
        ]
        for check in await old.fetch(CHECKS, "previous"):
            enum = re.match(r"CHECK \(\((\w+) = ANY \(ARRAY\[(.*)\]\)\)\)", check["definition"])
            if enum:
                statements += [
                    f"UPDATE {check['table']} SET {enum[1]} = '{value}'" for value in re.findall(r"'(\w+)'", enum[2])
                ]
        for statement in statements:
            expected = await outcome(old, statement)
            assert expected in ("INSERT 0 1", "UPDATE 1", "CheckViolationError"), statement
            assert await outcome(new, statement) == expected, statement
