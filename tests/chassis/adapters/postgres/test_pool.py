"""The pool: its own schema, JSON as values, and what it does about connections that break or become unresponsive."""

import asyncio
import socket
import time
from collections.abc import AsyncIterator

import asyncpg
import pytest

from chassis.adapters.failure_policy import is_outage
from chassis.adapters.postgres import (
    ConnectionLost,
    Deadlines,
    Pool,
    PostgresUnavailable,
    check,
    migrate,
    open_pool,
    wait_for_postgres,
)
from chassis.adapters.postgres.connection import keep_alive
from tests.support.proxy import Proxy
from tests.support.waiting import until

SHORT = Deadlines(acquire_s=1.0, query_s=1.0, release_s=0.5, ping_s=0.5, close_s=0.5)
"""For tests in which Postgres does not answer."""
SAFETY_NET_S = 60.0


@pytest.fixture
async def proxy(fresh_dsn: str) -> AsyncIterator[Proxy]:
    async with Proxy(fresh_dsn) as proxy:
        yield proxy


async def _works(pool: Pool) -> bool:
    try:
        async with pool.acquire() as connection:
            return bool(await connection.fetchval("SELECT true"))
    except (OSError, asyncpg.PostgresError) as error:
        assert is_outage(error), repr(error)
        return False


async def _open_connections(pool: Pool, count: int) -> None:
    """Makes the pool hold `count` idle connections."""
    held = [await pool.acquire() for _ in range(count)]
    for connection in held:
        await pool.release(connection)
    assert pool.get_idle_size() == count


async def _terminate_backends(dsn: str) -> None:
    connection = await asyncpg.connect(dsn)
    try:
        await connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
    finally:
        await connection.close()


async def test_a_pool_sees_its_own_schema_alone(fresh_dsn: str) -> None:
    await migrate(fresh_dsn, "mill", [])
    async with await open_pool(fresh_dsn, "mill") as pool:
        assert await pool.fetchval("SHOW search_path") == "mill"
        await pool.execute("CREATE TABLE t (id int)")
        assert await pool.fetchval("SELECT schemaname FROM pg_tables WHERE tablename = 't'") == "mill"


async def test_json_goes_in_and_comes_out_as_values(fresh_dsn: str) -> None:
    value = {"a": [1, None, "ä"], "b": {"c": True}}
    async with await open_pool(fresh_dsn, "mill") as pool:
        assert await pool.fetchval("SELECT $1::jsonb", value) == value
        assert await pool.fetchval("SELECT $1::json", value) == value


async def test_a_pool_that_works_passes_the_check(fresh_dsn: str) -> None:
    async with await open_pool(fresh_dsn, "mill", size=2, settings={"plan_cache_mode": "force_custom_plan"}) as pool:
        await check(pool)
        assert await pool.fetchval("SHOW plan_cache_mode") == "force_custom_plan"


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("statement_timeout", "1min"),
        ("idle_in_transaction_session_timeout", "30s"),
        ("transaction_timeout", "1min"),
        ("client_connection_check_interval", "2s"),
    ],
)
async def test_the_server_bounds_statements_and_idle_transactions_too(fresh_dsn: str, setting: str, value: str) -> None:
    async with await open_pool(fresh_dsn, "mill") as pool:
        assert await pool.fetchval(f"SHOW {setting}") == value


async def test_the_server_probes_a_unresponsive_client(proxy: Proxy) -> None:
    async with await open_pool(proxy.dsn, "mill") as pool:
        # Behind the proxy the server may be reached over a socket file, where these settings do nothing and show 0.
        assert await pool.fetchval("SHOW tcp_user_timeout") in ("15000", "15s", "0")
        assert await pool.fetchval("SHOW tcp_keepalives_idle") in ("10", "0")


def test_the_client_probes_a_unresponsive_server() -> None:
    with socket.socket() as client:
        keep_alive(client)
        assert client.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
        assert client.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL) == 5
        assert client.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT) == 3


async def test_a_check_says_that_all_connections_are_busy(fresh_dsn: str) -> None:
    async with await open_pool(fresh_dsn, "mill", size=1) as pool, pool.acquire():
        with pytest.raises(PostgresUnavailable, match="all 1 connections to Postgres were busy"):
            await check(pool, timeout=0.1)


async def test_a_check_says_that_a_unresponsive_postgres_does_not_answer(proxy: Proxy) -> None:
    async with await open_pool(proxy.dsn, "mill", size=1) as pool:
        await proxy.cut(hang=True)
        with pytest.raises(PostgresUnavailable, match="Postgres does not answer"):
            await check(pool, timeout=0.2)


async def test_a_query_without_an_answer_ends_at_its_deadline_and_its_connection_is_replaced(proxy: Proxy) -> None:
    async with await open_pool(proxy.dsn, "mill", size=1, deadlines=SHORT) as pool:
        before = await pool.fetchval("SELECT pg_backend_pid()")
        await proxy.cut(hang=True)
        async with asyncio.timeout(SAFETY_NET_S):
            with pytest.raises(TimeoutError):
                await pool.fetchval("SELECT 1")
            with pytest.raises(TimeoutError):  # a new connection is not answered either
                await pool.fetchval("SELECT 1")
        await proxy.restore(old_connections=False)
        await until(lambda: _works(pool), within=SAFETY_NET_S)
        assert await pool.fetchval("SELECT pg_backend_pid()") != before


async def test_a_transaction_on_a_unresponsive_connection_ends_with_the_error_of_its_query(proxy: Proxy) -> None:
    async with await open_pool(proxy.dsn, "mill", size=1, deadlines=SHORT) as pool, asyncio.timeout(SAFETY_NET_S):
        with pytest.raises(TimeoutError):
            async with pool.acquire() as connection, connection.transaction():
                await proxy.cut(hang=True)
                await connection.execute("SELECT 1")


async def test_a_cancelled_query_on_a_unresponsive_connection_ends_at_once_and_stays_cancelled(proxy: Proxy) -> None:
    async with await open_pool(proxy.dsn, "mill", size=1) as pool:
        asked = asyncio.Event()

        async def query() -> None:
            async with pool.acquire() as connection, connection.transaction():
                await proxy.cut(hang=True)
                asked.set()
                await connection.execute("SELECT 1", timeout=SAFETY_NET_S)

        task = asyncio.create_task(query())
        await asked.wait()
        await asyncio.sleep(0)  # the query is sent
        task.cancel()
        started = time.monotonic()
        with pytest.raises(asyncio.CancelledError):
            await task
        # Far less than the deadline of a query (10 s) that asyncpg would wait for a confirmation.
        assert time.monotonic() - started < 5
        pool.terminate()


async def test_a_pool_of_unresponsive_connections_works_again_once_postgres_accepts_new_ones(
    proxy: Proxy,
) -> None:
    """Thirty connections were open when Postgres stopped responding on them for ever, as after a failover."""
    async with await open_pool(proxy.dsn, "mill", size=30, deadlines=SHORT) as pool:
        await _open_connections(pool, 30)
        await proxy.cut(hang=True)
        assert not await _works(pool)
        await proxy.restore(old_connections=False)
        started = time.monotonic()
        await until(lambda: _works(pool), within=SAFETY_NET_S)
        # One failed ping (0.5 s here) replaces all; thirty pings one after the other would take thirty times as long.
        assert time.monotonic() - started < 12


@pytest.mark.parametrize("pieces", range(3))
async def test_a_connection_that_goes_silent_while_it_is_made_is_given_up_in_time(proxy: Proxy, pieces: int) -> None:
    """After so many responses of Postgres, in the login or in what a pool asks on a new connection."""
    async with await open_pool(proxy.dsn, "mill", size=1, deadlines=SHORT) as pool:
        await proxy.silence()
        proxy.silence_after(pieces)
        asking = asyncio.create_task(_works(pool))
        await asyncio.wait([asking], timeout=SAFETY_NET_S)
        assert asking.done()
        proxy.silence_after(None)
        await until(lambda: asyncio.wait_for(_works(pool), SAFETY_NET_S), within=SAFETY_NET_S)


async def test_a_healthy_connection_outlives_the_slow_query_of_another(fresh_dsn: str) -> None:
    async with await open_pool(fresh_dsn, "mill", size=2) as pool:
        async with pool.acquire() as healthy, pool.acquire() as slow:
            before = await healthy.fetchval("SELECT pg_backend_pid()")
            with pytest.raises(TimeoutError):
                await slow.execute("SELECT pg_sleep(60)", timeout=0.1)
        assert await pool.fetchval("SELECT pg_backend_pid()") == before


async def test_the_server_ends_a_query_whose_client_terminated_the_connection(fresh_dsn: str) -> None:
    async with await open_pool(fresh_dsn, "mill", size=2) as pool:
        async with pool.acquire() as slow:
            with pytest.raises(TimeoutError):
                await slow.execute("SELECT pg_sleep(600)", timeout=0.1)

        async def gone() -> bool:
            running = "SELECT count(*) FROM pg_stat_activity WHERE query LIKE '%pg_sleep(600)' AND state = 'active'"
            return bool(await pool.fetchval(running + " AND datname = current_database()") == 0)

        await until(gone, within=SAFETY_NET_S)


async def test_connections_that_the_server_ended_while_idle_are_replaced_unnoticed_or_lost_as_an_outage(
    fresh_dsn: str,
) -> None:
    async with await open_pool(fresh_dsn, "mill", size=5) as pool:
        await _open_connections(pool, 5)
        await _terminate_backends(fresh_dsn)
        # `_works` fails for an error that is not an outage, whichever state asyncpg is in.
        await until(lambda: _works(pool), within=SAFETY_NET_S)


async def test_a_connection_that_the_server_ends_within_a_block_is_lost_as_an_outage(fresh_dsn: str) -> None:
    async with await open_pool(fresh_dsn, "mill", size=1) as pool:
        with pytest.raises((ConnectionError, asyncpg.PostgresError)) as first:
            async with pool.acquire() as connection, connection.transaction():
                await _terminate_backends(fresh_dsn)
                await connection.execute("SELECT 1")
        assert is_outage(first.value)
        with pytest.raises(ConnectionLost):
            async with pool.acquire() as connection:
                connection.terminate()
                await connection.execute("SELECT 1")
        assert await _works(pool)


async def test_misuse_of_a_connection_is_no_outage(fresh_dsn: str) -> None:
    async with await open_pool(fresh_dsn, "mill", size=1) as pool:
        with pytest.raises(asyncpg.InterfaceError) as raised:
            async with pool.acquire() as connection:
                await asyncio.gather(connection.execute("SELECT pg_sleep(0.1)"), connection.execute("SELECT 1"))
        assert not is_outage(raised.value)
        assert await _works(pool)


async def test_a_closed_pool_is_an_outage_for_whoever_still_asks(fresh_dsn: str) -> None:
    pool = await open_pool(fresh_dsn, "mill")
    await pool.close()
    with pytest.raises(ConnectionLost, match="the pool is closed"):
        await pool.fetchval("SELECT 1")


async def test_closing_a_pool_waits_neither_for_a_borrower_nor_for_a_unresponsive_server(proxy: Proxy) -> None:
    async with asyncio.timeout(SAFETY_NET_S):
        pool = await open_pool(proxy.dsn, "mill", size=2, deadlines=SHORT)
        async with pool.acquire():
            await pool.close()
        pool = await open_pool(proxy.dsn, "mill", size=2, deadlines=SHORT)
        await proxy.cut(hang=True)
        await pool.close()


async def test_waiting_for_a_postgres_that_is_not_there_ends_in_a_sentence_without_the_password() -> None:
    with pytest.raises(PostgresUnavailable) as raised:
        await wait_for_postgres("postgresql://me:secret@127.0.0.1:1/shop", timeout=0.3)
    assert "127.0.0.1:1/shop did not answer within 0.3 s" in str(raised.value)
    assert "secret" not in str(raised.value)


async def test_a_database_that_does_not_exist_is_said_at_once(fresh_dsn: str) -> None:
    with pytest.raises(asyncpg.InvalidCatalogNameError):
        async with asyncio.timeout(SAFETY_NET_S):
            await wait_for_postgres(fresh_dsn.replace("/test_", "/no_such_"))
