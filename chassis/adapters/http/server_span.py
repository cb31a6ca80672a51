"""The span of a request: in the trace of the caller where it sent a valid `traceparent`, otherwise in a new one."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from aiohttp import web

from chassis.core import tracing
from chassis.core.trace_context import TRACEPARENT, parse
from chassis.core.tracing import Span


@contextmanager
def server_span(request: web.Request, services: Mapping[tuple[str, str], str], request_id: str) -> Iterator[Span]:
    """The block belongs to the request's trace. Only requests for a service have a span: probes and scrapes do not.

    `services` are the names of services by method and pattern of their routes. A path may name a customer's file, so
    only the pattern is an attribute. A header that came twice is not valid.
    """
    headers = request.headers.getall(TRACEPARENT, ())
    parent = parse(headers[0]) if len(headers) == 1 else None
    resource = request.match_info.route.resource
    route = "" if resource is None else resource.canonical
    method = "GET" if request.method == "HEAD" else request.method
    service = services.get((request.method, route)) or services.get((method, route)) or services.get(("*", route))
    with tracing.continued(parent):
        if service is None:
            yield Span()
            return
        attributes: tracing.Attributes = {
            "http.request.method": request.method,
            "http.route": route,
            "http.request_id": request_id,
        }
        with tracing.span(f"{request.method} {route}", kind="server", attributes=attributes, service=service) as span:
            yield span


def show_status(span: Span, status: int) -> None:
    """The status of the response; those of our own failures mark the span as failed."""
    span.set("http.response.status_code", status)
    if status >= 500:
        span.fail(f"HTTP status {status}")
