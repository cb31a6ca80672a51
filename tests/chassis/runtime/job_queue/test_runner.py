"""Runners on a real Postgres: what becomes of items whatever happens to their workers."""

import asyncio
import os
import sys
import time
from asyncio.subprocess import PIPE
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from datetime import timedelta
from pathlib import Path

import pytest

from chassis.adapters.postgres import Connection, open_pool
from chassis.runtime.job_queue import Complete, JobQueue, LeaseLost, Outcome, QueueItem, Retry, Runner
from chassis.runtime.job_queue import attempt as attempts
from chassis.runtime.job_queue import queue as queues
from chassis.runtime.job_queue import runner as runners
from chassis.runtime.outbox import Outbox
from tests.chassis.runtime.job_queue.conftest import LEASE, QueueFixture, Worker, event
from tests.support.proxy import Proxy
from tests.support.waiting import until


@asynccontextmanager
async def running(runner: Runner) -> AsyncIterator["asyncio.Task[None]"]:
    task = asyncio.create_task(runner.run())
    try:
        yield task
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def finishes(item: QueueItem) -> Outcome:
    return Complete("done", [event(item.id)])


async def never(item: QueueItem) -> Outcome:
    await asyncio.Event().wait()
    raise AssertionError


@pytest.fixture(autouse=True)
def short_backoff(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(attempts, "BACKOFF", (timedelta(milliseconds=10),))


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
        await until(lambda: fixture.is_in("done", *ids))
    assert most == 3
    assert done == Counter(ids)
    assert sorted(await fixture.published()) == sorted(ids)


async def test_a_wake_starts_work_within_milliseconds(fixture: QueueFixture) -> None:
    started: dict[str, float] = {}

    async def work(item: QueueItem) -> Outcome:
        started[item.id] = time.perf_counter()
        return Complete("done")

    latencies = []
    async with running(Worker(work).runner(fixture.queue)):
        for n in range(20):
            await asyncio.sleep(0.01)  # idle again; the latency is what is measured
            await fixture.add(f"job_{n}")
            woken = time.perf_counter()
            await until(lambda: len(started) == n + 1)  # noqa: B023 - asked before n moves on
            latencies.append(started[f"job_{n}"] - woken)
    assert sorted(latencies)[10] < 0.05, latencies


async def test_an_item_is_started_soon_after_it_is_due_without_any_wake(fixture: QueueFixture) -> None:
    async with running(Worker(finishes).runner(fixture.queue)):
        async with fixture.pool.acquire() as conn:
            due_ms = int(time.time() * 1000) + 300
            await fixture.queue.add(conn, id="job_1", project="p", kind="video", payload={}, not_before_ms=due_ms)
        await until(lambda: fixture.is_in("done", "job_1"), within=3)


async def test_a_failing_attempt_is_repeated_and_then_given_up_with_its_reason(fixture: QueueFixture) -> None:
    seen: list[int] = []

    async def work(item: QueueItem) -> Outcome:
        seen.append(item.attempt)
        raise RuntimeError("storage is away")

    worker = Worker(work)
    await fixture.add("job_1")
    async with running(worker.runner(fixture.queue)):
        await until(lambda: fixture.is_in("failed", "job_1"))
    assert seen == [1, 2, 3]
    assert worker.exhausted_with == [("job_1", "RuntimeError: storage is away")]
    assert await fixture.published() == ["job_1"]


async def test_later_is_repeated_and_given_up_like_a_failure(fixture: QueueFixture) -> None:
    async def work(item: QueueItem) -> Outcome:
        return Retry(timedelta(milliseconds=5), "no answer")

    worker = Worker(work)
    await fixture.add("job_1")
    async with running(worker.runner(fixture.queue)):
        await until(lambda: fixture.is_in("failed", "job_1"))
    assert worker.exhausted_with == [("job_1", "no answer")]
    assert await fixture.attempt("job_1") == 3


async def test_an_item_whose_workers_died_three_times_is_poisoned_and_not_run(fixture: QueueFixture) -> None:
    worker = Worker(never)
    await fixture.add("job_1")
    for n in range(3):
        await fixture.claim(f"dies{n}")
        await fixture.expire("job_1")
    async with running(worker.runner(fixture.queue)):
        await until(lambda: fixture.is_in("failed", "job_1"))
    assert worker.exhausted_with == [("job_1", "poisoned")]
    assert await fixture.published() == ["job_1"]


async def test_a_closing_that_fails_is_tried_again_later_without_spinning(fixture: QueueFixture) -> None:
    class Broken(Worker):
        async def exhausted(self, item: QueueItem, reason: str) -> Complete:
            await super().exhausted(item, reason)
            raise RuntimeError("a fault of ours")

    async def work(item: QueueItem) -> Outcome:
        raise RuntimeError("first fault")

    worker = Broken(work)
    await fixture.add("job_1")
    await fixture.pool.execute("UPDATE job_queue SET attempt = 2")
    async with running(worker.runner(fixture.queue)):
        await until(lambda: worker.exhausted_with)
        await until(lambda: fixture.is_in("queued", "job_1"))
    due = await fixture.queue.next_due()
    assert due is not None
    assert due > timedelta(seconds=30)


async def test_a_writing_that_fails_counts_as_a_failed_attempt(fixture: QueueFixture) -> None:
    async def also(conn: Connection) -> None:
        raise RuntimeError("constraint")

    async def work(item: QueueItem) -> Outcome:
        return Complete("done", [event(item.id)], also)

    worker = Worker(work)
    await fixture.add("job_1")
    async with running(worker.runner(fixture.queue)):
        await until(lambda: fixture.is_in("failed", "job_1"))
    assert worker.exhausted_with == [("job_1", "RuntimeError: constraint")]


async def test_a_cancelled_item_is_stopped_at_once_where_it_runs(fixture: QueueFixture) -> None:
    stopped = asyncio.Event()

    async def work(item: QueueItem) -> Outcome:
        try:
            return await never(item)
        finally:
            stopped.set()

    worker = Worker(work)
    await fixture.add("job_1")
    async with running(worker.runner(fixture.queue)):
        await until(lambda: fixture.is_in("running", "job_1"))
        async with fixture.pool.acquire() as conn:
            assert await fixture.queue.request_cancel(conn, "job_1") is None
        fixture.queue.wake()
        await asyncio.wait_for(stopped.wait(), LEASE.total_seconds() / 4)
        await until(lambda: fixture.is_in("cancelled", "job_1"))
    assert worker.cancelled == ["job_1"]
    assert await fixture.published() == ["job_1"]


async def test_a_wish_to_cancel_from_another_process_is_seen_by_the_heartbeat(fixture: QueueFixture) -> None:
    worker = Worker(never)
    await fixture.add("job_1")
    async with running(worker.runner(fixture.queue)):
        await until(lambda: fixture.is_in("running", "job_1"))
        await fixture.pool.execute("UPDATE job_queue SET cancel_requested = true")
        await until(lambda: fixture.is_in("cancelled", "job_1"), within=LEASE.total_seconds())


async def test_an_item_cancelled_before_it_came_is_closed_without_being_run(fixture: QueueFixture) -> None:
    worker = Worker(never)
    async with fixture.pool.acquire() as conn:
        await fixture.queue.request_cancel(conn, "job_1")
    await fixture.add("job_1")
    async with running(worker.runner(fixture.queue)):
        await until(lambda: fixture.is_in("cancelled", "job_1"))
    assert worker.cancelled == ["job_1"]


async def test_shutdown_stops_the_work_and_gives_the_attempt_back(fixture: QueueFixture) -> None:
    begun, stopped = [], []

    async def work(item: QueueItem) -> Outcome:
        begun.append(item.id)
        try:
            return await never(item)
        finally:
            stopped.append(item.id)

    await fixture.add("job_1", "job_2", "job_3")
    async with running(Worker(work).runner(fixture.queue, slots=2)):
        await until(lambda: len(begun) == 2)
    assert sorted(stopped) == ["job_1", "job_2"]
    assert await fixture.is_in("queued", "job_1", "job_2", "job_3")
    assert [await fixture.attempt(each) for each in ("job_1", "job_2")] == [0, 0]


async def test_shutdown_lets_a_decided_outcome_be_written(fixture: QueueFixture) -> None:
    writing = asyncio.Event()

    async def also(conn: Connection) -> None:
        writing.set()
        await asyncio.sleep(0.2)

    async def work(item: QueueItem) -> Outcome:
        return Complete("done", [event(item.id)], also)

    await fixture.add("job_1")
    async with running(Worker(work).runner(fixture.queue)):
        await asyncio.wait_for(writing.wait(), 5)
    assert await fixture.state("job_1") == "done"


async def test_work_keeps_its_lease_for_longer_than_a_lease(fixture: QueueFixture) -> None:
    async def work(item: QueueItem) -> Outcome:
        await asyncio.sleep(LEASE.total_seconds() * 1.5)  # the time is what is tried here
        return Complete("done", [event(item.id)])

    await fixture.add("job_1")
    async with running(Worker(work).runner(fixture.queue)):
        await until(lambda: fixture.is_in("done", "job_1"))
    assert await fixture.attempt("job_1") == 1


async def test_a_lost_lease_stops_the_work_and_its_result_is_shown_once(fixture: QueueFixture) -> None:
    stopped = asyncio.Event()

    async def work(item: QueueItem) -> Outcome:
        try:
            return await never(item)
        finally:
            stopped.set()

    await fixture.add("job_1")
    async with running(Worker(work).runner(fixture.queue, slots=1)):
        await until(lambda: fixture.is_in("running", "job_1"))
        # The rival claims with the row in its hands, so that the runner's own slot has no chance to be first.
        await fixture.expire("job_1")
        rival = await fixture.claim("rival")
        await asyncio.wait_for(stopped.wait(), LEASE.total_seconds())
        await fixture.queue.finish(rival, "done", event("job_1"))
    assert await fixture.state("job_1") == "done"
    assert await fixture.published() == ["job_1"]


async def test_an_emit_without_lease_ends_the_attempt_without_a_trace(fixture: QueueFixture) -> None:
    lost = asyncio.Event()

    async def work(item: QueueItem) -> Outcome:
        await fixture.expire(item.id)
        rival = await fixture.claim("rival")
        try:
            await fixture.queue.emit(item, event(item.id))
        except LeaseLost:
            await fixture.queue.finish(rival, "done")
            lost.set()
            raise
        raise AssertionError

    worker = Worker(work)
    await fixture.add("job_1")
    async with running(worker.runner(fixture.queue)):
        await asyncio.wait_for(lost.wait(), 5)
    assert (await fixture.state("job_1"), await fixture.published(), worker.exhausted_with) == ("done", [], [])


@pytest.mark.parametrize("hang", [False, True])
async def test_a_worker_that_cannot_prove_its_lease_stops_when_the_lease_is_over(
    fixture: QueueFixture, hang: bool
) -> None:
    begun, stopped = [], []

    async def work(item: QueueItem) -> Outcome:
        begun.append(time.monotonic())
        try:
            return await never(item)
        finally:
            stopped.append(time.monotonic())

    await fixture.add("job_1")
    async with Proxy(fixture.dsn) as proxy, await open_pool(proxy.dsn, fixture.schema) as pool:
        queue = JobQueue(pool, Outbox(pool, "test"), lease=LEASE)
        async with running(Worker(work).runner(queue)):
            await until(lambda: begun)
            await proxy.cut(hang=hang)
            await until(lambda: stopped, within=LEASE.total_seconds() + 2)
            assert stopped[0] - begun[0] < LEASE.total_seconds() + 0.3
            await proxy.mend()
            await until(lambda: len(begun) == 2, within=10)
    assert await fixture.attempt("job_1") == 1  # two attempts, of which shutdown gave the second back


@pytest.mark.parametrize("hang", [False, True])
async def test_a_runner_survives_postgres_being_away(
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
            await until(lambda: fixture.is_in("running", "job_1"))
            await proxy.cut(hang=hang)
            finish.set()
            await fixture.add("job_2")
            await asyncio.sleep(0.5)  # the outage itself
            await proxy.mend()
            await until(lambda: fixture.is_in("done", "job_1", "job_2"), within=15)
    assert await fixture.attempt("job_1") == 1
    assert capsys.readouterr().out.count("claiming work: trouble") <= 1


async def test_connections_that_stay_silent_for_ever_are_thrown_away(
    fixture: QueueFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runners, "CLAIM_SECONDS", 0.2)
    monkeypatch.setattr(queues, "CONNECTION_SECONDS", 0.3)
    async with Proxy(fixture.dsn) as proxy:
        pool = await open_pool(proxy.dsn, fixture.schema, size=2)
        try:
            async with running(Worker(finishes).runner(JobQueue(pool, Outbox(pool, "test")))):
                await fixture.add("job_1")
                await until(lambda: fixture.is_in("done", "job_1"))
                await proxy.cut(hang=True)
                await fixture.add("job_2")
                await asyncio.sleep(0.5)  # the outage itself
                await proxy.mend(silent_ones=False)
                await until(lambda: fixture.is_in("done", "job_2"))
        finally:
            pool.terminate()


KILLED = """
import asyncio, sys
from datetime import timedelta
from chassis.runtime.job_queue import JobQueue, Runner
from chassis.runtime.outbox import Outbox
from chassis.adapters.postgres import open_pool

async def main(dsn, schema):
    async with await open_pool(dsn, schema, size=3) as pool:
        async def work(item):
            print(item.id, item.attempt, flush=True)
            await asyncio.Event().wait()
        queue = JobQueue(pool, Outbox(pool, "test"), lease=timedelta(seconds=1.5))
        await Runner(queue, work, slots=1, exhausted=None, on_cancel=None).run()

asyncio.run(main(*sys.argv[1:]))
"""


async def test_the_item_of_a_killed_worker_is_done_by_another(fixture: QueueFixture) -> None:
    await fixture.add("job_1")
    root = Path(__file__).parents[4]
    environment = {**os.environ, "PYTHONPATH": str(root)}
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", KILLED, fixture.dsn, fixture.schema, stdout=PIPE, cwd=root, env=environment
    )
    assert process.stdout is not None
    assert await process.stdout.readline() == b"job_1 1\n"
    process.kill()
    await process.wait()
    assert await fixture.state("job_1") == "running"
    async with running(Worker(finishes).runner(fixture.queue)):
        await until(lambda: fixture.is_in("done", "job_1"), within=LEASE.total_seconds() + 5)
    assert await fixture.attempt("job_1") == 2
    assert await fixture.published() == ["job_1"]


async def test_two_runners_show_each_result_exactly_once(fixture: QueueFixture) -> None:
    ids = [f"job_{n}" for n in range(60)]
    await fixture.add(*ids[:30])
    await fixture.add(*ids[30:], project="prj_b")
    one, two = Worker(finishes).runner(fixture.queue, slots=4), Worker(finishes).runner(fixture.queue, slots=4)
    async with running(one), running(two):
        await until(lambda: fixture.is_in("done", *ids))
    assert sorted(await fixture.published()) == sorted(ids)
