"""HTTP in: jobs and media items as customers see them."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, TypeVar

from aiohttp import web
from structlog.contextvars import bind_contextvars

from chassis.adapters.http.api_version import VARIES, named_version, requested_version
from chassis.adapters.http.auth import CALLER, Caller, KeyStore, authenticated
from chassis.adapters.http.errors import ApiError, default_style, invalid_input
from chassis.adapters.http.json_body import json_response
from chassis.adapters.http.middleware import REQUEST_ID
from chassis.core.ids import now_ms
from schemas.delivery import DeliveryUrls
from schemas.envelope import Page, RequestInfo, envelope, error_envelope, list_envelope
from schemas.job_resource import JobResource, job_resource, step_resource
from schemas.jobs import Job
from schemas.keys import ApiKey
from schemas.media_resource import media_etag, media_resource, names_etag
from schemas.v2025_08_20 import media, tasks
from schemas.versions import DEFAULT, Version
from services.catalog import paging
from services.catalog.delivery import Delivery
from services.catalog.errors import job_not_found, media_not_found, task_not_found
from services.catalog.filters import (
    MediaFilter,
    QueryError,
    jobs_query,
    media_filter,
    media_page,
    no_parameters,
    parse_query_string,
    tasks_page,
)
from services.catalog.lookup import Lookup
from services.catalog.queries import Queries

Query = TypeVar("Query")


class Api:
    """The routes of `/jobs`, `/tasks` and `/media`.

    `lookup` and `queries` return what is open while the service runs. `keys` are known keys; one that is not among
    them is looked up by `lookup`, because it may have been made a moment ago. `public_url` is where customers reach the
    API, `delivery` gives the addresses of files. `client` names the client of a request whose project is not known yet;
    `as_it_is_now` gives a known key with its revocation, which may be here before its event;
    `queue_position` that of a job, if it is known.
    """

    def __init__(
        self,
        lookup: Callable[[], Lookup],
        queries: Callable[[], Queries],
        keys: KeyStore,
        public_url: str,
        delivery: Delivery,
        client: Callable[[web.Request], str],
        as_it_is_now: Callable[[ApiKey], Awaitable[ApiKey]],
        queue_position: Callable[[str], int | None],
    ) -> None:
        self._lookup = lookup
        self._queries = queries
        self._keys = keys
        self._public_url = public_url.rstrip("/")
        self._delivery = delivery
        self._client = client
        self._as_it_is_now = as_it_is_now
        self._queue_position = queue_position

    def routes(self) -> list[web.RouteDef]:
        return [
            web.get("/jobs", self.authenticated(self.list_jobs)),
            web.get("/tasks", self.authenticated(self.list_tasks)),
            web.get("/jobs/{id}", self.authenticated(self.get_job)),
            web.get("/tasks/{id}", self.authenticated(self.get_task)),
            web.get("/media", self.authenticated(self.list_media)),
            web.get("/media/{id}", self.authenticated(self.get_media)),
        ]

    async def get_job(self, request: web.Request, caller: Caller) -> web.Response:
        return await self._job(request, caller, job_not_found)

    async def get_task(self, request: web.Request, caller: Caller) -> web.Response:
        """A job or task that `POST /tasks` made, or a step of a job."""
        version = requested_version(request)
        return await self._job(request, caller, task_not_found, version, VARIES)

    async def list_tasks(self, request: web.Request, caller: Caller) -> web.Response:
        """As `list_jobs`; version 2025-08-20 has numbered pages."""
        if requested_version(request) == DEFAULT:
            return await self.list_jobs(request, caller)
        _, query = parse_query(request, tasks_page)
        page, jobs = await self._queries().jobs_page(caller.project, query)
        urls = await self._delivery.urls(caller.project)
        resources = [tasks.task(self._job_resource(job, urls)) for job in jobs]
        url = self._public_url + request.path
        more = bool(page.ids) and page.later
        return json_response(resources, headers=paging.numbered_headers(query.page, query.limit, more, url) | VARIES)

    async def list_jobs(self, request: web.Request, caller: Caller) -> web.Response:
        parameters, query = parse_query(request, jobs_query)
        page, jobs = await self._queries().jobs(caller.project, query)
        url = self._public_url + request.path
        urls = await self._delivery.urls(caller.project)
        resources = [self._job_resource(job, urls) for job in jobs]
        return json_response(resources, headers=paging.headers(page, query, parameters, url))

    async def list_media(self, request: web.Request, caller: Caller) -> web.Response:
        if requested_version(request) != DEFAULT:
            return await self._list_media_20250820(request, caller)
        parameters, filter = parse_query(request, media_filter)
        found = await self._queries().media(caller.project, filter)
        kept = [(name, value) for name, value in parameters if name != "page"]
        page = Page(filter.query.page, filter.query.limit, found.total, filter.described, kept)
        urls = await self._delivery.urls(caller.project)
        data = [media_resource(item, urls) for item in found.items]
        return json_response(list_envelope(self._request_info(request, caller.project), data, page))

    async def _list_media_20250820(self, request: web.Request, caller: Caller) -> web.Response:
        _, query = parse_query(request, media_page)
        found = await self._queries().media(caller.project, MediaFilter(query=query))
        urls = await self._delivery.urls(caller.project)
        data = [media.media(media_resource(item, urls), item.alt) for item in found.items]
        address = self._public_url + request.path
        more = query.page * query.limit < found.total
        return json_response(data, headers=paging.numbered_headers(query.page, query.limit, more, address) | VARIES)

    async def get_media(self, request: web.Request, caller: Caller) -> web.Response:
        version, id = requested_version(request), request.match_info["id"]
        bind_contextvars(media_id=id)
        parse_query(request, no_parameters)
        item = await self._lookup().media_item(id, caller.project)
        if item is None:
            raise media_not_found()
        urls, headers = await self._delivery.urls(caller.project), {"ETag": media_etag(item), **VARIES}
        # The addresses of signed delivery end: whoever asks again needs new ones, whatever the item's version.
        if urls.sign is None and names_etag(request.headers.get("If-None-Match", ""), headers["ETag"], weak=True):
            return web.Response(status=304, headers=headers)
        resource = media_resource(item, urls)
        if version != DEFAULT:
            return json_response(media.media(resource, item.alt), headers=headers)
        return json_response(envelope(self._request_info(request, caller.project), resource), headers=headers)

    def media_error(self, request: web.Request, error: ApiError, request_id: str) -> Mapping[str, Any]:
        """The body of errors below `/media`: the envelope, where the version has one (an `ErrorStyle`)."""
        if named_version(request) != DEFAULT:
            return default_style(request, error, request_id)
        caller = request.get(CALLER)  # None where the error comes from before the authentication
        project = caller.project if caller is not None else None
        info = RequestInfo(request_id, request.method, self._public_url, request.path, project)
        return error_envelope(info, status=error.status, kind=error.kind, message=error.message, errors=error.faults)

    async def _job(
        self,
        request: web.Request,
        caller: Caller,
        not_found: Callable[[], ApiError],
        version: Version = DEFAULT,
        headers: Mapping[str, str] | None = None,
    ) -> web.Response:
        id = request.match_info["id"]
        bind_contextvars(job_id=id)
        parse_query(request, no_parameters)
        lookup = self._lookup()
        find = lookup.job if not_found is job_not_found else lookup.job_of_task
        job = await find(id, caller.project)
        if job is None:
            raise not_found()
        urls = await self._delivery.urls(caller.project)
        resource: Any = self._job_resource(job, urls) if job.id == id else step_resource(job, id, urls)
        return json_response(resource if version == DEFAULT else tasks.task(resource), headers=headers)

    def _job_resource(self, job: Job, urls: DeliveryUrls) -> JobResource:
        return job_resource(job, urls, at=now_ms(), queue_position=self._queue_position(job.id))

    def authenticated(
        self, handler: Callable[[web.Request, Caller], Awaitable[web.StreamResponse]]
    ) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
        """A route's handler: `handler` for requests with a valid key."""

        async def authenticate(request: web.Request) -> web.StreamResponse:
            keys = _ClientKeys(self._keys, self._lookup, self._client(request), self._as_it_is_now)
            return await authenticated(keys, handler)(request)

        return authenticate

    def _request_info(self, request: web.Request, project: str) -> RequestInfo:
        return RequestInfo(request[REQUEST_ID], request.method, self._public_url, request.path, project)


class _ClientKeys:
    """The KeyStore for the requests of one client: known keys, and those that are projected within a moment."""

    def __init__(
        self,
        known: KeyStore,
        lookup: Callable[[], Lookup],
        party: str,
        as_it_is_now: Callable[[ApiKey], Awaitable[ApiKey]],
    ) -> None:
        self._known = known
        self._lookup = lookup
        self._party = party
        self._as_it_is_now = as_it_is_now

    async def count(self, caller: Caller) -> Mapping[str, str]:
        return await self._known.count(caller)

    async def find(self, hash: str) -> ApiKey | None:
        async with self._lookup().anonymous(self._party):
            key = await self._known.find(hash)
        if key is None:
            key = await self._lookup().key(hash, self._party)
        return key if key is None or key.revoked_at is not None else await self._as_it_is_now(key)


def parse_query(
    request: web.Request, parse: Callable[[list[tuple[str, str]]], Query]
) -> tuple[list[tuple[str, str]], Query]:
    """The parameters as they were sent, and what `parse` makes of them. Raises ApiError 400."""
    try:
        parameters = parse_query_string(request.rel_url.raw_query_string)
        return parameters, parse(parameters)
    except QueryError as error:
        raise invalid_input(error.faults) from None
