"""Runners on a real Postgres: slots, wake-ups, cancellation and shutdown."""

import asyncio
import re
import time
from collections import Counter
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta
from typing import Any

from chassis.adapters.postgres import Connection
from chassis.runtime.job_queue import Complete, JobQueue, Outcome, QueueItem, Runner, SlotStuck, WorkSlots
from chassis.runtime.job_queue.item import ClaimedItems
from tests.chassis.runtime.job_queue.conftest import (
    LEASE,
    QUICK,
    TIMES,
    QueueFixture,
    Worker,
    event,
    finishes,
    never,
    running,
)
from tests.support.waiting import until


async def test_items_are_worked_off_with_at_most_so_many_at_a_time_as_there_are_slots(fixture: QueueFixture) -> None:
    now, most, done, full = 0, 0, Counter[str](), asyncio.Event()

    async def work(item: QueueItem) -> Outcome:
        nonlocal now, most
        now += 1
        most = max(most, now)
        if most == 3:
            full.set()
        await full.wait()
        await asyncio.sleep(0)
        now -= 1
        done[item.id] += 1
        return Complete("done", [event(item.id)])

    ids = [f"job_{n}" for n in range(30)]
    await fixture.add(*ids)
    async with running(Worker(work).runner(fixture.queue, slots=3)):
        await until(lambda: fixture.is_in("done", *ids), within=60)
    assert most == 3
    assert done == Counter(ids)
    assert sorted(await fixture.published()) == sorted(ids)


async def test_one_project_with_work_that_does_not_end_leaves_slots_to_others(fixture: QueueFixture) -> None:
    """And it gets its own next item once one of its items has ended, without waiting for the poll."""
    begun, release = set[str](), asyncio.Event()

    async def work(item: QueueItem) -> Outcome:
        begun.add(item.id)
        if item.project == "prj_a":
            await release.wait()
        return Complete("done")

    times = replace(TIMES, poll=TIMES.poll * 10_000)
    await fixture.add(*(f"a{n}" for n in range(20)), project="prj_a")
    async with running(Worker(work).runner(fixture.queue, slots=6, slots_per_project=4, times=times)):
        await until(lambda: len(begun) == 4, within=60)
        ids = [f"b{n}" for n in range(30)]
        await fixture.add(*ids, project="prj_b")
        await until(lambda: fixture.is_in("done", *ids), within=60)
        assert len(begun) == 4 + 30
        release.set()
        await until(lambda: fixture.is_in("done", *(f"a{n}" for n in range(20))), within=60)


async def test_work_that_waits_for_a_slot_is_left_to_workers_with_a_free_one(fixture: QueueFixture) -> None:
    """However many inputs of a project a worker may fetch at a time."""
    release = asyncio.Event()

    def worker_with_one_slot(claimed: set[str], working: set[str]) -> Runner:
        slots = WorkSlots(fixture.queue, 1)

        async def work(item: QueueItem) -> Outcome:
            claimed.add(item.id)
            async with slots.attempt(item) as attempt, attempt.work():
                working.add(item.id)
                await release.wait()
            return Complete("done")

        worker = Worker(work)
        return Runner(
            fixture.queue,
            work,
            slots=20,
            exhausted=worker.exhausted,
            on_cancel=worker.on_cancel,
            full_projects=slots.full_projects,
            limits=QUICK,
            times=TIMES,
        )

    ids = [f"job_{n:02}" for n in range(10)]
    first_claimed, first_working, second_claimed, second_working = set[str](), set[str](), set[str](), set[str]()
    await fixture.add(*ids)
    async with running(worker_with_one_slot(first_claimed, first_working)):
        await until(lambda: first_working and len(first_claimed) >= 2)
        async with running(worker_with_one_slot(second_claimed, second_working)):
            await until(lambda: second_working)
            # One that works, one that waits, and at most one that was claimed before the other began to wait.
            assert len(first_claimed) <= 3
            await fixture.add("other", project="prj_b")
            await until(lambda: "other" in first_claimed | second_claimed)
            release.set()
            await until(lambda: fixture.is_in("done", *ids, "other"))


async def test_a_runner_whose_projects_are_at_their_bound_does_not_ask_again_and_again(fixture: QueueFixture) -> None:
    await fixture.add("a1", "a2", "a3")
    claims = 0

    class Counting(JobQueue):
        async def claim_many(self, worker: str, most: int, **options: Any) -> ClaimedItems:
            nonlocal claims
            claims += 1
            return await super().claim_many(worker, most, **options)

    queue = Counting(fixture.pool, fixture.outbox, lease=LEASE)
    times = replace(TIMES, poll=TIMES.poll * 10_000)
    async with running(Worker(never).runner(queue, slots=8, slots_per_project=1, times=times)):
        await until(lambda: claims == 2, within=60)
        await asyncio.sleep(0.3)  # thirty of the shortest pauses
        assert claims == 2


async def test_a_claim_takes_no_more_items_than_slots_are_free(fixture: QueueFixture) -> None:
    await fixture.add(*(f"job_{number}" for number in range(12)))
    asked: list[int] = []
    got: list[int] = []
    release = asyncio.Event()

    class Recording(JobQueue):
        async def claim_many(self, worker: str, most: int, **options: Any) -> ClaimedItems:
            claimed = await super().claim_many(worker, most, **options)
            asked.append(most)
            got.append(len(claimed.items))
            return claimed

    async def work(item: QueueItem) -> Outcome:
        await release.wait()
        return Complete("done")

    queue = Recording(fixture.pool, fixture.outbox, lease=LEASE)
    async with running(Worker(work).runner(queue, slots=5, claims_at_a_time=4)):
        await until(lambda: sum(got) == 5, within=60)
        assert (asked[:2], got[:2]) == ([4, 1], [4, 1])
        release.set()
        await until(lambda: fixture.is_in("done", *(f"job_{number}" for number in range(12))), within=60)


async def test_a_wake_starts_work_without_waiting_for_the_poll(fixture: QueueFixture) -> None:
    started = []

    async def work(item: QueueItem) -> Outcome:
        started.append(item.id)
        return Complete("done")

    times = replace(TIMES, poll=TIMES.poll * 10_000)
    async with running(Worker(work).runner(fixture.queue, times=times)):
        for n in range(5):
            await fixture.add(f"job_{n}")
            await until(lambda: len(started) == n + 1, within=60)  # noqa: B023 - asked before n moves on


async def test_an_item_is_started_soon_after_it_is_due_without_any_wake(fixture: QueueFixture) -> None:
    times = replace(TIMES, poll=TIMES.poll * 10_000)
    async with fixture.pool.acquire() as conn:
        due_ms = int(time.time() * 1000) + 500
        await fixture.queue.add(conn, id="job_1", project="p", kind="video", payload={}, not_before_ms=due_ms)
    async with running(Worker(finishes).runner(fixture.queue, times=times)):
        await until(lambda: fixture.is_in("done", "job_1"), within=60)
    assert time.time() * 1000 >= due_ms


async def test_an_item_that_another_process_adds_is_found_by_the_poll(fixture: QueueFixture) -> None:
    async with running(Worker(finishes).runner(fixture.queue)):
        await until(lambda: fixture.queue.contact.is_established(), within=60)
        async with fixture.pool.acquire() as conn:
            await fixture.queue.add(conn, id="job_1", project="p", kind="video", payload={})
        await until(lambda: fixture.is_in("done", "job_1"), within=60)


async def test_a_cancelled_item_is_stopped_at_once_where_it_runs(fixture: QueueFixture) -> None:
    begun, stopped = asyncio.Event(), asyncio.Event()

    async def work(item: QueueItem) -> Outcome:
        begun.set()
        try:
            return await never(item)
        finally:
            stopped.set()

    worker = Worker(work)
    queue = JobQueue(fixture.pool, fixture.outbox, lease=timedelta(hours=1))
    await fixture.add("job_1")
    async with running(worker.runner(queue)):
        await asyncio.wait_for(begun.wait(), 60)
        async with fixture.pool.acquire() as conn:
            assert await queue.request_cancel(conn, "job_1") == []
        queue.wake()
        # The heartbeat that would notice it by itself comes in twenty minutes.
        await asyncio.wait_for(stopped.wait(), 60)
        await until(lambda: fixture.is_in("cancelled", "job_1"), within=60)
    assert worker.cancelled == ["job_1"]
    assert await fixture.published() == ["job_1"]


async def test_a_cancellation_by_another_process_is_noticed_by_the_heartbeat(fixture: QueueFixture) -> None:
    worker = Worker(never)
    await fixture.add("job_1")
    async with running(worker.runner(fixture.queue)):
        await until(lambda: fixture.is_in("running", "job_1"), within=60)
        await fixture.pool.execute("UPDATE job_queue SET cancel_requested = true")
        await until(lambda: fixture.is_in("cancelled", "job_1"), within=60)


async def test_an_item_cancelled_before_it_was_added_ends_without_being_run(fixture: QueueFixture) -> None:
    worker = Worker(never)
    async with fixture.pool.acquire() as conn:
        await fixture.queue.request_cancel(conn, "job_1")
    await fixture.add("job_1")
    async with running(worker.runner(fixture.queue)):
        await until(lambda: fixture.is_in("cancelled", "job_1"), within=60)
    assert worker.cancelled == ["job_1"]


async def test_shutdown_stops_the_work_and_puts_it_back_uncounted(fixture: QueueFixture) -> None:
    begun, stopped = [], []

    async def work(item: QueueItem) -> Outcome:
        begun.append(item.id)
        try:
            return await never(item)
        finally:
            stopped.append(item.id)

    await fixture.add("job_1", "job_2", "job_3")
    async with running(Worker(work).runner(fixture.queue, slots=2)):
        await until(lambda: len(begun) == 2, within=60)
    assert sorted(stopped) == ["job_1", "job_2"]
    assert await fixture.is_in("queued", "job_1", "job_2", "job_3")
    assert [await fixture.number("failures + postponements + crashed", each) for each in stopped] == [0, 0]


async def test_shutdown_lets_a_decided_outcome_be_written(fixture: QueueFixture) -> None:
    writing = asyncio.Event()

    async def also(conn: Connection) -> None:
        writing.set()
        await asyncio.sleep(0.2)

    async def work(item: QueueItem) -> Outcome:
        return Complete("done", [event(item.id)], also)

    await fixture.add("job_1")
    async with running(Worker(work).runner(fixture.queue)):
        await asyncio.wait_for(writing.wait(), 60)
    assert await fixture.state("job_1") == "done"


async def test_two_runners_show_each_result_exactly_once(fixture: QueueFixture) -> None:
    ids = [f"job_{n}" for n in range(60)]
    await fixture.add(*ids[:30])
    await fixture.add(*ids[30:], project="prj_b")
    async with running(*(Worker(finishes).runner(fixture.queue, slots=4) for _ in range(2))):
        await until(lambda: fixture.is_in("done", *ids), within=60)
    assert sorted(await fixture.published()) == sorted(ids)


async def test_a_slot_whose_work_does_not_end_is_shown_by_the_check(fixture: QueueFixture) -> None:
    reacts = asyncio.Event()

    async def work(item: QueueItem) -> Outcome:
        while not reacts.is_set():
            with suppress(asyncio.CancelledError):
                await reacts.wait()
        raise asyncio.CancelledError

    runner = Worker(work).runner(fixture.queue, slots=1)
    await fixture.add("job_1")
    async with running(runner):
        await until(lambda: fixture.is_in("running", "job_1"), within=60)

        async def stuck() -> str:
            """What the check says of a slot; empty if it passes."""
            try:
                await runner.check()
            except SlotStuck as error:
                return str(error)
            return ""

        async def is_fine() -> bool:
            return not await stuck()

        # The leases of these tests are short: a busy machine may renew one late.
        await until(is_fine, within=60)
        await fixture.pool.execute("UPDATE job_queue SET cancel_requested = true")
        assert re.match(r"1 of 1 slots: the lease ended \d+ s ago, the work has not", await until(stuck, within=60))
        reacts.set()
        await until(lambda: fixture.is_in("cancelled", "job_1"), within=60)
        await until(is_fine, within=60)  # the slot is free a moment after the row is written


async def test_an_item_that_ends_while_another_is_claimed_makes_room_at_once(fixture: QueueFixture) -> None:
    """The claim has not seen that there is room, and the runner's next look is an hour away."""
    in_between, ended, release = asyncio.Event(), asyncio.Event(), asyncio.Event()

    class SlowQueue(JobQueue):
        async def claim_many(self, worker: str, most: int, **more: Any) -> ClaimedItems:
            claimed = await super().claim_many(worker, most, **more)
            if claimed.limited and not ended.is_set():
                in_between.set()
                await ended.wait()
            return claimed

    async def work(item: QueueItem) -> Outcome:
        await release.wait()
        return Complete("done")

    queue = SlowQueue(fixture.pool, fixture.outbox)
    await fixture.add("one", "two")
    times = replace(TIMES, poll=timedelta(hours=1))
    async with running(Worker(work).runner(queue, slots=2, slots_per_project=1, times=times, work_slots=False)):
        await in_between.wait()
        release.set()
        await until(lambda: fixture.is_in("done", "one"))
        await asyncio.sleep(0.2)  # until the runner knows of it as well; without that the test proves less
        ended.set()
        await until(lambda: fixture.is_in("done", "two"), within=60)
