"""`bitmill keys`: creates, lists and revokes API keys in the database of the running system.

Changes reach the other services as events, by the outbox relay of the running ingest service.
"""

import argparse
import asyncio
import os
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime
from typing import TypeVar

import orjson
from asyncpg import PostgresError

from chassis.adapters.postgres import PostgresUnavailable
from chassis.adapters.postgres.pool import Pool
from cli import env_file
from cli.args import default_data
from cli.errors import CliError, UsageError
from schemas.keys import ApiKey
from services.ingest import keys

T = TypeVar("T")
CONNECT_TIMEOUT_SECONDS = 3.0


def create(arguments: argparse.Namespace) -> int:
    """Create a key and print it: only its hash is stored."""
    try:
        key, secret = _with_pool(arguments, lambda pool: keys.create_key(pool, arguments.project, arguments.name))
    except keys.InvalidName as error:
        raise UsageError(str(error)) from None
    if arguments.json:
        print(orjson.dumps({**_fields(key), "key": secret}).decode())
    else:
        print(secret)
        print(f"{key.id} of project {key.project}. Keep the key: it is not stored and cannot be shown again.")
    return 0


def list_(arguments: argparse.Namespace) -> int:
    """Print all keys, or those of one project, without their secrets."""
    listed = _with_pool(arguments, keys.list_keys)
    if arguments.project:
        listed = [entry for entry in listed if arguments.project in (entry.project_name, entry.key.project)]
    if arguments.json:
        for entry in listed:
            print(orjson.dumps({**_fields(entry.key), "project_name": entry.project_name}).decode())
        return 0
    rows = [
        (
            entry.key.id,
            entry.project_name,
            entry.key.name,
            entry.key.hint,
            _time(entry.key.created_at),
            _time(entry.key.revoked_at),
        )
        for entry in listed
    ]
    print(table([("Id", "Project", "Name", "Ends in", "Created", "Revoked"), *rows]))
    return 0


def revoke(arguments: argparse.Namespace) -> int:
    """Revoke a key by its id."""
    key = _with_pool(arguments, lambda pool: keys.revoke_key(pool, arguments.key))
    if key is None:
        raise CliError(f"there is no key {arguments.key}; `bitmill keys list` shows them")
    print(orjson.dumps(_fields(key)).decode() if arguments.json else f"{key.id} is revoked")
    return 0


def database(arguments: argparse.Namespace) -> str:
    """The address of the running system's database: of `--data`, of the environment, or of the default folder."""
    if arguments.data is not None:
        values = env_file.read(arguments.data)
        if "DATABASE_URL" not in values:
            raise UsageError(f"{arguments.data} is not the folder of a system: it has no file env with a DATABASE_URL")
        return values["DATABASE_URL"]
    dsn = os.environ.get("DATABASE_URL") or env_file.read(default_data()).get("DATABASE_URL")
    if not dsn:
        raise UsageError("no system found: name its folder with --data, or set DATABASE_URL (source DIR/env)")
    return dsn


def table(rows: Sequence[Sequence[str]]) -> str:
    """Columns separated by two spaces, one line for each row, so that grep finds rows and ids can be copied."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = ("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in rows)
    return "\n".join(line.rstrip() for line in lines)


def _with_pool(arguments: argparse.Namespace, work: Callable[[Pool], Awaitable[T]]) -> T:
    async def run() -> T:
        try:
            async with keys.database(database(arguments), wait=CONNECT_TIMEOUT_SECONDS) as pool:
                return await work(pool)
        except (OSError, PostgresError, PostgresUnavailable) as error:
            raise CliError(f"the system's database does not respond; is it running? ({error})") from None

    return asyncio.run(run())


def _fields(key: ApiKey) -> dict[str, object]:
    return key.model_dump(exclude={"hash"})


def _time(at_ms: int | None) -> str:
    return "" if at_ms is None else datetime.fromtimestamp(at_ms / 1000, UTC).strftime("%Y-%m-%d %H:%M")
