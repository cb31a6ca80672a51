"""The middleware of every request: request id, errors rendered as JSON, access log event, latency metric.

One middleware does all of it, because each further one costs every request another coroutine.
"""

import logging
import time
from collections.abc import Mapping
from types import MappingProxyType

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware
from structlog.contextvars import bind_contextvars

from chassis.adapters.failure_policy import describe, is_outage
from chassis.adapters.http.body_deadline import BodyTimeout, begin_body_deadline
from chassis.adapters.http.errors import (
    ApiError,
    ErrorStyle,
    internal_error,
    invalid_http,
    method_not_allowed,
    not_found,
    payload_too_large,
    request_timeout,
    style_for,
    unavailable,
)
from chassis.adapters.http.json_body import json_response
from chassis.adapters.http.rate_limit import set_rate_headers
from chassis.adapters.http.response_deadline import end_response_deadline
from chassis.adapters.http.server_span import server_span, show_status
from chassis.core import logs
from chassis.core.ids import new_id
from chassis.core.metrics import histogram
from chassis.core.tracing import Span
from schemas.api import MAX_BODY_BYTES
from schemas.faults import RequestFault

REQUEST_ID = web.RequestKey("request_id", str)
"""Key under which every request carries its id, such as `req_01h455vb4pex5vsknk084sn02q`."""
OUTAGE_RETRY_AFTER_SECONDS = 2
"""`Retry-After` of a 503: long enough for a pool to reconnect, short enough that a first retry often succeeds."""
_STARTED = web.RequestKey("response_started", bool)
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
_POLLED = frozenset({"/livez", "/readyz", "/metrics"})
"""Probes and scrapers request these every second: their access events are logged at level debug."""
_CLIENT_DISCONNECTED = 499
"""The status for the log and the metrics (nginx's number) if the client went away before the response."""

_CLOSED_AFTER = frozenset({"request_timeout", "invalid_http"})
"""Errors after which the bytes that follow cannot be told from the rest of the request."""

log = logs.get_logger(__name__)


def request_middleware(
    styles: Mapping[str, ErrorStyle], body_s: float, services: Mapping[tuple[str, str], str] = MappingProxyType({})
) -> Middleware:
    """The middleware; `styles` maps path prefixes to the style of error bodies below them.

    A request's body has to arrive within `body_s` seconds. `services` are the names of services by method and pattern
    of their routes, which may be added until the first request.
    """
    latency = histogram(
        "bitmill_http_request_seconds", "Time from a request to its response.", ("method", "route", "status")
    )

    @web.middleware
    async def middleware(request: web.Request, handler: Handler) -> web.StreamResponse:
        request_id = request[REQUEST_ID] = new_id("req")
        bind_contextvars(request_id=request_id)
        with server_span(request, services, request_id) as span:
            return await respond(request, handler, request_id, span)

    async def respond(request: web.Request, handler: Handler, request_id: str, span: Span) -> web.StreamResponse:
        started = time.perf_counter()
        deadline = begin_body_deadline(request, body_s)
        status = _CLIENT_DISCONNECTED
        try:
            response = await _handle(request, handler, styles, request_id)
            status = response.status
            return response
        finally:
            if deadline is not None:
                deadline.cancel()
            show_status(span, status)
            seconds = time.perf_counter() - started
            latency.labels(_method(request), _route(request), status).observe(seconds)
            level = logging.DEBUG if request.path in _POLLED else logging.INFO
            # The raw path is percent-encoded, so that no client can forge a log line; the query string is left out.
            path = request.rel_url.raw_path
            log.log(level, "http_request", method=request.method, path=path, status=status, ms=round(seconds * 1000, 1))

    return middleware


async def set_response_headers(request: web.Request, response: web.StreamResponse) -> None:
    """Sets the headers of every response, streamed ones included (an `on_response_prepare` signal)."""
    request[_STARTED] = True
    end_response_deadline(request)
    set_rate_headers(request, response)
    # A response of the connection, which no middleware has seen, has set it already.
    response.headers.setdefault("X-Request-Id", request.get(REQUEST_ID, ""))
    response.headers["X-Content-Type-Options"] = "nosniff"
    # aiohttp's own value would reveal the versions of aiohttp and Python.
    response.headers["Server"] = "bitmill"


async def _handle(
    request: web.Request, handler: Handler, styles: Mapping[str, ErrorStyle], request_id: str
) -> web.StreamResponse:
    try:
        return await handler(request)
    except ApiError as raised:
        error = raised
    except web.HTTPException as raised:
        if raised.status < 400:
            raise
        error = _from_router(request, raised)
    except Exception as raised:
        if request.get(_STARTED):
            # Part of the response has been sent: only a closed connection tells the client that it is incomplete.
            if not isinstance(raised, ConnectionError):
                log.exception("http_response_aborted")
            raise
        if isinstance(raised, ConnectionError) and raised is request.content.exception():
            raise  # the client closed the connection while its body was read
        error = _from_exception(raised)
    if request.get(_STARTED):
        raise ConnectionAbortedError("an ApiError was raised after the response had started")
    return _render(request, error, styles, request_id)


def _from_exception(error: Exception) -> ApiError:
    if isinstance(error, BodyTimeout):
        return request_timeout(error.seconds)
    if isinstance(error, web.RequestPayloadError):
        return invalid_http()
    if is_outage(error):
        log.warning("http_request_unavailable", error=describe(error))
        return unavailable(OUTAGE_RETRY_AFTER_SECONDS)
    log.error("http_request_failed", exc_info=error)
    return internal_error()


def _from_router(request: web.Request, raised: web.HTTPException) -> ApiError:
    if isinstance(raised, web.HTTPMethodNotAllowed):
        return method_not_allowed(request.method, list(raised.allowed_methods))
    if raised.status == 404:
        return not_found()
    if raised.status == 413:
        return payload_too_large(MAX_BODY_BYTES)
    kind: RequestFault = "unsupported_media_type" if raised.status == 415 else "invalid_input"
    return ApiError(raised.status, kind, f"{raised.reason}.")


def _render(request: web.Request, error: ApiError, styles: Mapping[str, ErrorStyle], request_id: str) -> web.Response:
    body = style_for(request.path, styles)(request, error, request_id)
    response = json_response(body, status=error.status, headers=error.headers)
    if error.kind in _CLOSED_AFTER:
        response.force_close()
    return response


def _method(request: web.Request) -> str:
    return request.method if request.method in _METHODS else "other"


def _route(request: web.Request) -> str:
    # The route's pattern, not the path: ids in a label would make the number of time series unbounded.
    resource = request.match_info.route.resource
    return resource.canonical if resource is not None else "none"
