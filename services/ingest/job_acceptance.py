"""From the body of a request to an accepted job and its response: alone, or as one of a batch."""

from dataclasses import dataclass
from typing import Any

from structlog.contextvars import bind_contextvars

from chassis.adapters.http.errors import invalid_input
from chassis.adapters.http.json_body import json_bytes
from chassis.core.ids import new_id
from schemas.ids import Prefix
from schemas.job_resource import job_resource
from services.ingest.api_parts import ApiParts
from services.ingest.idempotency import IdempotencyKey
from services.ingest.jobs import jobs_accepted, new_job
from services.ingest.requests import job_request, task_request
from services.ingest.upload_inputs import UploadRefused


@dataclass(frozen=True)
class Answer:
    """`status` is 201 for a new job, 200 for the first response to a repeated request; `body` is the job's JSON."""

    status: int
    body: bytes


async def accept_job(
    parts: ApiParts, data: Any, *, project: str, prefix: Prefix, key: IdempotencyKey | None, at: int
) -> Answer:
    """Validates and stores it. Raises ApiError, and what the store raises."""
    body = job_request(data, parts.egress) if prefix == "job" else task_request(data, parts.egress)
    job = new_job(body, id=new_id(prefix), project=project, at=at, keyring=parts.keyring)
    bind_contextvars(job_id=job.id)
    await parts.admit(parts.job_bound, project, key)
    try:
        job = await parts.upload_inputs.with_file(job)
    except UploadRefused as refused:
        # A repeated request gets its first response, also when the upload has expired meanwhile.
        if key is None or not await parts.responses.is_known(key, project):
            raise invalid_input([refused.fault]) from None
    response = json_bytes(job_resource(job, parts.signer.urls(project, signed=False)))
    if key is None:
        await parts.jobs.accept(job)
    elif not await parts.jobs.accept_once(job, key, response):
        return Answer(200, await parts.responses.replay_job(key, project))
    jobs_accepted.labels("ingest", "http").inc()
    return Answer(201, response)
