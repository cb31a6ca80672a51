"""The connection pool of one service: its own schema on the search path, JSON as Python values, a deadline on all.

No acquire, query, release or close waits longer than the pool's `Deadlines`, whatever the server does. A pool in front
of a server that stopped answering recovers by itself: after the first query without an answer the pool pings the other
connections before it hands them out, and replaces those that do not answer.
"""

import asyncio
import time
from collections.abc import Generator, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias, cast

import asyncpg
import orjson
from asyncpg.pool import PoolAcquireContext, PoolConnectionProxy

from chassis.adapters.postgres import sql
from chassis.adapters.postgres.connection import (
    SESSION_SETTINGS,
    TRANSACTION_TIMEOUT,
    ConnectionLost,
    GuardedConnection,
    PostgresUnavailable,
    is_lost,
    wait_for_postgres,
)
from chassis.core import logs

Connection: TypeAlias = "asyncpg.Connection[asyncpg.Record] | PoolConnectionProxy[asyncpg.Record]"

log = logs.get_logger(__name__)


@dataclass(frozen=True)
class Deadlines:
    """Seconds that each step may take at most."""

    acquire_s: float = 5.0
    """Waiting for a free connection, and connecting if there is none."""
    query_s: float = 10.0
    """One query. A call may give its own `timeout`, up to the server's `statement_timeout`."""
    release_s: float = 2.0
    """Resetting a connection that goes back to the pool; after it, the connection is terminated."""
    ping_s: float = 1.0
    """The ping of a connection that may be broken."""
    close_s: float = 3.0
    """Closing the pool; after it, the connections are terminated."""


class Pool(asyncpg.Pool):
    """An asyncpg pool with deadlines; opened by `open_pool`.

    `async with pool.acquire() as connection` raises `TimeoutError` if no connection is free or can be made in time,
    and `ConnectionLost` where asyncpg has a plain `InterfaceError` because a connection or the pool is closed.
    """

    def __init__(self, dsn: str, *, size: int, server_settings: dict[str, str], deadlines: Deadlines) -> None:
        super().__init__(
            dsn,
            # No minimum of open connections: asyncpg would restore them in the background, with a warning per try.
            min_size=0,
            init_size=1,
            max_size=size,
            max_queries=50_000,
            max_inactive_connection_lifetime=300.0,
            connect=_connect,
            init=self._prepare_connection,
            reset=_reset,
            loop=None,
            connection_class=GuardedConnection,
            record_class=asyncpg.Record,
            timeout=deadlines.acquire_s,
            command_timeout=deadlines.query_s,
            server_settings=server_settings,
        )
        self._deadlines = deadlines
        self._unanswered_at = float("-inf")
        self.waiting = 0
        """Tasks that wait for a connection."""

    def acquire(self, *, timeout: float | None = None) -> "PoolAcquireContext[asyncpg.Record]":
        """A connection for the block, within `timeout` seconds (the pool's `acquire_s` if not given)."""
        return _AcquireContext(self, self._deadlines.acquire_s if timeout is None else timeout)

    async def acquire_checked(self, timeout: float) -> "PoolConnectionProxy[asyncpg.Record]":
        """A connection that works, for `await pool.acquire()` and `async with pool.acquire()`."""
        self.waiting += 1
        try:
            async with asyncio.timeout(timeout):
                return await self._next_working_connection()
        except asyncpg.InterfaceError as error:
            if self.is_closing():
                raise ConnectionLost("the pool is closed") from error
            raise
        finally:
            self.waiting -= 1

    async def release(self, connection: "PoolConnectionProxy[asyncpg.Record]", *, timeout: float | None = None) -> None:
        """Puts a connection back. One that cannot be reset in time is terminated; the caller's work is done anyway."""
        try:
            await super().release(connection, timeout=self._deadlines.release_s if timeout is None else timeout)
        except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError) as error:
            if not is_lost(connection) and not self.is_closing():
                raise
            log.warning("postgres_connection_discarded", error=f"{type(error).__name__}: {error}")

    async def close(self) -> None:
        """Closes the connections once they are free, and terminates those that are not in time."""
        try:
            async with asyncio.timeout(self._deadlines.close_s):
                await super().close()
        except TimeoutError:
            self.terminate()
            log.warning("postgres_pool_terminated", seconds=self._deadlines.close_s)

    async def _next_working_connection(self) -> "PoolConnectionProxy[asyncpg.Record]":
        one_failed = False
        while True:
            connection = await super().acquire(timeout=None)
            if cast(Any, connection).answered_at >= self._unanswered_at:
                return connection
            if not one_failed and await self._ping(connection):
                return connection
            # After one failed ping, all connections that have not answered since are replaced without a ping, because
            # each failed ping costs a second.
            one_failed = True
            if not is_lost(connection):
                connection.terminate()

    async def _ping(self, connection: "PoolConnectionProxy[asyncpg.Record]") -> bool:
        try:
            await connection.fetchval("SELECT 1", timeout=self._deadlines.ping_s)
        except (OSError, asyncpg.PostgresError) as error:
            log.warning("postgres_connection_discarded", error=f"{type(error).__name__}: {error}")
            return False
        return True

    def _on_unanswered(self) -> None:
        self._unanswered_at = time.monotonic()

    async def _prepare_connection(self, connection: "asyncpg.Connection[asyncpg.Record]") -> None:
        cast(GuardedConnection, connection).on_unanswered = self._on_unanswered
        for kind in ("json", "jsonb"):
            await connection.set_type_codec(kind, encoder=_dump, decoder=orjson.loads, schema="pg_catalog")


async def _reset(connection: "asyncpg.Connection[asyncpg.Record]") -> None:
    """Resets the session only where a query failed, which saves a round trip for each use of a connection.

    No code of ours leaves a setting, lock, cursor or LISTEN behind its transaction.
    """
    guarded = cast(GuardedConnection, connection)
    if guarded.query_failed:
        await connection.reset()
        guarded.query_failed = False


class _AcquireContext(PoolAcquireContext):
    """`async with pool.acquire()` and `await pool.acquire()`."""

    pool: Pool

    async def __aenter__(self) -> "PoolConnectionProxy[asyncpg.Record]":
        self.connection = await self.pool.acquire_checked(cast(float, self.timeout))
        return self.connection

    async def __aexit__(self, *exc: object) -> None:
        error = exc[1]
        lost = is_lost(self.connection)
        await super().__aexit__(*exc)
        if lost and isinstance(error, asyncpg.InterfaceError | asyncpg.InternalClientError):
            raise ConnectionLost(f"the connection to Postgres was lost: {error}") from error

    def __await__(self) -> Generator[Any, None, "PoolConnectionProxy[asyncpg.Record]"]:
        return self.pool.acquire_checked(cast(float, self.timeout)).__await__()


async def open_pool(
    dsn: str,
    schema: str,
    *,
    size: int = 10,
    wait: float = 60.0,
    settings: Mapping[str, str] | None = None,
    deadlines: Deadlines | None = None,
) -> Pool:
    """A pool of at most `size` connections whose `search_path` is `schema` alone.

    Waits up to `wait` seconds for Postgres. `json` and `jsonb` go in and come out as Python values. `settings` are
    further server settings of each connection. Close it with `await pool.close()` or `async with pool`.
    """
    bound = await wait_for_postgres(dsn, wait)
    server_settings = {"search_path": schema, "application_name": f"bitmill.{schema}", **SESSION_SETTINGS}
    server_settings.setdefault(bound, TRANSACTION_TIMEOUT)
    return await Pool(
        dsn, size=size, server_settings=server_settings | dict(settings or {}), deadlines=deadlines or Deadlines()
    )


async def check(pool: Pool, timeout: float = 2.0) -> None:
    """Raises `PostgresUnavailable` unless Postgres answers a query within `timeout` seconds."""
    try:
        async with asyncio.timeout(timeout), pool.acquire(timeout=timeout) as connection:
            await connection.fetchval(sql.load("chassis.adapters.postgres")["check"])
    except TimeoutError as error:
        if pool.get_size() == pool.get_max_size() and not pool.get_idle_size():
            message = f"all {pool.get_max_size()} connections to Postgres were busy for {timeout:g} s"
            raise PostgresUnavailable(message) from error
        raise PostgresUnavailable(f"Postgres does not answer within {timeout:g} s") from error


async def set_schema(conn: Connection, schema: str) -> None:
    """Makes `schema` the search path for the rest of the transaction that `conn` is in.

    For a command that has to change the schemas of two services at once, as their owner.
    """
    await conn.execute(sql.load("chassis.adapters.postgres")["set_schema"], schema)


async def _connect(*arguments: Any, **options: Any) -> "asyncpg.Connection[asyncpg.Record]":
    try:
        return await asyncpg.connect(*arguments, **options)
    except FileNotFoundError as error:
        # The socket file is gone together with the server: an outage like a refused port, not a missing file of ours.
        raise ConnectionRefusedError(error.errno, "Postgres is not running") from error


def _dump(value: Any) -> str:
    return orjson.dumps(value).decode()
