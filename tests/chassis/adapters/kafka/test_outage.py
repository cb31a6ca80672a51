"""Kafka goes away and comes back: producers and consumers recover by themselves."""

from collections.abc import Sequence
from pathlib import Path

import pytest

from chassis.adapters.kafka.admin import ensure_topics
from chassis.adapters.kafka.consumer import ServiceBroker, subscribe
from chassis.adapters.kafka.errors import KafkaUnavailable
from chassis.adapters.kafka.lag import GroupLag
from chassis.adapters.kafka.producer import open_producer
from embedded import KafkaServer
from schemas.events import JobSucceeded
from tests.chassis.adapters.kafka.examples import eventually, record, succeeded, topic_of_its_own


async def test_a_consumer_and_a_producer_survive_a_restart_of_kafka(tmp_path: Path) -> None:
    topic = topic_of_its_own()
    server = KafkaServer(tmp_path)
    seen: list[str] = []

    async with server.running(print) as bootstrap:
        await ensure_topics(bootstrap, [topic])
        producer = await open_producer(bootstrap, "test")
        broker = ServiceBroker(bootstrap, "catalog")

        @subscribe(broker, topic)
        async def on_result(events: Sequence[JobSucceeded]) -> None:
            seen.extend(event.job.id for event in events)

        await broker.start()
        first = record(succeeded("before"))
        await producer.send_and_wait(topic.name, first.value, key=first.key, headers=first.headers)

        async def has_seen_one() -> bool:
            return seen == ["before"]

        await eventually(has_seen_one)

    lag = GroupLag(bootstrap, "tests.lag")
    with pytest.raises(KafkaUnavailable, match="Kafka does not answer"):
        await lag.ping()

    async with server.running(print):
        second = record(succeeded("after"))
        await producer.send_and_wait(topic.name, second.value, key=second.key, headers=second.headers)

        async def has_seen_both() -> bool:
            # At least once: a commit that the outage interrupted brings a record again.
            return list(dict.fromkeys(seen)) == ["before", "after"]

        await eventually(has_seen_both)
        broker.check()
        await lag.ping()
        await lag.close()
        await broker.stop()
        await producer.stop()
