"""Lag from committed and end offsets, on a real broker."""

import asyncio
from collections.abc import Sequence
from pathlib import Path

from aiokafka.errors import KafkaError

from chassis.adapters.kafka.admin import ensure_topics, wait_for_groups
from chassis.adapters.kafka.consumer import ServiceBroker, subscribe
from chassis.adapters.kafka.errors import KafkaUnavailable
from chassis.adapters.kafka.lag import GroupLag
from schemas.events import JobSucceeded
from tests.chassis.adapters.kafka.examples import topic_of_its_own
from tests.chassis.adapters.kafka.test_consumer import good, running, send
from tests.support.proxied_kafka import kafka_behind_proxy
from tests.support.waiting import until

SERVICE = "catalog"


async def test_a_group_is_behind_by_what_it_has_not_committed(kafka_bootstrap: str) -> None:
    topic = topic_of_its_own(partitions=3)
    await ensure_topics(kafka_bootstrap, [topic])
    await wait_for_groups(kafka_bootstrap)
    await send(kafka_bootstrap, topic, good("a"), good("b"))
    measured = GroupLag(kafka_bootstrap, "tests.lag")
    lag = (await measured.measure(SERVICE, [topic]))[topic.name]
    assert lag.records == 2
    assert not await measured.wait_caught_up(SERVICE, [topic], 0.2)
    release = asyncio.Event()
    broker = ServiceBroker(kafka_bootstrap, SERVICE)

    @subscribe(broker, topic)
    async def on_result(events: Sequence[JobSucceeded]) -> None:
        await release.wait()

    async with running(broker):
        assert not await measured.wait_caught_up(SERVICE, [topic], 0.2), "a handler in progress has not committed"
        waiting = [asyncio.create_task(measured.wait_caught_up(SERVICE, [topic], 60)) for _ in range(20)]
        release.set()
        assert await asyncio.gather(*waiting) == [True] * 20
    await measured.close()
    fresh = GroupLag(kafka_bootstrap, "tests.lag")
    assert (await fresh.measure(SERVICE, [topic]))[topic.name].records == 0
    await fresh.close()


async def test_an_empty_topic_is_caught_up_at_once(kafka_bootstrap: str) -> None:
    topic = topic_of_its_own()
    await ensure_topics(kafka_bootstrap, [topic])
    measured = GroupLag(kafka_bootstrap, "tests.lag")
    assert await measured.wait_caught_up(SERVICE, [topic], 60)
    await measured.close()


async def test_without_kafka_nothing_is_known_to_be_caught_up() -> None:
    measured = GroupLag("127.0.0.1:1", "tests.lag")
    assert not await measured.wait_caught_up(SERVICE, [topic_of_its_own()], 1.0)
    await measured.close()


async def test_connections_that_went_silent_are_replaced_whoever_asks(tmp_path: Path) -> None:
    """A health check is cancelled before Kafka's client notices: without new connections it would fail for ever."""
    topic = topic_of_its_own()
    async with kafka_behind_proxy(tmp_path) as (proxy, address):
        await ensure_topics(address, [topic])
        lag = GroupLag(address, "tests.lag")

        async def pings() -> bool:
            try:
                async with asyncio.timeout(3.0):  # as `/readyz` does
                    await lag.ping()
                    await lag.measure(SERVICE, [topic])
            except (KafkaError, KafkaUnavailable, OSError):
                return False
            return True

        async def waits() -> bool:
            return await lag.wait_caught_up(SERVICE, [topic], 1.0)

        for works in (pings, waits):
            await until(works, within=60)  # a new Kafka first makes the topic of the groups' offsets
            await proxy.silence()
            await until(works, within=60)
        await lag.close()
