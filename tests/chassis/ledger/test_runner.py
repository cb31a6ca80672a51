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

from chassis.ledger import Done, Item, Later, LeaseLost, Ledger, Outcome, Runner
from chassis.ledger import attempt as attempts
from chassis.ledger import ledger as ledgers
from chassis.ledger import runner as runners
from chassis.outbox import Outbox
from chassis.postgres import Connection, open_pool
from tests.chassis.ledger.conftest import LEASE, Bench, Worker, event
from tests.chassis.proxy import Proxy
from tests.chassis.waiting import until


@asynccontextmanager
async def running(runner: Runner) -> AsyncIterator["asyncio.Task[None]"]:
    task = asyncio.create_task(runner.run())
    try:
        yield task
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def finishes(item: Item) -> Outcome:
    return Done("done", [event(item.id)])


async def never(item: Item) -> Outcome:
    await asyncio.Event().wait()
    raise AssertionError


@pytest.fixture(autouse=True)
def short_backoff(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(attempts, "BACKOFF", (timedelta(milliseconds=10),))


async def test_items_are_worked_off_with_at_most_so_many_at_a_time_as_there_are_slots(bench: Bench) -> None:
    now, most, done, full = 0, 0, Counter[str](), asyncio.Event()

    async def work(item: Item) -> Outcome:
        nonlocal now, most
        now += 1
        most = max(most, now)
        if most == 3:
            full.set()
        await full.wait()
        await asyncio.sleep(0)
        now -= 1
        done[item.id] += 1
        return Done("done", [event(item.id)])

    ids = [f"job_{n}" for n in range(30)]
    await bench.add(*ids)
    async with running(Worker(work).runner(bench.ledger, slots=3)):
        await until(lambda: bench.is_in("done", *ids))
    assert most == 3
    assert done == Counter(ids)
    assert sorted(await bench.published()) == sorted(ids)


async def test_a_wake_starts_work_within_milliseconds(bench: Bench) -> None:
    started: dict[str, float] = {}

    async def work(item: Item) -> Outcome:
        started[item.id] = time.perf_counter()
        return Done("done")

    latencies = []
    async with running(Worker(work).runner(bench.ledger)):
        for n in range(20):
            await asyncio.sleep(0.01)  # idle again; the latency is what is measured
            await bench.add(f"job_{n}")
            woken = time.perf_counter()
            await until(lambda: len(started) == n + 1)  # noqa: B023 - asked before n moves on
            latencies.append(started[f"job_{n}"] - woken)
    assert sorted(latencies)[10] < 0.05, latencies


async def test_an_item_is_started_soon_after_it_is_due_without_any_wake(bench: Bench) -> None:
    async with running(Worker(finishes).runner(bench.ledger)):
        async with bench.pool.acquire() as conn:
            due_ms = int(time.time() * 1000) + 300
            await bench.ledger.add(conn, id="job_1", project="p", kind="video", payload={}, not_before_ms=due_ms)
        await until(lambda: bench.is_in("done", "job_1"), within=3)


async def test_a_failing_attempt_is_repeated_and_then_given_up_with_its_reason(bench: Bench) -> None:
    seen: list[int] = []

    async def work(item: Item) -> Outcome:
        seen.append(item.attempt)
        raise RuntimeError("storage is away")

    worker = Worker(work)
    await bench.add("job_1")
    async with running(worker.runner(bench.ledger)):
        await until(lambda: bench.is_in("failed", "job_1"))
    assert seen == [1, 2, 3]
    assert worker.exhausted_with == [("job_1", "RuntimeError: storage is away")]
    assert await bench.published() == ["job_1"]


async def test_later_is_repeated_and_given_up_like_a_failure(bench: Bench) -> None:
    async def work(item: Item) -> Outcome:
        return Later(timedelta(milliseconds=5), "no answer")

    worker = Worker(work)
    await bench.add("job_1")
    async with running(worker.runner(bench.ledger)):
        await until(lambda: bench.is_in("failed", "job_1"))
    assert worker.exhausted_with == [("job_1", "no answer")]
    assert await bench.attempt("job_1") == 3


async def test_an_item_whose_workers_died_three_times_is_poisoned_and_not_run(bench: Bench) -> None:
    worker = Worker(never)
    await bench.add("job_1")
    for n in range(3):
        await bench.claim(f"dies{n}")
        await bench.expire("job_1")
    async with running(worker.runner(bench.ledger)):
        await until(lambda: bench.is_in("failed", "job_1"))
    assert worker.exhausted_with == [("job_1", "poisoned")]
    assert await bench.published() == ["job_1"]


async def test_a_closing_that_fails_is_tried_again_later_without_spinning(bench: Bench) -> None:
    class Broken(Worker):
        async def exhausted(self, item: Item, reason: str) -> Done:
            await super().exhausted(item, reason)
            raise RuntimeError("a fault of ours")

    async def work(item: Item) -> Outcome:
        raise RuntimeError("first fault")

    worker = Broken(work)
    await bench.add("job_1")
    await bench.pool.execute("UPDATE ledger SET attempt = 2")
    async with running(worker.runner(bench.ledger)):
        await until(lambda: worker.exhausted_with)
        await until(lambda: bench.is_in("queued", "job_1"))
    due = await bench.ledger.next_due()
    assert due is not None
    assert due > timedelta(seconds=30)


async def test_a_writing_that_fails_counts_as_a_failed_attempt(bench: Bench) -> None:
    async def also(conn: Connection) -> None:
        raise RuntimeError("constraint")

    async def work(item: Item) -> Outcome:
        return Done("done", [event(item.id)], also)

    worker = Worker(work)
    await bench.add("job_1")
    async with running(worker.runner(bench.ledger)):
        await until(lambda: bench.is_in("failed", "job_1"))
    assert worker.exhausted_with == [("job_1", "RuntimeError: constraint")]


async def test_a_cancelled_item_is_stopped_at_once_where_it_runs(bench: Bench) -> None:
    stopped = asyncio.Event()

    async def work(item: Item) -> Outcome:
        try:
            return await never(item)
        finally:
            stopped.set()

    worker = Worker(work)
    await bench.add("job_1")
    async with running(worker.runner(bench.ledger)):
        await until(lambda: bench.is_in("running", "job_1"))
        async with bench.pool.acquire() as conn:
            assert await bench.ledger.request_cancel(conn, "job_1") is None
        bench.ledger.wake()
        await asyncio.wait_for(stopped.wait(), LEASE.total_seconds() / 4)
        await until(lambda: bench.is_in("cancelled", "job_1"))
    assert worker.cancelled == ["job_1"]
    assert await bench.published() == ["job_1"]


async def test_a_wish_to_cancel_from_another_process_is_seen_by_the_heartbeat(bench: Bench) -> None:
    worker = Worker(never)
    await bench.add("job_1")
    async with running(worker.runner(bench.ledger)):
        await until(lambda: bench.is_in("running", "job_1"))
        await bench.pool.execute("UPDATE ledger SET cancel_requested = true")
        await until(lambda: bench.is_in("cancelled", "job_1"), within=LEASE.total_seconds())


async def test_an_item_cancelled_before_it_came_is_closed_without_being_run(bench: Bench) -> None:
    worker = Worker(never)
    async with bench.pool.acquire() as conn:
        await bench.ledger.request_cancel(conn, "job_1")
    await bench.add("job_1")
    async with running(worker.runner(bench.ledger)):
        await until(lambda: bench.is_in("cancelled", "job_1"))
    assert worker.cancelled == ["job_1"]


async def test_shutdown_stops_the_work_and_gives_the_attempt_back(bench: Bench) -> None:
    begun, stopped = [], []

    async def work(item: Item) -> Outcome:
        begun.append(item.id)
        try:
            return await never(item)
        finally:
            stopped.append(item.id)

    await bench.add("job_1", "job_2", "job_3")
    async with running(Worker(work).runner(bench.ledger, slots=2)):
        await until(lambda: len(begun) == 2)
    assert sorted(stopped) == ["job_1", "job_2"]
    assert await bench.is_in("queued", "job_1", "job_2", "job_3")
    assert [await bench.attempt(each) for each in ("job_1", "job_2")] == [0, 0]


async def test_shutdown_lets_a_decided_outcome_be_written(bench: Bench) -> None:
    writing = asyncio.Event()

    async def also(conn: Connection) -> None:
        writing.set()
        await asyncio.sleep(0.2)

    async def work(item: Item) -> Outcome:
        return Done("done", [event(item.id)], also)

    await bench.add("job_1")
    async with running(Worker(work).runner(bench.ledger)):
        await asyncio.wait_for(writing.wait(), 5)
    assert await bench.state("job_1") == "done"


async def test_work_keeps_its_lease_for_longer_than_a_lease(bench: Bench) -> None:
    async def work(item: Item) -> Outcome:
        await asyncio.sleep(LEASE.total_seconds() * 1.5)  # the time is what is tried here
        return Done("done", [event(item.id)])

    await bench.add("job_1")
    async with running(Worker(work).runner(bench.ledger)):
        await until(lambda: bench.is_in("done", "job_1"))
    assert await bench.attempt("job_1") == 1


async def test_a_lost_lease_stops_the_work_and_its_result_is_shown_once(bench: Bench) -> None:
    stopped = asyncio.Event()

    async def work(item: Item) -> Outcome:
        try:
            return await never(item)
        finally:
            stopped.set()

    await bench.add("job_1")
    async with running(Worker(work).runner(bench.ledger, slots=1)):
        await until(lambda: bench.is_in("running", "job_1"))
        # The rival claims with the row in its hands, so that the runner's own slot has no chance to be first.
        await bench.expire("job_1")
        rival = await bench.claim("rival")
        await asyncio.wait_for(stopped.wait(), LEASE.total_seconds())
        await bench.ledger.finish(rival, "done", event("job_1"))
    assert await bench.state("job_1") == "done"
    assert await bench.published() == ["job_1"]


async def test_an_emit_without_lease_ends_the_attempt_without_a_trace(bench: Bench) -> None:
    lost = asyncio.Event()

    async def work(item: Item) -> Outcome:
        await bench.expire(item.id)
        rival = await bench.claim("rival")
        try:
            await bench.ledger.emit(item, event(item.id))
        except LeaseLost:
            await bench.ledger.finish(rival, "done")
            lost.set()
            raise
        raise AssertionError

    worker = Worker(work)
    await bench.add("job_1")
    async with running(worker.runner(bench.ledger)):
        await asyncio.wait_for(lost.wait(), 5)
    assert (await bench.state("job_1"), await bench.published(), worker.exhausted_with) == ("done", [], [])


@pytest.mark.parametrize("hang", [False, True])
async def test_a_worker_that_cannot_prove_its_lease_stops_when_the_lease_is_over(bench: Bench, hang: bool) -> None:
    begun, stopped = [], []

    async def work(item: Item) -> Outcome:
        begun.append(time.monotonic())
        try:
            return await never(item)
        finally:
            stopped.append(time.monotonic())

    await bench.add("job_1")
    async with Proxy(bench.dsn) as proxy, await open_pool(proxy.dsn, bench.schema) as pool:
        ledger = Ledger(pool, Outbox(pool, "test"), lease=LEASE)
        async with running(Worker(work).runner(ledger)):
            await until(lambda: begun)
            await proxy.cut(hang=hang)
            await until(lambda: stopped, within=LEASE.total_seconds() + 2)
            assert stopped[0] - begun[0] < LEASE.total_seconds() + 0.3
            await proxy.mend()
            await until(lambda: len(begun) == 2, within=10)
    assert await bench.attempt("job_1") == 1  # two attempts, of which shutdown gave the second back


@pytest.mark.parametrize("hang", [False, True])
async def test_a_runner_survives_postgres_being_away(
    bench: Bench, hang: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    finish = asyncio.Event()

    async def work(item: Item) -> Outcome:
        if item.id == "job_1":
            await finish.wait()
        return Done("done", [event(item.id)])

    await bench.add("job_1")
    async with Proxy(bench.dsn) as proxy, await open_pool(proxy.dsn, bench.schema) as pool:
        ledger = Ledger(pool, Outbox(pool, "test"), lease=timedelta(seconds=30))
        async with running(Worker(work).runner(ledger)):
            await until(lambda: bench.is_in("running", "job_1"))
            await proxy.cut(hang=hang)
            finish.set()
            await bench.add("job_2")
            await asyncio.sleep(0.5)  # the outage itself
            await proxy.mend()
            await until(lambda: bench.is_in("done", "job_1", "job_2"), within=15)
    assert await bench.attempt("job_1") == 1
    assert capsys.readouterr().out.count("claiming work: trouble") <= 1


async def test_connections_that_stay_silent_for_ever_are_thrown_away(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runners, "CLAIM_SECONDS", 0.2)
    monkeypatch.setattr(ledgers, "CONNECTION_SECONDS", 0.3)
    async with Proxy(bench.dsn) as proxy:
        pool = await open_pool(proxy.dsn, bench.schema, size=2)
        try:
            async with running(Worker(finishes).runner(Ledger(pool, Outbox(pool, "test")))):
                await bench.add("job_1")
                await until(lambda: bench.is_in("done", "job_1"))
                await proxy.cut(hang=True)
                await bench.add("job_2")
                await asyncio.sleep(0.5)  # the outage itself
                await proxy.mend(silent_ones=False)
                await until(lambda: bench.is_in("done", "job_2"))
        finally:
            pool.terminate()


KILLED = """
import asyncio, sys
from datetime import timedelta
from chassis.ledger import Ledger, Runner
from chassis.outbox import Outbox
from chassis.postgres import open_pool

async def main(dsn, schema):
    async with await open_pool(dsn, schema, size=3) as pool:
        async def work(item):
            print(item.id, item.attempt, flush=True)
            await asyncio.Event().wait()
        ledger = Ledger(pool, Outbox(pool, "test"), lease=timedelta(seconds=1.5))
        await Runner(ledger, work, slots=1, exhausted=None, on_cancel=None).run()

asyncio.run(main(*sys.argv[1:]))
"""


async def test_the_item_of_a_killed_worker_is_done_by_another(bench: Bench) -> None:
    await bench.add("job_1")
    root = Path(__file__).parents[3]
    environment = {**os.environ, "PYTHONPATH": str(root)}
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", KILLED, bench.dsn, bench.schema, stdout=PIPE, cwd=root, env=environment
    )
    assert process.stdout is not None
    assert await process.stdout.readline() == b"job_1 1\n"
    process.kill()
    await process.wait()
    assert await bench.state("job_1") == "running"
    async with running(Worker(finishes).runner(bench.ledger)):
        await until(lambda: bench.is_in("done", "job_1"), within=LEASE.total_seconds() + 5)
    assert await bench.attempt("job_1") == 2
    assert await bench.published() == ["job_1"]


async def test_two_runners_show_each_result_exactly_once(bench: Bench) -> None:
    ids = [f"job_{n}" for n in range(60)]
    await bench.add(*ids[:30])
    await bench.add(*ids[30:], project="prj_b")
    one, two = Worker(finishes).runner(bench.ledger, slots=4), Worker(finishes).runner(bench.ledger, slots=4)
    async with running(one), running(two):
        await until(lambda: bench.is_in("done", *ids))
    assert sorted(await bench.published()) == sorted(ids)
