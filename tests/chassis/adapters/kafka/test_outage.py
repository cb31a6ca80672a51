"""Kafka goes away and comes back: producers and consumers find it again by themselves."""

from pathlib import Path

import pytest

from chassis.adapters.kafka.admin import ensure_topics
from chassis.adapters.kafka.consumer import assigned, make_broker, subscribe
from chassis.adapters.kafka.errors import NotAssigned
from chassis.adapters.kafka.producer import open_producer
from embedded import KafkaServer
from schemas.events import JobSucceeded
from tests.chassis.adapters.kafka.examples import eventually, record, succeeded, topic_of_its_own


async def test_a_consumer_and_a_producer_outlive_a_restart_of_kafka(tmp_path: Path) -> None:
    topic = topic_of_its_own()
    server = KafkaServer(tmp_path)
    seen: list[str] = []
    said: list[str] = []

    async with server.running(said.append) as bootstrap:
        await ensure_topics(bootstrap, [topic])
        producer = await open_producer(bootstrap, "test")
        broker = make_broker(bootstrap, "catalog")

        @subscribe(broker, topic, "catalog")
        async def on_result(event: JobSucceeded) -> None:
            seen.append(event.job.id)

        await broker.start()
        first = record(succeeded("before"))
        await producer.send_and_wait(topic.name, first.value, key=first.key, headers=first.headers)

        async def has_seen_one() -> bool:
            return seen == ["before"]

        await eventually(has_seen_one)

    with pytest.raises(NotAssigned, match="Kafka does not answer"):
        await assigned(broker)

    async with server.running(said.append):
        second = record(succeeded("after"))
        await producer.send_and_wait(topic.name, second.value, key=second.key, headers=second.headers)

        async def has_seen_both() -> bool:
            # At least once: a commit that the outage overtook brings a record again.
            return list(dict.fromkeys(seen)) == ["before", "after"]

        await eventually(has_seen_both)
        await assigned(broker)
        await broker.stop()
        await producer.stop()
