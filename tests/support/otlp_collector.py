"""An OpenTelemetry collector for tests: takes OTLP over HTTP and keeps the spans, read with the library's own types."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)


@dataclass(frozen=True)
class CollectedSpan:
    """One span; ids as hex digits, `parent_id` empty for the first of a trace, times in Unix nanoseconds."""

    service: str
    name: str
    trace_id: str
    span_id: str
    parent_id: str
    attributes: dict[str, Any]
    failed: bool
    message: str
    started_ns: int
    ended_ns: int


@dataclass
class Collector:
    """`endpoint` is the value of OTEL_EXPORTER_OTLP_ENDPOINT. `raw` is every request body, for searching in."""

    endpoint: str = ""
    spans: list[CollectedSpan] = field(default_factory=list)
    raw: bytes = b""

    def trace(self, trace_id: str) -> list[CollectedSpan]:
        return [span for span in self.spans if span.trace_id == trace_id]

    def names(self, trace_id: str) -> set[tuple[str, str]]:
        """Service and name of each span of a trace."""
        return {(span.service, span.name) for span in self.trace(trace_id)}

    async def receive(self, request: web.Request) -> web.Response:
        body = await request.read()
        self.raw += body
        for resource_spans in ExportTraceServiceRequest.FromString(body).resource_spans:
            resource = {each.key: each.value.string_value for each in resource_spans.resource.attributes}
            for scope in resource_spans.scope_spans:
                self.spans += [_span(resource["service.name"], span) for span in scope.spans]
        answer = ExportTraceServiceResponse().SerializeToString()
        return web.Response(body=answer, content_type="application/x-protobuf")


def _span(service: str, span: Any) -> CollectedSpan:
    values = {each.key: getattr(each.value, str(each.value.WhichOneof("value"))) for each in span.attributes}
    return CollectedSpan(
        service=service,
        name=span.name,
        trace_id=span.trace_id.hex(),
        span_id=span.span_id.hex(),
        parent_id=span.parent_span_id.hex(),
        attributes=values,
        failed=span.status.code == 2,
        message=span.status.message,
        started_ns=span.start_time_unix_nano,
        ended_ns=span.end_time_unix_nano,
    )


@asynccontextmanager
async def otlp_collector() -> AsyncIterator[Collector]:
    """A collector on a free port of loopback."""
    collector = Collector()
    app = web.Application(client_max_size=64 * 1024 * 1024)
    app.router.add_post("/v1/traces", collector.receive)
    runner = web.AppRunner(app)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        host, port = runner.addresses[0][:2]
        collector.endpoint = f"http://{host}:{port}"
        yield collector
    finally:
        await runner.cleanup()
