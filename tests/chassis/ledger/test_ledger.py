"""The ledger's rows and their fence, on a real Postgres."""

import asyncio
from collections import Counter
from datetime import timedelta
from typing import Any, cast

import pytest

from chassis.ids import now_ms
from chassis.ledger import Counts, Item, LeaseLost
from chassis.postgres import Connection
from tests.chassis.ledger.conftest import Bench, event


async def test_an_added_item_is_claimed_with_its_payload_and_its_first_attempt(bench: Bench) -> None:
    await bench.add("job_1")
    assert await bench.claim("w1") == Item(
        id="job_1", project="prj_a", kind="video", payload={"n": "job_1"}, attempt=1, worker="w1", cancelled=False
    )
    assert await bench.ledger.claim("w2") is None


async def test_an_id_is_added_once_and_known_again_when_it_is_finished(bench: Bench) -> None:
    async with bench.pool.acquire() as conn:
        first: dict[str, Any] = {"id": "job_1", "project": "prj_a", "kind": "video", "payload": {"v": 1}}
        assert await bench.ledger.add(conn, **first)
        assert not await bench.ledger.add(conn, **(first | {"payload": {"v": 2}}))
        await bench.ledger.finish(await bench.claim(), "done")
        assert not await bench.ledger.add(conn, **first)
    assert await bench.ledger.claim("w2") is None


async def test_an_item_of_a_transaction_that_fails_was_never_there(bench: Bench) -> None:
    with pytest.raises(RuntimeError, match="no"):
        async with bench.pool.acquire() as conn, conn.transaction():
            await bench.ledger.add(conn, id="job_1", project="prj_a", kind="video", payload={})
            raise RuntimeError("no")
    assert await bench.ledger.claim("w1") is None


async def test_the_project_with_the_fewest_running_items_comes_first(bench: Bench) -> None:
    await bench.add("a1", "a2", "a3", project="prj_a", priority=9)
    await bench.add("b1", "b2", project="prj_b")
    await bench.add("c1", project="prj_c")
    claimed = [(await bench.claim()).id for _ in range(6)]
    assert claimed == ["a1", "b1", "c1", "a2", "b2", "a3"]


async def test_within_a_project_priority_comes_before_age(bench: Bench) -> None:
    await bench.add("old", "older_is_not_first")
    await bench.add("urgent", priority=5)
    assert [(await bench.claim()).id for _ in range(3)] == ["urgent", "old", "older_is_not_first"]


async def test_an_item_is_not_claimed_before_it_is_due(bench: Bench) -> None:
    await bench.add("later", not_before_ms=now_ms() + 60_000)
    assert await bench.ledger.claim("w1") is None
    due = await bench.ledger.next_due()
    assert due is not None
    assert timedelta(seconds=50) < due <= timedelta(seconds=60)
    await bench.add("now", not_before_ms=now_ms() - 5)
    assert (await bench.claim()).id == "now"


async def test_next_due_is_none_where_nothing_is_queued(bench: Bench) -> None:
    assert await bench.ledger.next_due() is None


async def test_twenty_claimers_get_each_of_two_hundred_items_exactly_once(bench: Bench) -> None:
    for project in ("prj_a", "prj_b", "prj_c"):
        await bench.add(*(f"{project}_{n}" for n in range(70)), project=project)
    claims: Counter[str] = Counter()

    async def claimer(name: str) -> None:
        while claims.total() < 210:
            item = await bench.ledger.claim(name)
            if item is not None:
                claims[item.id] += 1
                await bench.ledger.finish(item, "done")

    async with asyncio.timeout(20):
        await asyncio.gather(*(claimer(f"w{n}") for n in range(20)))
    assert len(claims) == 210
    assert set(claims.values()) == {1}


async def test_a_worker_that_lost_its_lease_can_write_nothing(bench: Bench) -> None:
    await bench.add("job_1")
    first = await bench.claim("w1")
    await bench.expire("job_1")
    second = await bench.claim("w2")
    assert (second.id, second.attempt) == ("job_1", 2)
    written = []

    async def also(conn: Connection) -> None:
        written.append("first")

    with pytest.raises(LeaseLost):
        await bench.ledger.emit(first, event("job_1"))
    with pytest.raises(LeaseLost):
        await bench.ledger.finish(first, "done", event("job_1"), also=also)
    with pytest.raises(LeaseLost):
        await bench.ledger.retry(first, timedelta(0), "why")
    assert await bench.ledger.heartbeat(first) == "lost"
    await bench.ledger.release(first)
    assert (await bench.state("job_1"), await bench.published(), written) == ("running", [], [])

    await bench.ledger.finish(second, "done", event("job_1"))
    assert (await bench.state("job_1"), await bench.published()) == ("done", ["job_1"])
    with pytest.raises(LeaseLost):
        await bench.ledger.finish(second, "done", event("job_1"))
    assert await bench.published() == ["job_1"]


async def test_the_same_worker_is_fenced_from_its_own_earlier_attempt(bench: Bench) -> None:
    await bench.add("job_1")
    first = await bench.claim("w1")
    await bench.expire("job_1")
    second = await bench.claim("w1")
    assert await bench.ledger.heartbeat(first) == "lost"
    assert await bench.ledger.heartbeat(second) == "held"


async def test_a_lease_that_ran_out_is_still_held_while_nobody_else_claimed(bench: Bench) -> None:
    await bench.add("job_1")
    item = await bench.claim()
    await bench.expire("job_1")
    assert await bench.ledger.heartbeat(item) == "held"
    assert await bench.ledger.claim("w2") is None


async def test_an_expired_item_comes_back_to_its_old_place(bench: Bench) -> None:
    await bench.add("job_1", "job_2")
    await bench.claim("w1")
    await bench.expire("job_1")
    assert (await bench.claim("w2")).id == "job_1"


async def test_finish_writes_its_events_and_the_rest_or_nothing(bench: Bench) -> None:
    await bench.add("job_1")
    item = await bench.claim()

    async def fails(conn: Connection) -> None:
        await bench.outbox.put(conn, event("also"))
        raise RuntimeError("full")

    with pytest.raises(RuntimeError, match="full"):
        await bench.ledger.finish(item, "done", event("job_1"), also=fails)
    assert (await bench.state("job_1"), await bench.published()) == ("running", [])

    async def works(conn: Connection) -> None:
        await bench.outbox.put(conn, event("also"))

    await bench.ledger.finish(item, "done", event("job_1"), also=works)
    assert (await bench.state("job_1"), await bench.published()) == ("done", ["also", "job_1"])


async def test_events_of_an_attempt_are_published_while_it_runs(bench: Bench) -> None:
    await bench.add("job_1")
    item = await bench.claim()
    await bench.ledger.emit(item, event("job_1"), event("second"))
    assert await bench.published() == ["job_1", "second"]


async def test_a_retried_item_waits_and_remembers_why(bench: Bench) -> None:
    await bench.add("job_1")
    await bench.ledger.retry(await bench.claim(), timedelta(seconds=30), "storage away")
    assert await bench.ledger.claim("w1") is None
    row = await bench.pool.fetchrow("SELECT state, attempt, worker, last_error FROM ledger")
    assert row is not None
    assert tuple(row) == ("queued", 1, None, "storage away")


async def test_a_released_item_gets_its_attempt_back(bench: Bench) -> None:
    await bench.add("job_1")
    await bench.ledger.release(await bench.claim())
    assert (await bench.state("job_1"), await bench.attempt("job_1")) == ("queued", 0)
    assert (await bench.claim()).attempt == 1


async def test_cancelling_a_queued_item_hands_it_to_the_caller(bench: Bench) -> None:
    await bench.add("job_1")
    async with bench.pool.acquire() as conn:
        item = await bench.ledger.request_cancel(conn, "job_1")
    assert item is not None
    assert item.cancelled
    assert await bench.ledger.claim("w1") is None
    await bench.ledger.finish(item, "cancelled", event("job_1"))
    assert (await bench.state("job_1"), await bench.published()) == ("cancelled", ["job_1"])


async def test_an_item_whose_canceller_died_is_claimed_as_cancelled(bench: Bench) -> None:
    await bench.add("job_1")
    async with bench.pool.acquire() as conn:
        await bench.ledger.request_cancel(conn, "job_1")
    await bench.expire("job_1")
    assert (await bench.claim()).cancelled


async def test_cancelling_a_running_item_is_told_by_its_heartbeat(bench: Bench) -> None:
    await bench.add("job_1")
    item = await bench.claim()
    assert await bench.ledger.heartbeat(item) == "held"
    async with bench.pool.acquire() as conn:
        assert await bench.ledger.request_cancel(conn, "job_1") is None
    assert await bench.ledger.heartbeat(item) == "cancelled"


async def test_a_cancel_that_comes_before_its_item_is_kept(bench: Bench) -> None:
    async with bench.pool.acquire() as conn:
        assert await bench.ledger.request_cancel(conn, "job_1") is None
        assert await bench.ledger.request_cancel(conn, "job_1") is None
    await bench.add("job_1")
    item = await bench.claim()
    assert item.cancelled
    assert await bench.ledger.heartbeat(item) == "cancelled"


@pytest.mark.parametrize("moment", ["before the mark", "after the mark"])
async def test_a_cancel_that_comes_in_the_very_moment_of_its_item_is_not_lost(bench: Bench, moment: str) -> None:
    async with bench.pool.acquire() as conn:

        class Slow:
            """The canceller's connection, on which the item arrives in the middle."""

            fetchrow = staticmethod(conn.fetchrow)

            async def execute(self, query: str, *arguments: object) -> None:
                if moment == "before the mark":
                    await bench.add("job_1")
                await conn.execute(query, *arguments)
                if moment == "after the mark":
                    await bench.add("job_1")

        item = await bench.ledger.request_cancel(cast(Connection, Slow()), "job_1")
    assert item is not None and item.cancelled
    await bench.ledger.finish(item, "cancelled")
    assert await bench.state("job_1") == "cancelled"


async def test_cancelling_a_finished_item_changes_nothing(bench: Bench) -> None:
    await bench.add("job_1")
    await bench.ledger.finish(await bench.claim(), "done")
    async with bench.pool.acquire() as conn:
        assert await bench.ledger.request_cancel(conn, "job_1") is None
    assert await bench.state("job_1") == "done"


async def test_counts_tell_what_waits_and_how_many_seconds_of_work(bench: Bench) -> None:
    await bench.add("a", "b", estimate_s=20)
    await bench.add("c", estimate_s=2.5)
    await bench.ledger.finish(await bench.claim(), "done")
    await bench.claim()
    assert await bench.ledger.counts() == Counts(queued=1, running=1, queued_seconds=2.5)


async def test_finished_items_are_forgotten_after_their_time_and_others_never(bench: Bench) -> None:
    await bench.add("old", "young", "queued")
    await bench.ledger.finish(await bench.claim(), "done")
    await bench.ledger.finish(await bench.claim(), "failed")
    await bench.pool.execute("UPDATE ledger SET finished_at = now() - interval '2 days' WHERE id = 'old'")
    await bench.pool.execute("INSERT INTO ledger_cancel VALUES ('x', now() - interval '2 days'), ('y', now())")
    assert await bench.ledger.purge(timedelta(days=1)) == 1
    left = await bench.pool.fetch("SELECT id FROM ledger UNION ALL SELECT id FROM ledger_cancel ORDER BY 1")
    assert [row["id"] for row in left] == ["queued", "y", "young"]
