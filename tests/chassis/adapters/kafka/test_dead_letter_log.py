"""Listing, replaying and deleting dead letters on a real Kafka."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import pytest
from aiokafka import AIOKafkaProducer, ConsumerRecord

from chassis.adapters.kafka.admin import ensure_topics
from chassis.adapters.kafka.dead_letter import NotReplayable, Position
from chassis.adapters.kafka.dead_letter_log import DeadLetterLog, open_dead_letters
from chassis.adapters.kafka.dead_letters import KafkaDeadLetters
from schemas.topics import JOB_SUBMITTED_TOPIC, Topic
from tests.chassis.adapters.kafka.examples import read, topic_of_its_own


@dataclass
class Failed:
    """A topic of its own whose records go to the dead letters."""

    bootstrap: str
    topic: Topic
    producer: AIOKafkaProducer
    letters: KafkaDeadLetters

    async def add(self, key: str, value: bytes | None = b"{}") -> ConsumerRecord:
        """A record that was given up; the reason is its key."""
        await self.producer.send_and_wait(self.topic.name, value, key=key.encode(), headers=[("x", b"1")])
        record = (await read(self.bootstrap, self.topic.name, await self.end()))[-1]
        await self.letters.write(self.topic, record, key, "rejected")
        return record

    async def end(self) -> int:
        async with open_dead_letters(self.bootstrap) as log:
            return (await log.spans([self.topic.name]))[0].end

    def at(self, offset: int) -> Position:
        return Position(self.topic.dead_letter, 0, offset)


@pytest.fixture
async def failed(kafka_bootstrap: str) -> AsyncIterator[Failed]:
    async with _failed(kafka_bootstrap) as made:
        yield made


@asynccontextmanager
async def _failed(bootstrap: str) -> AsyncIterator[Failed]:
    topic = topic_of_its_own(JOB_SUBMITTED_TOPIC)
    await ensure_topics(bootstrap, [topic])
    letters = KafkaDeadLetters(bootstrap, "ingest")
    async with AIOKafkaProducer(bootstrap_servers=bootstrap) as producer:
        yield Failed(bootstrap, topic, producer, letters)
    await letters.close()


@pytest.fixture
async def log(failed: Failed) -> AsyncIterator[DeadLetterLog]:
    async with open_dead_letters(failed.bootstrap) as opened:
        yield opened


async def keys(log: DeadLetterLog, failed: Failed, limit: int, since_ms: int | None = None) -> list[str]:
    return [each.reason for each in (await log.newest([failed.topic.dead_letter], limit, since_ms)).found]


async def test_the_newest_are_listed_and_marks_take_nobodys_place(failed: Failed, log: DeadLetterLog) -> None:
    for key in ("a", "b", "c"):
        await failed.add(key)
    for offset in (0, 1):
        found = await log.at(failed.at(offset))
        assert found is not None
        await log.replay(found, failed.topic)
    listing = await log.newest([failed.topic.dead_letter], 2)
    assert [each.reason for each in listing.found] == ["b", "c"]
    assert [each.replayed is not None for each in listing.found] == [True, False]
    assert listing.more
    whole = await log.newest([failed.topic.dead_letter, "there.is.none.dlq"], 3)
    assert [each.reason for each in whole.found] == ["a", "b", "c"]
    assert not whole.more


async def test_a_list_can_begin_at_a_time(failed: Failed, log: DeadLetterLog) -> None:
    await failed.add("a")
    await failed.add("b")
    times = [each.at_ms for each in (await log.newest([failed.topic.dead_letter], 9)).found]
    assert await keys(log, failed, 9, times[1]) == (["a", "b"] if times[0] == times[1] else ["b"])
    assert await keys(log, failed, 9, times[1] + 1) == []


async def test_a_replay_sends_the_record_again_and_marks_the_dead_letter(failed: Failed, log: DeadLetterLog) -> None:
    original = await failed.add("a", b'{"n": 1}')
    found = await log.at(failed.at(0))
    assert found is not None and await log.mark_of(failed.at(0)) is None
    to = await log.replay(found, failed.topic)
    sent = (await read(failed.bootstrap, failed.topic.name, 2))[1]
    assert (sent.key, sent.value, sent.partition) == (original.key, original.value, original.partition)
    assert sent.headers[:1] == original.headers
    mark = await log.mark_of(failed.at(0))
    assert mark is not None and mark.to == str(to) == f"{failed.topic.name}/0/1"
    assert await log.at(failed.at(1)) is None, "a mark is no dead letter"


async def test_the_value_of_a_dead_letter_without_one_comes_from_the_original_record(
    failed: Failed, log: DeadLetterLog
) -> None:
    record = await failed.add("a", b'{"n": 1}')
    record.value = None
    await failed.letters.write(failed.topic, record, "too large", "rejected")
    found = await log.at(failed.at(1))
    assert found is not None and found.value is None
    await log.replay(found, failed.topic)
    assert (await read(failed.bootstrap, failed.topic.name, 2))[1].value == b'{"n": 1}'
    (span,) = await log.spans([failed.topic.name])
    await log.delete_before(span, span.end)
    with pytest.raises(NotReplayable, match="no longer there"):
        await log.replay(found, failed.topic)


async def test_records_up_to_an_offset_are_deleted_and_the_others_are_left(failed: Failed, log: DeadLetterLog) -> None:
    for key in ("a", "b", "c"):
        await failed.add(key)
    (span,) = await log.spans([failed.topic.dead_letter])
    assert await log.delete_before(span, 2) == 2
    assert await keys(log, failed, 9) == ["c"]
    assert await log.at(failed.at(1)) is None


async def test_a_record_without_key_and_value_becomes_a_dead_letter(failed: Failed, log: DeadLetterLog) -> None:
    record = await failed.add("a")
    record.key = record.value = None
    await failed.letters.write(failed.topic, record, "the record has no value", "unreadable")
    assert await keys(log, failed, 9) == ["a", "the record has no value"]
