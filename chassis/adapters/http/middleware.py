"""What happens around every request: an id, one voice for refusals, one access event, one measurement.

One middleware, because each further one costs every request a coroutine more.
"""

import time
from collections.abc import Mapping

import structlog
from aiohttp import web
from aiohttp.typedefs import Handler, Middleware
from structlog.contextvars import bind_contextvars

from chassis.adapters.failure_policy import is_outage
from chassis.adapters.http.errors import (
    ApiError,
    ErrorStyle,
    internal_error,
    method_not_allowed,
    not_found,
    style_for,
    unavailable,
)
from chassis.adapters.http.json_body import json_bytes
from chassis.core.ids import new_id
from chassis.core.metrics import histogram
from schemas.faults import RequestFault

REQUEST_ID = web.RequestKey("request_id", str)
"""Key under which a request carries its id."""
OUTAGE_RETRY_AFTER_SECONDS = 2
"""`Retry-After` of a 503: long enough for a pool to reconnect, short enough that a first retry often succeeds."""
_STARTED = web.RequestKey("response_started", bool)
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
_QUIET = frozenset({"/livez", "/readyz", "/metrics"})
"""RequestInfo every second by machines: their access events are for debugging only."""

log = structlog.get_logger(__name__)


def around(styles: Mapping[str, ErrorStyle]) -> Middleware:
    """The middleware; `styles` says below which path prefixes refusals look different."""
    latency = histogram(
        "bitmill_http_request_seconds", "Time from a request to its answer.", ("method", "route", "status")
    )

    @web.middleware
    async def middleware(request: web.Request, handler: Handler) -> web.StreamResponse:
        began = time.perf_counter()
        request_id = request[REQUEST_ID] = new_id("req")
        bind_contextvars(request_id=request_id)
        status = 499  # the client went away; nothing else leaves this block without an answer
        try:
            response = await _answered(request, handler, styles, request_id)
            status = response.status
            return response
        finally:
            seconds = time.perf_counter() - began
            latency.labels(_method(request), _route(request), status).observe(seconds)
            event = log.debug if request.path in _QUIET else log.info
            # The raw path: percent-encoded, so that nobody writes lines of their own into the log; no query string.
            path = request.rel_url.raw_path
            event("request", method=request.method, path=path, status=status, ms=round(seconds * 1000, 1))

    return middleware


async def mark_response(request: web.Request, response: web.StreamResponse) -> None:
    """Puts the headers of every answer on, streamed ones included (an `on_response_prepare` signal)."""
    request[_STARTED] = True
    response.headers["X-Request-Id"] = request.get(REQUEST_ID, "")
    response.headers["X-Content-Type-Options"] = "nosniff"
    # Instead of aiohttp's own, which tells versions.
    response.headers["Server"] = "bitmill"


async def _answered(
    request: web.Request, handler: Handler, styles: Mapping[str, ErrorStyle], request_id: str
) -> web.StreamResponse:
    try:
        return await handler(request)
    except ApiError as raised:
        refusal = raised
    except web.HTTPException as raised:
        if raised.status < 400:
            raise
        refusal = _from_router(request, raised)
    except Exception as error:
        if request.get(_STARTED):
            # Half an answer is out: the connection has to break, so that nobody takes it for a whole one.
            if not isinstance(error, ConnectionError):
                log.exception("answer broken off")
            raise
        refusal = _from_fault(error)
    if request.get(_STARTED):
        raise ConnectionAbortedError("refused after the answer had begun")
    return _rendered(request, refusal, styles, request_id)


def _from_fault(error: Exception) -> ApiError:
    if is_outage(error):
        log.warning("unavailable", reason=f"{type(error).__name__}: {error}")
        return unavailable(OUTAGE_RETRY_AFTER_SECONDS)
    log.error("unhandled error", exc_info=error)
    return internal_error()


def _from_router(request: web.Request, raised: web.HTTPException) -> ApiError:
    if isinstance(raised, web.HTTPMethodNotAllowed):
        return method_not_allowed(request.method, list(raised.allowed_methods))
    if raised.status == 404:
        return not_found()
    kind: RequestFault = "payload_too_large" if raised.status == 413 else "invalid_input"
    return ApiError(raised.status, kind, f"{raised.reason}.")


def _rendered(
    request: web.Request, refusal: ApiError, styles: Mapping[str, ErrorStyle], request_id: str
) -> web.Response:
    body = json_bytes(style_for(request.path, styles)(request, refusal, request_id))
    return web.Response(body=body, status=refusal.status, headers=refusal.headers, content_type="application/json")


def _method(request: web.Request) -> str:
    return request.method if request.method in _METHODS else "other"


def _route(request: web.Request) -> str:
    # The pattern and not the path: a label with ids in it would grow without end.
    resource = request.match_info.route.resource
    return resource.canonical if resource is not None else "none"
