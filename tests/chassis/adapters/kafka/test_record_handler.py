"""The failure policy around a Kafka handler, record by record, without a broker."""

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

import asyncpg
import pytest
from aiokafka import ConsumerRecord
from faststream.exceptions import NackMessage, StopConsume

from chassis.adapters.failure_policy import FailurePolicy
from chassis.adapters.kafka.dead_letters import DeadLetterLimit
from chassis.adapters.kafka.errors import ConsumerNotReady, RecordRejected
from chassis.adapters.kafka.record_decoder import ReceivedRecord, RecordDecoder
from chassis.adapters.kafka.record_handler import HandlerLimits, RecordHandler
from schemas.events import JobSucceeded
from schemas.topics import JOB_RESULTS, Topic
from tests.chassis.adapters.kafka.examples import record, succeeded

POLICY = FailurePolicy(first_delay_s=0.001, longest_delay_s=0.002)


class Letters:
    """Keeps dead letters in memory; refuses them while `away`."""

    def __init__(self) -> None:
        self.written: list[tuple[int, str]] = []
        self.codes: list[str] = []
        self.away = False

    async def write(self, topic: Topic, record: ConsumerRecord, reason: str, code: str) -> None:
        if self.away:
            raise ConnectionError("Kafka is away")
        self.written.append((record.offset, reason))
        self.codes.append(code)


class Attempts:
    """A handler that fails as `fail` says for a job id, and remembers what it did."""

    def __init__(self, fail: Callable[[str], Exception | None] = lambda _: None) -> None:
        self.fail = fail
        self.calls: list[list[str]] = []
        self.done: list[str] = []

    async def __call__(self, events: Sequence[JobSucceeded]) -> None:
        ids = [event.job.input for event in events]
        self.calls.append(ids)
        for each in ids:
            if (error := self.fail(each)) is not None:
                raise error
        self.done.extend(ids)


def batch(handler: RecordHandler, *ids: str) -> list[ReceivedRecord]:
    decoder = RecordDecoder("catalog", handler.topic, (JobSucceeded,))
    return [decoder.decode(_consumed(offset, job_id)) for offset, job_id in enumerate(ids)]


def _consumed(offset: int, job_id: str) -> ConsumerRecord:
    sent = record(succeeded(job_id))
    return ConsumerRecord(
        topic=JOB_RESULTS.name,
        partition=0,
        offset=offset,
        timestamp=1_700_000_000_000,
        timestamp_type=0,
        key=sent.key,
        value=b"{" if job_id == "unreadable" else sent.value,
        checksum=None,
        serialized_key_size=0,
        serialized_value_size=0,
        headers=sent.headers,
    )


def make(work: Any, letters: Letters, **limits: Any) -> RecordHandler:
    bounds = HandlerLimits(policy=POLICY, **limits)
    return RecordHandler("catalog", JOB_RESULTS, work, letters, bounds)


async def test_a_bug_with_one_record_lets_its_neighbours_and_its_topic_go_on() -> None:
    letters = Letters()
    work = Attempts(lambda job_id: KeyError("bug") if job_id == "b" else None)
    handler = make(work, letters)
    await handler(batch(handler, "a", "b", "c"))
    assert work.done == ["a", "c"]
    assert work.calls.count(["b"]) == 5
    assert letters.written == [(1, "failed 5 times: KeyError: 'bug'")]
    await handler(batch(handler, "d"))
    assert work.done == ["a", "c", "d"]


async def test_a_rejected_record_is_tried_once_by_itself() -> None:
    letters = Letters()
    work = Attempts(lambda job_id: RecordRejected("no such project", "not_found") if job_id == "b" else None)
    handler = make(work, letters)
    await handler(batch(handler, "a", "b", "unreadable"))
    assert work.calls == [["a", "b"], ["a"], ["b"]]
    assert letters.written[0] == (1, "no such project")
    assert letters.written[1][0] == 2
    assert letters.codes == ["not_found", "unreadable"]


async def test_a_record_that_postgres_cannot_hold_is_a_dead_letter_at_once_and_its_neighbours_are_handled() -> None:
    letters = Letters()
    work = Attempts(lambda name: asyncpg.DataError("value out of int32 range") if name == "b" else None)
    handler = make(work, letters)
    await handler(batch(handler, "a", "b", "c"))
    assert work.done == ["a", "c"]
    assert work.calls == [["a", "b", "c"], ["a"], ["b"], ["c"]]
    assert letters.written == [(1, "DataError: value out of int32 range")]
    assert letters.codes == ["unstorable"]


async def test_an_outage_is_repeated_without_limit_and_never_ends_in_a_dead_letter() -> None:
    letters, away = Letters(), True
    work = Attempts(lambda _: asyncpg.CannotConnectNowError("starting up") if away else None)
    handler = make(work, letters)
    for _ in range(50):
        with pytest.raises(NackMessage):
            await handler(batch(handler, "a", "b"))
    away = False
    await handler(batch(handler, "a", "b"))
    assert (work.done, letters.written) == (["a", "b"], [])


async def test_an_outage_in_the_middle_writes_no_dead_letter_twice() -> None:
    letters, away = Letters(), True

    def fail(job_id: str) -> Exception | None:
        if job_id == "bad":
            return ValueError("bug")
        return ConnectionError("away") if job_id == "c" and away else None

    work = Attempts(fail)
    handler = make(work, letters)
    for _ in range(3):
        with pytest.raises(NackMessage):
            await handler(batch(handler, "bad", "c"))
    away = False
    await handler(batch(handler, "bad", "c"))
    assert [offset for offset, _ in letters.written] == [0]
    assert work.done == ["c"]


async def test_a_dead_letter_that_cannot_be_written_keeps_the_record() -> None:
    letters = Letters()
    letters.away = True
    handler = make(Attempts(), letters)
    with pytest.raises(NackMessage):
        await handler(batch(handler, "unreadable"))
    letters.away = False
    await handler(batch(handler, "unreadable"))
    assert [offset for offset, _ in letters.written] == [0]


@pytest.mark.parametrize("bad", ["unreadable", "bug"])
async def test_too_many_dead_letters_halt_the_consumer_and_make_it_not_ready(bad: str) -> None:
    letters = Letters()
    work = Attempts(lambda job_id: ValueError("bug") if job_id == "bug" else None)
    handler = make(work, letters, dead_letters_per_minute=3)
    with pytest.raises(StopConsume):
        await handler(batch(handler, *[bad] * 10))
    assert len(letters.written) == 3
    with pytest.raises(ConsumerNotReady, match=r"job\.results: halted: more than 3 dead letters in a row"):
        handler.check()


async def test_rejected_records_of_customers_never_halt_the_consumer() -> None:
    letters = Letters()
    work = Attempts(lambda job_id: RecordRejected("no such project") if job_id == "rejected" else None)
    limits = HandlerLimits(policy=POLICY, dead_letters_per_minute=3)
    handler = RecordHandler("ingest", JOB_RESULTS, work, letters, limits, one_by_one=True)
    await handler(batch(handler, *["unreadable", "rejected"] * 10, "good"))
    handler.check()
    assert len(letters.written) == 20
    assert work.done == ["good"]


async def test_a_record_that_cannot_be_prepared_fails_like_one_that_cannot_be_handled() -> None:
    def prepare(event: JobSucceeded, json: bytes) -> JobSucceeded:
        assert event == JobSucceeded.model_validate_json(json)
        if event.job.input == "bad":
            raise KeyError("bug")
        return event

    letters, work = Letters(), Attempts()
    handler = make(work, letters)
    decoder = RecordDecoder("catalog", JOB_RESULTS, (JobSucceeded,), prepare)
    await handler([decoder.decode(_consumed(offset, job_id)) for offset, job_id in enumerate(["a", "bad", "c"])])
    assert work.done == ["a", "c"]
    assert [offset for offset, _ in letters.written] == [1]
    assert "KeyError" in letters.written[0][1]


async def test_consumers_of_one_topic_count_their_dead_letters_together() -> None:
    dead_letter_limit = DeadLetterLimit(3)
    work = Attempts(lambda _: KeyError("bug"))
    limits, letters = HandlerLimits(policy=POLICY), Letters()
    one, two = (
        RecordHandler("catalog", JOB_RESULTS, work, letters, limits, dead_letter_limit=dead_letter_limit)
        for _ in range(2)
    )
    await one(batch(one, "a", "b"))
    with pytest.raises(StopConsume):
        await two(batch(two, "c", "d"))
    assert len(letters.written) == 3


async def test_a_bug_with_records_of_customers_halts_the_consumer() -> None:
    work = Attempts(lambda _: KeyError("bug"))
    limits = HandlerLimits(policy=POLICY, dead_letters_per_minute=3)
    handler = RecordHandler("ingest", JOB_RESULTS, work, Letters(), limits, one_by_one=True)
    with pytest.raises(StopConsume):
        await handler(batch(handler, *"abcdef"))
    with pytest.raises(ConsumerNotReady, match="halted"):
        handler.check()


async def test_a_handler_without_an_answer_counts_as_an_outage_and_shows_as_not_ready() -> None:
    async def hangs(events: Sequence[JobSucceeded]) -> None:
        await asyncio.Event().wait()

    handler = make(hangs, Letters(), deadline_s=0.01, stalled_s=0.0)
    with pytest.raises(NackMessage):
        await handler(batch(handler, "a"))
    with pytest.raises(ConsumerNotReady, match=r"one batch is in progress for .* last error TimeoutError"):
        handler.check()
    handler.forget_batch()
    handler.check()


def test_letters_with_successes_between_them_are_too_many_only_within_a_minute() -> None:
    now = [0.0]
    dead_letter_limit = DeadLetterLimit(3, lambda: now[0])
    for second in (0, 30, 59):
        now[0] = float(second)
        assert dead_letter_limit.exceeded() is None
        dead_letter_limit.count()
        dead_letter_limit.reset()
    assert dead_letter_limit.exceeded() == "more than 3 dead letters in a minute"
    now[0] = 61.0
    assert dead_letter_limit.exceeded() is None
