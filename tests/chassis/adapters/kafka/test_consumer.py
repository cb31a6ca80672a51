"""Consumers on a real broker: batches, dead letters, redelivery, readiness."""

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiokafka import TopicPartition
from faststream.kafka import KafkaBroker, TestKafkaBroker

from chassis.adapters.failure_policy import FailurePolicy
from chassis.adapters.kafka.admin import ensure_topics
from chassis.adapters.kafka.consumer import ServiceBroker, subscribe
from chassis.adapters.kafka.errors import ConsumerNotReady, RecordRejected
from chassis.adapters.kafka.producer import open_producer
from chassis.adapters.kafka.record_handler import HandlerLimits
from chassis.core.ids import new_id
from schemas.events import Event, JobEvent, JobFailed, JobStarted, JobSucceeded, Submission
from schemas.files import Output
from schemas.topics import JOB_SUBMITTED_TOPIC, Topic
from tests.chassis.adapters.kafka.examples import (
    JOB,
    PROJECT,
    committed,
    eventually,
    example,
    read,
    record,
    succeeded,
    topic_of_its_own,
)
from tests.support.waiting import until

SERVICE = "catalog"
FAST = HandlerLimits(policy=FailurePolicy(first_delay_s=0.01, longest_delay_s=0.05))


@asynccontextmanager
async def running(broker: KafkaBroker) -> AsyncIterator[KafkaBroker]:
    await broker.start()
    try:
        yield broker
    finally:
        await broker.stop()


async def send(bootstrap: str, topic: Topic, *records: tuple[bytes | None, list[Any]]) -> None:
    producer = await open_producer(bootstrap, "test")
    try:
        for value, headers in records:
            await producer.send_and_wait(topic.name, value, key=b"k", headers=headers, partition=0)
    finally:
        await producer.stop()


def good(job_id: str) -> tuple[bytes, list[Any]]:
    sent = record(succeeded(job_id))
    return sent.value, sent.headers


def with_output_of_another_project(event: Event) -> Event:
    assert isinstance(event, JobSucceeded)
    other = new_id("prj")
    output = Output(
        id=new_id("file"),
        key=f"{other}/jobs/{event.job.id}/secret.mp4",
        kind="video",
        format="mp4",
        content_type="video/mp4",
        filesize=1,
        path="video.mp4",
    )
    return JobSucceeded(job=event.job.model_copy(update={"output": output}))


async def all_committed(bootstrap: str, topic: Topic, offset: int) -> None:
    async def holds() -> bool:
        return await committed(bootstrap, f"bitmill.{SERVICE}.{topic.name}", topic.name) == offset

    await eventually(holds)


async def test_unreadable_records_become_dead_letters_and_their_neighbours_are_handled(kafka_bootstrap: str) -> None:
    topic = topic_of_its_own()
    await ensure_topics(kafka_bootstrap, [topic])
    headers = record(succeeded(JOB.id)).headers
    without_type = [(name, value) for name, value in headers if name != "ce_type"]
    foreign = [*headers, ("reply_to", b"elsewhere"), ("x", b"\xff"), ("none", None)]
    bad: list[tuple[bytes | None, list[Any]]] = [
        (b"\xff\xfe\x00", headers),
        (b'{"job": ', headers),
        (b"{}", foreign),
        (good("a")[0], without_type),
        (b'{"job": {}}', headers),
        (None, headers),
        (record(with_output_of_another_project(succeeded(JOB.id))).value, headers),
    ]
    newer = (b"{}", [("ce_type", b"bitmill.job.paused.v1")])
    await send(kafka_bootstrap, topic, good("first"), *bad, newer, good("last"))
    broker = ServiceBroker(kafka_bootstrap, SERVICE)
    seen: list[str] = []

    @subscribe(broker, topic)
    async def on_result(events: Sequence[JobSucceeded]) -> None:
        seen.extend(event.job.input for event in events)

    async with running(broker):
        letters = await read(kafka_bootstrap, topic.dead_letter, len(bad))
        await all_committed(kafka_bootstrap, topic, len(bad) + 3)
    assert seen == ["first", "last"]
    assert [letter.value for letter in letters] == [value for value, _ in bad]
    written = [dict(letter.headers) for letter in letters]
    assert [int(each["source_offset"]) for each in written] == [1, 2, 3, 4, 5, 6, 7]
    assert {each["source_topic"].decode() for each in written} == {topic.name}
    assert {each["source_partition"] for each in written} == {b"0"}
    expected = ["not JSON", "not JSON", "job is required", "ce_type is missing", "job.id is required", "no value"]
    expected.append("job.output.key must be below")
    for each, words in zip(written, expected, strict=True):
        assert words in each["reason"].decode()
    assert written[2]["x"] == b"\xff"
    assert all(letter.key == b"k" for letter in letters)


async def test_records_that_are_there_come_in_one_batch_and_are_committed_once(kafka_bootstrap: str) -> None:
    topic = topic_of_its_own()
    await ensure_topics(kafka_bootstrap, [topic])
    await send(kafka_bootstrap, topic, *(good(f"job_{number}") for number in range(50)))
    broker = ServiceBroker(kafka_bootstrap, SERVICE)
    batches: list[int] = []

    @subscribe(broker, topic)
    async def on_result(events: Sequence[JobSucceeded]) -> None:
        batches.append(len(events))

    async with running(broker):
        await all_committed(kafka_bootstrap, topic, 50)
    assert sum(batches) == 50
    assert len(batches) <= 3


async def test_two_consumers_share_the_partitions_and_handle_batches_at_the_same_time(kafka_bootstrap: str) -> None:
    topic = topic_of_its_own(partitions=4)
    await ensure_topics(kafka_bootstrap, [topic])
    broker = ServiceBroker(kafka_bootstrap, SERVICE)
    in_progress = 0
    overlapped = asyncio.Event()
    seen: list[str] = []

    @subscribe(broker, topic, consumers=2)
    async def on_result(events: Sequence[JobSucceeded]) -> None:
        nonlocal in_progress
        in_progress += 1
        if in_progress == 2:
            overlapped.set()
        await overlapped.wait()
        seen.extend(event.job.input for event in events)
        in_progress -= 1

    async def all_seen() -> bool:
        return len(seen) == 4

    def shared() -> bool:
        consumers = [each.consumer for each in broker.subscribers]  # type: ignore[attr-defined]
        return [len(consumer.assignment()) for consumer in consumers] == [2, 2]

    async with running(broker):
        broker.check()
        # The first may still have all partitions for a moment after the second has joined.
        await until(shared)
        producer = await open_producer(kafka_bootstrap, "test")
        for partition in range(4):
            value, headers = good(f"job_{partition}")
            await producer.send_and_wait(topic.name, value, key=b"k", headers=headers, partition=partition)
        await producer.stop()
        await eventually(all_seen)
    assert sorted(seen) == [f"job_{partition}" for partition in range(4)]


async def test_a_consumer_takes_no_more_than_a_batch_while_its_handler_works(kafka_bootstrap: str) -> None:
    """However many records there are: they stay in Kafka, and not in the memory of the process."""
    topic = topic_of_its_own()
    await ensure_topics(kafka_bootstrap, [topic])
    records = [good(f"job_{number}") for number in range(1200)]
    producer = await open_producer(kafka_bootstrap, "test")
    for value, headers in records:
        await producer.send(topic.name, value, key=b"k", headers=headers, partition=0)
    await producer.stop()
    broker = ServiceBroker(kafka_bootstrap, SERVICE)
    seen: list[int] = []
    works, go_on = asyncio.Event(), asyncio.Event()

    @subscribe(broker, topic)
    async def on_result(events: Sequence[JobSucceeded]) -> None:
        seen.append(len(events))
        works.set()
        await go_on.wait()

    async with running(broker):
        await works.wait()
        (consumer,) = (each.consumer for each in broker.subscribers)  # type: ignore[attr-defined]
        assert consumer.assignment() and consumer.paused() == consumer.assignment(), "nothing is fetched meanwhile"
        assert len(seen) == 1 and seen[0] <= 500
        assert await consumer.position(TopicPartition(topic.name, 0)) == seen[0]
        go_on.set()
        await all_committed(kafka_bootstrap, topic, len(records))
    assert sum(seen) == len(records) and max(seen) <= 500


async def test_a_slow_batch_does_not_delay_the_records_after_it(
    kafka_bootstrap: str,
) -> None:
    topic = topic_of_its_own(partitions=2)
    await ensure_topics(kafka_bootstrap, [topic])
    broker = ServiceBroker(kafka_bootstrap, SERVICE)
    seen: list[str] = []
    slow, go_on = asyncio.Event(), asyncio.Event()

    @subscribe(broker, topic)
    async def on_result(events: Sequence[JobSucceeded]) -> None:
        seen.extend(event.job.input for event in events)
        if events[0].job.input.startswith("slow"):
            slow.set()
            await go_on.wait()

    async def until_seen(job_id: str) -> None:
        async with asyncio.timeout(60):
            while job_id not in seen:
                await asyncio.sleep(0.01)

    seconds: list[float] = []
    producer = await open_producer(kafka_bootstrap, "test")
    async with running(broker):
        for number in range(3):
            slow.clear()
            go_on.clear()
            await send(kafka_bootstrap, topic, good(f"slow_{number}"))
            await slow.wait()
            await send(kafka_bootstrap, topic, good(f"fetched_{number}"))
            await asyncio.sleep(0.5)  # aiokafka would start a fetch without this partition after 0.1 s
            go_on.set()
            await until_seen(f"fetched_{number}")
            value, headers = good(f"next_{number}")
            sent_at = time.monotonic()
            await producer.send_and_wait(topic.name, value, key=b"k", headers=headers, partition=0)
            await until_seen(f"next_{number}")
            seconds.append(time.monotonic() - sent_at)
    await producer.stop()
    # Such a fetch would delay each of them by 2.5 s. Other load does not delay all three by so much.
    assert min(seconds) < 1.5, seconds


async def test_an_outage_redelivers_the_batch_and_loses_nothing(kafka_bootstrap: str) -> None:
    topic = topic_of_its_own()
    await ensure_topics(kafka_bootstrap, [topic])
    await send(kafka_bootstrap, topic, good("one"), good("two"), good("three"))
    broker = ServiceBroker(kafka_bootstrap, SERVICE, limits=FAST)
    calls = 0
    handled: list[str] = []

    @subscribe(broker, topic)
    async def on_result(events: Sequence[JobSucceeded]) -> None:
        nonlocal calls
        calls += 1
        if (
            calls <= 20
        ):  # four times as often as an unexpected failure is retried; too often for a pause of 3 s each time
            raise ConnectionError("the database is away")
        handled.extend(event.job.input for event in events)

    async with running(broker):
        await all_committed(kafka_bootstrap, topic, 3)
    assert handled == ["one", "two", "three"]


async def test_a_record_whose_handling_fails_is_there_after_a_restart_and_a_pause_does_not_delay_the_stop(
    kafka_bootstrap: str,
) -> None:
    topic = topic_of_its_own()
    await ensure_topics(kafka_bootstrap, [topic])
    await send(kafka_bootstrap, topic, good("again"))
    failed = asyncio.Event()
    handled: list[str] = []
    slow = HandlerLimits(policy=FailurePolicy(first_delay_s=3600, longest_delay_s=3600))
    first, second = ServiceBroker(kafka_bootstrap, SERVICE, limits=slow), ServiceBroker(kafka_bootstrap, SERVICE)

    @subscribe(first, topic)
    async def fails(events: Sequence[JobSucceeded]) -> None:
        failed.set()
        raise ConnectionError("away")

    @subscribe(second, topic)
    async def works(events: Sequence[JobSucceeded]) -> None:
        handled.extend(event.job.input for event in events)

    async with asyncio.timeout(60):
        await first.start()
        await failed.wait()
        await first.stop()

    async def done() -> bool:
        return handled == ["again"]

    async with running(second):
        await eventually(done)


async def test_a_handler_gets_only_the_events_it_names_and_may_reject_a_record(kafka_bootstrap: str) -> None:
    topic = topic_of_its_own()
    await ensure_topics(kafka_bootstrap, [topic])
    failed, started = record(example(JobFailed)), record(example(JobStarted))
    other = [(each.value, each.headers) for each in (failed, started)]
    await send(kafka_bootstrap, topic, *other, good("refused"), good("taken"))
    broker = ServiceBroker(kafka_bootstrap, SERVICE)
    taken: list[str] = []

    @subscribe(broker, topic)
    async def on_result(events: Sequence[JobSucceeded | JobStarted]) -> None:
        for event in events:
            if event.job.input == "refused":
                raise RecordRejected("not that one")
        taken.extend(event.job.input for event in events)

    async with running(broker):
        (letter,) = await read(kafka_bootstrap, topic.dead_letter, 1)
        await all_committed(kafka_bootstrap, topic, 4)
    assert taken == [JOB.input, "taken"]
    assert dict(letter.headers)["reason"] == b"not that one"
    assert dict(letter.headers)["ce_type"] == JobSucceeded.TYPE.encode()


async def test_a_submission_arrives_with_its_project_and_its_position_as_id(kafka_bootstrap: str) -> None:
    topic = topic_of_its_own(JOB_SUBMITTED_TOPIC)
    await ensure_topics(kafka_bootstrap, [topic])
    body = b'{"input": "https://example.com/a.mov", "kind": "image"}'
    await send(kafka_bootstrap, topic, (body, [("ce_project", PROJECT.encode())]))
    broker = ServiceBroker(kafka_bootstrap, "ingest")
    got: asyncio.Future[Submission] = asyncio.get_running_loop().create_future()

    @subscribe(broker, topic, one_by_one=True)
    async def on_submitted(events: Sequence[Submission]) -> None:
        (submission,) = events
        got.set_result(submission)

    async with running(broker), asyncio.timeout(60):
        submission = await got
    assert (submission.project, submission.id, submission.body.model_dump()["kind"]) == (
        PROJECT,
        f"{topic.name}/0/0",
        "image",
    )


async def test_ready_means_having_joined_the_group_with_or_without_a_partition(kafka_bootstrap: str) -> None:
    topic = topic_of_its_own()
    await ensure_topics(kafka_bootstrap, [topic])
    brokers = [ServiceBroker(kafka_bootstrap, SERVICE) for _ in range(2)]
    for broker in brokers:

        @subscribe(broker, topic)
        async def on_result(events: Sequence[JobSucceeded]) -> None:
            """Does nothing."""

        with pytest.raises(ConsumerNotReady):
            broker.check()
    async with running(brokers[0]), running(brokers[1]):
        for broker in brokers:
            broker.check()
        partition = TopicPartition(topic.name, 0)
        consumers = [each.consumer for broker in brokers for each in broker.subscribers]  # type: ignore[attr-defined]
        # One of them may not have heard yet of the assignment that follows the other's joining.
        await until(lambda: sum(partition in consumer.assignment() for consumer in consumers) == 1)
        for broker in brokers:
            broker.check()
    with pytest.raises(ConsumerNotReady):
        brokers[0].check()


async def test_handlers_run_on_faststreams_broker_in_memory() -> None:
    broker = ServiceBroker("127.0.0.1:1", SERVICE)
    topic = topic_of_its_own()
    topic_prepared = topic_of_its_own()
    seen: list[str] = []
    seen_prepared: list[tuple[str, bytes]] = []

    def prepare(event: JobEvent, json: bytes) -> tuple[str, bytes]:
        return event.job.id, json

    @subscribe(broker, topic)
    async def on_result(events: Sequence[JobSucceeded]) -> None:
        seen.extend(event.job.input for event in events)

    @subscribe(broker, topic_prepared, prepare=prepare)
    async def on_prepared(items: Sequence[tuple[str, bytes]]) -> None:
        seen_prepared.extend(items)

    sent = record(succeeded("job_1"))
    headers = {name: value.decode() for name, value in sent.headers}
    async with TestKafkaBroker(broker) as memory:
        await memory.publish_batch(sent.value, sent.value, topic=topic.name, headers=headers)
        await memory.publish_batch(sent.value + b" ", topic=topic_prepared.name, headers=headers)
    assert seen == ["job_1", "job_1"]
    assert seen_prepared == [(JOB.id, sent.value + b" ")]


async def test_a_handler_must_take_a_sequence_of_events() -> None:
    broker = ServiceBroker("127.0.0.1:1", SERVICE)
    with pytest.raises(TypeError, match="must take a Sequence of events"):

        @subscribe(broker, topic_of_its_own())
        async def takes_one(event: JobSucceeded) -> None:
            """Never called."""

    with pytest.raises(TypeError, match="is no event"):

        @subscribe(broker, topic_of_its_own())
        async def takes_text(events: Sequence[str]) -> None:
            """Never called."""
