"""Every event that can be read can be stored and shown, whatever its producer wrote."""

import json
import math
from collections.abc import Iterator
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from schemas.delivery import DeliveryUrls
from schemas.events import EVENTS, Event, JobEvent, MediaEvent
from schemas.ids import InvalidId
from schemas.job_resource import job_resource
from schemas.media_resource import media_resource
from schemas.reading import read_event
from schemas.storable import (
    MAX_INT8,
    MAX_JSON_DEPTH,
    MAX_PATH_CHARS,
    PathText,
    Pixels,
    StoredMetadata,
    StoredObject,
    StoredText,
    TimestampMs,
    storable_text,
)
from tests.schemas.json_values import values
from tests.support.edge_values import leaves, nested, variants
from tests.support.example_events import full_events

URLS = DeliveryUrls("https://media.example.com")


def read(type_: str, value: bytes) -> Event | None:
    try:
        return read_event(type_, value).event
    except (ValidationError, InvalidId):
        return None


def assert_storable(value: Any) -> None:
    """What Postgres can hold: text without U+0000 and lone surrogates, 64 bits, finite numbers, few levels."""
    match value:
        case str():
            assert "\x00" not in value
            value.encode()
        case bool() | None:
            pass
        case int():
            assert abs(value) <= MAX_INT8
        case float():
            assert math.isfinite(value)
        case dict():
            for name, inner in value.items():
                assert_storable(name)
                assert_storable(inner)
        case list():
            for inner in value:
                assert_storable(inner)


def rendered(event: Event) -> Iterator[bytes]:
    """What customers are shown of it."""
    if isinstance(event, JobEvent):
        yield orjson.dumps(job_resource(event.job, URLS))
    if isinstance(event, MediaEvent):
        yield orjson.dumps(media_resource(event.media, URLS))


@pytest.mark.parametrize("type_", EVENTS)
def test_an_event_with_an_edge_value_in_any_field_is_refused_or_can_be_stored_and_shown(type_: str) -> None:
    refused = 0
    for path, value, data in variants(full_events()[type_]):
        event = read(type_, data)
        if event is None:
            refused += 1
            continue
        document = event.model_dump(mode="json")
        assert_storable(document)
        assert all(rendered(event)), (path, value)
    assert refused > 0


@given(st.data())
def test_an_event_with_any_json_in_any_field_is_refused_or_can_be_stored_and_shown(data: st.DataObject) -> None:
    type_ = data.draw(st.sampled_from(sorted(EVENTS)))
    document = full_events()[type_]
    for path in data.draw(st.lists(st.sampled_from(list(leaves(document))), min_size=1, max_size=3)):
        inner: Any = document
        try:
            for step in path[:-1]:
                inner = inner[step]
            inner[path[-1]] = data.draw(values)
        except (TypeError, LookupError):
            continue  # an earlier change took this place away
    event = read(type_, json.dumps(document).encode())
    if event is not None:
        assert_storable(event.model_dump(mode="json"))
        assert all(rendered(event))


@pytest.mark.parametrize(
    ("type_", "good", "bad"),
    [
        (StoredText, ["", "ä\n\U0001f600", "\\u0000"], ["\x00", "a\x00", "\ud800"]),
        (PathText, ["clips/a-1.mp4", "x" * MAX_PATH_CHARS], ["x" * (MAX_PATH_CHARS + 1), "ä", "a\nb"]),
        (Pixels, [0, 2**31 - 1], [-1, 2**31]),
        (TimestampMs, [0, 253_402_300_799_999], [-1, 253_402_300_800_000]),
        (StoredMetadata, [{"a": "b", "": ""}], [{"a\x00": "b"}, {"a": "\x00"}, {"\ud800": "b"}]),
        (
            StoredObject,
            [{"a": [1, 2.5, None, True, {"b": "c"}]}, {"a": MAX_INT8}],
            [
                {"a": 2**63},
                {"a": math.inf},
                {"a": "\x00"},
                {"a\x00": 1},
                {"a": nested(MAX_JSON_DEPTH)},
                {"a": object()},
            ],
        ),
    ],
)
def test_a_type_takes_what_postgres_can_hold(type_: Any, good: list[Any], bad: list[Any]) -> None:
    adapter = TypeAdapter(type_)
    for value in good:
        assert adapter.validate_python(value) == value
    for value in bad:
        with pytest.raises(ValidationError):
            adapter.validate_python(value)


@given(st.text(st.characters(exclude_categories=())), st.integers(min_value=0, max_value=50))
def test_any_text_becomes_storable(text: str, limit: int) -> None:
    assert TypeAdapter(StoredText).validate_python(storable_text(text, limit)) is not None


def test_ids_of_a_wrong_form_are_refused_when_an_event_is_read() -> None:
    document = full_events()["bitmill.job.succeeded.v1"]
    for field, id in (
        ("id", "job_1"),
        ("id", "med_01h455vb4pex5vsknk084sn02q"),
        ("id", "JOB_01h455vb4pex5vsknk084sn02q"),
        ("id", ""),
        ("project", "prj_1"),
        ("project", "job_01h455vb4pex5vsknk084sn02q"),
    ):
        with pytest.raises(InvalidId):
            read_event("bitmill.job.succeeded.v1", json.dumps({"job": document["job"] | {field: id}}).encode())
