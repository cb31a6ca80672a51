"""The pool: its own schema, JSON as values, a bounded wait."""

import asyncio
import time

import asyncpg
import pytest

from chassis.adapters.postgres import PostgresUnavailable, check, migrate, open_pool, wait_for_postgres


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


async def test_a_check_gives_up_after_two_seconds_when_no_connection_is_free(fresh_dsn: str) -> None:
    async with await open_pool(fresh_dsn, "mill", size=1) as pool, pool.acquire():
        started = time.monotonic()
        with pytest.raises(TimeoutError):
            await check(pool)
        assert time.monotonic() - started < 4


async def test_waiting_for_a_postgres_that_is_not_there_ends_in_a_sentence_without_the_password() -> None:
    with pytest.raises(PostgresUnavailable) as raised:
        await wait_for_postgres("postgresql://me:secret@127.0.0.1:1/shop", timeout=0.3)
    assert "127.0.0.1:1/shop did not answer within 0.3 s" in str(raised.value)
    assert "secret" not in str(raised.value)


async def test_a_database_that_does_not_exist_is_said_at_once(fresh_dsn: str) -> None:
    with pytest.raises(asyncpg.InvalidCatalogNameError):
        async with asyncio.timeout(5):
            await wait_for_postgres(fresh_dsn.replace("/test_", "/no_such_"))
