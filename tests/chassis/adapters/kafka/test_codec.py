"""Events to records and back."""

import json
from typing import Any

import pytest

from chassis.adapters.kafka import codec
from chassis.adapters.kafka.codec import UnknownEvent, UnwantedSubmission
from chassis.adapters.kafka.errors import RecordUnreadable
from schemas.api import JobAction
from schemas.events import CancelRequested, Event, JobSucceeded, Submission
from schemas.topics import JOB_CONTROL, JOB_CREATED, JOB_RESULTS, JOB_SUBMITTED_TOPIC, MEDIA_SUBMITTED_TOPIC, TOPIC_OF
from tests.chassis.adapters.kafka.examples import EXAMPLES, JOB, PROJECT, record, succeeded

SUBMITTED = [("ce_project", PROJECT.encode())]


@pytest.mark.parametrize("event", EXAMPLES, ids=lambda event: event.TYPE)
def test_every_event_comes_back_as_it_went(event: Event) -> None:
    sent = record(event)
    topic = TOPIC_OF[event.TYPE]
    assert sent.topic == topic.name
    assert codec.decode(topic, sent.headers, sent.value) == event


def test_attributes_travel_as_headers_of_cloudevents() -> None:
    sent = record(succeeded(JOB.id), traceparent="00-aa-bb-01")
    assert dict(sent.headers) == {
        "ce_specversion": b"1.0",
        "ce_id": b"evt_1",
        "ce_type": b"bitmill.job.succeeded.v1",
        "ce_source": b"/bitmill/test",
        "ce_time": b"2023-11-14T22:13:20.123Z",
        "ce_subject": JOB.id.encode(),
        "ce_project": PROJECT.encode(),
        "content-type": b"application/json",
        "traceparent": b"00-aa-bb-01",
    }
    assert sent.key == JOB.id.encode()


def test_a_field_that_a_later_version_added_is_ignored() -> None:
    sent = record(succeeded(JOB.id))
    grown = json.loads(sent.value) | {"later": 1}
    assert codec.decode(JOB_RESULTS, sent.headers, json.dumps(grown).encode()) == succeeded(JOB.id)


@pytest.mark.parametrize(
    ("change", "value", "reason"),
    [
        ({}, b"\xff\xfe\x00", "the value is not JSON"),
        ({}, b'{"job": ', "the value is not JSON"),
        ({}, None, "the record has no value"),
        ({}, b"[]", "body must be an object"),
        ({}, b"{}", "job is required"),
        ({}, b'{"job": {"id": "job_1"}}', "job.project is required"),
        ({"ce_type": b"\xff"}, b"{}", "the header ce_type is not UTF-8"),
        ({"ce_type": None}, b"{}", "the header ce_type is missing"),
    ],
)
def test_what_a_topic_does_not_declare_is_unreadable(change: dict[str, Any], value: Any, reason: str) -> None:
    headers = list((dict(record(succeeded(JOB.id)).headers) | change).items())
    with pytest.raises(RecordUnreadable) as raised:
        codec.decode(JOB_RESULTS, headers, value)
    assert reason in raised.value.reason


def test_an_event_type_of_a_newer_release_is_known_as_unknown() -> None:
    headers = [("ce_type", b"bitmill.job.paused.v1")]
    assert codec.decode(JOB_RESULTS, headers, b"{}") == UnknownEvent("bitmill.job.paused.v1")


def test_an_event_without_its_type_is_unreadable_even_where_the_topic_has_but_one() -> None:
    with pytest.raises(RecordUnreadable, match="ce_type is missing"):
        codec.decode(JOB_CREATED, [], b"{}")


def test_an_action_on_a_job_is_read_only_by_who_takes_submissions() -> None:
    body = b'{"action": "cancel", "job_id": "job_1"}'
    got = codec.decode(JOB_CONTROL, SUBMITTED, body, origin="job.control/3/14")
    assert isinstance(got, Submission)
    assert (got.project, got.id, got.body) == (PROJECT, "job.control/3/14", JobAction(action="cancel", job_id="job_1"))
    for headers, value in ((SUBMITTED, body), ([], b"nonsense"), ([("ce_type", b"bitmill.job.submitted.v1")], b"")):
        assert isinstance(codec.decode(JOB_CONTROL, headers, value, submissions=False), UnwantedSubmission)


def test_an_event_beside_submissions_is_an_event() -> None:
    event = CancelRequested(job_id=JOB.id, project=PROJECT, at=1)
    sent = record(event)
    assert codec.decode(JOB_CONTROL, sent.headers, sent.value, submissions=False) == event
    newer = [("ce_type", b"bitmill.job.paused.v1")]
    assert codec.decode(JOB_CONTROL, newer, b"{}") == UnknownEvent("bitmill.job.paused.v1")


def test_a_submission_needs_no_type_and_takes_its_place_as_its_id() -> None:
    body = b'{"input": "https://example.com/a.mov", "kind": "video", "options": {"width": 640}}'
    got = codec.decode(JOB_SUBMITTED_TOPIC, SUBMITTED, body, origin="job.submitted/3/14")
    assert isinstance(got, Submission)
    assert (got.project, got.id) == (PROJECT, "job.submitted/3/14")
    again = codec.decode(JOB_SUBMITTED_TOPIC, [*SUBMITTED, ("CE_ID", b"mine")], body, origin="job.submitted/3/15")
    assert isinstance(again, Submission)
    assert (again.id, again.body) == ("mine", got.body)


@pytest.mark.parametrize(
    ("headers", "body", "reason"),
    [
        ([], b'{"url": "https://example.com/a"}', "ce_project is missing"),
        (SUBMITTED, b'{"url": "ftp://example.com/a"}', "url must start with http:// or https://"),
        (SUBMITTED, b'{"url": "https://example.com/a", "colour": 1}', "colour is not a known field"),
        ([*SUBMITTED, ("ce_type", b"other")], b"{}", "'other' is not a type of media.submitted"),
    ],
)
def test_a_submission_is_refused_in_the_words_of_the_api(headers: Any, body: bytes, reason: str) -> None:
    with pytest.raises(RecordUnreadable) as raised:
        codec.decode(MEDIA_SUBMITTED_TOPIC, headers, body)
    assert reason in raised.value.reason


def test_a_refused_job_names_the_field_without_the_kind_before_it() -> None:
    body = b'{"input": "https://example.com/a.mov", "kind": "video", "options": {"width": 641}}'
    with pytest.raises(RecordUnreadable) as raised:
        codec.decode(JOB_SUBMITTED_TOPIC, SUBMITTED, body)
    assert raised.value.reason.startswith("options.width must be even")


def test_a_value_of_a_newer_release_is_read_as_unknown_and_reported() -> None:
    sent = record(succeeded(JOB.id))
    value = sent.value.replace(b'"kind":"video"', b'"kind":"hologram"', 1)
    reported: list[str] = []
    event = codec.decode(JOB_RESULTS, sent.headers, value, on_unknown=lambda unknown: reported.append(unknown.value))
    assert isinstance(event, JobSucceeded)
    assert event.job.kind == "unknown"
    assert reported == ['"hologram"']
