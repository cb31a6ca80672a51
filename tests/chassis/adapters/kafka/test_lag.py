"""Lag from committed and end offsets, on a real broker."""

import asyncio
from collections.abc import Sequence

from chassis.adapters.kafka.admin import ensure_topics
from chassis.adapters.kafka.consumer import ServiceBroker, subscribe
from chassis.adapters.kafka.lag import GroupLag
from schemas.events import JobSucceeded
from tests.chassis.adapters.kafka.examples import topic_of_its_own
from tests.chassis.adapters.kafka.test_consumer import good, running, send

SERVICE = "catalog"


async def test_a_group_is_behind_by_what_it_has_not_committed(kafka_bootstrap: str) -> None:
    topic = topic_of_its_own(partitions=3)
    await ensure_topics(kafka_bootstrap, [topic])
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
