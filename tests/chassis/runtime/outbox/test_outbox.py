"""Writing events, combining their insert with another, and waiting until they are published."""

import asyncio
from datetime import datetime, timedelta

import orjson
import pytest
from aiokafka.errors import MessageSizeTooLargeError

from chassis.adapters.postgres import open_pool
from chassis.core.ids import now_ms
from chassis.runtime.outbox import Insert, Outbox
from tests.chassis.runtime.outbox.conftest import FakeProducer, OutboxFixture, event
from tests.support.waiting import until

LONG = timedelta(seconds=60)
SHORT = timedelta(milliseconds=200)


async def test_an_event_of_a_transaction_that_fails_is_never_sent(env: OutboxFixture) -> None:
    producer = FakeProducer()
    with pytest.raises(RuntimeError, match="no"):
        async with env.pool.acquire() as conn, conn.transaction():
            await env.outbox.put(conn, event("ghost"))
            raise RuntimeError("no")
    async with env.relaying(producer):
        await env.put(event("real"))
        await until(env.empty)
    assert producer.keys == ["real"]


async def test_rows_of_several_callers_join_an_insert_of_somebody_else(env: OutboxFixture) -> None:
    await env.pool.execute("CREATE TABLE other (name text)")
    insert = Insert.joined([env.outbox.rows(event("a"), event("b")), env.outbox.rows(event("c"))])
    statement = f"WITH added AS (INSERT INTO other SELECT unnest($5::text[])) {insert.statement}"
    await env.pool.execute(statement, *insert.columns, ["x", "y"])
    rows = await env.pool.fetch("SELECT topic, key FROM outbox ORDER BY id")
    assert [(row["topic"], row["key"]) for row in rows] == [("job.control", key) for key in (b"a", b"b", b"c")]
    assert await env.pool.fetchval("SELECT count(*) FROM other") == 2


def test_only_inserts_of_one_statement_can_be_joined() -> None:
    with pytest.raises(ValueError, match="0 different"):
        Insert.joined([])
    with pytest.raises(ValueError, match="2 different"):
        Insert.joined([Insert("a", ()), Insert("b", ())])


async def test_each_event_has_an_id_of_its_own_and_the_time(env: OutboxFixture) -> None:
    first, second = (dict(orjson.loads(text)) for text in env.outbox.rows(event("a"), event("b")).columns[3])
    assert first["ce_id"] != second["ce_id"]
    assert first["ce_source"] == "/bitmill/ingest"


async def test_an_empty_outbox_has_published_everything(env: OutboxFixture) -> None:
    assert await env.outbox.wait_published(timeout=LONG)


async def test_waiting_ends_as_soon_as_the_relay_of_this_process_has_published(env: OutboxFixture) -> None:
    producer = FakeProducer(lambda key: None)
    await env.put(event("a"))
    async with env.relaying(producer):
        waiting = asyncio.create_task(env.outbox.wait_published(timeout=LONG))
        await until(lambda: producer.unanswered)
        assert not waiting.done()
        producer.behave = lambda key: "ok"
        assert await waiting


async def test_waiting_sees_what_another_replica_publishes(env: OutboxFixture) -> None:
    await env.put(event("a"))
    waiting = asyncio.create_task(env.outbox.wait_published(timeout=LONG))
    async with env.relaying(FakeProducer(), Outbox(env.pool, "ingest")):
        assert await waiting


async def test_waiting_is_bounded(env: OutboxFixture) -> None:
    await env.put(event("a"))
    assert not await env.outbox.wait_published(timeout=SHORT)


async def test_only_rows_up_to_the_moment_are_waited_for(env: OutboxFixture) -> None:
    before: datetime = await env.pool.fetchval("SELECT now()")
    await env.put(event("a"))
    created: datetime = await env.pool.fetchval("SELECT created_at FROM outbox")
    assert await env.outbox.wait_published(before, timeout=LONG)
    assert not await env.outbox.wait_published(created, timeout=SHORT)
    created_ms = int(created.timestamp() * 1000)
    assert await env.outbox.wait_published(created_ms - 1, timeout=LONG)
    assert not await env.outbox.wait_published(created_ms, timeout=SHORT)
    assert not await env.outbox.wait_published(now_ms(), timeout=SHORT)


async def test_what_is_committed_while_waiting_is_not_waited_for(env: OutboxFixture) -> None:
    await env.put(event("a"))
    first = await env.pool.fetchval("SELECT id FROM outbox")
    async with await open_pool(env.dsn, env.schema, size=1) as pool:
        pid = await pool.fetchval("SELECT pg_backend_pid()")
        waiting = asyncio.create_task(Outbox(pool, "ingest").wait_published(timeout=LONG))
        await until(lambda: has_asked(env, pid))
        await env.put(event("b"))
        await env.pool.execute("DELETE FROM outbox WHERE id = $1", first)
        assert await waiting


async def has_asked(env: OutboxFixture, pid: int) -> bool:
    """Whether a connection has been answered whether everything is published."""
    asked = "SELECT state = 'idle' AND query LIKE '%unpublished%' FROM pg_stat_activity WHERE pid = $1"
    return bool(await env.pool.fetchval(asked, pid))


async def test_a_quarantined_event_counts_as_published(env: OutboxFixture) -> None:
    await env.put(event("huge"))
    async with env.relaying(FakeProducer(lambda key: MessageSizeTooLargeError("2 MB"))):
        assert await env.outbox.wait_published(timeout=LONG)
    assert await env.quarantined() == 1
