"""The queue's rows and their fence, on a real Postgres."""

import asyncio
from collections import Counter
from datetime import timedelta
from typing import Any, cast

import pytest

from chassis.adapters.postgres import Connection
from chassis.core.ids import now_ms
from chassis.runtime.job_queue import Counts, LeaseLost, QueueItem
from tests.chassis.runtime.job_queue.conftest import QueueFixture, event


async def test_an_added_item_is_claimed_with_its_payload_and_its_first_attempt(fixture: QueueFixture) -> None:
    await fixture.add("job_1")
    assert await fixture.claim("w1") == QueueItem(
        id="job_1", project="prj_a", kind="video", payload={"n": "job_1"}, attempt=1, worker="w1", cancelled=False
    )
    assert await fixture.queue.claim("w2") is None


async def test_an_id_is_added_once_and_known_again_when_it_is_finished(fixture: QueueFixture) -> None:
    async with fixture.pool.acquire() as conn:
        first: dict[str, Any] = {"id": "job_1", "project": "prj_a", "kind": "video", "payload": {"v": 1}}
        assert await fixture.queue.add(conn, **first)
        assert not await fixture.queue.add(conn, **(first | {"payload": {"v": 2}}))
        await fixture.queue.finish(await fixture.claim(), "done")
        assert not await fixture.queue.add(conn, **first)
    assert await fixture.queue.claim("w2") is None


async def test_an_item_of_a_transaction_that_fails_was_never_there(fixture: QueueFixture) -> None:
    with pytest.raises(RuntimeError, match="no"):
        async with fixture.pool.acquire() as conn, conn.transaction():
            await fixture.queue.add(conn, id="job_1", project="prj_a", kind="video", payload={})
            raise RuntimeError("no")
    assert await fixture.queue.claim("w1") is None


async def test_the_project_with_the_fewest_running_items_comes_first(fixture: QueueFixture) -> None:
    await fixture.add("a1", "a2", "a3", project="prj_a", priority=9)
    await fixture.add("b1", "b2", project="prj_b")
    await fixture.add("c1", project="prj_c")
    claimed = [(await fixture.claim()).id for _ in range(6)]
    assert claimed == ["a1", "b1", "c1", "a2", "b2", "a3"]


async def test_within_a_project_priority_comes_before_age(fixture: QueueFixture) -> None:
    await fixture.add("old", "older_is_not_first")
    await fixture.add("urgent", priority=5)
    assert [(await fixture.claim()).id for _ in range(3)] == ["urgent", "old", "older_is_not_first"]


async def test_an_item_is_not_claimed_before_it_is_due(fixture: QueueFixture) -> None:
    await fixture.add("later", not_before_ms=now_ms() + 60_000)
    assert await fixture.queue.claim("w1") is None
    due = await fixture.queue.next_due()
    assert due is not None
    assert timedelta(seconds=50) < due <= timedelta(seconds=60)
    await fixture.add("now", not_before_ms=now_ms() - 5)
    assert (await fixture.claim()).id == "now"


async def test_next_due_is_none_where_nothing_is_queued(fixture: QueueFixture) -> None:
    assert await fixture.queue.next_due() is None


async def test_twenty_claimers_get_each_of_two_hundred_items_exactly_once(fixture: QueueFixture) -> None:
    for project in ("prj_a", "prj_b", "prj_c"):
        await fixture.add(*(f"{project}_{n}" for n in range(70)), project=project)
    claims: Counter[str] = Counter()

    async def claimer(name: str) -> None:
        while claims.total() < 210:
            item = await fixture.queue.claim(name)
            if item is not None:
                claims[item.id] += 1
                await fixture.queue.finish(item, "done")

    async with asyncio.timeout(20):
        await asyncio.gather(*(claimer(f"w{n}") for n in range(20)))
    assert len(claims) == 210
    assert set(claims.values()) == {1}


async def test_a_worker_that_lost_its_lease_can_write_nothing(fixture: QueueFixture) -> None:
    await fixture.add("job_1")
    first = await fixture.claim("w1")
    await fixture.expire("job_1")
    second = await fixture.claim("w2")
    assert (second.id, second.attempt) == ("job_1", 2)
    written = []

    async def also(conn: Connection) -> None:
        written.append("first")

    with pytest.raises(LeaseLost):
        await fixture.queue.emit(first, event("job_1"))
    with pytest.raises(LeaseLost):
        await fixture.queue.finish(first, "done", event("job_1"), also=also)
    with pytest.raises(LeaseLost):
        await fixture.queue.retry(first, timedelta(0), "why")
    assert await fixture.queue.heartbeat(first) == "lost"
    await fixture.queue.release(first)
    assert (await fixture.state("job_1"), await fixture.published(), written) == ("running", [], [])

    await fixture.queue.finish(second, "done", event("job_1"))
    assert (await fixture.state("job_1"), await fixture.published()) == ("done", ["job_1"])
    with pytest.raises(LeaseLost):
        await fixture.queue.finish(second, "done", event("job_1"))
    assert await fixture.published() == ["job_1"]


async def test_the_same_worker_is_fenced_from_its_own_earlier_attempt(fixture: QueueFixture) -> None:
    await fixture.add("job_1")
    first = await fixture.claim("w1")
    await fixture.expire("job_1")
    second = await fixture.claim("w1")
    assert await fixture.queue.heartbeat(first) == "lost"
    assert await fixture.queue.heartbeat(second) == "held"


async def test_a_lease_that_ran_out_is_still_held_while_nobody_else_claimed(fixture: QueueFixture) -> None:
    await fixture.add("job_1")
    item = await fixture.claim()
    await fixture.expire("job_1")
    assert await fixture.queue.heartbeat(item) == "held"
    assert await fixture.queue.claim("w2") is None


async def test_an_expired_item_comes_back_to_its_old_place(fixture: QueueFixture) -> None:
    await fixture.add("job_1", "job_2")
    await fixture.claim("w1")
    await fixture.expire("job_1")
    assert (await fixture.claim("w2")).id == "job_1"


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


async def test_a_released_item_gets_its_attempt_back(fixture: QueueFixture) -> None:
    await fixture.add("job_1")
    await fixture.queue.release(await fixture.claim())
    assert (await fixture.state("job_1"), await fixture.attempt("job_1")) == ("queued", 0)
    assert (await fixture.claim()).attempt == 1


async def test_cancelling_a_queued_item_hands_it_to_the_caller(fixture: QueueFixture) -> None:
    await fixture.add("job_1")
    async with fixture.pool.acquire() as conn:
        item = await fixture.queue.request_cancel(conn, "job_1")
    assert item is not None
    assert item.cancelled
    assert await fixture.queue.claim("w1") is None
    await fixture.queue.finish(item, "cancelled", event("job_1"))
    assert (await fixture.state("job_1"), await fixture.published()) == ("cancelled", ["job_1"])


async def test_an_item_whose_canceller_died_is_claimed_as_cancelled(fixture: QueueFixture) -> None:
    await fixture.add("job_1")
    async with fixture.pool.acquire() as conn:
        await fixture.queue.request_cancel(conn, "job_1")
    await fixture.expire("job_1")
    assert (await fixture.claim()).cancelled


async def test_cancelling_a_running_item_is_told_by_its_heartbeat(fixture: QueueFixture) -> None:
    await fixture.add("job_1")
    item = await fixture.claim()
    assert await fixture.queue.heartbeat(item) == "held"
    async with fixture.pool.acquire() as conn:
        assert await fixture.queue.request_cancel(conn, "job_1") is None
    assert await fixture.queue.heartbeat(item) == "cancelled"


async def test_a_cancel_that_comes_before_its_item_is_kept(fixture: QueueFixture) -> None:
    async with fixture.pool.acquire() as conn:
        assert await fixture.queue.request_cancel(conn, "job_1") is None
        assert await fixture.queue.request_cancel(conn, "job_1") is None
    await fixture.add("job_1")
    item = await fixture.claim()
    assert item.cancelled
    assert await fixture.queue.heartbeat(item) == "cancelled"


@pytest.mark.parametrize("moment", ["before the mark", "after the mark"])
async def test_a_cancel_that_comes_in_the_very_moment_of_its_item_is_not_lost(
    fixture: QueueFixture, moment: str
) -> None:
    async with fixture.pool.acquire() as conn:

        class Slow:
            """The canceller's connection, on which the item arrives in the middle."""

            fetchrow = staticmethod(conn.fetchrow)

            async def execute(self, query: str, *arguments: object) -> None:
                if moment == "before the mark":
                    await fixture.add("job_1")
                await conn.execute(query, *arguments)
                if moment == "after the mark":
                    await fixture.add("job_1")

        item = await fixture.queue.request_cancel(cast(Connection, Slow()), "job_1")
    assert item is not None and item.cancelled
    await fixture.queue.finish(item, "cancelled")
    assert await fixture.state("job_1") == "cancelled"


async def test_cancelling_a_finished_item_changes_nothing(fixture: QueueFixture) -> None:
    await fixture.add("job_1")
    await fixture.queue.finish(await fixture.claim(), "done")
    async with fixture.pool.acquire() as conn:
        assert await fixture.queue.request_cancel(conn, "job_1") is None
    assert await fixture.state("job_1") == "done"


async def test_counts_tell_what_waits_and_how_many_seconds_of_work(fixture: QueueFixture) -> None:
    await fixture.add("a", "b", estimate_s=20)
    await fixture.add("c", estimate_s=2.5)
    await fixture.queue.finish(await fixture.claim(), "done")
    await fixture.claim()
    assert await fixture.queue.counts() == Counts(queued=1, running=1, queued_seconds=2.5)


async def test_finished_items_are_forgotten_after_their_time_and_others_never(fixture: QueueFixture) -> None:
    await fixture.add("old", "young", "queued")
    await fixture.queue.finish(await fixture.claim(), "done")
    await fixture.queue.finish(await fixture.claim(), "failed")
    await fixture.pool.execute("UPDATE job_queue SET finished_at = now() - interval '2 days' WHERE id = 'old'")
    await fixture.pool.execute(
        "INSERT INTO job_queue_cancellations VALUES ('x', now() - interval '2 days'), ('y', now())"
    )
    assert await fixture.queue.purge(timedelta(days=1)) == 1
    left = await fixture.pool.fetch(
        "SELECT id FROM job_queue UNION ALL SELECT id FROM job_queue_cancellations ORDER BY 1"
    )
    assert [row["id"] for row in left] == ["queued", "y", "young"]
