"""A queue with an outbox in a schema of its own per test, and runners whose work a test defines."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest

from chassis.adapters.failure_policy import FailurePolicy
from chassis.adapters.postgres import Pool, migrate, open_pool
from chassis.runtime.job_queue import Cause, Complete, JobQueue, Outcome, QueueItem, Runner, WorkSlots
from chassis.runtime.job_queue.attempt import AttemptLimits
from chassis.runtime.job_queue.runner import RunnerTimes
from chassis.runtime.outbox import Outbox
from schemas.events import CancelRequested
from tests.support.waiting import until

LEASE = timedelta(seconds=1.5)
LONG_LEASE = timedelta(minutes=5)
"""Of tests in which no lease has to run out by itself; they set `QUEUE_LEASE` in their module."""
QUICK = AttemptLimits(policy=FailurePolicy(attempts=5, first_delay_s=0.01, longest_delay_s=0.02), shutdown_write_s=20.0)
TIMES = RunnerTimes(poll=timedelta(milliseconds=200))


def event(item_id: str, at: int = 0) -> CancelRequested:
    """The smallest event."""
    return CancelRequested(job_id=item_id, project="prj_a", at=at)


@dataclass
class QueueFixture:
    """A queue on a real Postgres, and queries about its rows."""

    dsn: str
    schema: str
    pool: Pool
    outbox: Outbox
    queue: JobQueue

    async def add(self, *ids: str, project: str = "prj_a", **more: Any) -> None:
        async with self.pool.acquire() as conn, conn.transaction():
            for each in ids:
                await self.queue.add(conn, id=each, project=project, kind="video", payload={"n": each}, **more)
        self.queue.wake()

    async def claim(self, worker: str = "w1") -> QueueItem:
        item = await self.queue.claim(worker)
        assert item is not None
        return item

    async def expire(self, *ids: str) -> None:
        """Makes leases run out."""
        await self.pool.execute("UPDATE job_queue SET lease_until = now() - interval '1 hour' WHERE id = ANY ($1)", ids)

    async def take_over(self, item_id: str, worker: str) -> QueueItem:
        """Another worker's claim of an item that is worked on: its heartbeat may renew the lease in between."""

        async def claimed() -> QueueItem | None:
            await self.expire(item_id)
            return await self.queue.claim(worker)

        item: QueueItem = await until(claimed)
        assert item.id == item_id
        return item

    async def state(self, item_id: str) -> str:
        return str(await self.pool.fetchval("SELECT state FROM job_queue WHERE id = $1", item_id))

    async def is_in(self, state: str, *ids: str) -> bool:
        return all([await self.state(each) == state for each in ids])

    async def number(self, column: str, item_id: str) -> int:
        """An integer column of an item: `attempt`, `failures`, `crashed` …"""
        return int(await self.pool.fetchval(f"SELECT {column} FROM job_queue WHERE id = $1", item_id))

    async def due_in(self, item_id: str) -> timedelta:
        """How long until a queued item is due."""
        due: timedelta = await self.pool.fetchval("SELECT not_before - now() FROM job_queue WHERE id = $1", item_id)
        return due

    async def published(self) -> list[str]:
        """The keys of the events in the outbox, in order."""
        return [row["key"].decode() for row in await self.pool.fetch("SELECT key FROM outbox ORDER BY id")]


@dataclass
class Worker:
    """The functions of a service, with a record of their calls."""

    work: Callable[[QueueItem], Awaitable[Outcome]]
    exhausted_with: list[tuple[str, Cause]] = field(default_factory=list)
    cancelled: list[str] = field(default_factory=list)

    async def exhausted(self, item: QueueItem, cause: Cause) -> Complete:
        self.exhausted_with.append((item.id, cause))
        return Complete("failed", [event(item.id)])

    async def on_cancel(self, item: QueueItem) -> Complete:
        self.cancelled.append(item.id)
        return Complete("cancelled", [event(item.id)])

    def runner(
        self,
        queue: JobQueue,
        slots: int = 2,
        *,
        limits: AttemptLimits = QUICK,
        times: RunnerTimes = TIMES,
        work_slots: bool = True,
        slots_per_project: int | None = None,
        claims_at_a_time: int = 1,
    ) -> Runner:
        """`work_slots`: all of the work is done in a work slot, of which there are as many as slots."""
        return Runner(
            queue,
            in_slots(WorkSlots(queue, slots), self.work) if work_slots else self.work,
            slots=slots,
            slots_per_project=slots_per_project,
            claims_at_a_time=claims_at_a_time,
            exhausted=self.exhausted,
            on_cancel=self.on_cancel,
            limits=limits,
            times=times,
        )


def in_slots(
    slots: WorkSlots, work: Callable[[QueueItem], Awaitable[Outcome]]
) -> Callable[[QueueItem], Awaitable[Outcome]]:
    """`work`, all of it in a work slot."""

    async def work_in_slot(item: QueueItem) -> Outcome:
        async with slots.attempt(item) as attempt, attempt.work():
            return await work(item)

    return work_in_slot


@asynccontextmanager
async def running(*runners: Runner) -> AsyncIterator[None]:
    """The runners run inside the block."""
    tasks = [asyncio.create_task(runner.run()) for runner in runners]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        for task in tasks:
            with suppress(asyncio.CancelledError):
                await task


async def finishes(item: QueueItem) -> Outcome:
    """Work that ends at once."""
    return Complete("done", [event(item.id)])


async def never(item: QueueItem) -> Outcome:
    """Work that ends only when it is cancelled."""
    await asyncio.Event().wait()
    raise AssertionError


async def prepare(dsn: str, schema: str) -> None:
    await migrate(dsn, schema, ["chassis.runtime.outbox.migrations", "chassis.runtime.job_queue.migrations"])


@pytest.fixture
async def fixture(database_url: str, request: pytest.FixtureRequest) -> AsyncIterator[QueueFixture]:
    lease: timedelta = getattr(request.module, "QUEUE_LEASE", LEASE)
    schema = f"queue_{uuid4().hex[:8]}"
    await prepare(database_url, schema)
    async with await open_pool(database_url, schema, size=25) as pool:
        outbox = Outbox(pool, "test")
        yield QueueFixture(database_url, schema, pool, outbox, JobQueue(pool, outbox, lease=lease))
