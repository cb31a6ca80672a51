"""A producer anew, for a relay whose session with Kafka is beyond repair."""

import asyncio
import time
from typing import Any

import pytest
from aiokafka.errors import ProducerClosed

from chassis.adapters.kafka import producer as room
from chassis.adapters.kafka.admin import ensure_topics
from chassis.adapters.kafka.producer import producers
from schemas.topics import JOB_CONTROL


async def test_a_new_producer_takes_the_place_of_the_one_before(kafka_bootstrap: str) -> None:
    await ensure_topics(kafka_bootstrap)
    async with producers(kafka_bootstrap, "tests.producers") as renewed:
        first = await renewed()
        # A closed one that has not heard of the topic yet would ask for it for ever instead of refusing.
        assert await first.partitions_for(JOB_CONTROL.name)
        second = await renewed()
        with pytest.raises(ProducerClosed):
            await first.send(JOB_CONTROL.name, b"{}")
        assert await second.partitions_for(JOB_CONTROL.name)
    with pytest.raises(ProducerClosed):
        await second.send(JOB_CONTROL.name, b"{}")


@pytest.mark.parametrize("hangs", [True, False])
async def test_one_that_cannot_end_holds_nobody_up(monkeypatch: pytest.MonkeyPatch, hangs: bool) -> None:
    class Broken:
        async def stop(self) -> None:
            if not hangs:
                raise ConnectionError("beyond repair")
            await asyncio.Event().wait()

    async def opened(*_: Any) -> Broken:
        return Broken()

    monkeypatch.setattr(room, "open_producer", opened)
    monkeypatch.setattr(room, "_STOP_SECONDS", 0.05)
    began = time.monotonic()
    async with producers("127.0.0.1:1", "tests.producers") as renewed:
        await renewed()
    assert time.monotonic() - began < 2
