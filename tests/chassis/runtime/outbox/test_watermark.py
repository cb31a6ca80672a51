"""The watermark tells up to which moment Kafka has every event of a service."""

import asyncio
import itertools
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from datetime import timedelta

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.errors import KafkaConnectionError

from chassis.adapters.kafka import codec
from chassis.adapters.kafka.admin import ensure_topics
from chassis.core.ids import new_id
from chassis.runtime.outbox import Outbox
from schemas.events import OutboxAdvanced
from schemas.topics import JOB_CONTROL, OUTBOX_WATERMARK
from tests.chassis.runtime.outbox.conftest import QUICK, REAL, FakeProducer, OutboxFixture, event
from tests.support.waiting import until


def watermarks(producer: FakeProducer) -> Iterator[OutboxAdvanced]:
    """The watermarks that were sent, in order."""
    for key, value in producer.sent:
        with suppress(ValueError):
            yield OutboxAdvanced.model_validate_json(value)
            assert key == "ingest"


async def created_ms(env: OutboxFixture) -> int:
    """When the oldest row of the outbox was created."""
    created: int = await env.pool.fetchval(
        "SELECT floor(extract(epoch FROM min(created_at)) * 1000)::bigint FROM outbox"
    )
    return created


async def test_an_idle_relay_tells_that_everything_is_published(env: OutboxFixture) -> None:
    producer = FakeProducer()
    async with env.relaying(producer, watermark=True):
        await until(lambda: len(producer.sent) >= 3)
    sent = list(watermarks(producer))
    assert all(each.service == "ingest" and each.published_through == each.at for each in sent)
    assert [each.at for each in sent] == sorted({each.at for each in sent})


async def test_it_names_an_offset_that_kafka_acknowledged_before_the_database_was_asked(
    env: OutboxFixture, kafka_bootstrap: str, producer: AIOKafkaProducer
) -> None:
    await ensure_topics(kafka_bootstrap, [OUTBOX_WATERMARK])
    outbox = Outbox(env.pool, env.schema)
    sent: list[tuple[int, int | None]] = []
    async with (
        reading(kafka_bootstrap, OUTBOX_WATERMARK.name) as reader,
        env.relaying(producer, outbox, watermark=True, times=REAL),
    ):
        while len(sent) < 5:
            for records in (await reader.getmany(timeout_ms=100)).values():
                for record in records:
                    advanced = codec.decode(OUTBOX_WATERMARK, record.headers, record.value)
                    assert isinstance(advanced, OutboxAdvanced)
                    if advanced.service == env.schema:
                        sent.append((record.offset, advanced.after_offset))
    offsets = [offset for offset, _ in sent]
    assert all(after is None or after in offsets[:position] for position, (_, after) in enumerate(sent))
    assert sent[-1][1] is not None


async def test_a_committed_row_without_acknowledgement_holds_the_watermark_at_its_creation(env: OutboxFixture) -> None:
    producer = FakeProducer(lambda key: "ok" if key == "ingest" else KafkaConnectionError("away"))
    await env.put(event("a"))
    created = await created_ms(env)
    async with env.relaying(producer, watermark=True):
        await until(lambda: len(list(watermarks(producer))) >= 3)
        held = list(watermarks(producer))
        assert all(each.published_through == created < each.at for each in held)
        producer.behave = lambda key: "ok"
        await until(lambda: list(watermarks(producer))[-1].published_through > created)


async def test_the_oldest_row_counts_though_a_younger_one_has_the_smaller_id(env: OutboxFixture) -> None:
    producer = FakeProducer(lambda key: "ok" if key == "ingest" else KafkaConnectionError("away"))
    async with env.pool.acquire() as slow, slow.transaction():
        await slow.fetchval("SELECT now()")  # the transaction's time, and its rows', is from now on this one
        await asyncio.sleep(0.02)
        await env.put(event("quick"))
        await env.outbox.put(slow, event("slow"))
    created = await created_ms(env)
    async with env.relaying(producer, watermark=True):
        await until(lambda: list(watermarks(producer)))
    assert next(watermarks(producer)).published_through == created


async def test_one_of_two_replicas_sends_it(env: OutboxFixture) -> None:
    producer, other = FakeProducer(), FakeProducer()
    times = replace(QUICK, watermark_every=timedelta(milliseconds=200))
    async with (
        env.relaying(producer, watermark=True, times=times),
        env.relaying(other, Outbox(env.pool, "ingest"), watermark=True, times=times),
    ):
        await until(lambda: len(producer.sent) + len(other.sent) >= 6)
    moments = sorted(each.at for of in (producer, other) for each in watermarks(of))
    assert all(later - earlier >= 175 for earlier, later in itertools.pairwise(moments)), moments


async def test_a_producer_that_is_away_loses_watermarks_and_nothing_else(env: OutboxFixture) -> None:
    producer = FakeProducer(lambda key: KafkaConnectionError("away") if key == "ingest" else "ok")
    async with env.relaying(producer, watermark=True):
        await until(lambda: len(producer.sent) >= 2)
        await env.put(event("a"))
        await until(env.empty)


async def test_a_reader_that_read_up_to_the_end_has_every_row_before_the_watermark(
    env: OutboxFixture, kafka_bootstrap: str, producer: AIOKafkaProducer
) -> None:
    """On a real Kafka, while rows are committed all the time: no watermark claims a row that is not in its topic."""
    await ensure_topics(kafka_bootstrap)
    outbox = Outbox(env.pool, env.schema)
    committed: dict[str, int] = {}
    async with (
        asyncio.timeout(120),
        reading(kafka_bootstrap, OUTBOX_WATERMARK.name) as watermark_reader,
        reading(kafka_bootstrap, JOB_CONTROL.name) as reader,
        env.relaying(producer, outbox, watermark=True, times=REAL),
    ):
        claims: list[tuple[int, dict[TopicPartition, int]]] = []
        while len(claims) < 10 or claims[-1][0] <= min(committed.values()):
            for n in range(20):
                key = new_id("job")
                async with env.pool.acquire() as conn:
                    async with conn.transaction():
                        await outbox.put(conn, event(key, n))
                    committed[key] = await conn.fetchval(
                        "SELECT floor(extract(epoch FROM clock_timestamp()) * 1000)::bigint"
                    )
                outbox.wake()
            for records in (await watermark_reader.getmany(timeout_ms=1)).values():
                for record in records:
                    advanced = codec.decode(OUTBOX_WATERMARK, record.headers, record.value)
                    assert isinstance(advanced, OutboxAdvanced)
                    if advanced.service == env.schema:
                        claims.append((advanced.published_through, await reader.end_offsets(reader.assignment())))
        assert await outbox.wait_published(timeout=timedelta(seconds=60))
        places: dict[str, tuple[TopicPartition, int]] = {}
        while len(places) < len(committed):
            record = await reader.getone()
            if record.key.decode() in committed:
                places.setdefault(record.key.decode(), (TopicPartition(record.topic, record.partition), record.offset))
    assert any(moment < published_through for published_through, _ in claims for moment in committed.values())
    for published_through, ends in claims:
        for key, moment in committed.items():
            partition, offset = places[key]
            assert moment >= published_through or offset < ends[partition], (key, published_through)


@asynccontextmanager
async def reading(bootstrap: str, topic: str) -> AsyncIterator[AIOKafkaConsumer]:
    consumer = AIOKafkaConsumer(topic, bootstrap_servers=bootstrap, auto_offset_reset="earliest")
    await consumer.start()
    try:
        yield consumer
    finally:
        await consumer.stop()
