"""Events to records and back: CloudEvents 1.0 in binary mode, attributes in `ce_*` headers, JSON as value. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, TypeAlias

import orjson
from pydantic import TypeAdapter, ValidationError

from chassis.adapters.kafka.errors import Unreadable
from schemas.api import JOB_REQUEST, ImageJobRequest, MediaRequest, VideoJobRequest
from schemas.events import EVENTS, JOB_SUBMITTED, MEDIA_SUBMITTED, Event
from schemas.explain import explain, format_errors
from schemas.topics import TOPIC_OF, Topic

Headers: TypeAlias = Sequence[tuple[str, bytes | None]]

_SUBMITTED: Mapping[str, TypeAdapter[Any]] = {
    JOB_SUBMITTED: JOB_REQUEST,
    MEDIA_SUBMITTED: TypeAdapter(MediaRequest),
}


@dataclass(frozen=True)
class Record:
    """What is sent to Kafka."""

    topic: str
    key: bytes
    value: bytes
    headers: list[tuple[str, bytes]]


@dataclass(frozen=True)
class Submission:
    """A body that a producer put on Kafka instead of sending it over HTTP. `id` is the same at each redelivery."""

    project: str
    id: str
    body: VideoJobRequest | ImageJobRequest | MediaRequest


def encode(event: Event, *, id: str, source: str, time_ms: int, traceparent: str | None = None) -> Record:
    """The record of an event. `source` is `/bitmill/<service>`, `time_ms` Unix milliseconds."""
    headers = {
        "ce_specversion": "1.0",
        "ce_id": id,
        "ce_type": event.TYPE,
        "ce_source": source,
        "ce_time": _rfc3339(time_ms),
        "ce_subject": event.subject(),
        "ce_project": event.project_id(),
        "content-type": "application/json",
    }
    if traceparent:
        headers["traceparent"] = traceparent
    return Record(
        topic=TOPIC_OF[event.TYPE].name,
        key=event.subject().encode(),
        value=event.model_dump_json().encode(),
        headers=[(name, value.encode()) for name, value in headers.items()],
    )


def decode(topic: Topic, headers: Headers, value: bytes | None, *, origin: str = "") -> Event | Submission:
    """The event, or the submission, of a record of `topic`; `Unreadable` with the reason.

    `origin` is the record's place (`topic/partition/offset`): the id of a submission that brings none.
    """
    type_ = header(headers, "ce_type")
    if type_ is None and len(topic.types) == 1 and topic.types[0] in _SUBMITTED:
        type_ = topic.types[0]  # written by anybody, and there is nothing else it could be
    if type_ is None:
        raise Unreadable("the header ce_type is missing")
    if type_ not in topic.types:
        raise Unreadable(f"ce_type {type_[:120]!r} is not one of {topic.name}: {', '.join(topic.types)}")
    if type_ in _SUBMITTED:
        return _submission(type_, headers, _json(value), origin)
    try:
        return EVENTS[type_].model_validate(_json(value))
    except ValidationError as error:
        raise Unreadable(format_errors(explain(error))) from None


def header(headers: Headers, name: str) -> str | None:
    """The last header of this name (names do not differ by case), or None; `Unreadable` where it is not UTF-8."""
    for key, value in reversed(headers):
        if key.lower() == name and value is not None:
            try:
                return value.decode()
            except UnicodeDecodeError:
                raise Unreadable(f"the header {name} is not UTF-8") from None
    return None


def _submission(type_: str, headers: Headers, data: Any, origin: str) -> Submission:
    project = header(headers, "ce_project")
    if not project:
        raise Unreadable("the header ce_project is missing: it names the project that the work is for")
    try:
        body = _SUBMITTED[type_].validate_python(data)
    except ValidationError as error:
        raise Unreadable(format_errors(explain(error, tagged=type_ == JOB_SUBMITTED))) from None
    return Submission(project=project, id=header(headers, "ce_id") or origin, body=body)


def _json(value: bytes | None) -> Any:
    if value is None:
        raise Unreadable("the record has no value")
    try:
        return orjson.loads(value)
    except orjson.JSONDecodeError as error:
        raise Unreadable(f"the value is not JSON: {error}") from None


def _rfc3339(time_ms: int) -> str:
    whole, milliseconds = divmod(time_ms, 1000)
    return f"{datetime.fromtimestamp(whole, UTC):%Y-%m-%dT%H:%M:%S}.{milliseconds:03d}Z"
