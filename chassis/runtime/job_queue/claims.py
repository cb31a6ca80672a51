"""What a worker does to have items: claims them, keeps them by renewing their leases, and gives them back."""

import time
from collections.abc import Sequence
from dataclasses import fields
from datetime import timedelta
from typing import Unpack

import asyncpg
from asyncpg.pool import PoolAcquireContext

from chassis.adapters.postgres import sql
from chassis.adapters.postgres.pool import Pool
from chassis.core.concurrency import WakeSignal
from chassis.runtime.job_queue.item import SUSPECT_AFTER_WAITING, ClaimedItems, ClaimOptions, QueueItem, Renewal
from chassis.runtime.job_queue.lease import NEVER, PostgresContact

UNLIMITED = 2**31 - 1
MAX_CLAIMS = 32
"""Items of one claim; as many of each project are looked at."""
CHARGE_LIMIT_S = 300.0
"""Of the estimated work of one item in the order of the projects; an estimate may be wrong."""
CONNECTION_SECONDS = 5.0
"""For getting a connection, and for giving it back: one that hangs is then discarded instead of given back."""
_ITEM_COLUMNS = tuple(field.name for field in fields(QueueItem))


class Claims:
    """The claims of the queue behind `pool`; a part of `JobQueue`."""

    def __init__(self, pool: Pool, *, lease: timedelta, suspect_pause: timedelta, connection_s: float) -> None:
        self._pool = pool
        self._connection_s = connection_s
        self._queries = sql.load("chassis.runtime.job_queue")
        self._suspect_pause = suspect_pause
        self.lease = lease
        self.contact = PostgresContact(lease)
        self.added = WakeSignal()
        """Notified when there may be an item to claim."""
        self.cancelled = WakeSignal()
        """Notified when a running item may have been cancelled: heartbeats are then sent at once."""
        self.erasures = WakeSignal()
        """Notified when there may be an item to erase."""

    async def claim(self, worker: str) -> QueueItem | None:
        """Claims the next item, if any. `worker` must be unique among all processes."""
        items = (await self.claim_many(worker, 1)).items
        return items[0] if items else None

    async def claim_many(self, worker: str, most: int, **options: Unpack[ClaimOptions]) -> ClaimedItems:
        """Claims up to `most` items, at most `MAX_CLAIMS`, in the order in which as many claims would get them."""
        sent = time.monotonic()
        async with self._connection() as conn:
            rows = await conn.fetch(
                self._queries["claim"],
                worker,
                self.lease,
                options.get("valid_until", NEVER),
                options.get("expired", True),
                options.get("per_project", UNLIMITED),
                SUSPECT_AFTER_WAITING,
                list(options.get("full_projects", ())),
                list(options.get("held", ())),
                self._suspect_pause,
                CHARGE_LIMIT_S,
                min(most, MAX_CLAIMS),
            )
        first = rows[0]
        self.contact.responded(first["at"], since(sent))
        items = [item_of(row) for row in rows if row["id"] is not None]
        due_s = first["next_due_s"]
        due = None if due_s is None else timedelta(seconds=max(0.0, due_s))
        return ClaimedItems(items, due, first["limited"])

    async def renew(self, items: Sequence[QueueItem]) -> list[Renewal]:
        """Extends leases, even those that ran out, as long as no other worker claimed the item; a result for each."""
        if not items:
            return []
        sent = time.monotonic()
        columns = ([item.id for item in items], [item.worker for item in items], [item.attempt for item in items])
        async with self._connection() as conn:
            rows = await conn.fetch(self._queries["renew"], *columns, self.lease)
        self.contact.responded(rows[0]["at"], since(sent))
        results: dict[tuple[str, int], Renewal] = {(row["id"], row["attempt"]): row["result"] for row in rows}
        return [results[item.id, item.attempt] for item in items]

    async def retract_crash(self, item: QueueItem) -> bool:
        """Says that the worker of this claim, whose lease was lost, has not crashed; whether it was taken for that."""
        async with self._connection() as conn:
            return bool(await conn.fetchval(self._queries["retract_crash"], item.id, str(item.attempt)))

    async def is_lost(self, item: QueueItem) -> bool:
        """Whether the claim is over without having ended the item as `done`, so that it never will."""
        async with self._connection() as conn:
            return bool(await conn.fetchval(self._queries["is_lost"], *fence(item)))

    async def release(self, item: QueueItem) -> None:
        """Puts the item back as if it had not been claimed. Nothing happens where the lease was lost."""
        async with self._connection() as conn:
            await conn.execute(self._queries["release"], *fence(item))

    def _connection(self) -> "PoolAcquireContext[asyncpg.Record]":
        return self._pool.acquire(timeout=self._connection_s)


def item_of(row: asyncpg.Record) -> QueueItem:
    """The item of a row that a claim returned."""
    return QueueItem(**{name: row[name] for name in _ITEM_COLUMNS})


def since(sent: float) -> timedelta:
    """The time since a moment of the monotonic clock."""
    return timedelta(seconds=time.monotonic() - sent)


def fence(item: QueueItem) -> tuple[str, str, int]:
    """What a row has to have for a write of this claim to have an effect: id, worker, attempt."""
    return item.id, item.worker, item.attempt
