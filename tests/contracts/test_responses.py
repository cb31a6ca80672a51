"""Responses are what the API document says: nothing more in them, nothing less."""

import json
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from chassis.adapters.http.health import CheckResult
from devtools.contracts import events
from schemas.delivery import DeliveryUrls
from schemas.envelope import Page, RequestInfo, empty_envelope, envelope, error_envelope, list_envelope
from schemas.events import EVENTS, JobEvent, MediaEvent
from schemas.faults import FieldFault, error_resource
from schemas.job_resource import job_resource
from schemas.media_resource import media_resource

BASE = "https://media.example.com"
URLS = DeliveryUrls(BASE)
REQUEST = RequestInfo(id="req_1", method="GET", host=BASE, path="/media", project="prj_01kg75gs80ebfsgf8txjabsyef")
EXAMPLES = [(path.stem, json.loads(path.read_bytes())["data"]) for path in sorted(events.EXAMPLES.glob("*.json"))]
FAULT = FieldFault(field="url", rule="is required", value="(absent)")


def events_of(kind: type[Any]) -> list[Any]:
    known = [(EVENTS[name], data) for name, data in EXAMPLES if name in EVENTS]
    return [pytest.param(event.model_validate(data), id=event.TYPE) for event, data in known if issubclass(event, kind)]


def closed(schema: Any) -> Any:
    """The schema, closed to fields that it does not name. Clients get the open one, so that responses can grow."""
    if isinstance(schema, list):
        return [closed(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    inner = {key: closed(value) for key, value in schema.items()}
    return {"additionalProperties": False, **inner} if "properties" in schema and "type" in schema else inner


def assert_described(schema: str, body: Any) -> None:
    """Against the published document itself, as a client would check it."""
    document = closed(json.loads((events.PUBLISHED / "openapi.json").read_bytes()))
    Draft202012Validator({"$ref": f"#/components/schemas/{schema}", **document}).validate(body)


@pytest.mark.parametrize("event", events_of(JobEvent))
def test_a_job_as_it_is_answered_is_what_the_document_says(event: JobEvent) -> None:
    assert_described("JobResource", job_resource(event.job, URLS))


@pytest.mark.parametrize("event", events_of(MediaEvent))
def test_a_media_item_as_it_is_answered_is_what_the_document_says(event: MediaEvent) -> None:
    resource = media_resource(event.media, URLS)
    assert_described("MediaEnvelope", envelope(REQUEST, resource))
    assert_described("MediaListEnvelope", list_envelope(REQUEST, [resource], Page(1, 12, 1, {})))


@pytest.mark.parametrize("errors", [[], [FAULT]], ids=["no-fields", "one-field"])
def test_an_error_is_what_the_document_says(errors: list[FieldFault]) -> None:
    body = error_envelope(REQUEST, status=400, kind="invalid_input", message="url is required", errors=errors)
    assert_described("MediaErrorEnvelope", body)
    assert_described("ErrorResource", error_resource("invalid_input", "url is required", errors, "req_1"))


@pytest.mark.parametrize(
    "check",
    [CheckResult("catalog.kafka", "failed", "no answer"), CheckResult("catalog.kafka", "ok", details={"lag": 0})],
    ids=["failed", "ok"],
)
def test_the_body_of_readyz_is_what_the_document_says(check: CheckResult) -> None:
    assert_described("ReadinessReport", {"status": "ready", "checks": [check.report()]})


def test_a_body_with_a_field_more_or_less_would_be_found() -> None:
    body: dict[str, Any] = {
        **empty_envelope(REQUEST),
        "error": {"kind": "conflict", "message": "taken", "request_id": "req_1"},
    }
    validator = Draft202012Validator
    assert_described("MediaErrorEnvelope", body)
    document = closed(json.loads((events.PUBLISHED / "openapi.json").read_bytes()))
    schema = {"$ref": "#/components/schemas/MediaErrorEnvelope", **document}
    assert not validator(schema).is_valid(body | {"more": 1})
    assert not validator(schema).is_valid({name: value for name, value in body.items() if name != "links"})
