"""What a record of a dead-letter topic is, and what a replay of it sends. Pure."""

from dataclasses import replace
from typing import Any

import pytest
from aiokafka import ConsumerRecord

from chassis.adapters.kafka.codec import decode
from chassis.adapters.kafka.dead_letter import (
    SUMMARY_CHARS,
    DeadLetter,
    NotReplayable,
    Position,
    ReplayMark,
    mark_headers,
    read_record,
    replay_of,
    summary,
)
from chassis.adapters.kafka.dead_letters import dead_letter_headers
from schemas.events import Submission
from schemas.topics import JOB_CREATED, JOB_PROGRESS, JOB_SUBMITTED_TOPIC

BODY = b'{"kind": "image", "input": "https://example.com/a.png"}'


def record(topic: str, offset: int, headers: Any, value: bytes | None = BODY) -> ConsumerRecord:
    return ConsumerRecord(
        topic=topic,
        partition=3,
        offset=offset,
        timestamp=1_700_000_000_000,
        timestamp_type=0,
        key=b"prj_1",
        value=value,
        checksum=None,
        serialized_key_size=1,
        serialized_value_size=1,
        headers=tuple(headers),
    )


def letter(*headers: tuple[str, bytes | None], reason: str = "refused", topic: str = "job.submitted") -> DeadLetter:
    """The dead letter, at offset 17, of the record 41 with these headers."""
    made = dead_letter_headers(record(topic, 41, headers), "ingest", reason, "queue_full")
    found = read_record(record(f"{topic}.dlq", 17, made))
    assert isinstance(found, DeadLetter)
    return found


@pytest.mark.parametrize("text", ["", "a/0", "a/0/x", "a/-1/0", "a/0/1/2", "a b/0/1", "a/0/\u0661", f"a/0/{'9' * 19}"])
def test_other_texts_are_no_position(text: str) -> None:
    with pytest.raises(ValueError, match=r"job\.created\.dlq/0/17"):
        Position.parse(text)


def test_a_position_is_its_text() -> None:
    assert str(Position.parse("job.created.dlq/0/17")) == "job.created.dlq/0/17"


def test_a_dead_letter_says_where_it_came_from_and_keeps_the_headers_of_the_record() -> None:
    found = letter(("ce_subject", b"job_1"), ("x", None))
    assert found.source == Position("job.submitted", 3, 41)
    assert found.subject == "job_1"
    assert found.own_headers == [("ce_subject", b"job_1"), ("x", None)]


def test_the_key_is_the_subject_of_a_record_without_one() -> None:
    assert letter().subject == "prj_1"


def test_no_header_of_a_customers_record_makes_its_dead_letter_a_mark() -> None:
    assert isinstance(letter(("replayed_offset", b"5"), ("replayed_to", b"x/0/1")), DeadLetter)


def test_a_mark_names_the_dead_letter_and_where_its_record_is() -> None:
    headers = mark_headers(letter(), "job.submitted/3/99")
    assert read_record(record("job.submitted.dlq", 30, headers, None)) == ReplayMark(
        17, 1_700_000_000_000, "job.submitted/3/99"
    )


def test_a_summary_has_no_long_texts() -> None:
    short = summary(letter(("ce_type", b"t" * 5000), ("ce_subject", b"s" * 5000), reason="r" * 1999))
    assert (len(short.type), len(short.subject), len(short.reason)) == (SUMMARY_CHARS,) * 3


def test_a_replay_is_the_original_record_and_names_its_dead_letter() -> None:
    sent = replay_of(letter(("ce_id", b"mine"), ("ce_project", b"prj_1")), JOB_SUBMITTED_TOPIC, BODY)
    assert (sent.topic, sent.partition, sent.key, sent.value) == ("job.submitted", 3, b"prj_1", BODY)
    assert sent.headers == [
        ("ce_id", b"mine"),
        ("ce_project", b"prj_1"),
        ("replayed_from", b"job.submitted.dlq/3/17"),
    ]


@pytest.mark.parametrize("own", [(), (("ce_id", b""),), (("CE_ID", None),)])
def test_a_replayed_submission_without_an_id_keeps_the_one_that_its_first_position_gave_it(own: Any) -> None:
    first = decode(JOB_SUBMITTED_TOPIC, [*own, ("ce_project", b"prj_1")], BODY, origin="job.submitted/3/41")
    sent = replay_of(letter(*own, ("ce_project", b"prj_1")), JOB_SUBMITTED_TOPIC, BODY)
    again = decode(JOB_SUBMITTED_TOPIC, sent.headers, sent.value, origin="job.submitted/3/99")
    assert isinstance(first, Submission) and isinstance(again, Submission)
    assert again.id == first.id == "job.submitted/3/41"


def test_a_record_that_failed_again_names_only_its_last_dead_letter() -> None:
    sent = replay_of(letter(("replayed_from", b"job.submitted.dlq/0/1")), JOB_SUBMITTED_TOPIC, BODY)
    assert [value for name, value in sent.headers if name == "replayed_from"] == [b"job.submitted.dlq/3/17"]


def test_what_did_not_come_from_the_topic_is_not_sent_to_it() -> None:
    with pytest.raises(NotReplayable, match=r"came from job\.submitted, and belongs to job\.created"):
        replay_of(letter(), JOB_CREATED, BODY)


def test_a_record_that_no_service_wrote_is_not_replayed() -> None:
    with pytest.raises(NotReplayable, match="not written by a service"):
        replay_of(replace(letter(), headers=()), JOB_SUBMITTED_TOPIC, BODY)


def test_an_old_record_about_how_things_are_now_is_not_replayed() -> None:
    with pytest.raises(NotReplayable, match="worth nothing, drop it"):
        replay_of(letter(topic="job.progress"), JOB_PROGRESS, BODY)
