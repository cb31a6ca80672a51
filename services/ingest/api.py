"""HTTP in: POST /jobs, /tasks and /media. Each handler reads, asks a use case, and renders what came of it."""

from collections.abc import Callable
from dataclasses import dataclass

from aiohttp import web
from structlog.contextvars import bind_contextvars, get_contextvars

from chassis.adapters.egress.policy import EgressPolicy
from chassis.adapters.http.auth import Caller, KeyStore, authenticated
from chassis.adapters.http.errors import ApiError, invalid_input
from chassis.adapters.http.json_body import json_bytes, read_json
from chassis.adapters.http.middleware import REQUEST_ID
from chassis.core.ids import new_id, now_ms
from chassis.core.metrics import counter
from schemas.envelope import RequestInfo, envelope, error_envelope
from schemas.ids import Prefix
from schemas.media import MediaItem
from schemas.resources import job_resource, media_resource
from services.ingest import claims, jobs, transitions
from services.ingest.claims import Claim
from services.ingest.errors import NameTaken, name_taken
from services.ingest.items import MediaItems
from services.ingest.readback import Readback
from services.ingest.replays import Replays
from services.ingest.requests import job_request, media_request, task_request
from services.ingest.waiting import Waiting

REPLAYED = {"Idempotent-Replayed": "true"}
jobs_accepted = counter("bitmill_jobs_accepted", "Jobs accepted, by the way they came in.", ("service", "via"))
media_accepted = counter("bitmill_media_accepted", "Media items accepted, by the way they came in.", ("service", "via"))


@dataclass(frozen=True)
class Parts:
    """What the handlers use; there once the service runs."""

    jobs: jobs.Jobs
    items: MediaItems
    replays: Replays
    waiting: Waiting
    readback: Readback
    guard: EgressPolicy
    public_base: str
    delivery_base: str
    media_wait_s: float


class Api:
    """The handlers. `parts` is asked at each request, because routes are declared before the service runs."""

    def __init__(self, parts: Callable[[], Parts]) -> None:
        self._parts = parts

    def routes(self, keys: KeyStore) -> list[web.RouteDef]:
        return [
            web.post("/jobs", authenticated(keys, self.create_job)),
            web.post("/tasks", authenticated(keys, self.create_task)),
            web.post("/media", authenticated(keys, self.create_media)),
        ]

    async def create_job(self, request: web.Request, caller: Caller) -> web.Response:
        """POST /jobs."""
        return await self._accept_job(request, caller, "job")

    async def create_task(self, request: web.Request, caller: Caller) -> web.Response:
        """POST /tasks: the older name of POST /jobs, for bodies whose input is a string."""
        return await self._accept_job(request, caller, "task")

    async def _accept_job(self, request: web.Request, caller: Caller, prefix: Prefix) -> web.Response:
        parts = self._parts()
        data = await read_json(request)
        body = job_request(data, parts.guard) if prefix == "job" else task_request(data, parts.guard)
        at = now_ms()
        claim = claim_of(request, data, at)
        job = jobs.queued(body, id=new_id(prefix), project=caller.project, at=at)
        bind_contextvars(job_id=job.id)
        answer = json_bytes(job_resource(job, parts.delivery_base))
        if claim is None:
            await parts.jobs.accept(job)
        elif not await parts.jobs.accept_once(job, claim, answer):
            return _json(await parts.replays.of_job(claim, caller.project), 200, REPLAYED)
        jobs_accepted.labels("ingest", "http").inc()
        return _json(answer, 201)

    async def create_media(self, request: web.Request, caller: Caller) -> web.Response:
        """POST /media: answers once the item can be read back, or with what is known after the wait.

        An item whose file could not be had is an answer, too: 200 with `status: failed` and the reason in `error`.
        """
        parts = self._parts()
        data = await read_json(request)
        body = media_request(data, parts.guard)
        at = now_ms()
        claim = claim_of(request, data, at)
        media_id = new_id("med")
        bind_contextvars(media_id=media_id)

        def render(item: MediaItem) -> bytes:
            asked = _asked(request, caller.project, parts.public_base)
            return json_bytes(envelope(asked, media_resource(item, parts.delivery_base)))

        item = transitions.accepted(body, id=media_id, project=caller.project, at=at)
        async with parts.waiting.expecting(media_id) as event:
            try:
                accepted = await parts.items.accept(item, body.url, claim)
            except NameTaken:
                raise name_taken(body.folder, body.filename or "") from None
            if claim is not None and not accepted:
                return _json(await parts.replays.of_media(claim, caller.project, render, at), 200, REPLAYED)
            media_accepted.labels("ingest", "http").inc()
            item = await parts.waiting.settled(media_id, event, parts.media_wait_s) or item
            await parts.readback.visible(item, request.headers["Authorization"], parts.media_wait_s)
            answer = render(item)
        if claim is not None:
            answer = await parts.replays.keep(claim, caller.project, media_id, answer)
        return _json(answer, 200)


def claim_of(request: web.Request, data: object, at: int) -> Claim | None:
    """The claim that the header Idempotency-Key makes, if it is there; ApiError 400 where it is unusable."""
    try:
        key = claims.key_of(request.headers.getall("Idempotency-Key", []))
    except claims.BadKey as bad:
        raise invalid_input([bad.fault]) from None
    return None if key is None else claims.by_key(request.path, key, data, at)


def media_errors(public_base: str) -> Callable[[web.Request, ApiError, str], dict[str, object]]:
    """How refusals below /media look: in the envelope."""

    def style(request: web.Request, refusal: ApiError, request_id: str) -> dict[str, object]:
        project = get_contextvars().get("project")
        asked = RequestInfo(id=request_id, method=request.method, host=public_base, path=request.path, project=project)
        return error_envelope(
            asked, status=refusal.status, kind=refusal.kind, message=refusal.message, errors=refusal.faults
        )

    return style


def _asked(request: web.Request, project: str, public_base: str) -> RequestInfo:
    return RequestInfo(
        id=request[REQUEST_ID], method=request.method, host=public_base, path=request.path, project=project
    )


def _json(body: bytes, status: int, headers: dict[str, str] | None = None) -> web.Response:
    return web.Response(body=body, status=status, headers=headers, content_type="application/json")
