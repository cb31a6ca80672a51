"""Events to records and back: CloudEvents 1.0 in binary mode, attributes in `ce_*` headers, JSON as value. Pure."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, TypeAlias

from pydantic import TypeAdapter, ValidationError

from chassis.adapters.kafka.errors import RecordUnreadable
from schemas.events import EVENTS, SUBMISSIONS, Event, Submission
from schemas.explain import explain, format_errors
from schemas.ids import InvalidId
from schemas.ownership import foreign_part
from schemas.reading import UnknownValue, read_event
from schemas.replies import CORRELATION_ID, REPLY_TOPIC, InvalidReplyAddress, reply_address
from schemas.topics import TOPIC_OF, Topic

Headers: TypeAlias = Sequence[tuple[str, bytes | None]]


@dataclass(frozen=True)
class OutgoingRecord:
    """What is sent to Kafka."""

    topic: str
    key: bytes
    value: bytes
    headers: list[tuple[str, bytes]]


@dataclass(frozen=True)
class UnknownEvent:
    """A record whose type this release does not know: a newer release wrote it. It is skipped."""

    type: str


@dataclass(frozen=True)
class UnwantedSubmission:
    """A submission that its reader does not take. It is skipped."""

    type: str


Decoded: TypeAlias = Event | Submission | UnknownEvent | UnwantedSubmission


def encode(event: Event, *, id: str, source: str, time_ms: int, traceparent: str | None = None) -> OutgoingRecord:
    """The record of an event. `source` is `/bitmill/<service>`, `time_ms` Unix milliseconds."""
    headers = {
        "ce_specversion": "1.0",
        "ce_id": id,
        "ce_type": event.TYPE,
        "ce_source": source,
        "ce_time": rfc3339(time_ms),
        "ce_subject": event.subject(),
        "content-type": "application/json",
    }
    if project := event.project_id():
        headers["ce_project"] = project
    if traceparent:
        headers["traceparent"] = traceparent
    return OutgoingRecord(
        topic=TOPIC_OF[event.TYPE].name,
        key=event.subject().encode(),
        value=event.model_dump_json().encode(),
        headers=[(name, value.encode()) for name, value in headers.items()],
    )


def decode(
    topic: Topic,
    headers: Headers,
    value: bytes | None,
    *,
    origin: str = "",
    submissions: bool = True,
    on_unknown: Callable[[UnknownValue], None] | None = None,
) -> Decoded:
    """The event, or the submission, of a record of `topic`. Raises RecordUnreadable.

    With `submissions` false those are not read: what is wrong with one is for whoever decides about it to say.
    `origin` is the record's position (`topic/partition/offset`): the id of a submission that has no `ce_id`.
    `on_unknown` is called with each value that was read as `unknown` because a newer release wrote it.
    """
    type_ = header(headers, "ce_type")
    submitted = topic.submitted
    if type_ is None and len(submitted) == 1:
        type_ = submitted[0]  # any producer may write here, and it can mean nothing else
    if type_ is None:
        raise RecordUnreadable("the header ce_type is missing")
    if submitted and (type_ in SUBMISSIONS or not topic.writers):
        if submissions:
            return _submission(topic, type_, headers, value, origin)
        return UnwantedSubmission(type_)
    if type_ not in EVENTS:
        return UnknownEvent(type_)
    if value is None:
        raise RecordUnreadable("the record has no value")
    try:
        read = read_event(type_, value)
    except ValidationError as error:
        raise RecordUnreadable(_reason(error)) from None
    except InvalidId as error:
        raise RecordUnreadable(str(error)) from None
    if (foreign := foreign_part(read.event)) is not None:
        raise RecordUnreadable(foreign)
    if read.unknown and on_unknown is not None:
        for unknown in read.unknown:
            on_unknown(unknown)
    return read.event


def header(headers: Headers, name: str) -> str | None:
    """The last header of this name (case-insensitive), or None; RecordUnreadable where it is not UTF-8."""
    for key, value in reversed(headers):
        if (key == name or key.lower() == name) and value is not None:
            try:
                return value.decode()
            except UnicodeDecodeError:
                raise RecordUnreadable(f"the header {name} is not UTF-8") from None
    return None


def _submission(topic: Topic, type_: str, headers: Headers, value: bytes | None, origin: str) -> Submission:
    if type_ not in topic.submitted:
        raise RecordUnreadable(f"ce_type {type_[:120]!r} is not a type of {topic.name}: {', '.join(topic.submitted)}")
    project = header(headers, "ce_project")
    if not project:
        raise RecordUnreadable("the header ce_project is missing: it names the project that the work is for")
    if value is None:
        raise RecordUnreadable("the record has no value")
    adapter = SUBMISSIONS[type_]
    try:
        body = adapter.validate_json(value)
    except ValidationError as error:
        raise RecordUnreadable(_reason(error, adapter)) from None
    try:
        reply = reply_address(header(headers, REPLY_TOPIC), header(headers, CORRELATION_ID))
    except InvalidReplyAddress as error:
        raise RecordUnreadable(str(error)) from None
    return Submission(project=project, id=header(headers, "ce_id") or origin, body=body, reply=reply)


def _reason(error: ValidationError, adapter: TypeAdapter[Any] | None = None) -> str:
    first = error.errors(include_url=False)[0]
    if first["type"] == "json_invalid":
        return f"the value is not JSON: {first['ctx']['error']}"
    tagged = adapter is not None and adapter.core_schema["type"] == "tagged-union"
    return format_errors(explain(error, tagged=tagged, model=adapter))


def rfc3339(time_ms: int) -> str:
    """Unix milliseconds as CloudEvents write a time (pure)."""
    seconds, milliseconds = divmod(time_ms, 1000)
    return f"{_rfc3339_seconds(seconds)}.{milliseconds:03d}Z"


@lru_cache(maxsize=64)
def _rfc3339_seconds(seconds: int) -> str:
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}"
