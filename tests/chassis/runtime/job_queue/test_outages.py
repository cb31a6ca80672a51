"""Postgres is away: work goes on, nothing is lost, and no item fails."""

import asyncio
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from chassis.adapters.postgres import open_pool
from chassis.runtime.job_queue import Complete, JobQueue, Outcome, QueueItem
from chassis.runtime.job_queue.lease import PostgresContact
from chassis.runtime.outbox import Outbox
from tests.chassis.runtime.job_queue.conftest import (
    LEASE,
    TIMES,
    QueueFixture,
    Worker,
    event,
    finishes,
    never,
    running,
)
from tests.support.proxy import Proxy
from tests.support.waiting import until

OUTAGE_LEASE = timedelta(seconds=3)
"""The holder of an item has half of it, after an outage, to renew its lease before another worker may take the item."""


async def test_outages_longer_than_a_lease_during_one_long_item_end_in_success_with_one_attempt(
    fixture: QueueFixture,
) -> None:
    """All workers lose Postgres, as when it is restarted; another one is idle all the time and would take the item."""
    finish = asyncio.Event()
    begun: list[str] = []

    async def work(item: QueueItem) -> Outcome:
        begun.append(item.worker)
        await finish.wait()
        return Complete("done", [event(item.id)])

    await fixture.add("job_1")
    async with (
        Proxy(fixture.dsn) as proxy,
        await open_pool(proxy.dsn, fixture.schema) as pool,
        await open_pool(proxy.dsn, fixture.schema) as other_pool,
    ):
        queues = [JobQueue(each, Outbox(each, "test"), lease=OUTAGE_LEASE) for each in (pool, other_pool)]
        async with running(*(Worker(work).runner(queue, slots=2) for queue in queues)):
            await until(lambda: fixture.is_in("running", "job_1"), within=60)
            for hang in (False, True):
                await until(lambda: all(queue.contact.is_established() for queue in queues), within=60)
                await proxy.cut(hang=hang)
                await asyncio.sleep(OUTAGE_LEASE.total_seconds() + 1.5)  # the outage itself
                assert await lease_ran_out(fixture)
                await proxy.restore()
                await until(lambda: lease_is_renewed(fixture), within=60)
            finish.set()
            await until(lambda: fixture.is_in("done", "job_1"), within=60)
    assert len(begun) == 1
    assert [await fixture.number(column, "job_1") for column in ("attempt", "crashed", "failures")] == [1, 0, 0]
    assert await fixture.published() == ["job_1"]


async def test_an_outage_while_the_outcome_is_written_does_not_waste_the_work(fixture: QueueFixture) -> None:
    """Another worker is idle all the time and would take the item once Postgres is back."""
    begun: list[int] = []
    async with (
        Proxy(fixture.dsn) as proxy,
        await open_pool(proxy.dsn, fixture.schema) as pool,
        await open_pool(proxy.dsn, fixture.schema) as other_pool,
    ):
        queues = [JobQueue(each, Outbox(each, "test"), lease=OUTAGE_LEASE) for each in (pool, other_pool)]

        async def work(item: QueueItem) -> Outcome:
            begun.append(item.attempt)
            await until(lambda: all(queue.contact.is_established() for queue in queues), within=60)
            await proxy.cut(hang=True)
            return Complete("done", [event(item.id)])

        await fixture.add("job_1")
        async with running(*(Worker(work).runner(queue) for queue in queues)):
            await until(lambda: lease_ran_out(fixture), within=60)
            await asyncio.sleep(1.5)  # the rest of an outage that all processes notice
            await proxy.restore(old_connections=False)
            await until(lambda: fixture.is_in("done", "job_1"), within=60)
    assert begun == [1]
    assert await fixture.published() == ["job_1"]


async def lease_ran_out(fixture: QueueFixture) -> bool:
    return bool(await fixture.pool.fetchval("SELECT lease_until < now() FROM job_queue"))


async def lease_is_renewed(fixture: QueueFixture) -> bool:
    return bool(await fixture.pool.fetchval("SELECT lease_until > now() FROM job_queue"))


@pytest.mark.parametrize("hang", [False, True])
async def test_if_only_this_worker_cannot_reach_postgres_another_does_the_item_and_the_fence_decides(
    fixture: QueueFixture, hang: bool
) -> None:
    finish = asyncio.Event()
    stopped = []

    async def work(item: QueueItem) -> Outcome:
        try:
            await finish.wait()
        except asyncio.CancelledError:
            stopped.append(item.attempt)
            raise
        return Complete("done", [event(item.id)])

    await fixture.add("job_1")
    async with Proxy(fixture.dsn) as proxy, await open_pool(proxy.dsn, fixture.schema) as pool:
        queue = JobQueue(pool, Outbox(pool, "test"), lease=LEASE)
        async with running(Worker(work).runner(queue)):
            await until(lambda: fixture.is_in("running", "job_1"), within=60)
            await proxy.cut(hang=hang)
            async with running(Worker(work).runner(fixture.queue)):
                await until(lambda: attempt_is(fixture, 2), within=60)
                assert stopped == []
                await proxy.restore()
                await until(lambda: stopped == [1], within=60)
                finish.set()
                await until(lambda: fixture.is_in("done", "job_1"), within=60)
    assert await fixture.published() == ["job_1"]


async def attempt_is(fixture: QueueFixture, attempt: int) -> bool:
    return await fixture.number("attempt", "job_1") == attempt


@pytest.mark.parametrize("hang", [False, True])
async def test_a_runner_survives_an_outage_and_logs_it_once(
    fixture: QueueFixture, hang: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    finish = asyncio.Event()

    async def work(item: QueueItem) -> Outcome:
        if item.id == "job_1":
            await finish.wait()
        return Complete("done", [event(item.id)])

    await fixture.add("job_1")
    async with Proxy(fixture.dsn) as proxy, await open_pool(proxy.dsn, fixture.schema) as pool:
        queue = JobQueue(pool, Outbox(pool, "test"), lease=timedelta(seconds=30))
        async with running(Worker(work).runner(queue)):
            await until(lambda: fixture.is_in("running", "job_1"), within=60)
            await proxy.cut(hang=hang)
            finish.set()
            await fixture.add("job_2")
            await asyncio.sleep(0.5)  # the outage itself
            await proxy.restore()
            await until(lambda: fixture.is_in("done", "job_1", "job_2"), within=60)
    assert await fixture.number("attempt", "job_1") == 1
    assert capsys.readouterr().out.count("operation=queue_claim") <= 2  # started and succeeded


async def test_connections_that_stay_unresponsive_are_discarded(fixture: QueueFixture) -> None:
    times = replace(TIMES, claim_s=0.2)
    async with Proxy(fixture.dsn) as proxy:
        pool = await open_pool(proxy.dsn, fixture.schema, size=2)
        try:
            queue = JobQueue(pool, Outbox(pool, "test"), connection_s=0.3)
            async with running(Worker(finishes).runner(queue, times=times)):
                await fixture.add("job_1")
                await until(lambda: fixture.is_in("done", "job_1"), within=60)
                await proxy.cut(hang=True)
                await fixture.add("job_2")
                await asyncio.sleep(0.5)  # the outage itself
                await proxy.restore(old_connections=False)
                await until(lambda: fixture.is_in("done", "job_2"), within=60)
        finally:
            pool.terminate()


async def test_a_process_that_stood_still_goes_on_where_nobody_took_its_item(fixture: QueueFixture) -> None:
    async with running(Worker(never).runner(fixture.queue)):
        await fixture.add("job_1")
        await until(lambda: fixture.is_in("running", "job_1"), within=60)
        await fixture.expire("job_1")  # what a pause of the process does
        await until(lambda: lease_is_renewed(fixture), within=60)
        assert await fixture.number("attempt", "job_1") == 1


NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


def seconds(n: float) -> datetime:
    """So many seconds after noon."""
    return NOON + timedelta(seconds=n)


def test_leases_expire_once_contact_has_lasted_for_a_heartbeat_and_its_timeout() -> None:
    contact = PostgresContact(timedelta(seconds=15))
    assert not contact.is_established()
    for n in range(8):
        contact.responded(seconds(n))
        assert not contact.is_established()
    contact.responded(seconds(8))
    assert contact.is_established()


def test_a_busy_worker_with_a_heartbeat_every_third_of_a_lease_stays_in_contact() -> None:
    contact = PostgresContact(timedelta(seconds=15))
    for n in (0, 5.1, 10.2, 15.3):
        contact.responded(seconds(n))
    assert contact.is_established()


def test_after_a_gap_leases_do_not_expire_for_a_while() -> None:
    contact = PostgresContact(timedelta(seconds=15))
    for n in (*range(10), 60, 61, 64, 67):
        contact.responded(seconds(n))
    assert not contact.is_established()
    contact.responded(seconds(68))
    assert contact.is_established()


def test_a_claim_that_is_sent_before_a_gap_is_not_valid_after_it() -> None:
    contact = PostgresContact(timedelta(seconds=15))
    assert contact.valid_until() > seconds(10**6)
    contact.responded(seconds(0))
    assert contact.valid_until() == seconds(6)
