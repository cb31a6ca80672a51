"""Postgres' clock is set by an hour: seen from the clock, all stored times move by as much the other way."""

from datetime import UTC, datetime, timedelta

from chassis.adapters.postgres import sql
from chassis.runtime.job_queue.lease import PostgresContact
from chassis.runtime.job_queue.runner import RunnerTimes
from tests.chassis.runtime.job_queue.conftest import LEASE, QueueFixture, Worker, finishes, running
from tests.support.waiting import until

HOUR = timedelta(hours=1)
QUICK = RunnerTimes(poll=timedelta(milliseconds=200), watch_clock=timedelta(milliseconds=200))
MOVE = """
    WITH clock AS (UPDATE job_queue_clock SET at = at + $1::interval)
    UPDATE job_queue SET not_before = not_before + $1::interval, lease_until = lease_until + $1::interval
"""


async def set_clock(fixture: QueueFixture, by: timedelta) -> None:
    await fixture.pool.execute(MOVE, -by)


async def test_what_is_queued_is_worked_on_at_once_although_the_clock_was_set_back(fixture: QueueFixture) -> None:
    worker = Worker(finishes)
    await fixture.add("queued")
    await set_clock(fixture, -HOUR)
    assert await fixture.queue.claim("w1") is None, "not due for an hour"
    async with running(worker.runner(fixture.queue, times=QUICK)):
        await until(lambda: fixture.is_in("done", "queued"), within=60)


async def test_the_item_of_a_worker_that_is_gone_waits_no_longer_where_the_clock_was_set_back(
    fixture: QueueFixture,
) -> None:
    worker = Worker(finishes)
    await fixture.add("orphan")
    await fixture.claim("gone")
    await set_clock(fixture, -HOUR)
    async with running(worker.runner(fixture.queue, times=QUICK)):
        await until(lambda: fixture.is_in("done", "orphan"), within=60)


async def test_a_clock_that_was_set_back_changes_neither_pauses_nor_leases_that_were_renewed_since(
    fixture: QueueFixture,
) -> None:
    await fixture.add("a_retried", "b_held")
    for pause in (timedelta(minutes=10), None):
        item = await fixture.claim()
        if pause is not None:
            await fixture.queue.retry(item, pause, "why")
    await set_clock(fixture, -HOUR)
    assert await fixture.queue.renew([item]) == ["held"]
    difference = await fixture.queue.clock.look()
    assert difference is not None and abs(difference - HOUR) < timedelta(minutes=1)
    assert timedelta(minutes=8) < await fixture.due_in("a_retried") <= timedelta(minutes=11)
    left = await fixture.pool.fetchval("SELECT lease_until - now() FROM job_queue WHERE id = 'b_held'")
    assert timedelta(0) < left <= LEASE
    assert await fixture.queue.clock.look() is None, "only once"


async def test_a_clock_that_was_set_forward_takes_no_item_from_a_worker_that_lives(fixture: QueueFixture) -> None:
    await fixture.add("held")
    item = await fixture.claim("w1")
    await set_clock(fixture, HOUR)
    assert await fixture.queue.clock.look() is None
    assert await fixture.queue.renew([item]) == ["held"]
    assert await fixture.queue.claim("w2") is None


async def test_of_many_looks_one_writes_and_of_those_of_an_idle_queue_hardly_any(fixture: QueueFixture) -> None:
    """A write is one to the disk, of every service, for ever."""

    async def look_after(seconds: int) -> int:
        """How many of five looks write, so long after the last write."""
        await fixture.pool.execute("UPDATE job_queue_clock SET at = now() - $1::interval", timedelta(seconds=seconds))
        written = []
        for _ in range(5):
            before = await fixture.pool.fetchval("SELECT xmin::text || xmax::text FROM job_queue_clock")
            await fixture.queue.clock.look()
            written.append(
                before != await fixture.pool.fetchval("SELECT xmin::text || xmax::text FROM job_queue_clock")
            )
        return sum(written)

    assert [await look_after(seconds) for seconds in (0, 30, 90)] == [0, 0, 1]
    await fixture.add("job_1")
    assert [await look_after(seconds) for seconds in (0, 30, 90)] == [0, 1, 1]
    await fixture.claim()
    assert [await look_after(seconds) for seconds in (0, 30, 90)] == [0, 1, 1]


def test_a_jump_in_either_direction_counts_as_a_gap_after_which_leases_can_be_renewed() -> None:
    for jump in (HOUR, -HOUR):
        contact, at = PostgresContact(timedelta(seconds=15)), datetime(2026, 1, 1, tzinfo=UTC)
        for second in range(10):
            contact.responded(at + timedelta(seconds=second))
        assert contact.is_established()
        contact.responded(at + jump)
        assert not contact.is_established()
        # A worker that has noticed nothing sends its next heartbeat after 5 s, a third of its lease, and waits 3 s.
        for second in range(1, 8):
            contact.responded(at + jump + timedelta(seconds=second))
            assert not contact.is_established()
        contact.responded(at + jump + timedelta(seconds=8))
        assert contact.is_established()


async def test_watermarks_go_on_after_the_clock_was_set_back_and_claim_nothing_too_early(fixture: QueueFixture) -> None:
    query = sql.load("chassis.runtime.outbox")["watermark"]
    assert await fixture.pool.fetchrow(query, timedelta(0)) is not None
    await fixture.pool.execute("UPDATE outbox_watermark SET asked_at = asked_at + interval '1 hour'")
    await fixture.pool.execute(
        "INSERT INTO outbox (topic, key, value, headers, created_at) "
        "VALUES ('t', '', '', '[]', now() + interval '1 hour')"
    )
    row = await fixture.pool.fetchrow(query, timedelta(seconds=1))
    assert row is not None and row["published_through"] == 0, "an event of before is not published"
