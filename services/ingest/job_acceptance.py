"""From the body of a request to an accepted job and its response: alone, or as one of a batch."""

import asyncio
from dataclasses import dataclass
from typing import Any

from structlog.contextvars import bind_contextvars

from chassis.adapters.http.errors import invalid_input
from chassis.adapters.http.json_body import json_bytes
from chassis.core.ids import new_id
from schemas.ids import Prefix, is_id
from schemas.job_resource import job_resource
from schemas.jobs import Job
from services.ingest.api_parts import ApiParts
from services.ingest.idempotency import IdempotencyKey
from services.ingest.inputs import InputRefused
from services.ingest.job_stores import JobStore, StoreRefused
from services.ingest.jobs import addresses_of, jobs_accepted, new_job
from services.ingest.requests import job_request, task_request
from services.ingest.upload_inputs import UploadRefused

FILE_PAUSES_S = (0.1, 0.2, 0.4, 0.8)
"""Between the looks for the file that an id stands for."""


@dataclass(frozen=True)
class Answer:
    """`status` is 201 for a new job, 200 for the first response to a repeated request; `body` is the job's JSON."""

    status: int
    body: bytes


async def accept_job(
    parts: ApiParts, data: Any, *, project: str, prefix: Prefix, key: IdempotencyKey | None, at: int
) -> Answer:
    """Validates and stores it. Raises ApiError, and what the store raises."""
    parse = job_request if prefix == "job" else task_request
    body = parse(data, parts.egress, parts.signer.base)
    strip = body.kind == "import" and await _strips(parts, project)
    id = new_id(prefix)
    bind_contextvars(job_id=id)
    await parts.admit(parts.job_bound, project, key)
    store, refusal = JobStore(), None
    try:
        store = await parts.job_stores.of(addresses_of(body, id), project)
    except StoreRefused as refused:
        refusal = refused.faults
    job = new_job(body, id=id, project=project, at=at, keyring=parts.keyring, strip=strip, store=store)
    try:
        job = await parts.upload_inputs.with_file(job)
    except UploadRefused as refused:
        refusal = [refused.fault]
    # A repeated request gets its first response, also when its upload has expired or its connection was deleted.
    if refusal is not None and (key is None or not await parts.responses.is_known(key, project)):
        raise invalid_input(refusal)
    response = json_bytes(job_resource(job, parts.signer.urls(project, signed=False)))
    try:
        if not await _stored(parts, job, key, response) and key is not None:
            return Answer(200, await parts.responses.replay_job(key, project))
    except InputRefused as refused:
        raise invalid_input([refused.fault]) from None
    jobs_accepted.labels("ingest", "http").inc()
    return Answer(201, response)


async def _strips(parts: ApiParts, project: str) -> bool:
    found = await parts.find_project(project)
    return found is not None and found.strip


async def _stored(parts: ApiParts, job: Job, key: IdempotencyKey | None, response: bytes) -> bool:
    """False where the key was used before. Raises InputRefused."""
    for pause_s in (*FILE_PAUSES_S, None):
        try:
            if key is not None:
                return await parts.jobs.accept_once(job, key, response)
            await parts.jobs.accept(job)
        except InputRefused:
            # The customer may have read of the file's job before this service has.
            if pause_s is None or not is_id(job.input, "file"):
                raise
            await asyncio.sleep(pause_s)
        else:
            return True
    raise AssertionError("the last try returns or raises")
