"""Records carry traces: one for each record of a batch, also through dead letters and their replay."""

from typing import Any

import pytest
from aiokafka import ConsumerRecord

from chassis.adapters.kafka.dead_letter import DeadLetter, read_record, replay_of
from chassis.adapters.kafka.dead_letters import dead_letter_headers
from chassis.adapters.kafka.record_decoder import ReceivedRecord
from chassis.adapters.kafka.record_traces import handling, trace_of
from chassis.core import tracing
from chassis.core.trace_context import TraceContext
from schemas.topics import JOB_CREATED

ONE = TraceContext("1" * 32, "a" * 16)
TWO = TraceContext("2" * 32, "b" * 16)


def record(key: str, *headers: tuple[str, bytes], topic: str = JOB_CREATED.name, value: Any = b"{}") -> ConsumerRecord:
    return ConsumerRecord(topic, 3, 17, 0, 0, key.encode(), value, None, len(key), len(value or b""), headers)


def carrying(key: str, context: TraceContext) -> ConsumerRecord:
    return record(key, ("ce_type", b"x"), ("traceparent", context.traceparent.encode()))


def test_each_subject_of_a_batch_has_its_own_trace() -> None:
    batch = [ReceivedRecord(each) for each in (carrying("job_1", ONE), carrying("job_2", TWO), record("job_3"))]
    with handling(JOB_CREATED, "group", batch):
        assert [tracing.traceparent(f"job_{n}") for n in (1, 2, 3)] == [ONE.traceparent, TWO.traceparent, None]
        assert tracing.current() is None
    assert tracing.traceparent("job_1") is None


def test_the_trace_of_a_single_record_is_the_current_one() -> None:
    with handling(JOB_CREATED, "group", [ReceivedRecord(carrying("job_1", ONE))]):
        assert tracing.current() == ONE


@pytest.mark.parametrize("value", [b"", b"\xff" * 55, b"00-" + b"x" * 52, b"9" * 1_000_000])
def test_a_header_that_is_no_trace_is_ignored(value: bytes) -> None:
    assert trace_of(record("job_1", ("traceparent", value))) is None


def test_a_replayed_dead_letter_goes_on_with_the_trace_of_its_record() -> None:
    failed = carrying("job_1", ONE)
    headers = dead_letter_headers(failed, "catalog", "it failed", "unexpected")
    letter = read_record(record("job_1", *headers, topic=JOB_CREATED.dead_letter))  # type: ignore[arg-type]
    assert isinstance(letter, DeadLetter)
    again = replay_of(letter, JOB_CREATED, letter.value)
    assert dict(again.headers)["traceparent"] == ONE.traceparent.encode()
