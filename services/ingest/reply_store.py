"""The table of replies to producers, and where the ends of jobs are to be sent."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import orjson

from chassis.adapters.kafka.codec import OutgoingRecord
from chassis.adapters.postgres import Connection, Pool
from chassis.runtime.outbox.publisher import Row
from services.ingest.store import DEADLINE_S, QUERIES


class ReplyStore:
    """Methods with a `conn` belong to the caller's transaction."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    @asynccontextmanager
    async def transaction(self, seconds: float = DEADLINE_S) -> AsyncIterator[Connection]:
        """A connection in a transaction, for work that takes at most so long."""
        async with asyncio.timeout(seconds), self._pool.acquire() as conn, conn.transaction():
            yield conn

    async def remember(self, conn: Connection, job_id: str, reply: str) -> None:
        """Remembers where the end of a job is to be sent, as JSON."""
        await conn.execute(QUERIES["set_reply"], job_id, reply)

    async def add(self, conn: Connection, records: Sequence[OutgoingRecord]) -> None:
        """Adds records to be sent."""
        if not records:
            return
        columns = (
            [record.topic for record in records],
            [record.key for record in records],
            [record.value for record in records],
            [orjson.dumps([(name, value.decode()) for name, value in record.headers]).decode() for record in records],
        )
        await conn.execute(QUERIES["add_replies"], *columns)

    async def has_due(self) -> bool:
        """Whether any reply is due."""
        return bool(await self._pool.fetchval(QUERIES["has_due_replies"]))

    async def due(self, conn: Connection, limit: int) -> list[Row]:
        """The oldest replies that are due, locked; those that another replica is sending are left out."""
        rows = await conn.fetch(QUERIES["due_replies"], limit)
        return [
            Row(row["id"], row["topic"], row["key"], row["value"], [(name, text.encode()) for name, text in headers])
            for row, headers in ((row, row["headers"]) for row in rows)
        ]

    async def end(self, conn: Connection, ids: Sequence[int]) -> None:
        """Deletes replies that need not be sent any more."""
        await conn.execute(QUERIES["end_replies"], ids)

    async def postpone(self, conn: Connection, ids: Sequence[int]) -> None:
        """Has replies that were not sent tried again later."""
        if ids:
            await conn.execute(QUERIES["postpone_replies"], ids)
