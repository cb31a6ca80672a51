"""A ledger with an outbox in a schema of its own per test."""

from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest

from chassis.ledger import Done, Item, Ledger, Outcome, Runner
from chassis.outbox import Outbox
from chassis.postgres import Pool, migrate, open_pool
from schemas.events import CancelRequested

LEASE = timedelta(seconds=1.5)


def event(item_id: str, at: int = 0) -> CancelRequested:
    """Any event will do; this one is the smallest."""
    return CancelRequested(job_id=item_id, project="prj_a", at=at)


@dataclass
class Bench:
    """A ledger to try things on, and what a test wants to ask of its tables."""

    dsn: str
    schema: str
    pool: Pool
    outbox: Outbox
    ledger: Ledger

    async def add(self, *ids: str, project: str = "prj_a", **more: Any) -> None:
        async with self.pool.acquire() as conn, conn.transaction():
            for each in ids:
                await self.ledger.add(conn, id=each, project=project, kind="video", payload={"n": each}, **more)
        self.ledger.wake()

    async def claim(self, worker: str = "w1") -> Item:
        item = await self.ledger.claim(worker)
        assert item is not None
        return item

    async def expire(self, *ids: str) -> None:
        """What time does to a lease, at once."""
        await self.pool.execute("UPDATE ledger SET lease_until = now() - interval '1 ms' WHERE id = ANY ($1)", ids)

    async def state(self, item_id: str) -> str:
        return str(await self.pool.fetchval("SELECT state FROM ledger WHERE id = $1", item_id))

    async def is_in(self, state: str, *ids: str) -> bool:
        return all([await self.state(each) == state for each in ids])

    async def attempt(self, item_id: str) -> int:
        return int(await self.pool.fetchval("SELECT attempt FROM ledger WHERE id = $1", item_id))

    async def published(self) -> list[str]:
        """The keys of what waits in the outbox, in order."""
        return [row["key"].decode() for row in await self.pool.fetch("SELECT key FROM outbox ORDER BY id")]


@dataclass
class Worker:
    """The functions of a service, with a record of what was asked of them."""

    work: Callable[[Item], Awaitable[Outcome]]
    exhausted_with: list[tuple[str, str]] = field(default_factory=list)
    cancelled: list[str] = field(default_factory=list)

    async def exhausted(self, item: Item, reason: str) -> Done:
        self.exhausted_with.append((item.id, reason))
        return Done("failed", [event(item.id)])

    async def on_cancel(self, item: Item) -> Done:
        self.cancelled.append(item.id)
        return Done("cancelled", [event(item.id)])

    def runner(self, ledger: Ledger, slots: int = 2) -> Runner:
        return Runner(ledger, self.work, slots=slots, exhausted=self.exhausted, on_cancel=self.on_cancel)


async def prepare(dsn: str, schema: str) -> None:
    await migrate(dsn, schema, ["chassis.outbox.migrations", "chassis.ledger.migrations"])


@pytest.fixture
async def bench(database_url: str) -> AsyncIterator[Bench]:
    schema = f"ledger_{uuid4().hex[:8]}"
    await prepare(database_url, schema)
    async with await open_pool(database_url, schema, size=25) as pool:
        outbox = Outbox(pool, "test")
        yield Bench(database_url, schema, pool, outbox, Ledger(pool, outbox, lease=LEASE))
