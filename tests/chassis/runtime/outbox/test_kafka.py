"""The relay and a real Kafka."""

import asyncio
import time
from collections.abc import Callable
from typing import Any

from aiokafka import AIOKafkaProducer

from chassis.adapters.kafka import codec
from chassis.adapters.kafka.admin import ensure_topics
from chassis.adapters.kafka.producer import open_producer
from schemas.events import CancelRequested
from schemas.topics import JOB_CONTROL
from tests.chassis.runtime.outbox.conftest import Bench, Topic, event
from tests.support.waiting import until


async def test_events_arrive_as_cloud_events_in_the_order_of_their_key(
    bench: Bench, kafka_bootstrap: str, producer: AIOKafkaProducer
) -> None:
    await ensure_topics(kafka_bootstrap)
    before = int(time.time() * 1000)
    mark = bench.schema
    async with bench.relaying(producer):
        await bench.put(*(event(f"{mark}_{key}", n) for n in range(20) for key in range(3)))
        await until(bench.empty)
    records = await Topic(JOB_CONTROL.name, kafka_bootstrap).read(60)
    mine = [record for record in records if record.key.startswith(mark.encode())]
    assert len(mine) == 60
    for key in range(3):
        of_key = [record for record in mine if record.key == f"{mark}_{key}".encode()]
        events = [codec.decode(JOB_CONTROL, record.headers, record.value) for record in of_key]
        assert [each.at for each in events if isinstance(each, CancelRequested)] == list(range(20))
    headers = dict(mine[0].headers)
    assert headers["ce_source"] == b"/bitmill/ingest"
    assert headers["ce_id"].startswith(b"evt_")
    assert len({dict(record.headers)["ce_id"] for record in mine}) == 60
    assert abs(mine[0].timestamp - before) < 60_000


async def test_a_record_too_large_for_the_client_is_set_aside(
    bench: Bench, producer: AIOKafkaProducer, topics: Callable[..., Any]
) -> None:
    topic = await topics()
    await bench.put_raw(topic.name, "k", b"first")
    await bench.put_raw(topic.name, "k", b"x" * 1_100_000)
    await bench.put_raw(topic.name, "k", b"last")
    async with bench.relaying(producer):
        await until(bench.empty)
    assert await bench.outbox.quarantined() == 1
    assert [record.value for record in await topic.read(2)] == [b"first", b"last"]


async def test_a_record_too_large_for_its_topic_is_set_aside_and_its_neighbours_arrive(
    bench: Bench, kafka_bootstrap: str, producer: AIOKafkaProducer, topics: Callable[..., Any]
) -> None:
    """The refused record leaves a gap in the producer's sequence, so that Kafka takes nothing more from it."""
    topic = await topics(max_bytes=10_000)
    extra: list[AIOKafkaProducer] = []

    async def reopen() -> AIOKafkaProducer:
        extra.append(await open_producer(kafka_bootstrap, "test"))
        return extra[-1]

    for value in (b"first", b"x" * 12_000, b"second", b"third"):
        await bench.put_raw(topic.name, "k", value)
    relay = asyncio.create_task(bench.outbox.relay(producer, reopen=reopen))
    try:
        await until(bench.empty, within=20)
    finally:
        relay.cancel()
        for each in extra:
            await each.stop()
    assert await bench.outbox.quarantined() == 1
    values = [record.value for record in await topic.read(3)]
    assert set(values) == {b"first", b"second", b"third"}
    assert values[-1] == b"third"
