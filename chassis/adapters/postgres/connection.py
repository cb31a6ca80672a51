"""One connection to Postgres: waiting for the server, a deadline on every query, typed errors.

PostgresError
  PostgresUnavailable  (also a ConnectionError) Postgres does not answer, or has no free connection
  ConnectionLost       (also a ConnectionError) a connection of the pool broke, or the pool is closed
  MigrationFailed      Postgres refused a migration; nothing of it was applied
  MigrationsPending    the schema is older than this release
  MigrationChanged     the file of a migration differs from what was applied
  RoleRefused          a role has not the rights that it needs, or has more than the role of a service may have
"""

import asyncio
import socket
import time
from collections.abc import Awaitable, Callable
from functools import wraps
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

import asyncpg
from asyncpg.transaction import Transaction

from chassis.core import logs
from chassis.core.retry import Backoff

_KEEPALIVE_IDLE_S, _KEEPALIVE_INTERVAL_S, _KEEPALIVE_COUNT, _USER_TIMEOUT_S = 10, 5, 3, 15
"""A peer that disappeared is noticed within 15 s while data is on its way, within 25 s on an idle connection."""

SESSION_SETTINGS = {
    "tcp_keepalives_idle": str(_KEEPALIVE_IDLE_S),
    "tcp_keepalives_interval": str(_KEEPALIVE_INTERVAL_S),
    "tcp_keepalives_count": str(_KEEPALIVE_COUNT),
    "tcp_user_timeout": f"{_USER_TIMEOUT_S}s",
    # The client's own deadline is shorter; this bounds what it cannot cancel.
    "statement_timeout": "60s",
    "idle_in_transaction_session_timeout": "30s",
    # A client that terminated its connection must not leave a query (and its locks) running.
    "client_connection_check_interval": "2s",
}
"""Server settings of every connection of a pool (Postgres 14 and later)."""

TRANSACTION_TIMEOUT = "60s"
"""For a transaction as a whole, from Postgres 17 on."""

_SOCKET_OPTIONS = (
    (socket.SOL_SOCKET, "SO_KEEPALIVE", 1),
    (socket.IPPROTO_TCP, "TCP_KEEPIDLE", _KEEPALIVE_IDLE_S),
    (socket.IPPROTO_TCP, "TCP_KEEPALIVE", _KEEPALIVE_IDLE_S),  # the same on macOS
    (socket.IPPROTO_TCP, "TCP_KEEPINTVL", _KEEPALIVE_INTERVAL_S),
    (socket.IPPROTO_TCP, "TCP_KEEPCNT", _KEEPALIVE_COUNT),
    (socket.IPPROTO_TCP, "TCP_USER_TIMEOUT", _USER_TIMEOUT_S * 1000),
)

_NOT_YET = (
    OSError,  # refused, no socket file yet, no such host yet; TimeoutError is one of these
    asyncpg.CannotConnectNowError,  # starting up, shutting down
    asyncpg.TooManyConnectionsError,
    asyncpg.ConnectionDoesNotExistError,  # closed in the middle of the handshake
    asyncpg.AdminShutdownError,
    asyncpg.CrashShutdownError,
)

log = logs.get_logger(__name__)


class PostgresError(Exception):
    """A failure of the database; the message is a sentence for the operator."""


class PostgresUnavailable(PostgresError, ConnectionError):
    """Postgres did not answer in the time allowed."""


class ConnectionLost(PostgresError, ConnectionError):
    """The connection broke before or during a query, or the pool is closed: try again on another connection."""


class MigrationFailed(PostgresError):
    """A migration was refused by Postgres; nothing of it was applied."""


class MigrationsPending(PostgresError):
    """The schema lacks migrations of this release."""


class MigrationChanged(PostgresError):
    """The file of a migration is not the one that was applied."""


class RoleRefused(PostgresError):
    """A role of Postgres has not the rights that it needs, or has more than it may; nothing was changed."""


def _guarded(query: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
    """A query method of asyncpg that leaves no connection behind whose state is unknown.

    After a timeout or a cancellation asyncpg waits for the server to confirm the cancellation, and a server that
    hangs never does. So the connection is terminated; `client_connection_check_interval` ends the query on the server.
    """

    @wraps(query)
    async def call(self: "GuardedConnection", *arguments: Any, **options: Any) -> Any:
        failed, self.query_failed = self.query_failed, True
        try:
            result = await query(self, *arguments, **options)
        except (TimeoutError, asyncio.CancelledError):
            self.terminate()
            self.on_unanswered()
            raise
        except (OverflowError, UnicodeEncodeError) as error:
            # What asyncpg raises for a value that COPY cannot encode; for a query it raises DataError.
            raise asyncpg.DataError(f"a value cannot be stored: {error}") from error
        except (asyncpg.InterfaceError, asyncpg.InternalClientError) as error:
            # asyncpg raises the same class for a closed connection and for misuse: ask the connection.
            if not self.is_closed():
                raise
            raise ConnectionLost(f"the connection to Postgres was lost: {error}") from error
        self.answered_at, self.query_failed = time.monotonic(), failed
        return result

    return call


class GuardedConnection(asyncpg.Connection):
    """A connection whose queries raise `ConnectionLost` on a closed connection and are never left half-cancelled."""

    def __init__(self, protocol: Any, transport: Any, *arguments: Any) -> None:
        super().__init__(protocol, transport, *arguments)
        self.answered_at = time.monotonic()
        """When the server last answered a query (`time.monotonic`)."""
        self.query_failed = False
        """Whether a query has failed, or is in progress."""
        self.on_unanswered: Callable[[], None] = lambda: None
        """Called when a query ended without an answer: by its deadline, or because its task was cancelled."""
        keep_alive(transport.get_extra_info("socket"))

    def transaction(self, **options: Any) -> Transaction:
        """As in asyncpg, but a lost connection does not hide the error that ended the block."""
        return _GuardedTransaction(self, **options)

    if not TYPE_CHECKING:
        execute = _guarded(asyncpg.Connection.execute)
        executemany = _guarded(asyncpg.Connection.executemany)
        fetch = _guarded(asyncpg.Connection.fetch)
        fetchrow = _guarded(asyncpg.Connection.fetchrow)
        fetchval = _guarded(asyncpg.Connection.fetchval)
        fetchmany = _guarded(asyncpg.Connection.fetchmany)
        prepare = _guarded(asyncpg.Connection.prepare)
        copy_records_to_table = _guarded(asyncpg.Connection.copy_records_to_table)


class _GuardedTransaction(Transaction):
    def __init__(
        self,
        connection: GuardedConnection,
        *,
        isolation: Any = None,
        readonly: bool = False,
        deferrable: bool = False,
    ) -> None:
        super().__init__(connection, isolation, readonly, deferrable)
        self._session = connection

    async def __aexit__(self, kind: object, error: object, trace: object) -> None:
        # The session ended, and its transaction with it. asyncpg would raise InterfaceError for the ROLLBACK that
        # cannot be sent, in place of the error (or of the cancellation!) that ended the block.
        if error is not None and self._session.is_closed():
            return
        await super().__aexit__(kind, error, trace)


def transaction_bound(connection: Any) -> str:
    """The setting that ends a transaction, and with it its locks, whose client does not go on.

    Before Postgres 17 nothing does so for a client that is frozen between the preparation of a statement and its
    execution: Postgres then neither executes a statement nor is it idle.
    """
    has_timeout = connection.get_server_version().major >= 17
    return "transaction_timeout" if has_timeout else "idle_in_transaction_session_timeout"


def is_lost(connection: Any) -> bool:
    """Whether a connection of a pool is closed. A connection that the pool has removed raises InterfaceError."""
    try:
        return bool(connection.is_closed())
    except asyncpg.InterfaceError:
        return True


def keep_alive(client: socket.socket | None) -> None:
    """Sets TCP keepalive options; a Unix socket needs none."""
    if client is None or client.family == socket.AF_UNIX:
        return
    for level, name, value in _SOCKET_OPTIONS:
        if (option := getattr(socket, name, None)) is not None:
            client.setsockopt(level, option, value)


async def wait_for_postgres(dsn: str, timeout: float = 60.0) -> str:
    """Its `transaction_bound`, once Postgres accepts a connection; `PostgresUnavailable` after `timeout` seconds.

    What waiting cannot cure (wrong password, no such database) is raised at once as asyncpg's own exception.
    """
    backoff = Backoff(log, "connect_to_postgres", first_s=0.05, longest_s=2.0)
    last: BaseException | None = None
    try:
        async with asyncio.timeout(timeout):
            while True:
                try:
                    connection = await asyncpg.connect(dsn, timeout=min(10.0, timeout))
                except _NOT_YET as error:
                    last = error
                    await backoff.sleep(error)
                else:
                    bound = transaction_bound(connection)
                    await connection.close()
                    backoff.reset()
                    return bound
    except TimeoutError:
        why = f": {last}" if last and str(last) else ""
        raise PostgresUnavailable(f"Postgres at {masked(dsn)} did not answer within {timeout:g} s{why}") from last


def masked(dsn: str) -> str:
    """Host, port and database of a `postgresql://` address, without user, password or options (pure)."""
    try:
        parts = urlsplit(dsn)
    except ValueError:
        return "(unreadable address)"
    host = parts.netloc.rpartition("@")[2] or ",".join(parse_qs(parts.query).get("host", ["localhost"]))
    return f"{host}{parts.path}" if not host.startswith("/") else f"{host} ({parts.path.lstrip('/')})"
