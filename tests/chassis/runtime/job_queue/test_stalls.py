"""Postgres is slow, a worker stands still, work does not end: no item is blamed for it, and no slot is lost unseen."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta

from chassis.adapters.postgres import open_pool
from chassis.runtime.job_queue import Complete, JobQueue, Outcome, QueueItem, SlotStuck
from chassis.runtime.job_queue.lease import PostgresContact
from chassis.runtime.outbox import Outbox
from tests.chassis.runtime.job_queue.conftest import LEASE, QUICK, QueueFixture, Worker, event, finishes, running
from tests.chassis.runtime.job_queue.test_outages import seconds
from tests.support.proxy import Proxy
from tests.support.waiting import until

CRASH_COLUMNS = ("crashed", "crashed_alone", "crashed_waiting")


async def crashes(fixture: QueueFixture, id: str = "job_1") -> list[int]:
    return [await fixture.number(column, id) for column in CRASH_COLUMNS]


async def test_a_postgres_that_answers_claims_but_no_heartbeat_in_time_costs_no_attempt(fixture: QueueFixture) -> None:
    """A heartbeat has less time than a claim: leases run out, and another worker is idle and claims all the time."""
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
        queues = [JobQueue(each, Outbox(each, "test"), lease=LEASE) for each in (pool, other_pool)]
        async with running(*(Worker(work).runner(queue, slots=2) for queue in queues)):
            await until(lambda: fixture.is_in("running", "job_1"), within=60)
            await until(lambda: all(queue.contact.is_established() for queue in queues), within=60)
            proxy.slow_down(LEASE.total_seconds() / 7)
            await asyncio.sleep(3 * LEASE.total_seconds())  # the slow time itself
            proxy.slow_down(0.0)
            finish.set()
            await until(lambda: fixture.is_in("done", "job_1"), within=60)
    assert len(begun) == 1
    assert await crashes(fixture) == [0, 0, 0]
    assert await fixture.published() == ["job_1"]


def test_answers_that_took_longer_than_a_heartbeat_may_are_no_contact() -> None:
    contact = PostgresContact(timedelta(seconds=15))
    for n in range(20):
        contact.responded(seconds(n), took=timedelta(seconds=3.5))
        assert not contact.is_established()
    for n in range(20, 29):
        contact.responded(seconds(n), took=timedelta(seconds=1))
    assert contact.is_established()


async def test_workers_that_stood_still_while_an_item_ran_alone_in_them_take_the_blame_from_it(
    fixture: QueueFixture,
) -> None:
    await fixture.add("job_1")
    stalled = []
    for n in range(4):
        item = await fixture.claim(f"stalled_{n}")
        if item.suspect:
            await fixture.queue.start_alone(item)
        stalled.append(item)
        await fixture.expire("job_1")
    blamed = await fixture.claim("next")
    assert (blamed.crashed, blamed.crashed_alone, blamed.poisoned) == (4, 3, True)
    await fixture.queue.release(blamed)
    for item in stalled:
        assert await fixture.queue.retract_crash(item)
        assert not await fixture.queue.retract_crash(item), "once"
    assert await crashes(fixture) == [0, 0, 0]
    innocent = await fixture.claim("next")
    assert not innocent.suspect and not innocent.poisoned


async def test_a_runner_that_comes_back_takes_the_blame_from_the_item_that_it_lost(fixture: QueueFixture) -> None:
    """Only its connections hang, so that another worker claims the item meanwhile and takes it for crashed."""
    finish = asyncio.Event()

    async def work(item: QueueItem) -> Outcome:
        await finish.wait()
        return Complete("done", [event(item.id)])

    await fixture.add("job_1")
    async with Proxy(fixture.dsn) as proxy, await open_pool(proxy.dsn, fixture.schema) as pool:
        queue = JobQueue(pool, Outbox(pool, "test"), lease=LEASE)
        async with running(Worker(work).runner(queue)):
            await until(lambda: fixture.is_in("running", "job_1"), within=60)
            await proxy.cut(hang=True)
            async with running(Worker(work).runner(fixture.queue)):
                await until(lambda: counted(fixture), within=60)
                await proxy.restore()
                await until(lambda: not_counted(fixture), within=60)
                finish.set()
                await until(lambda: fixture.is_in("done", "job_1"), within=60)
    assert await crashes(fixture) == [0, 0, 0]


async def counted(fixture: QueueFixture) -> bool:
    return await fixture.number("crashed", "job_1") == 1


async def not_counted(fixture: QueueFixture) -> bool:
    return await fixture.number("crashed", "job_1") == 0


async def test_a_worker_that_claims_its_own_item_again_has_not_crashed(fixture: QueueFixture) -> None:
    await fixture.add("job_1")
    await fixture.claim("w1")
    await fixture.expire("job_1")
    assert not (await fixture.queue.claim_many("w1", 1, held=["job_1"])).items, "it still works on it"
    assert (await fixture.claim("w1")).crashed == 0
    await fixture.expire("job_1")
    assert (await fixture.claim("w2")).crashed == 1


async def test_each_further_crash_of_an_item_keeps_it_back_for_longer(fixture: QueueFixture) -> None:
    """So long a worker that stood still has to say so, before the item is quarantined."""
    queue = JobQueue(fixture.pool, fixture.outbox, lease=LEASE, suspect_pause=timedelta(minutes=1))
    await fixture.add("job_1")
    assert await queue.claim("crashing_0") is not None
    for crashes_before, minutes in enumerate((0, 1, 2, 4, 4)):
        await lose_lease(fixture, timedelta(minutes=minutes - 0.5))
        assert await queue.claim("too_early") is None
        await lose_lease(fixture, timedelta(minutes=minutes + 0.5))
        item = await queue.claim(f"crashing_{crashes_before + 1}")
        assert item is not None and item.crashed == crashes_before + 1


async def lose_lease(fixture: QueueFixture, ago: timedelta) -> None:
    await fixture.pool.execute("UPDATE job_queue SET lease_until = now() - $1::interval", ago)


async def test_work_that_loses_a_cancellation_is_cancelled_again(fixture: QueueFixture) -> None:
    """As `asyncio.wait_for` of Python 3.11 does, when what it waits for ends at the same moment."""
    lost = asyncio.Event()

    async def work(item: QueueItem) -> Outcome:
        with suppress(asyncio.CancelledError):
            await asyncio.Event().wait()
        lost.set()
        await asyncio.Event().wait()
        raise AssertionError

    limits = replace(QUICK, cancel_again_s=0.1)
    await fixture.add("job_1", "job_2")
    async with running(Worker(work).runner(fixture.queue, slots=1, limits=limits)):
        await until(lambda: fixture.is_in("running", "job_1"), within=60)
        await fixture.pool.execute("UPDATE job_queue SET cancel_requested = true WHERE id = 'job_1'")
        await until(lambda: fixture.is_in("cancelled", "job_1"), within=60)
        assert lost.is_set()
        await until(lambda: fixture.is_in("running", "job_2"), within=60)
        await fixture.pool.execute("UPDATE job_queue SET cancel_requested = true")


async def test_work_that_never_ends_is_given_up_and_the_service_is_not_ready(fixture: QueueFixture) -> None:
    end = asyncio.Event()

    async def work(item: QueueItem) -> Outcome:
        if item.id == "job_2":
            return await finishes(item)
        while not end.is_set():
            with suppress(asyncio.CancelledError):
                await end.wait()
        return await finishes(item)

    runner = Worker(work).runner(
        fixture.queue, slots=1, limits=replace(QUICK, cancel_again_s=0.1, stop_s=0.3), work_slots=False
    )

    await fixture.add("job_1")
    async with running(runner):
        await until(lambda: fixture.is_in("running", "job_1"), within=60)
        await runner.check()
        await fixture.pool.execute("UPDATE job_queue SET cancel_requested = true")
        await until(lambda: fixture.is_in("cancelled", "job_1"), within=60)
        await fixture.add("job_2")
        await until(lambda: fixture.is_in("done", "job_2"), within=60)
        await until(lambda: stuck(runner.check), within=60)
        end.set()
        await until(lambda: not_stuck(runner.check), within=60)
    assert await fixture.published() == ["job_1", "job_2"]


async def stuck(check: Callable[[], Awaitable[None]]) -> bool:
    return not await not_stuck(check)


async def not_stuck(check: Callable[[], Awaitable[None]]) -> bool:
    with suppress(SlotStuck):
        await check()
        return True
    return False
