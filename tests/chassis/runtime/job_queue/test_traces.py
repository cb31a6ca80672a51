"""The trace of an item: kept by its row, through retries and crashes, and passed on by its events."""

from datetime import timedelta

import orjson

from chassis.core import tracing
from chassis.core.trace_context import TraceContext, parse
from chassis.runtime.job_queue import NewItem, QueueItem
from chassis.runtime.job_queue.attempt_span import attempt_span
from tests.chassis.runtime.job_queue.conftest import LONG_LEASE, QueueFixture, event

QUEUE_LEASE = LONG_LEASE

ONE = TraceContext("1" * 32, "a" * 16)
TWO = TraceContext("2" * 32, "b" * 16)


async def _traces_in_outbox(fixture: QueueFixture) -> list[str | None]:
    rows = await fixture.pool.fetch("SELECT headers::text AS headers FROM outbox ORDER BY id")
    return [dict(orjson.loads(row["headers"])).get("traceparent") for row in rows]


async def test_an_item_keeps_the_trace_of_whoever_queued_it_through_retry_release_and_crash(
    fixture: QueueFixture,
) -> None:
    with tracing.continued(ONE):
        await fixture.add("job_1")
    item = await fixture.claim()
    assert item.traceparent == ONE.traceparent
    await fixture.queue.retry(item, timedelta(0), "once more")
    item = await fixture.claim()
    assert item.traceparent == ONE.traceparent
    await fixture.queue.release(item)
    assert (await fixture.claim()).traceparent == ONE.traceparent
    await fixture.expire("job_1")
    again = await fixture.claim("w2")
    assert (again.attempt, again.traceparent) == (4, ONE.traceparent)


async def test_items_of_one_batch_have_the_traces_of_their_events(fixture: QueueFixture) -> None:
    items = [
        NewItem("job_1", "prj_a", "video", {}),
        NewItem("job_2", "prj_a", "video", {}),
        NewItem("job_3", "prj_a", "video", {}, traceparent=TWO.traceparent),
    ]
    with tracing.subjects({"job_1": ONE.traceparent}):
        async with fixture.pool.acquire() as conn:
            await fixture.queue.add_many(conn, items)
            await fixture.outbox.put(conn, event("job_1"), event("job_2"))
    claimed = [await fixture.claim() for _ in items]
    assert {item.id: item.traceparent for item in claimed} == {
        "job_1": ONE.traceparent,
        "job_2": None,
        "job_3": TWO.traceparent,
    }
    assert await _traces_in_outbox(fixture) == [ONE.traceparent, None]


async def test_the_events_of_an_attempt_are_in_the_trace_of_the_item(fixture: QueueFixture) -> None:
    with tracing.continued(ONE):
        await fixture.add("job_1")
    item = await fixture.claim()
    with tracing.continued(TWO), attempt_span(item):
        await fixture.queue.finish(item, "done", event("job_1"))
    assert await _traces_in_outbox(fixture) == [ONE.traceparent]
    async with fixture.pool.acquire() as conn:
        await fixture.queue.repeat_final_events(conn, ["job_1"])
    assert await _traces_in_outbox(fixture) == [ONE.traceparent, ONE.traceparent], "also when they are repeated"


async def test_an_item_of_an_earlier_release_belongs_to_no_trace(fixture: QueueFixture) -> None:
    await fixture.add("job_1")
    item: QueueItem = await fixture.claim()
    assert item.traceparent is None
    with tracing.continued(TWO), attempt_span(item):
        assert tracing.current() is None
    assert parse(item.traceparent) is None
