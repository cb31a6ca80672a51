"""HTTP in: jobs and tasks, cancelling them and running them again.

Handlers validate, call a use case and render the response.
"""

from collections.abc import Callable
from functools import partial
from typing import Literal

from aiohttp import web
from structlog.contextvars import bind_contextvars

from chassis.adapters.http.api_version import requested_version
from chassis.adapters.http.auth import Caller, KeyStore, authenticated
from chassis.adapters.http.json_body import json_bytes, read_json
from chassis.adapters.http.response_deadline import begin_response_deadline
from chassis.core.ids import now_ms
from schemas.ids import Prefix
from schemas.job_resource import job_resource
from schemas.topics import JOB_CREATED
from schemas.versions import DEFAULT
from services.ingest.api_parts import REPLAYED, ApiParts, idempotency_key, json_answer, wants_purge
from services.ingest.cancellations import JobEnded, UnknownJob
from services.ingest.errors import (
    connection_missing,
    job_ended,
    job_not_ended,
    job_not_failed,
    job_not_found,
    too_many_runs,
)
from services.ingest.job_acceptance import accept_job
from services.ingest.job_purges import JobNotEnded
from services.ingest.retries import ConnectionDeleted, JobNotFailed, TooManyRuns
from services.ingest.task_versions import accept_task, task_answer


class JobApi:
    """The handlers. `parts` is called at each request, because routes are declared before the service is open."""

    def __init__(self, parts: Callable[[], ApiParts]) -> None:
        self._parts = parts

    def routes(self, keys: KeyStore) -> list[web.RouteDef]:
        return [
            web.post("/jobs", authenticated(keys, self.create_job)),
            web.post("/tasks", authenticated(keys, self.create_task)),
            web.post("/jobs/{id}/cancel", authenticated(keys, self.cancel_job)),
            web.delete("/jobs/{id}", authenticated(keys, self.delete_job)),
            web.post("/jobs/{id}/retry", authenticated(keys, self.retry_job)),
            web.post("/tasks/{id}/retry", authenticated(keys, self.retry_task)),
            web.post("/tasks/{id}/cancel", authenticated(keys, self.cancel_task)),
            web.delete("/tasks/{id}", authenticated(keys, self.delete_task)),
        ]

    async def create_job(self, request: web.Request, caller: Caller) -> web.Response:
        """POST /jobs."""
        return await self._create_job(request, caller, "job")

    async def create_task(self, request: web.Request, caller: Caller) -> web.Response:
        """POST /tasks: the older name of POST /jobs, for bodies whose input is a string.

        Body and response are those of the version that the header Accept-Version names.
        """
        return await self._create_job(request, caller, "task")

    async def _create_job(self, request: web.Request, caller: Caller, prefix: Prefix) -> web.Response:
        version = requested_version(request) if prefix == "task" else DEFAULT
        data, at = await read_json(request), now_ms()
        key = idempotency_key(request, data, at)
        accept = partial(accept_job, self._parts(), project=caller.project, prefix=prefix, key=key, at=at)
        answer = await accept_task(version, data, accept)
        return json_answer(answer.body, answer.status, REPLAYED if answer.status == 200 else None)

    async def cancel_job(self, request: web.Request, caller: Caller) -> web.Response:
        """POST /jobs/{id}/cancel: 200 if the job has been stopped by now, 202 if it will be."""
        return await self._cancel(request, caller, "job")

    async def cancel_task(self, request: web.Request, caller: Caller) -> web.Response:
        """The same below /tasks."""
        return await self._cancel(request, caller, "task")

    async def delete_job(self, request: web.Request, caller: Caller) -> web.Response:
        """DELETE /jobs/{id}: cancels the job; with `?purge=true` it removes one that has ended for good."""
        return await self._delete(request, caller, "job")

    async def delete_task(self, request: web.Request, caller: Caller) -> web.Response:
        """The same below /tasks."""
        return await self._delete(request, caller, "task")

    async def _delete(self, request: web.Request, caller: Caller, noun: Literal["job", "task"]) -> web.Response:
        if not wants_purge(request):
            return await self._cancel(request, caller, noun)
        parts, id = self._parts(), request.match_info["id"]
        bind_contextvars(job_id=id)
        try:
            purged = await parts.purges.request(id, caller.project, now_ms())
        except UnknownJob:
            raise job_not_found(noun) from None
        except JobNotEnded:
            raise job_not_ended() from None
        # Who asks for the job next is to be told that there is none.
        begin_response_deadline(request, parts.visibility.timeout.total_seconds())
        await parts.visibility.wait((JOB_CREATED,))
        return json_answer(json_bytes(purged), 200)

    async def retry_job(self, request: web.Request, caller: Caller) -> web.Response:
        """POST /jobs/{id}/retry: the job, queued for its next run."""
        return await self._retry(request, caller, "job")

    async def retry_task(self, request: web.Request, caller: Caller) -> web.Response:
        """The same below /tasks."""
        return await self._retry(request, caller, "task")

    async def _retry(self, request: web.Request, caller: Caller, noun: Literal["job", "task"]) -> web.Response:
        version = requested_version(request) if noun == "task" else DEFAULT
        parts, id = self._parts(), request.match_info["id"]
        bind_contextvars(job_id=id)
        await parts.admit(parts.job_bound, caller.project, None)
        try:
            job = await parts.retries.request(id, caller.project, now_ms())
        except UnknownJob:
            raise job_not_found(noun) from None
        except JobNotFailed as error:
            raise job_not_failed(error.status) from None
        except TooManyRuns:
            raise too_many_runs(parts.retries.max_runs) from None
        except ConnectionDeleted:
            raise connection_missing() from None
        # Who asks for the job next, and sees it failed as before, would take that for the end of the new run.
        begin_response_deadline(request, parts.visibility.timeout.total_seconds())
        await parts.visibility.wait((JOB_CREATED,))
        body = json_bytes(job_resource(job, parts.signer.urls(job.project, signed=False)))
        return json_answer(task_answer(version, body), 200)

    async def _cancel(self, request: web.Request, caller: Caller, noun: Literal["job", "task"]) -> web.Response:
        id = request.match_info["id"]
        bind_contextvars(job_id=id)
        try:
            cancellation = await self._parts().cancellations.request(id, caller.project, now_ms())
        except UnknownJob:
            raise job_not_found(noun) from None
        except JobEnded as ended:
            raise job_ended(ended.status) from None
        return json_answer(json_bytes(cancellation), 200 if cancellation["status"] == "cancelled" else 202)
