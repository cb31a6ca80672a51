"""Reads the events of Kafka, of this release and of others (pure).

Events grow: fields are added, enums get values, topics get event types. A reader that is older than the writer ignores
new fields, reads new values as `"unknown"`, and skips records whose type is not in `schemas.events.EVENTS`. Whoever
reads them counts and logs what was not understood, because it means that this service should be upgraded.

What a reader cannot store or derive ids from is refused here, before a handler gets it: values by the types of
`schemas.storable`, and ids by their form.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from pydantic_core import from_json

from schemas.base import UNKNOWN, UnknownValues
from schemas.events import EVENTS, Event
from schemas.explain import render_value
from schemas.ids import InvalidId, is_id


@dataclass(frozen=True)
class UnknownValue:
    """A value that was read as `"unknown"`: `job.tasks[].kind`, and the value as JSON, shortened."""

    field: str
    value: str


@dataclass(frozen=True)
class ReadEvent:
    """An event, and what of it was not understood."""

    event: Event
    unknown: tuple[UnknownValue, ...] = ()


def read_event(type_: str, value: bytes) -> ReadEvent:
    """The event of a record's value (JSON).

    Raises `KeyError` for a type that is not in `EVENTS`, pydantic's `ValidationError` where the value is not JSON or
    does not have the fields of the event, and `InvalidId` where its subject or project is not an id.
    """
    values = UnknownValues()
    event = EVENTS[type_].model_validate_json(value, context=values)
    _check_ids(event)
    if not values:
        return ReadEvent(event)
    # The validator sees a value, not its place. Comparing input with output finds it; that costs time, so only here.
    found = _compare("", from_json(value), event.model_dump(mode="json"))
    return ReadEvent(event, tuple(dict.fromkeys(found)))


def _check_ids(event: Event) -> None:
    if event.SUBJECTS and not is_id(event.subject(), *event.SUBJECTS):
        raise InvalidId(f"the id {render_value(event.subject())} is not one of a {' or '.join(event.SUBJECTS)}")
    project = event.project_id()
    if project and not is_id(project, "prj"):
        raise InvalidId(f"the project {render_value(project)} is not the id of a project")


def _compare(at: str, sent: Any, read: Any) -> Iterator[UnknownValue]:
    if isinstance(read, dict) and isinstance(sent, dict):
        for name in read.keys() & sent.keys():
            yield from _compare(f"{at}.{name}" if at else name, sent[name], read[name])
    elif isinstance(read, list) and isinstance(sent, list):
        for one, other in zip(sent, read, strict=False):
            yield from _compare(f"{at}[]", one, other)
    elif read == UNKNOWN and sent != UNKNOWN:
        yield UnknownValue(at, render_value(sent))
