"""Putting events into the outbox, inside the caller's transaction."""

import asyncio
from typing import cast

import orjson
from structlog.contextvars import get_contextvars

from chassis.adapters.kafka import codec
from chassis.adapters.postgres import sql
from chassis.adapters.postgres.pool import Connection, Pool
from chassis.core.concurrency import WakeSignal
from chassis.core.ids import new_id, now_ms
from chassis.runtime.outbox.publisher import Producer
from chassis.runtime.outbox.relay import Relay, Reopen
from schemas.events import Event


class Outbox:
    """The outbox of one service. After the commit of a transaction that `put` something, call `wake()`."""

    def __init__(self, pool: Pool, service: str) -> None:
        self._pool = pool
        self._source = f"/bitmill/{service}"
        self._bell = WakeSignal()
        self._queries = sql.load("chassis.runtime.outbox")

    async def put(self, conn: Connection, *events: Event) -> None:
        """Writes the events as rows of the transaction that `conn` is in; they get their ids and their time here."""
        if not events:
            return
        at = now_ms()
        traceparent = get_contextvars().get("traceparent")
        records = [
            codec.encode(event, id=new_id("evt"), source=self._source, time_ms=at, traceparent=traceparent)
            for event in events
        ]
        await conn.execute(
            self._queries["put"],
            [record.topic for record in records],
            [record.key for record in records],
            [record.value for record in records],
            [_headers(record.headers) for record in records],
        )

    def wake(self) -> None:
        """Tells the relay of this process that something was committed. Without it, it looks five times a second."""
        self._bell.notify()

    async def relay(
        self, producer: Producer, stop: asyncio.Event | None = None, *, reopen: Reopen | None = None
    ) -> None:
        """Publishes until cancelled, or until `stop` is set and what is there then is published: see `Relay`."""
        await Relay(self._pool, self._bell, producer, reopen).run(stop)

    async def backlog(self) -> int:
        """How many events wait to be published: a metric."""
        return cast(int, await self._pool.fetchval(self._queries["backlog"]))

    async def quarantined(self) -> int:
        """How many events were set aside, because Kafka will not take them: a metric that should be 0."""
        return cast(int, await self._pool.fetchval(self._queries["quarantined"]))


def _headers(headers: list[tuple[str, bytes]]) -> str:
    return orjson.dumps([[name, value.decode()] for name, value in headers]).decode()
