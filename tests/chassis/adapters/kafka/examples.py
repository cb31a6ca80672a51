"""One event of each type, and how records get in and out of a broker."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any
from uuid import uuid4

from aiokafka import AIOKafkaConsumer, TopicPartition

from chassis.adapters.kafka import codec
from chassis.adapters.kafka.connection import Kafka, connection
from schemas import events
from schemas.events import EVENTS, Event
from schemas.jobs import Job
from schemas.keys import ApiKey
from schemas.media import MediaItem
from schemas.topics import JOB_RESULTS, Topic

PROJECT = "prj_01h455vb4pex5vsknk084sn02q"
JOB = Job.queued(
    id="job_01h455vb4pex5vsknk084sn02q",
    project=PROJECT,
    kind="video",
    input="https://example.com/ä.mov",
    options={"width": 640},
    metadata={"user": "ü"},
    at=1_700_000_000_000,
)
MEDIA = MediaItem(
    id="med_01h455vb4pex5vsknk084sn02q",
    project=PROJECT,
    version=3,
    status="active",
    created_at=1_700_000_000_000,
    updated_at=1_700_000_000_001,
)
KEY = ApiKey(id="key_01h455vb4pex5vsknk084sn02q", project=PROJECT, name="a", hash="00", hint="xy", created_at=1)


def example(type_: type[Event]) -> Event:
    """An event of this type."""
    if issubclass(type_, events.JobEvent):
        return type_(job=JOB)
    if issubclass(type_, events.MediaCreated):
        return type_(media=MEDIA, jobs=[JOB])
    if issubclass(type_, events.MediaEvent):
        return type_(media=MEDIA)
    if type_ is events.CancelRequested:
        return events.CancelRequested(job_id=JOB.id, project=PROJECT, at=5)
    if type_ is events.OutboxAdvanced:
        return events.OutboxAdvanced(service="ingest", at=6, published_through=5, after_offset=4)
    if type_ is events.QueueOrdered:
        return events.QueueOrdered(service="transcoder", at=6, job_ids=["job_1"])
    return events.KeyChanged(key=KEY)


EXAMPLES = [example(type_) for type_ in EVENTS.values()]


def record(event: Event, **kwargs: Any) -> codec.OutgoingRecord:
    return codec.encode(event, id="evt_1", source="/bitmill/test", time_ms=1_700_000_000_123, **kwargs)


def succeeded(name: str) -> Event:
    """The end of `JOB`; `job.input` is the name, by which tests tell such events apart."""
    return events.JobSucceeded(job=JOB.model_copy(update={"input": name}))


def topic_of_its_own(like: Topic = JOB_RESULTS, partitions: int = 1) -> Topic:
    """A topic that no other test uses."""
    return replace(like, name=f"{like.name}.{uuid4().hex[:8]}", partitions=partitions)


async def eventually(holds: Callable[[], Awaitable[bool]], *, within: float = 60.0) -> None:
    """Return once the condition holds; fail after `within` seconds."""
    async with asyncio.timeout(within):
        while not await holds():
            await asyncio.sleep(0.05)


@asynccontextmanager
async def _reader(kafka: Kafka, group: str | None = None) -> AsyncIterator[Any]:
    consumer = AIOKafkaConsumer(
        group_id=group, enable_auto_commit=False, auto_offset_reset="earliest", **connection(kafka).options
    )
    await consumer.start()
    try:
        yield consumer
    finally:
        await consumer.stop()


async def committed(kafka: Kafka, group: str, topic: str) -> int:
    """The offset that the group has committed on partition 0."""
    async with _reader(kafka, group) as consumer:
        return await consumer.committed(TopicPartition(topic, 0)) or 0


async def read(kafka: Kafka, topic: str, count: int) -> list[Any]:
    """The first `count` records of partition 0."""
    async with _reader(kafka) as consumer, asyncio.timeout(60):
        consumer.assign([TopicPartition(topic, 0)])
        return [await consumer.getone() for _ in range(count)]


async def read_any(kafka: Kafka, topic: str, *, key: bytes) -> Any:
    """The first record with this key on any partition."""
    async with _reader(kafka) as consumer, asyncio.timeout(60):
        consumer.subscribe([topic])
        while True:
            found = await consumer.getone()
            if found.key == key:
                return found
