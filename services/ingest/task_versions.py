"""`POST /tasks` as the version of the API that the request asks for has it: its body, its response, its errors."""

from collections.abc import Awaitable, Callable
from typing import Any

import orjson

from chassis.adapters.http.errors import ApiError, invalid_input
from chassis.adapters.http.json_body import json_bytes
from schemas.api import ImageJobRequest, VideoJobRequest
from schemas.v2025_08_20 import task_requests, tasks
from schemas.versions import DEFAULT, Version
from services.ingest.job_acceptance import Answer

Accept = Callable[[Any], Awaitable[Answer]]
"""Accepts a body of today's shape."""
_FIELDS = frozenset({*VideoJobRequest.model_fields, *ImageJobRequest.model_fields} - {"options"})


async def accept_task(version: Version, data: Any, accept: Accept) -> Answer:
    """The body `data` of this version, accepted by `accept`. Errors name its fields as they were sent."""
    if version == DEFAULT:
        return await accept(data)
    todays = task_requests.todays_body(data, _FIELDS)
    if todays.faults:
        raise invalid_input(todays.faults)
    try:
        answer = await accept(todays.data)
    except ApiError as error:
        if error.kind == "invalid_input" and error.faults:
            raise invalid_input(todays.as_sent(error.faults)) from None
        raise
    return Answer(answer.status, task_answer(version, answer.body))


def task_answer(version: Version, body: bytes) -> bytes:
    """The JSON of a job, as this version shows it."""
    return body if version == DEFAULT else json_bytes(tasks.task(orjson.loads(body)))
