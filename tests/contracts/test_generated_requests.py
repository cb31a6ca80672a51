"""Requests that Schemathesis makes of the OpenAPI document, valid and invalid: no answer is outside of the document.

Statuses, headers, content types and bodies are compared, bodies without a field more than described, and none is a 5xx.
Every operation is tried with ids that exist and with made-up ones. The streams never end, and are left out.
"""

import asyncio
import json
from collections.abc import Mapping
from itertools import product
from typing import Any

import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from devtools.contracts import events
from tests.contracts.test_responses import closed
from tests.support.file_server import FileServer
from tests.support.system import BitmillUp

DOCUMENT = json.loads((events.PUBLISHED / "openapi.json").read_bytes())
CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]
SLOW_PATHS = ("/{project}/{path}",)
"""A name that nobody knows is waited for, because its file may be on its way."""


def _streams(operation: Mapping[str, Any]) -> bool:
    return any("text/event-stream" in each.get("content", {}) for each in operation["responses"].values())


OPERATIONS = [
    (method, path)
    for path, item in DOCUMENT["paths"].items()
    for method, operation in item.items()
    if method != "parameters" and not _streams(operation)
]


@pytest.fixture(scope="module")
def schema() -> Any:
    return schemathesis.openapi.from_dict(closed(DOCUMENT))


@pytest.fixture(scope="module")
async def known(up: BitmillUp, uploads: FileServer) -> dict[str, str]:
    """Ids that exist, by the collection that they are in."""
    image = {"input": uploads.url("photo.png"), "kind": "image", "options": {"width": 32}}
    job, task = await up.api.post("/jobs", image), await up.api.post("/tasks", image)
    item = await up.api.post("/media", {"url": uploads.url("photo.png")})
    await up.api.finished(job["id"])
    await up.api.finished(task["id"])
    return {"jobs": job["id"], "tasks": task["id"], "media": item["data"]["id"]}


def _local(value: Any, address: str) -> Any:
    """Addresses of the document's examples, at which nobody is to be asked, as those of a server on this machine."""
    if isinstance(value, dict):
        return {name: _local(each, address) for name, each in value.items()}
    if isinstance(value, list):
        return [_local(each, address) for each in value]
    return value.replace("https://example.com", address) if isinstance(value, str) else value


def _try(
    schema: Any, method: str, path: str, up: BitmillUp, inputs: str, known: Mapping[str, str], examples: int
) -> None:
    operation = schema[path][method.upper()]
    collection = path.split("/")[1]
    ids = [None, {"id": known[collection]}] if "{id}" in path and collection in known else [None]
    described = DOCUMENT["paths"][path]
    inputless = not {*described, *described[method]} & {"parameters", "requestBody"}
    # Nothing can be wrong with a request that has no inputs.
    modes = (GenerationMode.POSITIVE,) if inputless else (GenerationMode.POSITIVE, GenerationMode.NEGATIVE)
    kept = settings(
        max_examples=examples,
        deadline=None,
        derandomize=True,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    with requests.Session() as session:
        session.headers.update(up.headers)
        for mode, each in product(modes, ids):

            @kept
            @given(operation.as_strategy(generation_mode=mode, path_parameters=each))
            def attempt(case: Any) -> None:
                case.body = _local(case.body, inputs)
                case.call_and_validate(base_url=up.api.address, session=session, checks=CHECKS, timeout=60)

            attempt()


@pytest.mark.parametrize(("method", "path"), OPERATIONS)
async def test_no_answer_is_outside_of_the_document(
    method: str, path: str, schema: Any, up: BitmillUp, uploads: FileServer, known: dict[str, str]
) -> None:
    examples = 1 if path in SLOW_PATHS else 8
    await asyncio.to_thread(_try, schema, method, path, up, uploads.address, known, examples)


@pytest.mark.slow
@pytest.mark.parametrize(("method", "path"), OPERATIONS)
async def test_no_answer_to_many_requests_is_outside_of_the_document(
    method: str, path: str, schema: Any, up: BitmillUp, uploads: FileServer, known: dict[str, str]
) -> None:
    examples = 20 if path in SLOW_PATHS else 400
    await asyncio.to_thread(_try, schema, method, path, up, uploads.address, known, examples)
