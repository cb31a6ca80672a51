"""What becomes of items: added, fenced, ended, retried, purged."""

import asyncio
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import pytest

from chassis.adapters.postgres import Connection
from chassis.core.ids import now_ms
from chassis.runtime.job_queue import JointWrite, LeaseLost, NewItem
from chassis.runtime.job_queue.inspection import Counts, count
from tests.chassis.runtime.job_queue.conftest import LONG_LEASE, QueueFixture, event

QUEUE_LEASE = LONG_LEASE


async def test_an_id_is_added_once_and_known_again_when_it_is_finished(fixture: QueueFixture) -> None:
    async with fixture.pool.acquire() as conn:
        first: dict[str, Any] = {"id": "job_1", "project": "prj_a", "kind": "video", "payload": {"v": 1}}
        assert await fixture.queue.add(conn, **first)
        assert not await fixture.queue.add(conn, **(first | {"payload": {"v": 2}}))
        await fixture.queue.finish(await fixture.claim(), "done")
        assert not await fixture.queue.add(conn, **first)
    assert await fixture.queue.claim("w2") is None


async def test_many_items_are_added_at_once_and_the_known_ones_left_as_they_are(fixture: QueueFixture) -> None:
    await fixture.add("job_2", priority=1)
    items = [
        NewItem("job_3", "prj_b", "image", {"b": 1, "a": [2, "\u0001"]}, priority=7, estimate_s=2.5),
        NewItem("job_2", "prj_b", "image", {"new": True}),
        NewItem("job_1", "prj_b", "image", {}, not_before_ms=now_ms() + 60_000),
        NewItem("job_3", "prj_b", "image", {"twice": True}),
    ]
    async with fixture.pool.acquire() as conn:
        assert await fixture.queue.add_many(conn, items) == ["job_1", "job_3"]
        assert await fixture.queue.add_many(conn, []) == []
    known, new = sorted([await fixture.claim(), await fixture.claim()], key=lambda item: item.id)
    assert (known.id, known.kind, known.project) == ("job_2", "video", "prj_a")
    assert (new.id, new.kind, list(new.payload)) == ("job_3", "image", ["b", "a"])
    assert new.payload == {"b": 1, "a": [2, "\u0001"]}
    assert await fixture.queue.claim("w1") is None


async def test_an_item_of_a_transaction_that_fails_was_never_there(fixture: QueueFixture) -> None:
    with pytest.raises(RuntimeError, match="no"):
        async with fixture.pool.acquire() as conn, conn.transaction():
            await fixture.queue.add(conn, id="job_1", project="prj_a", kind="video", payload={})
            raise RuntimeError("no")
    assert await fixture.queue.claim("w1") is None


async def test_of_items_that_end_together_only_those_that_are_still_claimed_do(fixture: QueueFixture) -> None:
    await fixture.add("job_1", "job_2", "job_3")
    items = [await fixture.claim("w1") for _ in range(3)]
    await fixture.expire("job_2")
    assert (await fixture.claim("w2")).id == "job_2"
    written: list[list[str]] = []

    async def write(_: Connection, values: Sequence[str]) -> None:
        written.append(sorted(values))

    ends = (fixture.queue.finish(item, "done", also=JointWrite(write, item.id)) for item in items)
    results = await asyncio.gather(*ends, return_exceptions=True)
    assert [type(result) for result in results] == [type(None), LeaseLost, type(None)]
    assert sorted(value for values in written for value in values) == ["job_1", "job_3"]
    assert len(written) < 3
    assert await fixture.is_in("done", "job_1", "job_3") and await fixture.state("job_2") == "running"


async def test_an_end_whose_write_fails_fails_no_other(fixture: QueueFixture) -> None:
    await fixture.add("job_1", "job_2", "job_3")
    items = [await fixture.claim() for _ in range(3)]

    async def write(conn: Connection, values: Sequence[str]) -> None:
        if "job_2" in values:
            await conn.execute("SELECT 1 / 0")

    ends = (fixture.queue.finish(item, "done", also=JointWrite(write, item.id)) for item in items)
    results = await asyncio.gather(*ends, return_exceptions=True)
    assert [result is None for result in results] == [True, False, True]
    assert await fixture.is_in("done", "job_1", "job_3") and await fixture.state("job_2") == "running"


async def test_a_worker_that_lost_its_lease_can_write_nothing(fixture: QueueFixture) -> None:
    await fixture.add("job_1")
    first = await fixture.claim("w1")
    await fixture.expire("job_1")
    second = await fixture.claim("w2")
    assert (second.id, second.attempt, second.started_at_ms) == ("job_1", 2, first.started_at_ms)
    written = []

    async def also(conn: Connection) -> None:
        written.append("first")

    with pytest.raises(LeaseLost):
        await fixture.queue.emit(first, event("job_1"))
    with pytest.raises(LeaseLost):
        await fixture.queue.finish(first, "done", event("job_1"), also=also)
    with pytest.raises(LeaseLost):
        await fixture.queue.retry(first, timedelta(0), "why", also=also)
    with pytest.raises(LeaseLost):
        await fixture.queue.set_step(first, "probe")
    with pytest.raises(LeaseLost):
        await fixture.queue.start_alone(first)
    assert await fixture.queue.renew([first]) == ["lost"]
    await fixture.queue.release(first)
    assert (await fixture.state("job_1"), await fixture.published(), written) == ("running", [], [])

    await fixture.queue.finish(second, "done", event("job_1"))
    assert (await fixture.state("job_1"), await fixture.published()) == ("done", ["job_1"])
    with pytest.raises(LeaseLost):
        await fixture.queue.finish(second, "done", event("job_1"))
    assert await fixture.published() == ["job_1"]


async def test_finish_writes_its_events_and_the_rest_or_nothing(fixture: QueueFixture) -> None:
    await fixture.add("job_1")
    item = await fixture.claim()

    async def fails(conn: Connection) -> None:
        await fixture.outbox.put(conn, event("also"))
        raise RuntimeError("full")

    with pytest.raises(RuntimeError, match="full"):
        await fixture.queue.finish(item, "done", event("job_1"), also=fails)
    assert (await fixture.state("job_1"), await fixture.published()) == ("running", [])

    async def works(conn: Connection) -> None:
        await fixture.outbox.put(conn, event("also"))

    await fixture.queue.finish(item, "done", event("job_1"), also=works)
    assert (await fixture.state("job_1"), await fixture.published()) == ("done", ["also", "job_1"])


async def test_events_of_an_attempt_are_published_while_it_runs(fixture: QueueFixture) -> None:
    await fixture.add("job_1")
    item = await fixture.claim()
    await fixture.queue.emit(item, event("job_1"), event("second"))
    assert await fixture.published() == ["job_1", "second"]


async def test_a_retried_item_waits_and_remembers_why(fixture: QueueFixture) -> None:
    await fixture.add("job_1")
    await fixture.queue.retry(await fixture.claim(), timedelta(seconds=30), "storage away")
    assert await fixture.queue.claim("w1") is None
    row = await fixture.pool.fetchrow("SELECT state, attempt, worker, last_error FROM job_queue")
    assert row is not None
    assert tuple(row) == ("queued", 1, None, "storage away")


async def test_failures_are_counted_and_postponements_in_a_row(fixture: QueueFixture) -> None:
    await fixture.add("job_1")
    seen = []
    for counts in (True, False, False, True, False):
        item = await fixture.claim()
        seen.append((item.attempt, item.failures, item.postponements))
        await fixture.queue.retry(item, timedelta(0), "why", counts=counts)
    assert seen == [(1, 0, 0), (2, 1, 0), (3, 1, 1), (4, 1, 2), (5, 2, 0)]
    assert (await fixture.claim()).postponements == 1


async def test_a_retry_writes_the_rest_with_it_or_nothing(fixture: QueueFixture) -> None:
    await fixture.add("job_1")
    item = await fixture.claim()

    async def fails(conn: Connection) -> None:
        await fixture.outbox.put(conn, event("also"))
        raise RuntimeError("full")

    with pytest.raises(RuntimeError, match="full"):
        await fixture.queue.retry(item, timedelta(0), "why", also=fails)
    assert (await fixture.state("job_1"), await fixture.published()) == ("running", [])

    async def works(conn: Connection) -> None:
        await fixture.outbox.put(conn, event("also"))

    await fixture.queue.retry(item, timedelta(0), "why", also=works)
    assert (await fixture.state("job_1"), await fixture.published()) == ("queued", ["also"])


async def test_the_step_is_kept_for_whoever_ends_the_item(fixture: QueueFixture) -> None:
    await fixture.add("job_1")
    item = await fixture.claim("w1")
    assert item.step is None
    await fixture.queue.set_step(item, "probe")
    assert item.step == "probe"
    await fixture.expire("job_1")
    assert (await fixture.claim("w2")).step == "probe"
    async with fixture.pool.acquire() as conn:
        await fixture.queue.request_cancel(conn, "job_1")
    await fixture.expire("job_1")
    assert (await fixture.claim("w3")).step == "probe"


async def test_counts_are_of_items_and_of_seconds_of_work(fixture: QueueFixture) -> None:
    await fixture.add("a", "b", estimate_s=20)
    await fixture.add("c", estimate_s=2.5)
    await fixture.queue.finish(await fixture.claim(), "done")
    await fixture.claim()
    assert await count(fixture.pool) == Counts(queued=1, running=1, queued_seconds=2.5, running_seconds=20)


async def test_a_claim_is_lost_once_it_cannot_end_the_item_any_more(fixture: QueueFixture) -> None:
    await fixture.add("job_1", "job_2", "job_3")
    queue = fixture.queue
    first = await fixture.claim("w1")
    assert not await queue.is_lost(first), "it is held"
    await fixture.expire(first.id)
    second = await fixture.claim("w2")
    assert (second.id, await queue.is_lost(first)) == (first.id, True)
    await queue.finish(second, "done")
    assert (await queue.is_lost(first), await queue.is_lost(second)) == (True, False)
    released = await fixture.claim("w1")
    await queue.release(released)
    assert await queue.is_lost(released)
    failed = await fixture.claim("w1")
    await queue.finish(failed, "failed")
    assert await queue.is_lost(failed)
    await fixture.pool.execute("DELETE FROM job_queue WHERE id = $1", second.id)
    assert not await queue.is_lost(second), "nobody knows any more who ended it"
