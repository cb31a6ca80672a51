"""Kafka goes away and comes back: producers and consumers recover by themselves."""

import asyncio
from collections.abc import Sequence
from pathlib import Path

import psutil
import pytest
from aiokafka.errors import KafkaError

from chassis.adapters.kafka.admin import ensure_topics
from chassis.adapters.kafka.consumer import ServiceBroker, subscribe
from chassis.adapters.kafka.errors import KafkaUnavailable
from chassis.adapters.kafka.lag import GroupLag
from chassis.adapters.kafka.producer import open_producer
from embedded import KafkaServer
from schemas.events import JobSucceeded
from tests.chassis.adapters.kafka.examples import eventually, record, succeeded, topic_of_its_own
from tests.support.waiting import until

HANG_SECONDS = 18.0


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
            seen.extend(event.job.input for event in events)

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
        await eventually(lambda: answers(lag))
        await lag.close()
        await broker.stop()
        await producer.stop()


async def answers(lag: GroupLag) -> bool:
    try:
        await lag.ping()
    except KafkaUnavailable:
        return False
    return True


async def test_a_broker_that_hangs_is_noticed_and_work_goes_on_by_itself_once_it_answers(tmp_path: Path) -> None:
    """Frozen, its connections stay open: no error says that it is away."""
    topic = topic_of_its_own()
    seen: list[str] = []
    server = KafkaServer(tmp_path)
    async with server.running(print) as bootstrap:
        await ensure_topics(bootstrap, [topic])
        producer = await open_producer(bootstrap, "test")
        broker = ServiceBroker(bootstrap, "catalog")
        lag = GroupLag(bootstrap, "tests.lag")

        @subscribe(broker, topic)
        async def on_result(events: Sequence[JobSucceeded]) -> None:
            seen.extend(event.job.input for event in events)

        await broker.start()
        await lag.ping()
        frozen = psutil.Process(server.pid)
        frozen.suspend()
        try:
            # The signal is sent; the process stops once one of its threads has handled it.
            await until(lambda: frozen.status() == psutil.STATUS_STOPPED)
            with pytest.raises(KafkaUnavailable, match="Kafka does not answer"):
                await lag.ping()
            # Longer than the request timeout: the clients give up the connections that they have.
            await asyncio.sleep(HANG_SECONDS)
        finally:
            frozen.resume()

        sent = record(succeeded("after"))

        async def produced() -> bool:
            try:
                await producer.send_and_wait(topic.name, sent.value, key=sent.key, headers=sent.headers)
            except KafkaError:
                return False
            return True

        async def has_seen_it() -> bool:
            return "after" in seen

        await eventually(produced)
        await eventually(has_seen_it)
        await eventually(lambda: answers(lag))
        broker.check()
        await lag.close()
        await broker.stop()
        await producer.stop()
