"""Reads the topic `outbox.watermark` into memory, in every replica, without a consumer group."""

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import timedelta

from aiokafka import ConsumerRecord, TopicPartition
from aiokafka.errors import KafkaError

from chassis.adapters.kafka import codec
from chassis.adapters.kafka.bounded_fetch import BoundedConsumer
from chassis.adapters.kafka.connection import Kafka, connection
from chassis.adapters.kafka.errors import RecordUnreadable
from chassis.core import logs
from chassis.core.concurrency import WakeSignal
from chassis.core.retry import Backoff
from schemas.events import OutboxAdvanced
from schemas.topics import OUTBOX_WATERMARK
from services.catalog.publication import Watermark

KEPT = 128
"""About as many seconds: longer than any request waits."""
_PARTITION = TopicPartition(OUTBOX_WATERMARK.name, 0)
_POLL_MS = 30_000
_FETCH_WAIT_MS = 5_000
_REQUEST_SECONDS = 5.0
_RECHECK = timedelta(seconds=1)

log = logs.get_logger(__name__)


class OutboxWatermarks:
    """The last watermarks of one service's outbox. `follow` has to run in the background."""

    def __init__(self, kafka: Kafka, client_id: str, service: str = "ingest") -> None:
        self._kafka = connection(kafka)
        self._client_id = client_id
        self._service = service
        self._recent: deque[Watermark] = deque(maxlen=KEPT)
        self._received = WakeSignal()
        self._consumer: BoundedConsumer | None = None

    @property
    def recent(self) -> Sequence[Watermark]:
        return self._recent

    async def wait_until(self, holds: Callable[[Sequence[Watermark]], bool]) -> None:
        """Returns once `holds(recent)` is true, without a timeout."""
        while True:
            subscription = self._received.subscribe()
            if holds(self._recent):
                return
            await subscription.wait(_RECHECK)

    async def end_offset(self) -> int | None:
        """The offset that the next watermark will get; None if Kafka does not respond."""
        if self._consumer is None:
            return None
        with suppress(KafkaError, OSError):
            async with asyncio.timeout(_REQUEST_SECONDS):
                ends = await self._consumer.end_offsets([_PARTITION])
                return int(ends[_PARTITION])
        return None

    async def follow(self) -> None:
        """Reads until cancelled, through any outage of Kafka."""
        backoff = Backoff(log, "follow_watermarks")
        while True:
            try:
                await self._read(backoff)
            except (KafkaError, OSError) as error:
                await backoff.sleep(error)

    async def _read(self, backoff: Backoff) -> None:
        consumer = BoundedConsumer(
            client_id=self._client_id,
            fetch_max_wait_ms=_FETCH_WAIT_MS,
            consumer_timeout_ms=_FETCH_WAIT_MS,
            **self._kafka.options,
        )
        try:
            await consumer.start()
            consumer.assign([_PARTITION])
            # Starts with the last one in the topic: it is sufficient for old ids, even while ingest is away.
            begin = (await consumer.beginning_offsets([_PARTITION]))[_PARTITION]
            end = (await consumer.end_offsets([_PARTITION]))[_PARTITION]
            consumer.seek(_PARTITION, max(begin, end - 1))
            self._consumer = consumer
            while True:
                found = await consumer.getmany(timeout_ms=_POLL_MS)
                backoff.reset()
                for record in found.get(_PARTITION, ()):
                    self._keep(record)
                if found:
                    self._received.notify()
        finally:
            self._consumer = None
            with suppress(KafkaError, OSError):
                await consumer.stop()

    def _keep(self, record: ConsumerRecord) -> None:
        try:
            event = codec.decode(OUTBOX_WATERMARK, record.headers, record.value)
        except RecordUnreadable as error:
            log.warning("watermark_unreadable", reason=error.reason, offset=record.offset)
            return
        if isinstance(event, OutboxAdvanced) and event.service == self._service:
            self._recent.append(Watermark(event.at, event.published_through, event.after_offset))
