"""A queue with an outbox in a schema of its own per test."""

from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest

from chassis.adapters.postgres import Pool, migrate, open_pool
from chassis.runtime.job_queue import Complete, JobQueue, Outcome, QueueItem, Runner
from chassis.runtime.outbox import Outbox
from schemas.events import CancelRequested

LEASE = timedelta(seconds=1.5)


def event(item_id: str, at: int = 0) -> CancelRequested:
    """Any event will do; this one is the smallest."""
    return CancelRequested(job_id=item_id, project="prj_a", at=at)


@dataclass
class QueueFixture:
    """A queue to try things on, and what a test wants to ask of its tables."""

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
        """What time does to a lease, at once."""
        await self.pool.execute("UPDATE job_queue SET lease_until = now() - interval '1 ms' WHERE id = ANY ($1)", ids)

    async def state(self, item_id: str) -> str:
        return str(await self.pool.fetchval("SELECT state FROM job_queue WHERE id = $1", item_id))

    async def is_in(self, state: str, *ids: str) -> bool:
        return all([await self.state(each) == state for each in ids])

    async def attempt(self, item_id: str) -> int:
        return int(await self.pool.fetchval("SELECT attempt FROM job_queue WHERE id = $1", item_id))

    async def published(self) -> list[str]:
        """The keys of what waits in the outbox, in order."""
        return [row["key"].decode() for row in await self.pool.fetch("SELECT key FROM outbox ORDER BY id")]


@dataclass
class Worker:
    """The functions of a service, with a record of what was asked of them."""

    work: Callable[[QueueItem], Awaitable[Outcome]]
    exhausted_with: list[tuple[str, str]] = field(default_factory=list)
    cancelled: list[str] = field(default_factory=list)

    async def exhausted(self, item: QueueItem, reason: str) -> Complete:
        self.exhausted_with.append((item.id, reason))
        return Complete("failed", [event(item.id)])

    async def on_cancel(self, item: QueueItem) -> Complete:
        self.cancelled.append(item.id)
        return Complete("cancelled", [event(item.id)])

    def runner(self, queue: JobQueue, slots: int = 2) -> Runner:
        return Runner(queue, self.work, slots=slots, exhausted=self.exhausted, on_cancel=self.on_cancel)


async def prepare(dsn: str, schema: str) -> None:
    await migrate(dsn, schema, ["chassis.runtime.outbox.migrations", "chassis.runtime.job_queue.migrations"])


@pytest.fixture
async def fixture(database_url: str) -> AsyncIterator[QueueFixture]:
    schema = f"queue_{uuid4().hex[:8]}"
    await prepare(database_url, schema)
    async with await open_pool(database_url, schema, size=25) as pool:
        outbox = Outbox(pool, "test")
        yield QueueFixture(database_url, schema, pool, outbox, JobQueue(pool, outbox, lease=LEASE))
