"""The watermark of an outbox: up to which moment Kafka has every event, as an event of its own.

A reader of the service's topics can tell with it whether an id that it does not know is still on its way: see
`schemas.events.OutboxAdvanced`. It may be lost, so it is sent directly and not through the outbox.
"""

import asyncio
from datetime import timedelta
from typing import Any

from chassis.adapters.kafka import codec
from chassis.adapters.postgres import sql
from chassis.adapters.postgres.pool import Pool
from chassis.core.concurrency import abandon_after
from chassis.core.ids import new_id
from chassis.runtime.outbox.publisher import Producer
from schemas.events import OutboxAdvanced

SEND_SECONDS = 5.0


class WatermarkSender:
    """Sends the watermark of one service. `every` is the least time between two, over all replicas."""

    def __init__(self, pool: Pool, service: str, every: timedelta, connection_s: float) -> None:
        self._pool = pool
        self._service = service
        # A little less, so that replicas, which call `send` once per `every`, do not miss an interval by a millisecond.
        self._least = every * 0.9
        self._connection_s = connection_s
        self._acknowledged: int | None = None
        """The highest offset of a watermark that Kafka acknowledged."""
        self._queries = sql.load("chassis.runtime.outbox")

    async def send(self, producer: Producer) -> bool:
        """Hands the watermark to the producer, unless another replica did so just now; whether it did."""
        event = await abandon_after(SEND_SECONDS, self._read(self._acknowledged))
        if event is None:
            return False
        record = codec.encode(event, id=new_id("evt"), source=f"/bitmill/{self._service}", time_ms=event.at)
        # The acknowledgement is not awaited: the next watermark supersedes this one.
        ack = await abandon_after(
            SEND_SECONDS, producer.send(record.topic, record.value, record.key, headers=record.headers)
        )
        ack.add_done_callback(self._acknowledge)
        return True

    def _acknowledge(self, ack: "asyncio.Future[Any]") -> None:
        if ack.cancelled() or ack.exception() is not None:
            return
        offset = getattr(ack.result(), "offset", -1)
        if offset >= 0:
            self._acknowledged = max(offset, self._acknowledged or 0)

    async def _read(self, after_offset: int | None) -> OutboxAdvanced | None:
        async with self._pool.acquire(timeout=self._connection_s) as conn:
            row = await conn.fetchrow(self._queries["watermark"], self._least)
        if row is None:
            return None
        return OutboxAdvanced(
            service=self._service,
            at=row["at"],
            published_through=row["published_through"],
            after_offset=after_offset,
        )
