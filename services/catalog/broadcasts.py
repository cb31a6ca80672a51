"""Reads broadcast topics, of one partition each, in every replica, without a consumer group."""

import asyncio
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass

from aiokafka import ConsumerRecord, TopicPartition
from aiokafka.errors import KafkaError

from chassis.adapters.kafka import codec
from chassis.adapters.kafka.bounded_fetch import BoundedConsumer
from chassis.adapters.kafka.connection import Kafka, connection
from chassis.adapters.kafka.errors import RecordUnreadable
from chassis.core import logs
from chassis.core.retry import Backoff
from schemas.events import Event
from schemas.topics import Topic

_POLL_MS = 30_000
_FETCH_WAIT_MS = 5_000
_REQUEST_SECONDS = 5.0

log = logs.get_logger(__name__)


@dataclass(frozen=True)
class BroadcastReader:
    """`keep` gets each event; with `from_last` first the last one that is in the topic already. `received` is called
    after those of one fetch."""

    keep: Callable[[Event], None]
    received: Callable[[], None] = lambda: None
    from_last: bool = False


class Broadcasts:
    """Reads topics by one consumer. `follow` has to run in the background."""

    def __init__(self, kafka: Kafka, client_id: str, readers: Mapping[Topic, BroadcastReader]) -> None:
        self._kafka = connection(kafka)
        self._client_id = client_id
        self._readers = {TopicPartition(topic.name, 0): (topic, reader) for topic, reader in readers.items()}
        self._consumer: BoundedConsumer | None = None

    async def end_offset(self, topic: Topic) -> int | None:
        """The offset that the next record will get; None if Kafka does not respond."""
        if self._consumer is None:
            return None
        partition = TopicPartition(topic.name, 0)
        with suppress(KafkaError, OSError):
            async with asyncio.timeout(_REQUEST_SECONDS):
                ends = await self._consumer.end_offsets([partition])
                return int(ends[partition])
        return None

    async def follow(self) -> None:
        """Reads until cancelled, through any outage of Kafka."""
        backoff = Backoff(log, "follow_broadcasts")
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
            consumer.assign(list(self._readers))
            begins = await consumer.beginning_offsets(list(self._readers))
            ends = await consumer.end_offsets(list(self._readers))
            for partition, (_, reader) in self._readers.items():
                end = ends[partition]
                consumer.seek(partition, max(begins[partition], end - 1) if reader.from_last else end)
            self._consumer = consumer
            while True:
                found = await consumer.getmany(timeout_ms=_POLL_MS)
                backoff.reset()
                for partition, records in found.items():
                    self._keep(partition, records)
        finally:
            self._consumer = None
            with suppress(KafkaError, OSError):
                await consumer.stop()

    def _keep(self, partition: TopicPartition, records: list[ConsumerRecord]) -> None:
        topic, reader = self._readers[partition]
        for record in records:
            try:
                event = codec.decode(topic, record.headers, record.value)
            except RecordUnreadable as error:
                log.warning("broadcast_unreadable", topic=topic.name, reason=error.reason, offset=record.offset)
                continue
            if isinstance(event, Event):
                reader.keep(event)
        reader.received()
