"""Items that have ended and are queued again, for their next run."""

import pytest

from chassis.runtime.job_queue import LeaseLost, NewItem
from tests.chassis.runtime.job_queue.conftest import LONG_LEASE, QueueFixture, event

QUEUE_LEASE = LONG_LEASE


async def add_run(fixture: QueueFixture, run: int, id: str = "job_1") -> list[str]:
    item = NewItem(id, "prj_a", "video", {"run": run}, run=run)
    async with fixture.pool.acquire() as conn, conn.transaction():
        return await fixture.queue.add_many(conn, [item])


async def cancel(fixture: QueueFixture, run: int) -> int:
    """How many items were handed over."""
    async with fixture.pool.acquire() as conn:
        return len(await fixture.queue.request_cancel(conn, "job_1", runs={"job_1": run}))


async def end(fixture: QueueFixture, state: str = "failed") -> int:
    """Claims and ends the item; the number of the attempt."""
    item = await fixture.claim()
    assert state in ("failed", "cancelled")
    await fixture.queue.finish(item, "failed" if state == "failed" else "cancelled", event("job_1", item.attempt))
    return item.attempt


async def test_an_item_that_has_ended_is_queued_once_for_its_next_run(fixture: QueueFixture) -> None:
    assert await add_run(fixture, 1) == ["job_1"]
    assert await add_run(fixture, 2) == [], "the first run has not ended"
    await end(fixture)
    assert await add_run(fixture, 1) == []
    assert await add_run(fixture, 2) == ["job_1"]
    assert await add_run(fixture, 2) == []
    async with fixture.pool.acquire() as conn:
        assert await fixture.queue.repeat_final_events(conn, ["job_1"]) == []
    item = await fixture.claim()
    assert (item.payload, item.attempt, item.failures, item.cancelled) == ({"run": 2}, 2, 0, False)
    await fixture.queue.finish(item, "done", event("job_1", 2))
    assert await fixture.published() == ["job_1", "job_1"]
    assert await fixture.state("job_1") == "done"


async def test_a_worker_of_an_earlier_run_cannot_write_any_more(fixture: QueueFixture) -> None:
    await add_run(fixture, 1)
    frozen = await fixture.claim("w1")
    await fixture.expire("job_1")
    await fixture.queue.finish(await fixture.claim("w2"), "failed")
    await add_run(fixture, 2)
    with pytest.raises(LeaseLost):
        await fixture.queue.finish(frozen, "done")
    running = await fixture.claim("w1")
    with pytest.raises(LeaseLost):
        await fixture.queue.set_step(frozen, "video")
    assert await fixture.queue.renew([frozen]) == ["lost"]
    await fixture.queue.finish(running, "done")


async def test_what_was_counted_in_an_earlier_run_does_not_count(fixture: QueueFixture) -> None:
    await add_run(fixture, 1)
    await fixture.pool.execute(
        "UPDATE job_queue SET failures = 2, crashed = 3, crashed_alone = 2, deferrals = 4, deferred_s = 900, step = 'x'"
    )
    await end(fixture)
    await add_run(fixture, 2)
    item = await fixture.claim()
    counted = (item.failures, item.crashed, item.crashed_alone, item.deferrals, item.deferred_s, item.step)
    assert counted == (0, 0, 0, 0, 0.0, None)


async def test_the_cancellation_of_an_earlier_run_leaves_the_next_one_alone(fixture: QueueFixture) -> None:
    await add_run(fixture, 1)
    assert await cancel(fixture, 1) == 1
    await fixture.expire("job_1")
    await end(fixture, "cancelled")
    assert await cancel(fixture, 1) == 0, "it comes again, late"
    await add_run(fixture, 2)
    assert await cancel(fixture, 1) == 0
    item = await fixture.claim()
    assert not item.cancelled
    assert await fixture.queue.renew([item]) == ["held"]
    assert await cancel(fixture, 2) == 0
    assert await fixture.queue.renew([item]) == ["cancelled"]


async def test_the_cancellation_of_a_run_may_come_before_the_run(fixture: QueueFixture) -> None:
    await add_run(fixture, 1)
    await end(fixture)
    assert await cancel(fixture, 2) == 0
    await add_run(fixture, 2)
    async with fixture.pool.acquire() as conn:
        assert await fixture.queue.pending_cancellations(conn, ["job_1"]) == ["job_1"]
    assert (await fixture.claim()).cancelled


async def test_a_project_whose_items_had_all_ended_is_served_again(fixture: QueueFixture) -> None:
    await add_run(fixture, 1)
    await end(fixture)
    assert await fixture.queue.claim("w1") is None
    assert await fixture.pool.fetchval("SELECT count(*) FROM job_queue_projects") == 0
    await add_run(fixture, 2)
    assert (await fixture.claim()).id == "job_1"
