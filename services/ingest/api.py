"""HTTP in: jobs, tasks and media items, and cancelling. Handlers validate, call a use case and render the response."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Literal

from aiohttp import web
from structlog.contextvars import bind_contextvars

from chassis.adapters.egress.policy import EgressPolicy
from chassis.adapters.http.auth import CALLER, Caller, KeyStore, authenticated
from chassis.adapters.http.errors import ApiError, invalid_input
from chassis.adapters.http.json_body import json_bytes, read_json
from chassis.adapters.http.middleware import REQUEST_ID
from chassis.adapters.http.response_deadline import begin_response_deadline
from chassis.core.encryption import Keyring
from chassis.core.ids import new_id, now_ms
from schemas.delivery import DeliverySigner
from schemas.envelope import MediaErrorEnvelope, RequestInfo, envelope, error_envelope
from schemas.ids import Prefix
from schemas.job_resource import job_resource
from schemas.keys import ApiKey
from schemas.media import MediaItem
from schemas.media_resource import media_resource
from schemas.projects import Project
from services.ingest import idempotency, transitions
from services.ingest.cancellations import Cancellations, JobEnded, UnknownJob
from services.ingest.errors import NameTaken, job_ended, job_not_found, name_taken, queue_full
from services.ingest.idempotency import IdempotencyKey, IdempotentResponses
from services.ingest.import_waiter import CatalogVisibility, ImportWaiter
from services.ingest.jobs import JobWriter, jobs_accepted, new_job
from services.ingest.media_items import MediaWriter, media_accepted
from services.ingest.queue_bounds import QueueBound, QueueFull
from services.ingest.requests import job_request, media_request, task_request

REPLAYED = {"Idempotent-Replayed": "true"}


@dataclass(frozen=True)
class ApiParts:
    """What the handlers use. `public_base` is the API's public address; `signer` gives the addresses of files.

    `find_key` gives the API key with a hash, `find_project` the project with an id. `keyring` encrypts addresses.
    """

    jobs: JobWriter
    media: MediaWriter
    cancellations: Cancellations
    job_bound: QueueBound
    media_bound: QueueBound
    responses: IdempotentResponses
    waiter: ImportWaiter
    visibility: CatalogVisibility
    egress: EgressPolicy
    public_base: str
    signer: DeliverySigner
    keyring: Keyring | None
    find_key: Callable[[str], Awaitable[ApiKey | None]]
    find_project: Callable[[str], Awaitable[Project | None]]


class Api:
    """The handlers. `parts` is called at each request, because routes are declared before the service is open."""

    def __init__(self, parts: Callable[[], ApiParts]) -> None:
        self._parts = parts

    def routes(self, keys: KeyStore) -> list[web.RouteDef]:
        return [
            web.post("/jobs", authenticated(keys, self.create_job)),
            web.post("/tasks", authenticated(keys, self.create_task)),
            web.post("/media", authenticated(keys, self.create_media)),
            web.post("/jobs/{id}/cancel", authenticated(keys, self.cancel_job)),
            web.delete("/jobs/{id}", authenticated(keys, self.cancel_job)),
            web.post("/tasks/{id}/cancel", authenticated(keys, self.cancel_task)),
            web.delete("/tasks/{id}", authenticated(keys, self.cancel_task)),
        ]

    async def create_job(self, request: web.Request, caller: Caller) -> web.Response:
        """POST /jobs."""
        return await self._create_job(request, caller, "job")

    async def create_task(self, request: web.Request, caller: Caller) -> web.Response:
        """POST /tasks: the older name of POST /jobs, for bodies whose input is a string."""
        return await self._create_job(request, caller, "task")

    async def _create_job(self, request: web.Request, caller: Caller, prefix: Prefix) -> web.Response:
        parts = self._parts()
        data = await read_json(request)
        body = job_request(data, parts.egress) if prefix == "job" else task_request(data, parts.egress)
        at = now_ms()
        key = idempotency_key(request, data, at)
        job = new_job(body, id=new_id(prefix), project=caller.project, at=at, keyring=parts.keyring)
        bind_contextvars(job_id=job.id)
        await self._admit(parts.job_bound, caller.project, key)
        response = json_bytes(job_resource(job, parts.signer.urls(job.project, signed=False)))
        if key is None:
            await parts.jobs.accept(job)
        elif not await parts.jobs.accept_once(job, key, response):
            return _json(await parts.responses.replay_job(key, caller.project), 200, REPLAYED)
        jobs_accepted.labels("ingest", "http").inc()
        return _json(response, 201)

    async def cancel_job(self, request: web.Request, caller: Caller) -> web.Response:
        """POST /jobs/{id}/cancel and DELETE /jobs/{id}: 200 if the job has been stopped by now, 202 if it will be."""
        return await self._cancel(request, caller, "job")

    async def cancel_task(self, request: web.Request, caller: Caller) -> web.Response:
        """The same below /tasks."""
        return await self._cancel(request, caller, "task")

    async def _cancel(self, request: web.Request, caller: Caller, noun: Literal["job", "task"]) -> web.Response:
        id = request.match_info["id"]
        bind_contextvars(job_id=id)
        try:
            cancellation = await self._parts().cancellations.request(id, caller.project, now_ms())
        except UnknownJob:
            raise job_not_found(noun) from None
        except JobEnded as ended:
            raise job_ended(ended.status) from None
        return _json(json_bytes(cancellation), 200 if cancellation["status"] == "cancelled" else 202)

    async def create_media(self, request: web.Request, caller: Caller) -> web.Response:
        """POST /media: responds once the item can be read from the catalog, or with what is known after the wait.

        An item whose file cannot be fetched is a regular response: 200 with `status: failed` and the reason in `error`.
        """
        parts = self._parts()
        data = await read_json(request)
        body = media_request(data, parts.egress)
        at = now_ms()
        key = idempotency_key(request, data, at)
        item = transitions.accepted(body, id=new_id("med"), project=caller.project, at=at)
        bind_contextvars(media_id=item.id)

        await self._admit(parts.media_bound, caller.project, key)
        project = await parts.find_project(caller.project)
        urls = parts.signer.urls(caller.project, signed=project is not None and project.signed)

        def render(item: MediaItem) -> bytes:
            info = _request_info(request, caller.project, parts.public_base, request[REQUEST_ID])
            return json_bytes(envelope(info, media_resource(item, urls)))

        with parts.waiter.expect(caller.project, item.id):
            try:
                accepted = await parts.media.accept(item, body.url, key)
            except NameTaken:
                raise name_taken(body.folder, body.filename or "") from None
            if key is not None and not accepted:
                return _json(await parts.responses.replay_media(key, caller.project, render, at), 200, REPLAYED)
            media_accepted.labels("ingest", "http").inc()
            begin_response_deadline(request, (parts.waiter.timeout + parts.visibility.timeout).total_seconds())
            item = await parts.waiter.wait(item.id) or item
            if item.status != "processing":
                await parts.visibility.wait()
        response = render(item)
        if key is not None:
            response = await parts.responses.keep(key, caller.project, item.id, response)
        return _json(response, 200)

    async def _admit(self, bound: QueueBound, project: str, key: IdempotencyKey | None) -> None:
        """ApiError 429 where the project has too much unfinished work, unless it repeats a request."""
        try:
            await bound.admit(project)
        except QueueFull as full:
            if key is None or not await self._parts().responses.is_known(key, project):
                raise queue_full(full) from None


def idempotency_key(request: web.Request, data: object, at: int) -> IdempotencyKey | None:
    """The key in the header Idempotency-Key, if there is one. ApiError 400 where it is invalid."""
    try:
        key = idempotency.key_from_headers(request.headers.getall("Idempotency-Key", []))
    except idempotency.InvalidIdempotencyKey as error:
        raise invalid_input([error.fault]) from None
    return None if key is None else idempotency.request_key(request.path, key, data, at)


def media_error_style(public_base: str) -> Callable[[web.Request, ApiError, str], MediaErrorEnvelope]:
    """Renders the errors of /media in the envelope."""

    def style(request: web.Request, error: ApiError, request_id: str) -> MediaErrorEnvelope:
        caller = request.get(CALLER)
        info = _request_info(request, caller.project if caller else None, public_base, request_id)
        return error_envelope(info, status=error.status, kind=error.kind, message=error.message, errors=error.faults)

    return style


def _request_info(request: web.Request, project: str | None, public_base: str, id: str) -> RequestInfo:
    return RequestInfo(id=id, method=request.method, host=public_base, path=request.path, project=project)


def _json(body: bytes, status: int, headers: dict[str, str] | None = None) -> web.Response:
    return web.Response(body=body, status=status, headers=headers, content_type="application/json")
