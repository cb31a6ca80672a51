"""The connection pool of one service: its own schema on the search path, JSON as Python values."""

import asyncio
from collections.abc import Mapping
from typing import Any, TypeAlias

import asyncpg
import orjson
from asyncpg.pool import PoolConnectionProxy

from chassis.adapters.postgres import sql
from chassis.adapters.postgres.dsn import masked
from chassis.adapters.postgres.errors import PostgresUnavailable

Pool: TypeAlias = "asyncpg.Pool[asyncpg.Record]"
Connection: TypeAlias = "asyncpg.Connection[asyncpg.Record] | PoolConnectionProxy[asyncpg.Record]"

_CHECK_SECONDS = 2.0
_FIRST_PAUSE_SECONDS = 0.05
_LONGEST_PAUSE_SECONDS = 2.0
_NOT_YET = (
    OSError,  # refused, no socket file yet, no such host yet; TimeoutError is one of these
    asyncpg.CannotConnectNowError,  # starting up, shutting down
    asyncpg.TooManyConnectionsError,
    asyncpg.ConnectionDoesNotExistError,  # closed in the middle of the handshake
    asyncpg.AdminShutdownError,
    asyncpg.CrashShutdownError,
)


async def wait_for_postgres(dsn: str, timeout: float = 60.0) -> None:
    """Return once Postgres takes a connection; `PostgresUnavailable` after `timeout` seconds.

    What will not get better by waiting (wrong password, no such database) is raised at once as asyncpg says it.
    """
    pause = _FIRST_PAUSE_SECONDS
    last: BaseException | None = None
    try:
        async with asyncio.timeout(timeout):
            while True:
                try:
                    connection = await asyncpg.connect(dsn, timeout=min(10.0, timeout))
                except _NOT_YET as error:
                    last = error
                else:
                    await connection.close()
                    return
                await asyncio.sleep(pause)
                pause = min(pause * 2, _LONGEST_PAUSE_SECONDS)
    except TimeoutError:
        why = f": {last}" if last and str(last) else ""
        raise PostgresUnavailable(f"Postgres at {masked(dsn)} did not answer within {timeout:g} s{why}") from last


async def open_pool(
    dsn: str, schema: str, *, size: int = 10, wait: float = 60.0, settings: Mapping[str, str] | None = None
) -> Pool:
    """A pool of at most `size` connections whose `search_path` is `schema` alone.

    Waits up to `wait` seconds for Postgres. `json` and `jsonb` go in and come out as Python values. `settings` are
    further server settings for each connection. Close it with `await pool.close()` or `async with pool`.
    """
    await wait_for_postgres(dsn, wait)
    return await asyncpg.create_pool(
        dsn,
        min_size=1,
        max_size=size,
        connect=_connect,
        init=_teach_json,
        server_settings={"search_path": schema, "application_name": f"bitmill.{schema}", **(settings or {})},
    )


async def check(pool: Pool) -> None:
    """Raise unless Postgres answers a query within two seconds."""
    async with asyncio.timeout(_CHECK_SECONDS):
        await pool.fetchval(sql.load("chassis.adapters.postgres")["check"])


async def _connect(*arguments: Any, **options: Any) -> "asyncpg.Connection[asyncpg.Record]":
    try:
        return await asyncpg.connect(*arguments, **options)
    except FileNotFoundError as error:
        # The server's socket is gone with the server: away, like one whose port refuses, and not a file of ours.
        raise ConnectionRefusedError(error.errno, "Postgres is not there") from error


def _dump(value: Any) -> str:
    return orjson.dumps(value).decode()


async def _teach_json(connection: "asyncpg.Connection[asyncpg.Record]") -> None:
    for kind in ("json", "jsonb"):
        await connection.set_type_codec(kind, encoder=_dump, decoder=orjson.loads, schema="pg_catalog")
