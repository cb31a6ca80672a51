"""HTTP in: streams of events of jobs."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import orjson
from aiohttp import web
from structlog.contextvars import bind_contextvars

from chassis.adapters.http.auth import Caller
from chassis.adapters.http.errors import invalid_input
from chassis.core.ids import now_ms
from schemas.explain import render_value
from schemas.faults import FieldFault
from schemas.job_resource import job_resource
from schemas.jobs import Job
from services.catalog.api import parse_query
from services.catalog.delivery import Delivery
from services.catalog.errors import job_not_found, too_many_listeners
from services.catalog.event_buffers import EventBuffer, EventBuffers
from services.catalog.event_history import History
from services.catalog.event_stream import EventStream, StreamTimes, Wanted
from services.catalog.event_text import RESET, event_text, position_text
from services.catalog.filters import events_query, no_parameters
from services.catalog.listeners import Listener, Listeners, TooManyListeners
from services.catalog.lookup import Lookup

_MAX_DIGITS = 18

Handler = Callable[[web.Request, Caller], Awaitable[web.StreamResponse]]
Authenticated = Callable[[Handler], Callable[[web.Request], Awaitable[web.StreamResponse]]]


@dataclass(frozen=True)
class EventParts:
    """What the streams of one running catalog use."""

    lookup: Lookup
    buffers: EventBuffers
    history: History
    listeners: Listeners
    queue_position: Callable[[str], int | None]


class EventsApi:
    """The routes of streams. `authenticated` makes a route of a handler for requests with a valid key."""

    def __init__(
        self, parts: Callable[[], EventParts], authenticated: Authenticated, delivery: Delivery, times: StreamTimes
    ) -> None:
        self._parts = parts
        self._authenticated = authenticated
        self._delivery = delivery
        self._times = times

    def routes(self) -> list[web.RouteDef]:
        return [
            web.get("/events", self._authenticated(self._admitted(self.project_events)), allow_head=False),
            web.get("/jobs/{id}/events", self._authenticated(self._admitted(self.job_events)), allow_head=False),
        ]

    async def project_events(self, request: web.Request, caller: Caller, listener: Listener) -> web.StreamResponse:
        """Everything that happens to the jobs of the project, from now on or after `Last-Event-ID`."""
        _, query = parse_query(request, events_query)
        last = last_event_id(request)
        parts = self._parts()
        buffer = await parts.buffers.find(caller.project)
        with parts.buffers.listening(buffer, listener):
            position, first = buffer.position, position_text(buffer.position)
            if last is not None:
                position, first = await self._resumed(parts, buffer, last)
            wanted = Wanted(kind=query.kind, status=query.status)
            stream = EventStream(request, listener, buffer, parts.history, wanted, position, self._times)
            return await stream.run(first)

    async def job_events(self, request: web.Request, caller: Caller, listener: Listener) -> web.StreamResponse:
        """The job as it is now, then everything that happens to it until it has ended; or after `Last-Event-ID`.

        204, which ends reconnecting, where the job has ended and nothing follows.
        """
        id = request.match_info["id"]
        bind_contextvars(job_id=id)
        parse_query(request, no_parameters)
        last = last_event_id(request)
        parts = self._parts()
        if await parts.lookup.job(id, caller.project) is None:
            raise job_not_found()
        buffer = await parts.buffers.find(caller.project)
        with parts.buffers.listening(buffer, listener):
            known = await parts.history.event_log.job(caller.project, id)
            if known is None:
                raise job_not_found()
            job, position = known
            kept = None if last is None else await parts.history.event_log.kept(caller.project)
            resumes = last is not None and kept is not None and kept.has_all_after(last)
            wanted = Wanted(job_id=id)
            if resumes and last is not None:
                if job.finished and not await parts.history.event_log.of_job(caller.project, id, last, 1):
                    return web.Response(status=204)
                return await EventStream(request, listener, buffer, parts.history, wanted, last, self._times).run(b"")
            stream = EventStream(request, listener, buffer, parts.history, wanted, position, self._times)
            if job.finished:
                stream.end()
            return await stream.run(await self._as_it_is_now(job, position))

    async def _resumed(self, parts: EventParts, buffer: EventBuffer, last: int) -> tuple[int, bytes]:
        """From which position on a stream goes on after `last`, and what it begins with."""
        if last > buffer.position:
            # It comes from another replica, which is ahead of this one, or from before the tables were restored.
            newest = (await parts.history.event_log.kept(buffer.project)).last
            if last > newest:
                return newest, event_text("stream.reset", RESET, newest)
        return last, b""

    async def _as_it_is_now(self, job: Job, position: int) -> bytes:
        urls, place = await self._delivery.urls(job.project), self._parts().queue_position(job.id)
        resource = job_resource(job, urls, at=now_ms(), queue_position=place)
        return event_text(f"job.{job.status}", orjson.dumps(resource), position)

    def _admitted(self, handler: Callable[[web.Request, Caller, Listener], Awaitable[web.StreamResponse]]) -> Handler:
        """The handler with a place among the listeners, from the moment of authentication on."""

        async def handle(request: web.Request, caller: Caller) -> web.StreamResponse:
            try:
                with self._parts().listeners.admit(caller.project, caller.key_id) as listener:
                    return await handler(request, caller, listener)
            except TooManyListeners as error:
                raise too_many_listeners(error.bound, error.limit) from None

        return handle


def last_event_id(request: web.Request) -> int | None:
    """The position in `Last-Event-ID`; None without one. Raises ApiError 400."""
    text = request.headers.get("Last-Event-ID", "").strip()
    if not text:
        return None
    if not (text.isascii() and text.isdigit() and len(text) <= _MAX_DIGITS):
        rule = "must be the id of an event of this project"
        fault = FieldFault(field="Last-Event-ID", rule=rule, value=render_value(text))
        raise invalid_input([fault])
    return int(text)
