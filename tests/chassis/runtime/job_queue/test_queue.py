"""The queue's rows and their fence, on a real Postgres."""

import asyncio
from collections import Counter
from datetime import timedelta
from typing import Any, cast

import pytest

from chassis.adapters.postgres import Connection
from chassis.core.ids import now_ms
from chassis.runtime.job_queue import Counts, LeaseLost, NewItem, QueueItem
from tests.chassis.runtime.job_queue.conftest import QueueFixture, event


async def test_an_added_item_is_claimed_with_its_payload_and_its_first_attempt(fixture: QueueFixture) -> None:
    await fixture.add("job_1")
    before = now_ms()
    item = await fixture.claim("w1")
    assert item.started_at_ms is not None and abs(item.started_at_ms - before) < 60_000
    assert item == QueueItem(
        id="job_1",
        project="prj_a",
        kind="video",
        payload={"n": "job_1"},
        attempt=1,
        worker="w1",
        cancelled=False,
        started_at_ms=item.started_at_ms,
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
    first = await fixture.claim()
    assert (first.id, first.kind, list(first.payload)) == ("job_3", "image", ["b", "a"])
    assert first.payload == {"b": 1, "a": [2, "\u0001"]}
    assert (await fixture.claim()).id == "job_2"
    assert await fixture.queue.claim("w1") is None


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
    item, due = await fixture.queue.claim_next("w1")
    assert item is None and due is not None
    assert timedelta(seconds=10) < due <= timedelta(seconds=60)
    await fixture.add("now", not_before_ms=now_ms() - 5)
    assert (await fixture.claim()).id == "now"


async def test_nothing_is_due_where_nothing_is_queued(fixture: QueueFixture) -> None:
    assert await fixture.queue.claim_next("w1") == (None, None)


async def test_a_claim_that_comes_too_late_claims_nothing(fixture: QueueFixture) -> None:
    """An outage can hold a claim back in the network, and its sender may have given it up since."""
    await fixture.add("job_1")
    now = await fixture.pool.fetchval("SELECT now()")
    item, due = await fixture.queue.claim_next("w1", valid_until=now - timedelta(milliseconds=1))
    assert item is None and due == timedelta(0)
    item, _ = await fixture.queue.claim_next("w1", valid_until=now + timedelta(hours=1))
    assert item is not None


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

    async with asyncio.timeout(60):
        await asyncio.gather(*(claimer(f"w{n}") for n in range(20)))
    assert len(claims) == 210
    assert set(claims.values()) == {1}


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


async def test_a_released_item_is_queued_as_before_and_its_next_claim_has_a_fence_of_its_own(
    fixture: QueueFixture,
) -> None:
    await fixture.add("job_1")
    first = await fixture.claim("w1")
    await fixture.queue.release(first)
    assert await fixture.state("job_1") == "queued"
    second = await fixture.claim("w1")
    assert (second.failures, second.crashed) == (0, 0)
    assert await fixture.queue.heartbeat(first) == "lost"
    assert await fixture.queue.heartbeat(second) == "held"


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


async def test_a_crash_counts_and_as_one_alone_only_after_the_worker_had_nothing_else(fixture: QueueFixture) -> None:
    await fixture.add("job_1")
    counts = []
    for n, alone in enumerate((False, False, True, True, True)):
        item = await fixture.claim(f"w{n}")
        counts.append((item.crashed, item.crashed_alone, item.suspect, item.poisoned))
        if alone:
            await fixture.queue.start_alone(item)
        await fixture.expire("job_1")
    last = await fixture.claim("w9")
    counts.append((last.crashed, last.crashed_alone, last.suspect, last.poisoned))
    assert counts == [
        (0, 0, False, False),
        (1, 0, True, False),
        (2, 0, True, False),
        (3, 1, True, False),
        (4, 2, True, False),
        (5, 3, True, True),
    ]


@pytest.mark.parametrize("end", ["retry", "release"])
async def test_an_item_that_was_alone_and_put_back_is_not_alone_any_more(fixture: QueueFixture, end: str) -> None:
    await fixture.add("job_1")
    item = await fixture.claim("w1")
    await fixture.queue.start_alone(item)
    if end == "retry":
        await fixture.queue.retry(item, timedelta(0), "why")
    else:
        await fixture.queue.release(item)
    await fixture.claim("w2")
    await fixture.expire("job_1")
    assert (await fixture.claim("w3")).crashed_alone == 0


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
    assert await fixture.queue.heartbeat(running) == "cancelled"
    assert await fixture.state("a_done") == "done"


async def test_the_heartbeat_of_a_running_item_says_that_it_is_cancelled(fixture: QueueFixture) -> None:
    await fixture.add("job_1")
    item = await fixture.claim()
    assert await fixture.queue.heartbeat(item) == "held"
    async with fixture.pool.acquire() as conn:
        assert await fixture.queue.request_cancel(conn, "job_1") == []
    assert await fixture.queue.heartbeat(item) == "cancelled"


async def test_a_cancellation_that_comes_before_its_item_is_remembered(fixture: QueueFixture) -> None:
    async with fixture.pool.acquire() as conn:
        assert await fixture.queue.request_cancel(conn, "job_1") == []
        assert await fixture.queue.request_cancel(conn, "job_1") == []
    await fixture.add("job_1")
    item = await fixture.claim()
    assert item.cancelled
    assert await fixture.queue.heartbeat(item) == "cancelled"


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


async def test_counts_are_of_items_and_of_seconds_of_work(fixture: QueueFixture) -> None:
    await fixture.add("a", "b", estimate_s=20)
    await fixture.add("c", estimate_s=2.5)
    await fixture.queue.finish(await fixture.claim(), "done")
    await fixture.claim()
    assert await fixture.queue.counts() == Counts(queued=1, running=1, queued_seconds=2.5, running_seconds=20)


async def test_ended_items_are_purged_after_their_time_and_others_never(fixture: QueueFixture) -> None:
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
