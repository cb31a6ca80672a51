"""Work slots: attempts that wait hold none, and a crash is attributed to those that hold one."""

import asyncio
import time
from datetime import timedelta

from chassis.runtime.job_queue import AttemptSlot, Complete, Outcome, QueueItem, Runner, WorkSlots
from chassis.runtime.job_queue.runner import RunnerTimes
from tests.chassis.runtime.job_queue.conftest import TIMES, QueueFixture, Worker, event, running
from tests.support.waiting import until


class Inputs:
    """Work in two parts: it waits until `arrive` is called with its id, and then works until `finish` is."""

    def __init__(self, fixture: QueueFixture, slots: int, *, record_after_s: float = 60.0) -> None:
        self.working: list[str] = []
        self._events: dict[str, asyncio.Event] = {}
        self._slots = WorkSlots(fixture.queue, slots, record_after_s=record_after_s)
        self._queue = fixture.queue
        self._outputs = asyncio.Event()
        self._outputs.set()

    def arrive(self, *ids: str) -> None:
        for each in ids:
            self._event(f"{each} arrives").set()

    def finish(self, *ids: str) -> None:
        for each in ids:
            self._event(f"{each} ends").set()

    def hold_outputs(self) -> None:
        """From now on attempts that have worked wait, without a slot, until `release_outputs`."""
        self._outputs.clear()

    def release_outputs(self) -> None:
        self._outputs.set()

    @property
    def full(self) -> list[str]:
        """The projects of which nothing is claimed at the moment."""
        return self._slots.full_projects()

    def runner(self, slots: int, times: RunnerTimes = TIMES) -> Runner:
        worker = Worker(self._attempt)
        return Runner(
            self._queue,
            self._attempt,
            slots=slots,
            exhausted=worker.exhausted,
            on_cancel=worker.on_cancel,
            times=times,
            full_projects=self._slots.full_projects,
        )

    async def _attempt(self, item: QueueItem) -> Outcome:
        async with self._slots.attempt(item) as attempt:
            await self._event(f"{item.id} arrives").wait()
            async with attempt.work():
                self.working.append(item.id)
                await self._event(f"{item.id} ends").wait()
                self.working.remove(item.id)
            await self._outputs.wait()
        return Complete("done", [event(item.id)])

    def _event(self, name: str) -> asyncio.Event:
        return self._events.setdefault(name, asyncio.Event())


async def is_recorded(fixture: QueueFixture, id: str, waiting: bool) -> bool:
    return bool(await fixture.pool.fetchval("SELECT waiting FROM job_queue WHERE id = $1", id)) is waiting


async def test_items_that_wait_for_their_input_hold_no_work_slot(fixture: QueueFixture) -> None:
    inputs = Inputs(fixture, slots=1)
    slow = [f"slow_{n}" for n in range(5)]
    await fixture.add(*slow, project="prj_a")
    await fixture.add("quick", project="prj_b")
    async with running(inputs.runner(slots=6)):
        await until(lambda: fixture.is_in("running", *slow, "quick"), within=60)
        inputs.arrive("quick")
        inputs.finish("quick")
        await until(lambda: fixture.is_in("done", "quick"), within=60)
        inputs.arrive(*slow)
        inputs.finish(*slow)
        await until(lambda: fixture.is_in("done", *slow), within=60)


async def fill(fixture: QueueFixture, inputs: Inputs) -> None:
    """One item works in the only slot and another of its project waits for it: the project is full."""
    await fixture.add("first")
    await until(lambda: inputs.working == ["first"], within=60)
    await fixture.add("second")
    await until(lambda: inputs.full == ["prj_a"], within=60)
    # A claim that began before that may still be under way. It takes this item, or the next claim does.
    await fixture.add("elsewhere", project="prj_c")
    await until(lambda: fixture.is_in("running", "elsewhere"), within=60)


async def test_a_project_with_room_again_is_claimed_from_at_once(fixture: QueueFixture) -> None:
    """The next item waits neither for the poll, which is longer than this test, nor for the end of an attempt."""
    inputs = Inputs(fixture, slots=1)
    inputs.hold_outputs()
    inputs.arrive("first", "second", "third")
    async with running(inputs.runner(slots=6, times=RunnerTimes(poll=timedelta(hours=1)))):
        await fill(fixture, inputs)
        await fixture.add("third")
        await fixture.add("other", project="prj_b")
        await until(lambda: fixture.is_in("running", "other"), within=60)
        assert await fixture.state("third") == "queued"
        began = time.monotonic()
        inputs.finish("first")
        await until(lambda: fixture.is_in("running", "third"), within=60)
        print(f"claimed {time.monotonic() - began:.3f} s after the slot was handed on")
        inputs.finish("second", "third")
        inputs.release_outputs()


async def test_the_item_of_another_project_is_claimed_at_once_while_a_project_is_full(fixture: QueueFixture) -> None:
    inputs = Inputs(fixture, slots=1)
    inputs.arrive("first", "second", "third", "other")
    async with running(inputs.runner(slots=6, times=RunnerTimes(poll=timedelta(hours=1)))):
        await fill(fixture, inputs)
        await fixture.add("third")
        await fixture.add("other", project="prj_b")
        await until(lambda: inputs.working == ["first", "other"], within=60)
        inputs.finish("first", "second", "third", "other")


async def test_an_item_that_waits_for_long_is_recorded_as_waiting_and_then_as_worked_on(fixture: QueueFixture) -> None:
    inputs = Inputs(fixture, slots=1, record_after_s=0.01)
    await fixture.add("job_1")
    async with running(inputs.runner(slots=2)):
        await until(lambda: is_recorded(fixture, "job_1", True), within=60)
        inputs.arrive("job_1")
        await until(lambda: is_recorded(fixture, "job_1", False), within=60)
        inputs.finish("job_1")
        await until(lambda: fixture.is_in("done", "job_1"), within=60)


async def make_suspect(fixture: QueueFixture, id: str, *, waited: int = 0) -> None:
    """Adds an item that a worker worked on when it disappeared; or only waited so many times."""
    await fixture.pool.execute(
        "INSERT INTO job_queue (id, project, kind, payload, crashed, crashed_waiting) "
        "VALUES ($1, 'prj_s', 'video', '{}', 1, $2)",
        id,
        waited,
    )
    fixture.queue.wake()


async def test_a_suspect_waits_for_its_input_beside_others_and_is_worked_on_alone(fixture: QueueFixture) -> None:
    inputs = Inputs(fixture, slots=3)
    await fixture.add("job_1", "job_2")
    async with running(inputs.runner(slots=4)):
        inputs.arrive("job_1")
        await until(lambda: inputs.working == ["job_1"], within=60)
        await make_suspect(fixture, "suspect")
        await until(lambda: fixture.is_in("running", "suspect"), within=60)
        inputs.finish("job_1")
        await until(lambda: fixture.is_in("done", "job_1"), within=60)
        inputs.arrive("suspect")
        await until(lambda: inputs.working == ["suspect"], within=60)
        inputs.arrive("job_2")
        inputs.finish("suspect", "job_2")
        await until(lambda: fixture.is_in("done", "suspect", "job_2"), within=60)


async def test_an_item_that_waited_in_many_crashes_waits_alone_as_well(fixture: QueueFixture) -> None:
    inputs = Inputs(fixture, slots=3)
    await make_suspect(fixture, "suspect", waited=5)
    async with running(inputs.runner(slots=4)):
        await until(lambda: is_alone(fixture, "suspect"), within=60)
        await fixture.add("job_1")
        inputs.arrive("job_1")
        inputs.finish("job_1")
        await until(lambda: fixture.is_in("running", "job_1"), within=60)
        assert inputs.working == []
        inputs.arrive("suspect")
        inputs.finish("suspect")
        await until(lambda: fixture.is_in("done", "suspect", "job_1"), within=60)


async def is_alone(fixture: QueueFixture, id: str) -> bool:
    return bool(await fixture.pool.fetchval("SELECT alone FROM job_queue WHERE id = $1", id))


async def test_a_suspect_that_has_been_worked_on_is_not_alone_any_more(fixture: QueueFixture) -> None:
    """While it stores its output others work."""
    slots = WorkSlots(fixture.queue, 2)
    await make_suspect(fixture, "suspect")
    item = await fixture.claim()

    async def others_work(attempt: AttemptSlot) -> bool:
        async with attempt.work():
            assert await is_alone(fixture, "suspect")
        return not await is_alone(fixture, "suspect")

    async with slots.attempt(item) as attempt:
        assert await others_work(attempt)
        assert await is_recorded(fixture, "suspect", True)
