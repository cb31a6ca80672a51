"""The HTTP surface and the webhook as one OpenAPI 3.1 document."""

from importlib.metadata import version
from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from devtools.contracts import parts, paths, webhook
from schemas import responses
from schemas.api import ImageJobRequest, MediaRequest, VideoJobRequest

_REF = "#/components/schemas/{model}"
_ABOUT = """\
Post a file's address, get web-ready outputs, a catalog and webhooks.

Jobs and tasks are bare JSON with times in Unix milliseconds. `/media` answers in an envelope (version 2024-08-21)
with times in ISO 8601. Every answer carries `X-Request-Id`, which leads to the logs.
"""
_SPOKEN: tuple[type[BaseModel], ...] = (
    VideoJobRequest,
    ImageJobRequest,
    MediaRequest,
    responses.JobBody,
    responses.MediaEnvelope,
    responses.MediaListEnvelope,
    responses.MediaErrorEnvelope,
    responses.ErrorBody,
    responses.ReadinessBody,
    responses.LivenessBody,
)


def document() -> dict[str, Any]:
    """The whole document."""
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "bitmill",
            "version": version("bitmill"),
            "description": _ABOUT,
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
            {"name": "media", "description": "The catalog."},
            {"name": "files", "description": "Delivery of what is stored."},
            {"name": "health", "description": "For whoever keeps it running."},
        ],
        "paths": paths.PATHS,
        "webhooks": {"job": webhook.JOB_FINISHED},
        "components": {
            "securitySchemes": {
                "key": {"type": "http", "scheme": "bearer", "description": "An API key: `ittybit_live_…`."}
            },
            "schemas": _schemas(),
            "responses": parts.RESPONSES,
            "parameters": parts.PARAMETERS,
            "headers": parts.HEADERS,
        },
    }


def _schemas() -> dict[str, Any]:
    _, generated = models_json_schema([(model, "validation") for model in _SPOKEN], ref_template=_REF)
    schemas = dict(generated["$defs"])
    schemas["JobRequest"] = {
        "oneOf": [{"$ref": _REF.format(model=model)} for model in ("VideoJobRequest", "ImageJobRequest")],
        "discriminator": {
            "propertyName": "kind",
            "mapping": {
                "video": _REF.format(model="VideoJobRequest"),
                "image": _REF.format(model="ImageJobRequest"),
            },
        },
    }
    return dict(sorted(schemas.items()))
