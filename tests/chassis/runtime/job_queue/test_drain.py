"""A runner that drains: work that has begun ends, everything else goes back into the queue at once."""

import asyncio
from dataclasses import replace
from datetime import timedelta

from chassis.adapters.postgres import Connection
from chassis.runtime.job_queue import Complete, Outcome, QueueItem, Runner, WorkSlots
from tests.chassis.runtime.job_queue.conftest import QUICK, TIMES, QueueFixture, Worker, event, running
from tests.support.waiting import until


class Draining:
    """Two items are worked on, one waits for a slot, one for its input, one is queued."""

    def __init__(self, fixture: QueueFixture) -> None:
        self.working: set[str] = set()
        self.begun: set[str] = set()
        self.release = asyncio.Event()
        self._slots = WorkSlots(fixture.queue, 2)
        worker = Worker(self._work)
        self.runner = Runner(
            fixture.queue,
            worker.work,
            slots=4,
            exhausted=worker.exhausted,
            on_cancel=worker.on_cancel,
            has_begun=self._slots.has_begun,
            limits=QUICK,
            times=TIMES,
        )

    async def _work(self, item: QueueItem) -> Outcome:
        self.begun.add(item.id)
        async with self._slots.attempt(item) as attempt:
            if item.id == "fetching":
                await asyncio.Event().wait()
            async with attempt.work():
                self.working.add(item.id)
                await self.release.wait()
            return Complete("done", [event(item.id)])


async def started(fixture: QueueFixture) -> Draining:
    draining = Draining(fixture)
    await fixture.add("fetching", "one", "two", "three", "queued")
    return draining


async def test_work_that_has_begun_ends_and_the_rest_is_released_at_once(fixture: QueueFixture) -> None:
    draining = await started(fixture)
    async with running(draining.runner):
        await until(lambda: len(draining.working) == 2 and len(draining.begun) == 4)
        task = asyncio.create_task(draining.runner.drain(timedelta(minutes=5)))
        others = sorted({"fetching", "one", "two", "three", "queued"} - draining.working)
        await until(lambda: fixture.is_in("queued", *others))
        assert not task.done()
        draining.release.set()
        await task
    assert await fixture.is_in("done", *draining.working)
    assert await fixture.is_in("queued", *others)
    assert sorted(await fixture.published()) == sorted(draining.working)


async def test_work_that_does_not_end_in_time_goes_back_as_well(fixture: QueueFixture) -> None:
    draining = await started(fixture)
    async with running(draining.runner):
        await until(lambda: len(draining.working) == 2)
        await draining.runner.drain(timedelta(milliseconds=50))
    assert await fixture.is_in("queued", "fetching", "one", "two", "three", "queued")


async def test_a_draining_runner_claims_nothing(fixture: QueueFixture) -> None:
    draining = Draining(fixture)
    async with running(draining.runner):
        await draining.runner.drain(timedelta(minutes=5))
        await fixture.add("late")
        # A claim of the runner that was under way may have locked it for a moment.
        claimed = await until(lambda: fixture.queue.claim("another worker"))
    assert claimed.id == "late"
    assert draining.begun == set()


async def test_a_result_that_cannot_be_written_yet_is_waited_for(fixture: QueueFixture) -> None:
    """Postgres may be away when the work ends: the work must not be lost."""
    slots, away, tried = WorkSlots(fixture.queue, 1), asyncio.Event(), asyncio.Event()
    away.set()

    async def write(_: Connection) -> None:
        tried.set()
        if away.is_set():
            raise ConnectionError("Postgres is away")

    async def work(item: QueueItem) -> Outcome:
        async with slots.attempt(item) as attempt, attempt.work():
            pass
        return Complete("done", [event(item.id)], also=write)

    worker, limits = Worker(work), replace(QUICK, shutdown_write_s=0.3)
    runner = Runner(
        fixture.queue,
        work,
        slots=1,
        exhausted=worker.exhausted,
        on_cancel=worker.on_cancel,
        has_begun=slots.has_begun,
        limits=limits,
        times=TIMES,
    )
    await fixture.add("job_1")
    async with running(runner):
        await tried.wait()
        task = asyncio.create_task(runner.drain(timedelta(minutes=5)))
        await asyncio.wait([task], timeout=3 * limits.shutdown_write_s)
        assert not task.done()
        away.clear()
        await task
    assert await fixture.is_in("done", "job_1")
