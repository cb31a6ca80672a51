"""HTTP in: jobs and media items, as customers see them."""

from collections.abc import Awaitable, Callable
from typing import TypeVar

from aiohttp import web
from structlog.contextvars import bind_contextvars, get_contextvars

from chassis.adapters.http.auth import Caller, KeyStore, authenticated
from chassis.adapters.http.errors import ApiError, invalid_input
from chassis.adapters.http.json_body import json_response
from chassis.adapters.http.middleware import REQUEST_ID
from schemas.envelope import MediaErrorEnvelope, Page, RequestInfo, envelope, error_envelope, list_envelope
from schemas.job_resource import job_resource
from schemas.media_resource import media_resource
from services.catalog import paging
from services.catalog.errors import job_not_found, media_not_found, task_not_found
from services.catalog.filters import Refused, jobs_query, media_filter, none_at_all, read
from services.catalog.reading import Reading

Question = TypeVar("Question")


class Api:
    """The routes of `/jobs`, `/tasks` and `/media`.

    `reading` gives what is open while the service runs. `public_url` is where customers reach the API,
    `delivery_base` where they fetch files.
    """

    def __init__(self, reading: Callable[[], Reading], keys: KeyStore, public_url: str, delivery_base: str) -> None:
        self._reading = reading
        self._keys = keys
        self._public_url = public_url.rstrip("/")
        self._delivery_base = delivery_base

    def routes(self) -> list[web.RouteDef]:
        return [
            web.get("/jobs", self._guarded(self.list_jobs)),
            web.get("/tasks", self._guarded(self.list_jobs)),
            web.get("/jobs/{id}", self._guarded(self.get_job)),
            web.get("/tasks/{id}", self._guarded(self.get_task)),
            web.get("/media", self._guarded(self.list_media)),
            web.get("/media/{id}", self._guarded(self.get_media)),
        ]

    async def get_job(self, request: web.Request, caller: Caller) -> web.Response:
        return await self._job(request, caller, job_not_found)

    async def get_task(self, request: web.Request, caller: Caller) -> web.Response:
        """The same resource: `POST /tasks` with the address of an input makes a job under a `task_` id."""
        return await self._job(request, caller, task_not_found)

    async def list_jobs(self, request: web.Request, caller: Caller) -> web.Response:
        parameters, query = _asked(request, jobs_query)
        page, jobs = await self._reading().jobs(caller.project, query)
        address = self._public_url + request.path
        resources = [job_resource(job, self._delivery_base) for job in jobs]
        return json_response(resources, headers=paging.headers(page, query, parameters, address))

    async def list_media(self, request: web.Request, caller: Caller) -> web.Response:
        parameters, filter = _asked(request, media_filter)
        found = await self._reading().media(caller.project, filter)
        kept = [(name, value) for name, value in parameters if name != "page"]
        page = Page(filter.asked.page, filter.asked.limit, found.total, filter.shown, kept)
        data = [media_resource(item, self._delivery_base) for item in found.items]
        return json_response(list_envelope(self._about(request, caller.project), data, page))

    async def get_media(self, request: web.Request, caller: Caller) -> web.Response:
        id = request.match_info["id"]
        bind_contextvars(media_id=id)
        _no_parameters(request)
        item = await self._reading().media_item(id, caller.project)
        if item is None:
            raise media_not_found()
        return json_response(envelope(self._about(request, caller.project), media_resource(item, self._delivery_base)))

    def refused_media(self, request: web.Request, refusal: ApiError, request_id: str) -> MediaErrorEnvelope:
        """How refusals below `/media` look: the envelope, whoever refused (an `ErrorStyle`)."""
        # Whoever identified the caller bound the project for the log; the refusal may come from before that.
        project = get_contextvars().get("project")
        about = RequestInfo(request_id, request.method, self._public_url, request.path, project)
        return error_envelope(
            about, status=refusal.status, kind=refusal.kind, message=refusal.message, errors=refusal.faults
        )

    async def _job(self, request: web.Request, caller: Caller, missing: Callable[[], ApiError]) -> web.Response:
        id = request.match_info["id"]
        bind_contextvars(job_id=id)
        _no_parameters(request)
        job = await self._reading().job(id, caller.project)
        if job is None:
            raise missing()
        return json_response(job_resource(job, self._delivery_base))

    def _guarded(
        self, handler: Callable[[web.Request, Caller], Awaitable[web.Response]]
    ) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
        return authenticated(self._keys, handler)

    def _about(self, request: web.Request, project: str) -> RequestInfo:
        return RequestInfo(request[REQUEST_ID], request.method, self._public_url, request.path, project)


def _asked(
    request: web.Request, parse: Callable[[list[tuple[str, str]]], Question]
) -> tuple[list[tuple[str, str]], Question]:
    """The parameters as they were sent, and the question that they ask; a ApiError 400 where they break a rule."""
    try:
        parameters = read(request.rel_url.raw_query_string)
        return parameters, parse(parameters)
    except Refused as refused:
        raise invalid_input(refused.faults) from None


def _no_parameters(request: web.Request) -> None:
    _asked(request, none_at_all)
