"""Workers crash: others run their items, and only an item that crashes its worker alone is failed for it."""

import asyncio
import os
import signal
import sys
from asyncio.subprocess import PIPE, Process
from contextlib import AbstractAsyncContextManager
from datetime import timedelta
from pathlib import Path

from chassis.runtime.job_queue import Complete, JobQueue, Outcome, Poisoned, QueueItem
from tests.chassis.runtime.job_queue.conftest import (
    QueueFixture,
    Worker,
    event,
    finishes,
    never,
    running,
)
from tests.support.processes import killed_process
from tests.support.waiting import until

ROOT = Path(__file__).parents[4]


def worker_process(fixture: QueueFixture, slots: int) -> AbstractAsyncContextManager[Process]:
    """`crashing_worker.py` as a process of its own."""
    return killed_process(
        *(sys.executable, "-m", "tests.chassis.runtime.job_queue.crashing_worker"),
        *(fixture.dsn, fixture.schema, str(slots)),
        stdout=PIPE,
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )


async def test_the_item_of_a_killed_worker_is_done_by_another(fixture: QueueFixture) -> None:
    await fixture.add("innocent_1")
    async with worker_process(fixture, slots=1) as process, asyncio.timeout(60):
        assert process.stdout is not None
        assert await process.stdout.readline() == b"innocent_1 1\n"
    assert await fixture.state("innocent_1") == "running"
    async with running(Worker(finishes).runner(fixture.queue)):
        await until(lambda: fixture.is_in("done", "innocent_1"), within=60)
    assert [await fixture.number(column, "innocent_1") for column in ("attempt", "crashed", "failures")] == [2, 1, 0]
    assert await fixture.published() == ["innocent_1"]


async def test_a_process_that_stood_still_for_longer_than_a_lease_goes_on_with_its_item(fixture: QueueFixture) -> None:
    await fixture.add("innocent_1")
    async with worker_process(fixture, slots=2) as process, asyncio.timeout(60):
        assert process.stdout is not None
        assert await process.stdout.readline() == b"innocent_1 1\n"
        process.send_signal(signal.SIGSTOP)
        await until(lambda: lease_ran_out(fixture), within=60)
        process.send_signal(signal.SIGCONT)
        await until(lambda: lease_holds(fixture), within=60)
        assert [await fixture.number(column, "innocent_1") for column in ("attempt", "crashed")] == [1, 0]


async def test_a_process_that_stood_still_while_another_took_its_item_stops(fixture: QueueFixture) -> None:
    await fixture.add("innocent_1")
    async with worker_process(fixture, slots=2) as process, asyncio.timeout(60):
        assert process.stdout is not None
        assert await process.stdout.readline() == b"innocent_1 1\n"
        process.send_signal(signal.SIGSTOP)
        async with running(Worker(never).runner(fixture.queue)):
            await until(lambda: claimed_again(fixture, "innocent_1"), within=60)
            process.send_signal(signal.SIGCONT)
            assert await process.stdout.readline() == b"innocent_1 stopped\n"
            assert await fixture.number("attempt", "innocent_1") == 2


async def lease_ran_out(fixture: QueueFixture) -> bool:
    return bool(await fixture.pool.fetchval("SELECT lease_until < now() - interval '1 s' FROM job_queue"))


async def lease_holds(fixture: QueueFixture) -> bool:
    return bool(await fixture.pool.fetchval("SELECT lease_until > now() FROM job_queue"))


async def test_a_poison_and_three_innocents_in_one_worker_end_as_one_quarantined_and_three_done(
    fixture: QueueFixture,
) -> None:
    innocents = ("innocent_1", "innocent_2", "innocent_3")
    await fixture.add(*innocents, "poison")
    deaths = 0
    async with asyncio.timeout(120):
        while not (await fixture.is_in("failed", "poison") and await fixture.is_in("done", *innocents)):
            async with worker_process(fixture, slots=4) as process:
                ended = asyncio.create_task(process.wait())
                await until(lambda: ended.done() or all_ended(fixture), within=60)  # noqa: B023 - asked at once
                deaths += ended.done()
                ended.cancel()
    # Once with its neighbours, and three times alone.
    assert deaths == 4
    assert await fixture.number("crashed_alone", "poison") == 3
    assert [await fixture.number("crashed_alone", each) for each in innocents] == [0, 0, 0]
    assert sorted(await fixture.published()) == [*innocents, "poison"]
    assert await fixture.pool.fetchval("SELECT count(*) FROM neighbours") == 0


async def test_items_that_wait_for_their_input_when_the_worker_dies_are_not_suspected(fixture: QueueFixture) -> None:
    slow = ("slow_1", "slow_2")
    await fixture.add(*slow, "innocent_1", "poison")
    async with worker_process(fixture, slots=4) as process:
        await asyncio.wait_for(process.wait(), 60)
    await fixture.expire(*slow, "innocent_1", "poison")
    items = {item.id: item for item in [await fixture.claim(f"w{n}") for n in range(4)]}
    assert {id: item.suspect for id, item in items.items()} == {
        "slow_1": False,
        "slow_2": False,
        "innocent_1": True,
        "poison": True,
    }
    assert [items[each].crashed_waiting for each in slow] == [1, 1]


async def all_ended(fixture: QueueFixture) -> bool:
    return not await fixture.pool.fetchval("SELECT count(*) FROM job_queue WHERE finished_at IS NULL")


async def suspect(fixture: QueueFixture, *ids: str) -> None:
    """Adds items whose worker has disappeared."""
    await fixture.pool.execute(
        "INSERT INTO job_queue (id, project, kind, payload, state, worker, attempt, lease_until) "
        "SELECT id, 'prj_a', 'video', '{}', 'running', 'dead', 1, now() - interval '1 ms' "
        "FROM unnest($1::text[]) AS id",
        ids,
    )
    fixture.queue.wake()


async def test_an_item_that_stopped_its_worker_alone_three_times_is_quarantined_and_not_run(
    fixture: QueueFixture,
) -> None:
    worker = Worker(never)
    await suspect(fixture, "job_1")
    for n in range(3):
        await fixture.queue.start_alone(await fixture.claim(f"dead_{n}"))
        await fixture.expire("job_1")
    async with running(worker.runner(fixture.queue)):
        await until(lambda: fixture.is_in("failed", "job_1"), within=60)
    assert worker.exhausted_with == [("job_1", Poisoned())]
    assert await fixture.published() == ["job_1"]


async def test_a_suspect_waits_for_the_other_slots_and_then_has_the_worker_to_itself(fixture: QueueFixture) -> None:
    busy: list[str] = []
    beside: dict[str, list[str]] = {}
    gates = {each: asyncio.Event() for each in ("first", "suspect", "later")}

    async def work(item: QueueItem) -> Outcome:
        beside[item.id] = list(busy)
        busy.append(item.id)
        await gates[item.id].wait()
        busy.remove(item.id)
        return Complete("done", [event(item.id)])

    async with running(Worker(work).runner(fixture.queue, slots=3)):
        await fixture.add("first")
        await until(lambda: busy == ["first"], within=60)
        await suspect(fixture, "suspect")
        await until(lambda: claimed_again(fixture, "suspect"), within=60)
        await fixture.add("later")
        await until(lambda: fixture.is_in("running", "later"), within=60)
        assert busy == ["first"]
        assert not await fixture.pool.fetchval("SELECT alone FROM job_queue WHERE id = 'suspect'")
        gates["first"].set()
        await until(lambda: busy == ["suspect"], within=60)
        assert await fixture.pool.fetchval("SELECT alone FROM job_queue WHERE id = 'suspect'")
        gates["suspect"].set()
        gates["later"].set()
        await until(lambda: fixture.is_in("done", "first", "suspect", "later"), within=60)
    assert beside == {"first": [], "suspect": [], "later": []}


async def claimed_again(fixture: QueueFixture, id: str) -> bool:
    """Whether an item that a dead worker had is claimed again."""
    return await fixture.number("attempt", id) == 2


async def test_suspects_run_one_after_another_in_a_worker_and_beside_each_other_in_two(fixture: QueueFixture) -> None:
    runs: list[list[str]] = [[], []]
    together = asyncio.Event()

    def worker(running_here: list[str]) -> Worker:
        async def work(item: QueueItem) -> Outcome:
            running_here.append(item.id)
            assert len(running_here) == 1
            if all(runs):
                together.set()
            await together.wait()
            running_here.remove(item.id)
            return Complete("done", [event(item.id)])

        return Worker(work)

    ids = ("job_1", "job_2", "job_3", "job_4")
    await suspect(fixture, *ids)
    queues = [JobQueue(fixture.pool, fixture.outbox, lease=fixture.queue.lease) for _ in runs]
    # Two each: with more slots one worker could claim all four before the other one is asked.
    runners = [worker(here).runner(queue, slots=2) for here, queue in zip(runs, queues, strict=True)]
    async with running(*runners):
        await until(lambda: fixture.is_in("done", *ids), within=60)
    assert [await fixture.number("failures", each) for each in ids] == [0] * 4


async def test_other_workers_go_on_while_a_suspect_waits(fixture: QueueFixture) -> None:
    async def work(item: QueueItem) -> Outcome:
        return await (never(item) if item.id in ("long", "suspect") else finishes(item))

    async with running(Worker(work).runner(fixture.queue)):
        await fixture.add("long")
        await until(lambda: fixture.is_in("running", "long"), within=60)
        await suspect(fixture, "suspect")
        await until(lambda: claimed_again(fixture, "suspect"), within=60)
        queue = JobQueue(fixture.pool, fixture.outbox, lease=fixture.queue.lease)
        async with running(Worker(work).runner(queue)):
            await fixture.add("job_1", "job_2", "job_3")
            await until(lambda: fixture.is_in("done", "job_1", "job_2", "job_3"), within=60)


async def test_a_worker_that_dies_while_the_suspect_waits_for_its_neighbours_does_not_blame_it(
    fixture: QueueFixture,
) -> None:
    await suspect(fixture, "job_1")
    for n in range(5):
        await fixture.claim(f"dead_{n}")
        await fixture.expire("job_1")
    async with running(Worker(finishes).runner(fixture.queue)):
        await until(lambda: fixture.is_in("done", "job_1"), within=60)
    assert [await fixture.number(column, "job_1") for column in ("crashed", "crashed_alone")] == [6, 0]


async def test_suspects_of_a_runner_without_work_slots_run_beside_others_and_are_never_quarantined(
    fixture: QueueFixture,
) -> None:
    both = asyncio.Barrier(2)

    async def work(item: QueueItem) -> Outcome:
        await both.wait()
        return Complete("done", [event(item.id)])

    await suspect(fixture, "job_1", "job_2")
    async with running(Worker(work).runner(fixture.queue, work_slots=False)):
        await until(lambda: fixture.is_in("done", "job_1", "job_2"), within=60)
    assert await fixture.number("crashed_alone", "job_1") == 0


async def test_a_lease_that_ran_out_does_not_delay_its_item_by_more_than_the_poll(fixture: QueueFixture) -> None:
    """By the database's clock: from the end of the dead worker's lease to the claim of the living one."""
    async with running(Worker(never).runner(fixture.queue)):
        await until(lambda: fixture.queue.contact.is_established(), within=60)
        await fixture.add("job_1")
        await until(lambda: fixture.is_in("running", "job_1"), within=60)
        ran_out = await fixture.pool.fetchval(
            "UPDATE job_queue SET worker = 'dead', attempt = 7, lease_until = now() + interval '1 s' "
            "RETURNING lease_until"
        )
        await until(lambda: attempt_is(fixture, 8), within=60)
        claimed = await fixture.pool.fetchval("SELECT lease_until FROM job_queue") - fixture.queue.lease
    assert timedelta(0) <= claimed - ran_out < timedelta(seconds=30)


async def attempt_is(fixture: QueueFixture, attempt: int) -> bool:
    return await fixture.number("attempt", "job_1") == attempt
