"""The HTTP API and the webhook as one OpenAPI 3.1 document; schemas come from the types that are rendered."""

from importlib.metadata import version
from typing import Any

from pydantic import TypeAdapter

from chassis.adapters.http.health import LivenessReport, ReadinessReport
from devtools import errors
from devtools.contracts import components, paths
from schemas.api import EmptyMediaRequest, ImageJobRequest, MediaPatch, MediaRequest, VideoJobRequest
from schemas.connections import (
    ConnectionPatch,
    ConnectionRequest,
    ConnectionResource,
    DeletedConnectionResource,
)
from schemas.envelope import EmptyEnvelope, MediaEnvelope, MediaErrorEnvelope, MediaListEnvelope
from schemas.faults import ErrorResource
from schemas.job_resource import BatchAnswer, CancellationResource, JobResource, PurgeResource, TaskResource
from schemas.task_api import ImageTaskRequest, ImportTaskRequest, ProbeTaskRequest, VideoTaskRequest
from schemas.uploads import UploadRequest, UploadResource
from schemas.v2025_08_20.media import Deleted20250820, Media20250820
from schemas.v2025_08_20.task_requests import TaskRequest20250820
from schemas.v2025_08_20.tasks import Task20250820

_REF = "#/components/schemas/{model}"
_DESCRIPTION = """\
Post a file's address, get web-ready outputs, a catalog and webhooks.

Jobs and tasks are JSON without an envelope, with times in Unix milliseconds. Responses of `/media` are in an envelope
(version 2024-08-21), with times in ISO 8601. Every response has the header `X-Request-Id`, the id in the logs. Enums of
responses may grow; `unknown` stands for a value that this server is too old to name. Each code of an error has one
cause; `kind` of FaultResource, WarningResource and ErrorResource lists the cause and the cure of each, and
docs/errors.md of the source has the same list.
"""
_JOBS = {"video": VideoJobRequest, "image": ImageJobRequest}
_TASKS = {
    "probe": ProbeTaskRequest,
    "import": ImportTaskRequest,
    "video": VideoTaskRequest,
    "image": ImageTaskRequest,
}
_REQUESTS: tuple[Any, ...] = (
    *_JOBS.values(),
    *_TASKS.values(),
    MediaRequest,
    MediaPatch,
    EmptyMediaRequest,
    TaskRequest20250820,
    UploadRequest,
    ConnectionRequest,
    ConnectionPatch,
)
_RESPONSES: tuple[Any, ...] = (
    JobResource,
    TaskResource,
    CancellationResource,
    PurgeResource,
    BatchAnswer,
    ConnectionResource,
    DeletedConnectionResource,
    Task20250820,
    Media20250820,
    Deleted20250820,
    MediaEnvelope,
    EmptyEnvelope,
    MediaListEnvelope,
    MediaErrorEnvelope,
    UploadResource,
    ErrorResource,
    ReadinessReport,
    LivenessReport,
)


def document() -> dict[str, Any]:
    """The OpenAPI document."""
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "bitmill",
            "version": version("bitmill"),
            "description": _DESCRIPTION,
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [
            {
                "url": "{address}",
                "description": "Your own installation: PUBLIC_URL.",
                "variables": {"address": {"default": "http://127.0.0.1:8080"}},
            }
        ],
        "security": [{"key": []}],
        "tags": [
            {"name": "jobs", "description": "One input becomes one output."},
            {"name": "connections", "description": "Stores with the API of S3, for `s3://` inputs and outputs."},
            {"name": "media", "description": "The catalog of media items."},
            {"name": "uploads", "description": "Files that are sent to this server, as inputs."},
            {"name": "files", "description": "Delivery of stored files."},
            {"name": "health", "description": "Probes and metrics."},
        ],
        "paths": paths.PATHS,
        "webhooks": {"jobFinished": paths.webhook("job_finished")},
        "components": {
            "securitySchemes": {
                "key": {"type": "http", "scheme": "bearer", "description": "An API key: `ittybit_live_…`."}
            },
            "schemas": _schemas(),
            "responses": components.RESPONSES,
            "parameters": components.PARAMETERS,
            "headers": components.HEADERS,
        },
    }


def _schemas() -> dict[str, Any]:
    # Requests are described as they are read, responses as they are written: what has a default is optional in the
    # one and always there in the other.
    adapters: list[Any] = [(model, "validation", TypeAdapter(model)) for model in _REQUESTS]
    adapters += [(model, "serialization", TypeAdapter(model)) for model in _RESPONSES]
    _, generated = TypeAdapter.json_schemas(adapters, ref_template=_REF)
    schemas = dict(generated["$defs"])
    schemas["JobRequest"] = _by_kind(_JOBS)
    schemas["AtomicTaskRequest"] = _by_kind(_TASKS)
    schemas["TaskRequest"] = {
        "oneOf": [{"$ref": _REF.format(model=model)} for model in ("JobRequest", "AtomicTaskRequest")],
        "description": "By the type of `input`: a string makes a job, an object one task by itself.",
    }
    for model, description in errors.descriptions().items():
        schemas[model]["properties"]["kind"]["description"] = description
    return dict(sorted(schemas.items()))


def _by_kind(models: dict[str, Any]) -> dict[str, Any]:
    references = {kind: _REF.format(model=model.__name__) for kind, model in models.items()}
    return {
        "oneOf": [{"$ref": reference} for reference in references.values()],
        "discriminator": {"propertyName": "kind", "mapping": references},
    }
