"""Real resources fit the models by which the API document describes them: nothing more in them, nothing less."""

import json
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from devtools.contracts import files
from schemas import responses
from schemas.envelope import Page, RequestInfo, envelope, error_envelope, list_envelope
from schemas.events import EVENTS, JobEvent, MediaEvent
from schemas.faults import FieldFault
from schemas.resources import job_resource, media_resource

BASE = "https://media.example.com"
ASKED = RequestInfo(id="req_1", method="GET", host=BASE, path="/media", project="prj_01kg75gs80ebfsgf8txjabsyef")
EXAMPLES = [(path.stem, json.loads(path.read_bytes())["data"]) for path in sorted(files.EXAMPLES.glob("*.json"))]


def events_of(kind: type[Any]) -> list[Any]:
    known = [(EVENTS[name], data) for name, data in EXAMPLES if name in EVENTS]
    return [pytest.param(event.model_validate(data), id=event.TYPE) for event, data in known if issubclass(event, kind)]


def fits(model: str, body: dict[str, Any]) -> None:
    """Against the published document itself, as a client would."""
    document = json.loads((files.FOLDER / "openapi.json").read_bytes())
    Draft202012Validator({"$ref": f"#/components/schemas/{model}", **document}).validate(body)


@pytest.mark.parametrize("event", events_of(JobEvent))
def test_a_job_as_it_is_answered_fits_its_description(event: JobEvent) -> None:
    resource = job_resource(event.job, BASE)
    assert responses.JobBody.model_validate(resource).model_dump() == resource
    fits("JobBody", resource)


@pytest.mark.parametrize("event", events_of(MediaEvent))
def test_a_media_item_as_it_is_answered_fits_its_description(event: MediaEvent) -> None:
    resource = media_resource(event.media, BASE)
    assert responses.MediaBody.model_validate(resource).model_dump() == resource
    fits("MediaEnvelope", envelope(ASKED, resource))
    fits("MediaListEnvelope", list_envelope(ASKED, [resource], Page(1, 12, 1, {})))


def test_a_refusal_under_media_fits_its_description() -> None:
    fault = FieldFault(field="url", rule="is required", value="(absent)")
    body = error_envelope(ASKED, status=400, kind="invalid_input", message="url is required", errors=[fault])
    fits("MediaErrorEnvelope", body)
    fits("MediaErrorEnvelope", error_envelope(ASKED, status=404, kind="media_not_found", message="none"))


def test_a_refusal_fits_its_description() -> None:
    fits("ErrorBody", {"kind": "job_not_found", "message": "none", "request_id": "req_1"})
