"""`bitmill keys`: straight on the database of the running system; its relay tells the other services."""

import argparse
import asyncio
import os
import sys
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import TypeVar

import orjson
from asyncpg import PostgresError
from rich.console import Console
from rich.table import Table

from chassis.adapters.postgres import PostgresUnavailable
from chassis.adapters.postgres.pool import Pool
from cli import envfile
from cli.args import default_data
from cli.errors import CliError, UsageError
from schemas.keys import ApiKey
from services.ingest import keys

T = TypeVar("T")
PATIENCE_SECONDS = 3.0
PIPE_WIDTH = 400


def database(arguments: argparse.Namespace) -> str:
    """The running system's database: of `--data`, of the environment, or of the default folder."""
    if arguments.data is not None:
        values = envfile.read(arguments.data)
        if "DATABASE_URL" not in values:
            raise UsageError(f"{arguments.data} is not the folder of a system: it has no file env with a DATABASE_URL")
        return values["DATABASE_URL"]
    dsn = os.environ.get("DATABASE_URL") or envfile.read(default_data()).get("DATABASE_URL")
    if not dsn:
        raise UsageError("no system found: name its folder with --data, or set DATABASE_URL (source DIR/env)")
    return dsn


def _with_pool(arguments: argparse.Namespace, work: Callable[[Pool], Awaitable[T]]) -> T:
    async def run() -> T:
        try:
            async with keys.database(database(arguments), wait=PATIENCE_SECONDS) as pool:
                return await work(pool)
        except (OSError, PostgresError, PostgresUnavailable) as error:
            raise CliError(f"the system's database does not answer; is it running? ({error})") from None

    return asyncio.run(run())


def create(arguments: argparse.Namespace) -> int:
    key, secret = _with_pool(arguments, lambda pool: keys.create_key(pool, arguments.project, arguments.name))
    if arguments.json:
        print(orjson.dumps({**_shown(key), "key": secret}).decode())
    else:
        print(secret)
        print(f"{key.id} of project {key.project}. Keep the key: it is not stored and cannot be shown again.")
    return 0


def list_(arguments: argparse.Namespace) -> int:
    found = _with_pool(arguments, keys.list_keys)
    if arguments.project:
        found = [listed for listed in found if arguments.project in (listed.project_name, listed.key.project)]
    if arguments.json:
        for listed in found:
            print(orjson.dumps({**_shown(listed.key), "project_name": listed.project_name}).decode())
        return 0
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in ("Id", "Project", "Name", "Ends in", "Created", "Revoked"):
        # An id that is broken into two lines cannot be copied into `keys revoke`.
        table.add_column(column, overflow="fold", no_wrap=column == "Id")
    for listed in found:
        key = listed.key
        table.add_row(key.id, listed.project_name, key.name, key.hint, _day(key.created_at), _day(key.revoked_at))
    # A pipe has no width: there every row stays on one line, so that grep finds it whole.
    console = Console(width=None if sys.stdout.isatty() else PIPE_WIDTH)
    console.print(table)
    return 0


def revoke(arguments: argparse.Namespace) -> int:
    key = _with_pool(arguments, lambda pool: keys.revoke_key(pool, arguments.key))
    if key is None:
        raise CliError(f"there is no key {arguments.key}; `bitmill keys list` shows them")
    print(orjson.dumps(_shown(key)).decode() if arguments.json else f"{key.id} is revoked")
    return 0


def _shown(key: ApiKey) -> dict[str, object]:
    return key.model_dump(exclude={"hash"})


def _day(at_ms: int | None) -> str:
    return "" if at_ms is None else datetime.fromtimestamp(at_ms / 1000, UTC).strftime("%Y-%m-%d %H:%M")
