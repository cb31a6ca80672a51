"""Ends of many items in one transaction, for services whose items are many and short.

Each end is fenced by its own claim: an item that another worker has claimed is left out, and the others end all the
same. What a `JointWrite` writes is written for those items alone that end here, all or nothing.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import asyncpg
from asyncpg.pool import PoolAcquireContext

from chassis.adapters.failure_policy import is_outage
from chassis.adapters.postgres import sql
from chassis.adapters.postgres.pool import Pool
from chassis.core.batching import Batching
from chassis.runtime.job_queue.item import FinalState, JointWrite, JointWriter, LeaseLost, QueueItem


@dataclass(frozen=True)
class End:
    """The end of an item."""

    item: QueueItem
    state: FinalState
    write: JointWrite


class JointEnds:
    """Ends items of the queue behind `pool`."""

    def __init__(self, pool: Pool, connection_s: float) -> None:
        self._pool = pool
        self._connection_s = connection_s
        self._query = sql.load("chassis.runtime.job_queue")["finish_many"]
        self._finish = Batching(self._finish_many, shared_failure=is_outage)

    async def finish(self, item: QueueItem, state: FinalState, write: JointWrite) -> None:
        """As `JobQueue.finish` without events. Raises `LeaseLost`."""
        await self._finish(End(item, state, write))

    async def _finish_many(self, ends: Sequence[End]) -> list[Exception | None]:
        columns = (
            [end.item.id for end in ends],
            [end.item.worker for end in ends],
            [end.item.attempt for end in ends],
            [end.state for end in ends],
        )
        async with self._connection() as conn, conn.transaction():
            # Of each item there is one end here, because its attempt writes one outcome at a time.
            ended = {row["id"] for row in await conn.fetch(self._query, *columns)}
            values = defaultdict[JointWriter, list[Any]](list)
            for end in ends:
                if end.item.id in ended:
                    values[end.write.write].append(end.write.value)
            for write, of_write in values.items():
                await write(conn, of_write)
        return [None if end.item.id in ended else LeaseLost(end.item) for end in ends]

    def _connection(self) -> "PoolAcquireContext[asyncpg.Record]":
        return self._pool.acquire(timeout=self._connection_s)
