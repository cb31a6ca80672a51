"""The leases of all items of a worker are renewed in one statement, and each item has a result of its own."""

import asyncio
from collections.abc import Sequence
from datetime import datetime, timedelta

from chassis.adapters.postgres import Pool, open_pool
from chassis.core.concurrency import WakeSignal
from chassis.runtime.job_queue import Complete, JobQueue, Outcome, QueueItem
from chassis.runtime.job_queue.item import Renewal
from chassis.runtime.job_queue.lease import Heartbeats, HeldLease
from chassis.runtime.outbox import Outbox
from tests.chassis.runtime.job_queue.conftest import LONG_LEASE, QueueFixture, Worker, event, running
from tests.support.waiting import until

QUEUE_LEASE = LONG_LEASE
ITEMS = 36
CONNECTIONS = 4
SLOW_LEASE = timedelta(seconds=6)
IDS = [f"job_{n:02}" for n in range(ITEMS)]
SLOW_UPDATES = """
    CREATE TABLE renewals (at timestamptz);
    CREATE FUNCTION be_slow() RETURNS trigger LANGUAGE plpgsql AS
        'BEGIN INSERT INTO renewals VALUES (clock_timestamp()); PERFORM pg_sleep(0.6); RETURN NULL; END';
    CREATE TRIGGER be_slow AFTER UPDATE OF lease_until ON job_queue FOR EACH STATEMENT EXECUTE FUNCTION be_slow()
"""


async def test_thirty_six_items_on_four_connections_keep_their_leases_while_a_statement_takes_half_a_second(
    fixture: QueueFixture,
) -> None:
    """One statement for each item would need five seconds for all of them, and has a fifth of a lease."""
    finish = asyncio.Event()

    async def work(item: QueueItem) -> Outcome:
        await finish.wait()
        return Complete("done", [event(item.id)])

    await fixture.add(*IDS)
    async with await open_pool(fixture.dsn, fixture.schema, size=CONNECTIONS) as pool:
        queue = JobQueue(pool, Outbox(pool, "test"), lease=SLOW_LEASE)
        async with running(Worker(work).runner(queue, slots=ITEMS, claims_at_a_time=ITEMS, work_slots=False)):
            await until(lambda: fixture.is_in("running", *IDS), within=60)
            begun = await fixture.pool.fetchval("SELECT clock_timestamp()")
            await fixture.pool.execute(SLOW_UPDATES)
            await until(lambda: renewed(fixture.pool, begun + 2 * SLOW_LEASE), within=60)
            renewals = await fixture.pool.fetchval("SELECT count(*) FROM renewals")
            await fixture.pool.execute("DROP TRIGGER be_slow ON job_queue")
            finish.set()
            await until(lambda: fixture.is_in("done", *IDS), within=60)
    assert renewals < ITEMS
    assert await fixture.pool.fetchval("SELECT max(attempt) FROM job_queue") == 1


async def renewed(pool: Pool, at_least_until: datetime) -> bool:
    """Whether all leases last so long; none may have run out."""
    row = await pool.fetchrow(
        "SELECT min(lease_until) >= $1 AS long, min(lease_until) > now() AS held FROM job_queue", at_least_until
    )
    assert row is not None and row["held"], "a lease has run out"
    return bool(row["long"])


async def test_each_item_has_a_result_of_its_own(fixture: QueueFixture) -> None:
    await fixture.add("cancelled", "ended", "held", "lost", "released", "unknown_cancelled")
    items = {item.id: item for item in [await fixture.claim() for _ in range(6)]}
    await fixture.queue.finish(items["ended"], "done")
    await fixture.queue.release(items["released"])
    await fixture.expire("lost")
    while (await fixture.claim("w2")).id != "lost":
        pass
    async with fixture.pool.acquire() as conn:
        await fixture.queue.request_cancel(conn, "cancelled")
    await fixture.pool.execute("INSERT INTO job_queue_cancellations (id) VALUES ('unknown_cancelled')")
    order = sorted(items, reverse=True)
    results = dict(zip(order, await fixture.queue.renew([items[id] for id in order]), strict=True))
    assert results == {
        "cancelled": "cancelled",
        "ended": "lost",
        "held": "held",
        "lost": "lost",
        "released": "lost",
        "unknown_cancelled": "cancelled",
    }


async def test_a_transaction_that_stands_still_holds_back_the_lease_of_its_own_item_alone(
    fixture: QueueFixture,
) -> None:
    await fixture.add("a", "b")
    items = [await fixture.claim() for _ in range(2)]
    await fixture.expire("a", "b")
    async with fixture.pool.acquire() as conn, conn.transaction():
        await conn.execute("SELECT FROM job_queue WHERE id = 'a' FOR UPDATE")
        assert await asyncio.wait_for(fixture.queue.renew(items), 60) == ["locked", "held"]
        assert not (await fixture.queue.claim_many("w2", 2)).items, "nor can another claim it"
    assert await fixture.queue.renew(items) == ["held", "held"]


async def test_an_item_whose_row_was_locked_is_asked_for_again_and_stops_neither_itself_nor_others() -> None:
    results: list[list[Renewal]] = [["locked", "held"], ["held", "held"], ["lost", "cancelled"]]
    asked: list[list[str]] = []

    async def renew(items: Sequence[QueueItem]) -> list[Renewal]:
        asked.append([item.id for item in items])
        return [results[min(len(asked), len(results)) - 1][("a", "b").index(item.id)] for item in items]

    lease = timedelta(seconds=0.15)
    heartbeats = Heartbeats(renew, WakeSignal(), lease)
    a, b = (HeldLease(QueueItem(id, "prj_a", "video", {}, 1, "w1", False), lease) for id in ("a", "b"))
    with heartbeats.of(a), heartbeats.of(b):
        sending = asyncio.create_task(heartbeats.run())
        reasons = await asyncio.wait_for(asyncio.gather(a.stopped, b.stopped), 60)
        sending.cancel()
    assert (reasons[0], reasons[1]) == ("lost", "cancelled")
    assert [sorted(each) for each in asked] == [["a", "b"]] * 3
