"""The relay and a real Kafka."""

import time

from aiokafka import AIOKafkaProducer

from chassis.adapters.kafka.admin import ensure_topics
from chassis.adapters.kafka.producer import open_producer
from chassis.core.ids import new_id
from schemas.events import CancelRequested
from schemas.topics import JOB_CONTROL
from tests.chassis.runtime.outbox.conftest import REAL, CreateTopic, OutboxFixture, TestTopic, event
from tests.support.waiting import until


async def test_events_arrive_as_cloud_events_in_the_order_of_their_key(
    env: OutboxFixture, kafka_bootstrap: str, producer: AIOKafkaProducer
) -> None:
    await ensure_topics(kafka_bootstrap)
    before = int(time.time() * 1000)
    jobs = [new_id("job") for _ in range(3)]
    async with env.relaying(producer, times=REAL):
        await env.put(*(event(job, n) for n in range(20) for job in jobs))
        await until(env.empty)
    mine = await TestTopic(JOB_CONTROL.name, kafka_bootstrap).read(60, jobs)
    for job in jobs:
        of_key = [record for record in mine if record.key == job.encode()]
        assert [CancelRequested.model_validate_json(record.value).at for record in of_key] == list(range(20))
    headers = dict(mine[0].headers)
    assert headers["ce_source"] == b"/bitmill/ingest"
    assert headers["ce_id"].startswith(b"evt_")
    assert len({dict(record.headers)["ce_id"] for record in mine}) == 60
    assert abs(mine[0].timestamp - before) < 60_000


async def test_a_record_too_large_for_the_client_is_quarantined(
    env: OutboxFixture, producer: AIOKafkaProducer, create_topic: CreateTopic
) -> None:
    topic = await create_topic()
    await env.put_raw(topic.name, "k", b"first")
    await env.put_raw(topic.name, "k", b"x" * 1_100_000)
    await env.put_raw(topic.name, "k", b"last")
    async with env.relaying(producer, times=REAL):
        await until(env.empty)
    assert await env.quarantined() == 1
    assert [record.value for record in await topic.read(2)] == [b"first", b"last"]


async def test_a_record_too_large_for_its_topic_is_quarantined_and_its_neighbours_arrive(
    env: OutboxFixture, kafka_bootstrap: str, producer: AIOKafkaProducer, create_topic: CreateTopic
) -> None:
    """The refused record leaves a gap in the producer's sequence, so that Kafka takes nothing more from it."""
    topic = await create_topic(max_bytes=10_000)
    extra: list[AIOKafkaProducer] = []

    async def reopen() -> AIOKafkaProducer:
        extra.append(await open_producer(kafka_bootstrap, "test"))
        return extra[-1]

    for value in (b"first", b"x" * 12_000, b"second", b"third"):
        await env.put_raw(topic.name, "k", value)
    try:
        async with env.relaying(producer, reopen=reopen, times=REAL):
            await until(env.empty)
    finally:
        for each in extra:
            await each.stop()
    assert await env.quarantined() == 1
    # A record behind a failed one is sent again after it: only the last ones are in order.
    values = await topic.values()
    assert list(dict.fromkeys(reversed(values))) == [b"third", b"second", b"first"]
