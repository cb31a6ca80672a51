"""The readers of the previous release can read what today's services write: see previous_release/README.md."""

import json
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from devtools.contracts import events
from devtools.contracts.compat import breaks
from schemas.base import EXTENSIBLE
from schemas.events import EVENTS, SUBMISSIONS
from schemas.topics import TOPIC_OF
from tests.contracts.samples import instances

FOLDER = Path(__file__).parent / "previous_release"
RELEASE: dict[str, Any] = json.loads((FOLDER / "release.json").read_bytes())
ACCEPTED: dict[str, list[str]] = {}
"""Breaks that were decided on, by event type."""


@cache
def previous_schemas() -> dict[str, dict[str, Any]]:
    """The schemas of the previous release, by event type."""
    documents = [json.loads(path.read_bytes()) for path in sorted((FOLDER / "events").glob("*.schema.json"))]
    return {document["x-ce-type"]: document for document in documents}


def refusal(topic: str, type_: str, data: Any) -> str | None:
    """Why a consumer of the previous release would dead-letter this record of `topic`; None where it would not."""
    schemas = previous_schemas()
    known = {name for name, schema in schemas.items() if schema["x-topic"] == topic}
    if not known:
        return None  # that release does not read the topic
    if type_ not in known:
        return None if RELEASE["skips_unknown_types"] else f"{type_} is not one of {topic}"
    errors = [error.message for error in Draft202012Validator(schemas[type_]).iter_errors(data)]
    return "; ".join(errors) or None


@pytest.mark.parametrize("type_", EVENTS)
def test_the_previous_release_reads_every_event_that_today_s_services_can_write(type_: str) -> None:
    for data in instances(events.schema(type_)):
        assert refusal(TOPIC_OF[type_].name, type_, data) is None, data


@pytest.mark.parametrize("type_", sorted(previous_schemas()))
def test_no_event_changed_in_a_way_that_breaks_its_readers(type_: str) -> None:
    assert type_ in events.TYPES
    old, new = previous_schemas()[type_], events.schema(type_)
    assert [
        change for change in breaks(old, new, submitted=type_ in SUBMISSIONS) if change not in ACCEPTED.get(type_, [])
    ] == []


@pytest.mark.parametrize("type_", [type_ for type_ in EVENTS if type_ in previous_schemas()])
def test_today_s_models_read_every_event_that_the_previous_release_can_write(type_: str) -> None:
    for data in instances(previous_schemas()[type_]):
        EVENTS[type_].model_validate(data)


# What the check is for: each kind of growth that a reader of the previous release does not survive.


def grown(type_: str, change: Any) -> Any:
    """Today's schema of an event after a change of its definitions."""
    schema = json.loads(json.dumps(events.schema(type_)))
    change(schema)
    return schema


def refusals(type_: str, schema: Any) -> list[str]:
    found = [refusal(TOPIC_OF[type_].name, type_, data) for data in instances(schema)]
    return [each for each in found if each is not None]


@pytest.mark.skipif(RELEASE["commit"] != "534f74a", reason="later releases read unknown values")
def test_a_value_more_in_an_enum_that_old_readers_list_is_found() -> None:
    def more(schema: Any) -> None:
        schema["$defs"]["Fault"]["properties"]["kind"][EXTENSIBLE].append("input_encrypted")

    schema = grown("bitmill.job.failed.v1", more)
    assert any("input_encrypted" in each for each in refusals("bitmill.job.failed.v1", schema))
    assert any("input_encrypted" in each for each in breaks(previous_schemas()["bitmill.job.failed.v1"], schema))


def test_a_field_that_is_gone_is_found() -> None:
    def less(schema: Any) -> None:
        del schema["$defs"]["Job"]["properties"]["project"]
        schema["$defs"]["Job"]["required"].remove("project")

    schema = grown("bitmill.job.created.v1", less)
    assert any("'project' is a required property" in each for each in refusals("bitmill.job.created.v1", schema))


def test_a_field_of_another_type_is_found() -> None:
    def other(schema: Any) -> None:
        schema["properties"]["at"] = {"type": "string"}

    schema = grown("bitmill.job.cancel_requested.v1", other)
    assert any("is not of type 'integer'" in each for each in refusals("bitmill.job.cancel_requested.v1", schema))


def test_a_required_field_more_is_found_by_the_comparison() -> None:
    def more(schema: Any) -> None:
        schema["properties"]["reason"] = {"type": "string"}
        schema["required"].append("reason")

    type_ = "bitmill.job.cancel_requested.v1"
    schema = grown(type_, more)
    assert refusals(type_, schema) == []
    assert breaks(previous_schemas()[type_], schema) == ["data.reason is required now, and old events need not have it"]


def test_a_new_type_on_an_old_topic_is_found_and_on_a_new_topic_is_safe() -> None:
    refused = refusal("job.results", "bitmill.job.archived.v1", {})
    assert (refused is None) == RELEASE["skips_unknown_types"]
    assert refusal("job.archive", "bitmill.job.archived.v1", {}) is None
