"""What the commands share that work on the database of a running system: its address, a pool, tables of output."""

import argparse
import asyncio
import os
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from typing import TypeVar

from asyncpg import InsufficientPrivilegeError, PostgresError

from chassis.adapters.postgres import MigrationChanged, MigrationsPending, Pool, PostgresUnavailable, RoleRefused
from cli import env_file
from cli.args import default_data
from cli.errors import CliError, UsageError

T = TypeVar("T")
CONNECT_TIMEOUT_SECONDS = 3.0
ADMIN_URL = "ADMIN_DATABASE_URL"
"""The variable with the address of the schemas' owner, where the services connect with roles of their own."""


def database_of(arguments: argparse.Namespace) -> str:
    """The address of the running system's database: of `--data`, of the environment, or of the default folder."""
    if arguments.data is not None:
        values = env_file.read(arguments.data)
        if "DATABASE_URL" not in values:
            raise UsageError(f"{arguments.data} is not the folder of a system: it has no file env with a DATABASE_URL")
        return values["DATABASE_URL"]
    dsn = (
        os.environ.get(ADMIN_URL) or os.environ.get("DATABASE_URL") or env_file.read(default_data()).get("DATABASE_URL")
    )
    if not dsn:
        raise UsageError("no system found: name its folder with --data, or set DATABASE_URL (source DIR/env)")
    return dsn


def with_database(
    arguments: argparse.Namespace,
    open_database: Callable[..., AbstractAsyncContextManager[Pool]],
    work: Callable[[Pool], Awaitable[T]],
) -> T:
    """What `work` returns, called with a pool of the service that `open_database` belongs to. Raises `CliError`."""

    async def run() -> T:
        try:
            async with open_database(database_of(arguments), wait=CONNECT_TIMEOUT_SECONDS) as pool:
                return await work(pool)
        except (MigrationsPending, MigrationChanged) as error:
            raise CliError(str(error)) from None
        except (RoleRefused, InsufficientPrivilegeError) as error:
            raise CliError(f"{error} Set {ADMIN_URL} to the address of the schemas' owner.") from None
        except (OSError, PostgresError, PostgresUnavailable) as error:
            raise CliError(f"the system's database does not respond; is it running? ({error})") from None

    return asyncio.run(run())


def table(rows: Sequence[Sequence[str]]) -> str:
    """Columns separated by two spaces, one line for each row, so that grep finds rows and ids can be copied."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = ("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in rows)
    return "\n".join(line.rstrip() for line in lines)
