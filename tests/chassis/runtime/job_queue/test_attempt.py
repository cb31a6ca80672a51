"""One attempt on a real Postgres: what follows from each way in which it can end."""

import asyncio
from datetime import timedelta

import pytest

from chassis.adapters.failure_policy import FailurePolicy, Rejected
from chassis.adapters.postgres import Connection
from chassis.adapters.storage import StorageUnavailable
from chassis.runtime.job_queue import (
    Cause,
    Complete,
    LastAttempt,
    LeaseLost,
    Outcome,
    QueueItem,
    Retry,
)
from chassis.runtime.job_queue.attempt import Attempt, AttemptLimits, Handlers
from chassis.runtime.job_queue.lease import Heartbeats
from schemas.faults import Fault
from tests.chassis.runtime.job_queue.conftest import LEASE, QUICK, QueueFixture, Worker, event, never, running
from tests.support.waiting import until

UNREACHABLE = Fault(kind="input_unreachable", message="The server answered 503.")
MOMENT = timedelta(milliseconds=5)


async def test_an_unexpected_error_is_retried_and_the_fifth_ends_the_item(fixture: QueueFixture) -> None:
    seen: list[tuple[int, int]] = []

    async def work(item: QueueItem) -> Outcome:
        seen.append((item.attempt, item.failures))
        raise RuntimeError("a bug")

    worker = Worker(work)
    await fixture.add("job_1")
    async with running(worker.runner(fixture.queue)):
        await until(lambda: fixture.is_in("failed", "job_1"), within=60)
    assert seen == [(1, 0), (2, 1), (3, 2), (4, 3), (5, 4)]
    assert worker.exhausted_with == [("job_1", LastAttempt("failed 5 times: RuntimeError: a bug"))]
    assert await fixture.published() == ["job_1"]


async def test_an_outage_is_retried_without_limit_and_does_not_count(fixture: QueueFixture) -> None:
    seen: list[tuple[int, int]] = []

    async def work(item: QueueItem) -> Outcome:
        seen.append((item.failures, item.postponements))
        if len(seen) <= 12:
            raise StorageUnavailable("away")
        return Complete("done", [event(item.id)])

    worker = Worker(work)
    await fixture.add("job_1")
    async with running(worker.runner(fixture.queue)):
        await until(lambda: fixture.is_in("done", "job_1"), within=60)
    assert seen == [(0, n) for n in range(13)]
    assert worker.exhausted_with == []


async def test_the_pause_grows_with_outages_in_a_row(fixture: QueueFixture) -> None:
    limits = AttemptLimits(policy=FailurePolicy(first_delay_s=1000, longest_delay_s=100_000, jitter=lambda: 0))

    async def work(item: QueueItem) -> Outcome:
        raise ConnectionRefusedError("away")

    pauses: list[float] = []
    await fixture.add("job_1")
    for _ in range(3):
        async with running(Worker(work).runner(fixture.queue, limits=limits)):
            await until(lambda: due_later(fixture), within=60)
        pauses.append(round((await fixture.due_in("job_1")).total_seconds(), -3))
        await fixture.pool.execute("UPDATE job_queue SET not_before = now()")
    assert pauses == [1000, 2000, 4000]


async def due_later(fixture: QueueFixture) -> bool:
    return await fixture.state("job_1") == "queued" and await fixture.due_in("job_1") > timedelta(minutes=5)


async def test_a_rejection_ends_the_item_at_once(fixture: QueueFixture) -> None:
    async def work(item: QueueItem) -> Outcome:
        raise Rejected("Not that.")

    worker = Worker(work)
    await fixture.add("job_1")
    async with running(worker.runner(fixture.queue)):
        await until(lambda: fixture.is_in("failed", "job_1"), within=60)
    assert worker.exhausted_with == [("job_1", LastAttempt("Not that."))]
    assert await fixture.number("attempt", "job_1") == 1


async def test_a_retry_that_counts_is_granted_until_the_last_attempt_and_brings_its_fault(
    fixture: QueueFixture,
) -> None:
    async def work(item: QueueItem) -> Outcome:
        return Retry(MOMENT, "503", UNREACHABLE)

    worker = Worker(work)
    await fixture.add("job_1")
    async with running(worker.runner(fixture.queue)):
        await until(lambda: fixture.is_in("failed", "job_1"), within=60)
    assert worker.exhausted_with == [("job_1", LastAttempt("503", UNREACHABLE))]
    assert await fixture.number("attempt", "job_1") == 3


async def test_a_retry_that_does_not_count_is_granted_for_ever(fixture: QueueFixture) -> None:
    async def work(item: QueueItem) -> Outcome:
        return Complete("done") if item.attempt == 10 else Retry(MOMENT, "busy", counts=False)

    await fixture.add("job_1")
    async with running(Worker(work).runner(fixture.queue)):
        await until(lambda: fixture.is_in("done", "job_1"), within=60)
    assert await fixture.number("failures", "job_1") == 0


async def test_a_deferred_retry_is_granted_for_ever_and_its_pauses_are_added_up(fixture: QueueFixture) -> None:
    seen: list[tuple[int, float, int, int]] = []
    codes: list[list[str]] = []

    async def work(item: QueueItem) -> Outcome:
        codes.append(list(item.deferral_reasons))
        seen.append((item.deferrals, round(item.deferred_s, 3), item.failures, item.postponements))
        if item.attempt == 3:
            return Retry(MOMENT, "busy", counts=False)
        if item.attempt == 6:
            return Retry(MOMENT, "a fault of ours")
        return (
            Complete("done")
            if item.attempt == 7
            else Retry.defer(MOMENT, f"code {item.attempt // 3}", "503", [event(item.id, item.attempt)])
        )

    worker = Worker(work)
    await fixture.add("job_1")
    async with running(worker.runner(fixture.queue)):
        await until(lambda: fixture.is_in("done", "job_1"), within=60)
    assert seen[:4] == [(0, 0, 0, 0), (1, 0.005, 0, 0), (2, 0.01, 0, 0), (2, 0.01, 0, 1)]
    assert seen[4:] == [(3, 0.015, 0, 1), (4, 0.02, 0, 1), (0, 0, 1, 0)]
    assert codes == [[], ["code 0"], ["code 0"], ["code 0"], ["code 0", "code 1"], ["code 0", "code 1"], []]
    assert worker.exhausted_with == []
    assert await fixture.published() == ["job_1"] * 4


@pytest.mark.parametrize("outcome", ["complete", "retry"])
async def test_an_outcome_that_cannot_be_written_is_a_failed_attempt(fixture: QueueFixture, outcome: str) -> None:
    async def also(conn: Connection) -> None:
        raise RuntimeError("constraint")

    async def work(item: QueueItem) -> Outcome:
        if outcome == "complete":
            return Complete("done", [event(item.id)], also)
        return Retry(MOMENT, "why", also=also, counts=False)

    worker = Worker(work)
    await fixture.add("job_1")
    async with running(worker.runner(fixture.queue)):
        await until(lambda: fixture.is_in("failed", "job_1"), within=60)
    assert worker.exhausted_with == [("job_1", LastAttempt("failed 5 times: RuntimeError: constraint"))]


async def test_what_follows_the_commit_is_called_after_it(fixture: QueueFixture) -> None:
    states: list[asyncio.Task[str]] = []

    async def work(item: QueueItem) -> Outcome:
        def after_commit() -> None:
            states.append(asyncio.create_task(fixture.state(item.id)))

        return Complete("done", after_commit=after_commit)

    await fixture.add("job_1")
    async with running(Worker(work).runner(fixture.queue)):
        await until(lambda: states, within=60)
        assert await states[0] == "done"


async def test_an_end_that_fails_is_tried_again_with_growing_pauses(fixture: QueueFixture) -> None:
    class Broken(Worker):
        async def exhausted(self, item: QueueItem, cause: Cause) -> Complete:
            await super().exhausted(item, cause)
            if len(self.exhausted_with) < 8:
                raise RuntimeError("a bug of the end")
            return Complete("failed", [event(item.id)])

    async def work(item: QueueItem) -> Outcome:
        raise Rejected("no")

    worker = Broken(work)
    await fixture.add("job_1")
    async with running(worker.runner(fixture.queue)):
        await until(lambda: fixture.is_in("failed", "job_1"), within=60)
    assert await fixture.published() == ["job_1"]


async def test_work_that_cancels_itself_is_a_failed_attempt(fixture: QueueFixture) -> None:
    async def work(item: QueueItem) -> Outcome:
        raise asyncio.CancelledError

    worker = Worker(work)
    await fixture.add("job_1")
    async with running(worker.runner(fixture.queue)):
        await until(lambda: fixture.is_in("failed", "job_1"), within=60)
    assert worker.exhausted_with == [("job_1", LastAttempt("failed 5 times: RuntimeError: the work cancelled itself"))]


async def test_work_keeps_its_lease_for_longer_than_a_lease(fixture: QueueFixture) -> None:
    async def work(item: QueueItem) -> Outcome:
        await asyncio.sleep(LEASE.total_seconds() * 1.5)  # the time is what is tried here
        return Complete("done", [event(item.id)])

    await fixture.add("job_1")
    async with running(*(Worker(work).runner(fixture.queue) for _ in range(2))):
        await until(lambda: fixture.is_in("done", "job_1"), within=60)
    assert await fixture.number("attempt", "job_1") == 1


async def test_a_lost_lease_stops_the_work_and_its_result_is_shown_once(fixture: QueueFixture) -> None:
    stopped = asyncio.Event()

    async def work(item: QueueItem) -> Outcome:
        try:
            return await never(item)
        finally:
            stopped.set()

    await fixture.add("job_1")
    async with running(Worker(work).runner(fixture.queue, slots=1)):
        await until(lambda: fixture.is_in("running", "job_1"), within=60)
        rival = await fixture.take_over("job_1", "rival")
        await asyncio.wait_for(stopped.wait(), 60)
        await fixture.queue.finish(rival, "done", event("job_1"))
    assert await fixture.state("job_1") == "done"
    assert await fixture.published() == ["job_1"]


async def test_an_emit_without_lease_ends_the_attempt_without_a_trace(fixture: QueueFixture) -> None:
    lost = asyncio.Event()

    async def work(item: QueueItem) -> Outcome:
        rival = await fixture.take_over(item.id, "rival")
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
        await asyncio.wait_for(lost.wait(), 60)
    assert (await fixture.state("job_1"), await fixture.published(), worker.exhausted_with) == ("done", [], [])


@pytest.mark.parametrize(
    ("outcome", "discarded"), [("committed", False), ("committed unnoticed", False), ("lost", True), ("failed", True)]
)
async def test_what_an_attempt_made_is_discarded_unless_its_outcome_counts(
    fixture: QueueFixture, outcome: str, discarded: bool
) -> None:
    calls: list[str] = []

    async def discard() -> None:
        calls.append("discarded")

    async def also(conn: Connection) -> None:
        raise RuntimeError("constraint")

    async def work(item: QueueItem) -> Outcome:
        if outcome == "lost":
            await fixture.expire(item.id)
            assert await fixture.queue.claim("another") is not None
        if outcome == "committed unnoticed":
            await fixture.queue.finish(item, "done")
        return Complete("done", also=also if outcome == "failed" else None, discard=discard)

    worker = Worker(work)
    await fixture.add("job_1")
    item = await fixture.claim("one")
    handlers = Handlers(worker.work, worker.exhausted, worker.on_cancel)
    queue = fixture.queue
    await Attempt(queue, handlers, item, QUICK, Heartbeats(queue.renew, queue.cancelled, queue.lease)).run()
    assert calls == ["discarded"] * discarded
