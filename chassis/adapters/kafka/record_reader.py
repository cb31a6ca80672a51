"""Reading records by their positions, outside of consumer groups: nothing is committed."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Iterable
from contextlib import AsyncExitStack, aclosing, asynccontextmanager
from dataclasses import dataclass, replace
from typing import Any

from aiokafka import ConsumerRecord, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient

from chassis.adapters.kafka.admin import wait_for_kafka
from chassis.adapters.kafka.bounded_fetch import BoundedConsumer
from chassis.adapters.kafka.connection import Kafka, KafkaConnection, connection

REQUEST_MS = 15_000
_STEP_SECONDS = 30.0
"""For each step of reading: no record for so long means that Kafka does not respond."""
_POLL_MS = 1000
_FETCH_BYTES = 4 * 1024 * 1024
"""Of a partition at a time: twice the largest dead letter."""


@dataclass(frozen=True)
class Span:
    """The records of a partition from the offset `begin` to before `end`."""

    topic: str
    partition: int
    begin: int
    end: int

    @property
    def topic_partition(self) -> TopicPartition:
        return TopicPartition(self.topic, self.partition)


class RecordReader:
    """Methods raise KafkaError or TimeoutError."""

    def __init__(self, kafka: KafkaConnection, client_id: str, admin: Any, offsets: Any) -> None:
        self.admin = admin
        self._kafka = kafka
        self._client_id = client_id
        self._offsets = offsets

    async def spans(self, topics: Iterable[str]) -> list[Span]:
        """The partitions of those topics that exist, as they are now."""
        wanted = set(topics)
        # Of all topics: asking for one by name may create it, where a cluster allows that.
        found = [each for each in await self.admin.describe_topics() if each["topic"] in wanted]
        tps = sorted(TopicPartition(each["topic"], part["partition"]) for each in found for part in each["partitions"])
        if not tps:
            return []
        begins, ends = await self._offsets.beginning_offsets(tps), await self._offsets.end_offsets(tps)
        return [Span(tp.topic, tp.partition, begins[tp], ends[tp]) for tp in tps]

    async def since(self, span: Span, at_ms: int) -> Span:
        """The part of the span that was written at `at_ms` or later, in Unix milliseconds."""
        if span.begin >= span.end:
            return span
        tp = span.topic_partition
        found = (await self._offsets.offsets_for_times({tp: at_ms}))[tp]
        return replace(span, begin=span.end if found is None else max(span.begin, found.offset))

    async def record(self, topic: str, partition: int, offset: int) -> ConsumerRecord | None:
        """The record at this position, if it is there."""
        for span in await self.spans([topic]):
            if span.partition == partition and span.begin <= offset < span.end:
                async with aclosing(self.records(replace(span, begin=offset, end=offset + 1))) as records:
                    async for record in records:
                        return record
        return None

    async def records(self, span: Span) -> AsyncGenerator[ConsumerRecord, None]:
        """The records of a span in their order, a few megabytes in memory at a time."""
        if span.begin >= span.end:
            return
        tp = span.topic_partition
        # One for each span: a reader may be in use while another one is opened.
        consumer = _consumer(self._kafka, self._client_id)
        try:
            async with asyncio.timeout(_STEP_SECONDS):
                await consumer.start()
            consumer.assign([tp])
            consumer.seek(tp, span.begin)
            while True:
                async with asyncio.timeout(_STEP_SECONDS):
                    found = await _next_records(consumer, tp, span.end)
                if not found:
                    return
                for record in found:
                    if record.offset >= span.end:
                        return
                    yield record
        finally:
            await consumer.stop()


@asynccontextmanager
async def open_reader(kafka: Kafka, client_id: str, *, wait: float = 60.0) -> AsyncIterator[RecordReader]:
    """A reader of this Kafka, for which it waits up to `wait` seconds. Raises KafkaRefused and KafkaUnavailable."""
    target = connection(kafka)
    await wait_for_kafka(target, wait)
    async with AsyncExitStack() as stack:
        admin = AIOKafkaAdminClient(client_id=client_id, request_timeout_ms=REQUEST_MS, **target.options)
        stack.push_async_callback(admin.close)
        await admin.start()
        offsets = _consumer(target, client_id)
        stack.push_async_callback(offsets.stop)
        await offsets.start()
        yield RecordReader(target, client_id, admin, offsets)


async def _next_records(consumer: BoundedConsumer, tp: TopicPartition, end: int) -> list[ConsumerRecord]:
    """The next records; empty where the position has reached `end`. Offsets may have gaps."""
    while await consumer.position(tp) < end:
        if found := (await consumer.getmany(tp, timeout_ms=_POLL_MS)).get(tp):
            return list(found)
    return []


def _consumer(kafka: KafkaConnection, client_id: str) -> BoundedConsumer:
    return BoundedConsumer(
        client_id=client_id,
        enable_auto_commit=False,
        auto_offset_reset="earliest",
        max_partition_fetch_bytes=_FETCH_BYTES,
        fetch_max_bytes=2 * _FETCH_BYTES,
        request_timeout_ms=REQUEST_MS,
        **kafka.options,
    )
