"""Requests to cancel items: queued, running, ended, or not added yet."""

from typing import cast

import pytest

from chassis.adapters.postgres import Connection
from tests.chassis.runtime.job_queue.conftest import LONG_LEASE, QueueFixture, event

QUEUE_LEASE = LONG_LEASE


async def test_cancelling_a_queued_item_hands_it_to_the_caller(fixture: QueueFixture) -> None:
    await fixture.add("job_1")
    async with fixture.pool.acquire() as conn:
        (item,) = await fixture.queue.request_cancel(conn, "job_1")
    assert item.cancelled and item.started_at_ms is None
    assert await fixture.queue.claim("w1") is None
    await fixture.queue.finish(item, "cancelled", event("job_1"))
    assert (await fixture.state("job_1"), await fixture.published()) == ("cancelled", ["job_1"])


async def test_an_item_whose_canceller_died_is_claimed_as_cancelled(fixture: QueueFixture) -> None:
    await fixture.add("job_1")
    async with fixture.pool.acquire() as conn:
        await fixture.queue.request_cancel(conn, "job_1")
    await fixture.expire("job_1")
    assert (await fixture.claim()).cancelled


async def test_many_items_are_cancelled_at_once_whatever_their_state(fixture: QueueFixture) -> None:
    await fixture.add("a_done", "b_running", "queued_1", "queued_2")
    await fixture.queue.finish(await fixture.claim(), "done")
    running = await fixture.claim()
    async with fixture.pool.acquire() as conn:
        ids = ("a_done", "b_running", "queued_1", "queued_2", "unknown", "queued_1")
        items = await fixture.queue.request_cancel(conn, *ids)
        assert await fixture.queue.request_cancel(conn, *ids) == []
        assert await fixture.queue.request_cancel(conn) == []
        assert await fixture.queue.pending_cancellations(conn, ids) == ["unknown"]
    assert sorted(item.id for item in items) == ["queued_1", "queued_2"]
    for item in items:
        await fixture.queue.finish(item, "cancelled")
    assert await fixture.queue.renew([running]) == ["cancelled"]
    assert await fixture.state("a_done") == "done"


async def test_the_heartbeat_of_a_running_item_says_that_it_is_cancelled(fixture: QueueFixture) -> None:
    await fixture.add("job_1")
    item = await fixture.claim()
    assert await fixture.queue.renew([item]) == ["held"]
    async with fixture.pool.acquire() as conn:
        assert await fixture.queue.request_cancel(conn, "job_1") == []
    assert await fixture.queue.renew([item]) == ["cancelled"]


async def test_a_cancellation_that_comes_before_its_item_is_remembered(fixture: QueueFixture) -> None:
    async with fixture.pool.acquire() as conn:
        assert await fixture.queue.request_cancel(conn, "job_1") == []
        assert await fixture.queue.request_cancel(conn, "job_1") == []
    await fixture.add("job_1")
    item = await fixture.claim()
    assert item.cancelled
    assert await fixture.queue.renew([item]) == ["cancelled"]


@pytest.mark.parametrize("moment", ["before", "after"])
async def test_a_cancellation_that_comes_in_the_very_moment_of_its_item_is_not_lost(
    fixture: QueueFixture, moment: str
) -> None:
    async with fixture.pool.acquire() as conn:

        class Slow:
            """The canceller's connection: the item arrives before or after the cancellation is remembered."""

            fetch = staticmethod(conn.fetch)

            async def execute(self, query: str, *arguments: object) -> None:
                if moment == "before":
                    await fixture.add("job_1")
                await conn.execute(query, *arguments)
                if moment == "after":
                    await fixture.add("job_1")

        (item,) = await fixture.queue.request_cancel(cast(Connection, Slow()), "job_1")
    assert item.cancelled
    await fixture.queue.finish(item, "cancelled")
    assert await fixture.state("job_1") == "cancelled"


async def test_cancelling_a_finished_item_changes_nothing(fixture: QueueFixture) -> None:
    await fixture.add("job_1")
    await fixture.queue.finish(await fixture.claim(), "done")
    async with fixture.pool.acquire() as conn:
        assert await fixture.queue.request_cancel(conn, "job_1") == []
    assert await fixture.state("job_1") == "done"


async def test_an_item_is_cancelled_by_its_own_project_only(fixture: QueueFixture) -> None:
    """Before it is added as well, whichever project asked first, and while it runs."""
    queue = fixture.queue
    async with fixture.pool.acquire() as conn:
        for project, run in (("prj_other", 9), ("prj_1", 1), ("prj_other", 9)):
            await queue.request_cancel(conn, "asked", runs={"asked": run}, project=project)
        await queue.request_cancel(conn, "forged", project="prj_other")
        await queue.add(conn, id="forged", project="prj_1", kind="k", payload={})
        assert await queue.pending_cancellations(conn, ["forged"]) == []
        forged = await fixture.claim()
        assert not forged.cancelled
        assert await queue.request_cancel(conn, "forged", project="prj_other") == []
        assert await queue.renew([forged]) == ["held"]
        assert await queue.request_cancel(conn, "forged", project="prj_1") == []
        assert await queue.renew([forged]) == ["cancelled"]
        await queue.add(conn, id="asked", project="prj_1", kind="k", payload={})
        assert await queue.pending_cancellations(conn, ["asked"]) == ["asked"]
    assert (await fixture.claim()).cancelled
