"""Consumers on a real broker: nothing is lost, nothing spins, what cannot be read is set aside."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from itertools import pairwise
from typing import Any

import pytest
from faststream.kafka import KafkaBroker

from chassis.adapters.kafka.admin import ensure_topics
from chassis.adapters.kafka.consumer import assigned, make_broker, subscribe
from chassis.adapters.kafka.errors import NotAssigned, Rejected
from chassis.adapters.kafka.producer import open_producer
from schemas.events import JobFailed, JobSucceeded
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

SERVICE = "catalog"


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


async def test_unreadable_records_are_set_aside_and_the_consumer_goes_on(kafka_bootstrap: str) -> None:
    topic = topic_of_its_own()
    await ensure_topics(kafka_bootstrap, [topic])
    headers = record(succeeded(JOB.id)).headers
    without_type = [(name, value) for name, value in headers if name != "ce_type"]
    stranger = [("ce_type", b"bitmill.job.exploded.v1"), ("reply_to", b"elsewhere"), ("x", b"\xff"), ("none", None)]
    bad: list[tuple[bytes | None, list[Any]]] = [
        (b"\xff\xfe\x00", headers),
        (b'{"job": ', headers),
        (b"{}", stranger),
        (good("a")[0], without_type),
        (b'{"job": {}}', headers),
        (None, headers),
    ]
    await send(kafka_bootstrap, topic, good("first"), *bad, good("last"))
    broker = make_broker(kafka_bootstrap, SERVICE)
    seen: list[str] = []

    @subscribe(broker, topic, SERVICE)
    async def on_result(event: JobSucceeded) -> None:
        seen.append(event.job.id)

    async with running(broker):
        letters = await read(kafka_bootstrap, topic.dead_letter, len(bad))

        async def all_committed() -> bool:
            return await committed(kafka_bootstrap, f"bitmill.{SERVICE}.{topic.name}", topic.name) == len(bad) + 2

        await eventually(all_committed)
    assert seen == ["first", "last"]
    assert [letter.value for letter in letters] == [value for value, _ in bad]
    told = [dict(letter.headers) for letter in letters]
    assert [int(each["source_offset"]) for each in told] == [1, 2, 3, 4, 5, 6]
    assert {each["source_topic"].decode() for each in told} == {topic.name}
    assert {each["source_partition"] for each in told} == {b"0"}
    reasons = [each["reason"].decode() for each in told]
    for reason, words in zip(
        reasons,
        ["not JSON", "not JSON", "exploded", "ce_type is missing", "job.id is required", "no value"],
        strict=True,
    ):
        assert words in reason
    assert told[2]["x"] == b"\xff"
    assert all(letter.key == b"k" for letter in letters)


async def test_a_handler_that_fails_three_times_is_slowed_down_and_loses_nothing(kafka_bootstrap: str) -> None:
    topic = topic_of_its_own()
    await ensure_topics(kafka_bootstrap, [topic])
    await send(kafka_bootstrap, topic, good("one"), good("two"), good("three"))
    broker = make_broker(kafka_bootstrap, SERVICE)
    calls: list[tuple[str, float]] = []
    done = asyncio.Event()

    @subscribe(broker, topic, SERVICE)
    async def on_result(event: JobSucceeded) -> None:
        calls.append((event.job.id, time.monotonic()))
        if event.job.id == "two" and len(calls) < 5:
            raise ConnectionError("the database is away")
        if event.job.id == "three":
            done.set()

    async with running(broker), asyncio.timeout(30):
        await done.wait()
    assert [name for name, _ in calls] == ["one", "two", "two", "two", "two", "three"]
    times = [at for name, at in calls if name == "two"]
    gaps = [later - earlier for earlier, later in pairwise(times)]
    assert [round(gap, 1) >= least for gap, least in zip(gaps, (0.5, 1.0, 2.0), strict=True)] == [True] * 3
    assert await committed(kafka_bootstrap, f"bitmill.{SERVICE}.{topic.name}", topic.name) == 3


async def test_a_record_that_keeps_failing_is_still_there_after_a_restart_and_does_not_delay_the_stop(
    kafka_bootstrap: str,
) -> None:
    topic = topic_of_its_own()
    await ensure_topics(kafka_bootstrap, [topic])
    await send(kafka_bootstrap, topic, good("stubborn"))
    thrice = asyncio.Event()
    calls: list[str] = []
    seen: list[str] = []
    first, second = make_broker(kafka_bootstrap, SERVICE), make_broker(kafka_bootstrap, SERVICE)

    @subscribe(first, topic, SERVICE)
    async def fails(event: JobSucceeded) -> None:
        calls.append(event.job.id)
        if len(calls) == 3:
            thrice.set()
        raise RuntimeError("not yet")

    @subscribe(second, topic, SERVICE)
    async def works(event: JobSucceeded) -> None:
        seen.append(event.job.id)

    async with asyncio.timeout(20):
        await first.start()
        await thrice.wait()
        started = time.monotonic()
        await first.stop()
        assert time.monotonic() - started < 1.5, "the pause after a third failure is 2 s"

    async def handled() -> bool:
        return seen == ["stubborn"]

    async with running(second):
        await eventually(handled)


async def test_a_handler_may_refuse_a_record_and_gets_only_the_events_it_names(kafka_bootstrap: str) -> None:
    topic = topic_of_its_own()
    await ensure_topics(kafka_bootstrap, [topic])
    failed = record(example(JobFailed))
    await send(kafka_bootstrap, topic, (failed.value, failed.headers), good("refused"), good("taken"))
    broker = make_broker(kafka_bootstrap, SERVICE)
    seen: list[str] = []
    done = asyncio.Event()

    @subscribe(broker, topic, SERVICE)
    async def on_result(event: JobSucceeded) -> None:
        seen.append(event.TYPE)
        if event.job.id == "refused":
            raise Rejected("not that one")
        done.set()

    async with running(broker), asyncio.timeout(20):
        await done.wait()
        (letter,) = await read(kafka_bootstrap, topic.dead_letter, 1)
    assert seen == [JobSucceeded.TYPE] * 2
    assert dict(letter.headers)["reason"] == b"not that one"
    assert dict(letter.headers)["ce_type"] == JobSucceeded.TYPE.encode()


async def test_a_submission_arrives_with_its_project_and_its_place_as_id(kafka_bootstrap: str) -> None:
    from chassis.adapters.kafka.codec import Submission

    topic = topic_of_its_own(JOB_SUBMITTED_TOPIC)
    await ensure_topics(kafka_bootstrap, [topic])
    body = b'{"input": "https://example.com/a.mov", "kind": "image"}'
    await send(kafka_bootstrap, topic, (body, [("ce_project", PROJECT.encode())]))
    broker = make_broker(kafka_bootstrap, "ingest")
    got: asyncio.Future[Submission] = asyncio.get_running_loop().create_future()

    @subscribe(broker, topic, "ingest")
    async def on_submitted(event: Submission) -> None:
        got.set_result(event)

    async with running(broker), asyncio.timeout(20):
        submission = await got
    assert (submission.project, submission.id, submission.body.model_dump()["kind"]) == (
        PROJECT,
        f"{topic.name}/0/0",
        "image",
    )


async def test_readiness_means_having_joined_the_group_with_or_without_a_partition(kafka_bootstrap: str) -> None:
    topic = topic_of_its_own()
    await ensure_topics(kafka_bootstrap, [topic])
    brokers = [make_broker(kafka_bootstrap, SERVICE) for _ in range(2)]
    for broker in brokers:

        @subscribe(broker, topic, SERVICE)
        async def on_result(event: JobSucceeded) -> None:
            """Does nothing."""

        with pytest.raises(NotAssigned, match=topic.name):
            await assigned(broker)
    async with running(brokers[0]), running(brokers[1]):
        for broker in brokers:
            await assigned(broker)
        with_partitions = [bool(sub.consumer.assignment()) for broker in brokers for sub in broker.subscribers]  # type: ignore[attr-defined]
        assert sum(with_partitions) <= 1
    with pytest.raises(NotAssigned):
        await assigned(brokers[0])


async def test_a_handler_that_asks_for_events_its_topic_never_has_is_refused_at_once() -> None:
    broker = make_broker("127.0.0.1:1", SERVICE)
    with pytest.raises(TypeError, match="has no JobSucceeded"):

        @subscribe(broker, replace(topic_of_its_own(), types=(JobFailed.TYPE,)), SERVICE)
        async def on_result(event: JobSucceeded) -> None:
            """Never called."""
