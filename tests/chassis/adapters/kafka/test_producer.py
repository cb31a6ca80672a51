"""Producers: one that can be replaced, and one that may lose events."""

import asyncio

import pytest
from aiokafka.errors import ProducerClosed

from chassis.adapters.kafka.admin import ensure_topics
from chassis.adapters.kafka.producer import KafkaLossyPublisher, replaceable_producer
from schemas.events import JobProgressed
from schemas.topics import JOB_CONTROL, JOB_PROGRESS
from tests.chassis.adapters.kafka.examples import JOB, read_any


async def test_a_new_producer_takes_the_place_of_the_one_before(kafka_bootstrap: str) -> None:
    await ensure_topics(kafka_bootstrap)
    async with replaceable_producer(kafka_bootstrap, "tests.producers") as reopen:
        first = await reopen()
        # A closed producer that has no metadata of the topic yet would request it for ever instead of refusing.
        assert await first.partitions_for(JOB_CONTROL.name)
        second = await reopen()
        with pytest.raises(ProducerClosed):
            await first.send(JOB_CONTROL.name, b"{}")
        assert await second.partitions_for(JOB_CONTROL.name)
    with pytest.raises(ProducerClosed):
        await second.send(JOB_CONTROL.name, b"{}")


async def test_a_lossy_publisher_publishes_while_kafka_is_there(kafka_bootstrap: str) -> None:
    await ensure_topics(kafka_bootstrap)
    publisher = KafkaLossyPublisher(kafka_bootstrap, "transcoder")
    running = asyncio.create_task(publisher.run())
    event = JobProgressed(job=JOB.model_copy(update={"id": "job_01h455vb4pex5vsknk084sn0zz"}))

    async def publish_until_read() -> None:
        while True:
            publisher.publish(event)
            await asyncio.sleep(0.1)

    publishing = asyncio.create_task(publish_until_read())
    try:
        record = await read_any(kafka_bootstrap, JOB_PROGRESS.name, key=event.job.id.encode())
        assert dict(record.headers)["ce_type"] == JobProgressed.TYPE.encode()
    finally:
        for task in (publishing, running):
            task.cancel()
        await asyncio.gather(publishing, running, return_exceptions=True)


async def test_a_lossy_publisher_neither_blocks_nor_fails_while_kafka_is_away() -> None:
    publisher = KafkaLossyPublisher("127.0.0.1:1", "transcoder")
    running = asyncio.create_task(publisher.run())
    for _ in range(5000):
        publisher.publish(JobProgressed(job=JOB))
    assert not running.done()
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
