"""The tracer on OpenTelemetry's SDK. Imported only where there is an endpoint: it takes 6 MB and 50 ms.

In `bitmill up` the services of one process have a resource each, and share the queue and the exporter.
"""

import time
from collections.abc import Sequence
from functools import cache
from importlib.metadata import PackageNotFoundError, version

from opentelemetry import trace as otel
from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.trace import NonRecordingSpan, SpanContext, SpanKind, Status, StatusCode, TraceFlags

from chassis.core import logs, redact
from chassis.core.ids import new_process_name
from chassis.core.metrics import counter
from chassis.core.trace_context import TraceContext
from chassis.core.tracing import Attributes, Kind, Value

MAX_VALUE_CHARS = 1000
WARNING_EVERY_S = 60.0
_KINDS: dict[Kind, SpanKind] = {
    "internal": SpanKind.INTERNAL,
    "server": SpanKind.SERVER,
    "client": SpanKind.CLIENT,
    "producer": SpanKind.PRODUCER,
    "consumer": SpanKind.CONSUMER,
}

log = logs.get_logger(__name__)
_lost = counter("bitmill_trace_spans_lost", "Spans that the OpenTelemetry endpoint did not take.", ())


class SdkSpan:
    """A span of the SDK. Values are cleaned as those of log events are: no secrets, no query strings of addresses."""

    def __init__(self, span: otel.Span) -> None:
        self._span = span
        found = span.get_span_context()
        self.context = TraceContext(f"{found.trace_id:032x}", f"{found.span_id:016x}", found.trace_flags.sampled)

    def set(self, name: str, value: Value | None) -> None:
        if value is not None:
            self._span.set_attribute(name, _shown(name, value))

    def fail(self, error: BaseException | str) -> None:
        text = error if isinstance(error, str) else str(error)
        if not isinstance(error, str):
            self._span.set_attribute("error.type", type(error).__name__)
        self._span.set_status(Status(StatusCode.ERROR, redact.text(text)[:MAX_VALUE_CHARS]))

    def end(self, at_ns: int) -> None:
        self._span.end(at_ns)


class SdkTracer:
    """Makes spans and exports them to the OTLP endpoint (a complete URL)."""

    def __init__(self, endpoint: str, *, exporter: SpanExporter | None = None) -> None:
        self._processor = BatchSpanProcessor(_Counted(exporter or OTLPSpanExporter(endpoint=endpoint)))
        self._tracer_of = cache(self._new_tracer)
        self._instance = new_process_name()

    def start(
        self,
        service: str,
        name: str,
        kind: Kind,
        parent: TraceContext | None,
        attributes: Attributes,
        at_ns: int,
    ) -> SdkSpan:
        shown = {key: _shown(key, value) for key, value in attributes.items() if value is not None}
        context = otel.set_span_in_context(_remote(parent)) if parent is not None else Context()
        span = self._tracer_of(service).start_span(name, context, _KINDS[kind], shown, start_time=at_ns)
        return SdkSpan(span)

    def close(self) -> None:
        """Exports what is in the queue, and ends the thread of the exporter. Blocks until then."""
        self._processor.shutdown()  # type: ignore[no-untyped-call]

    def _new_tracer(self, service: str) -> otel.Tracer:
        resource = Resource.create(
            {
                "service.name": service,
                "service.namespace": "bitmill",
                "service.version": _version(),
                "service.instance.id": self._instance,
            }
        )
        provider = TracerProvider(resource=resource, shutdown_on_exit=False)
        provider.add_span_processor(self._processor)
        return provider.get_tracer("bitmill")


class _Counted(SpanExporter):
    """An exporter that counts what it loses, and says so once a minute; the SDK would at each batch."""

    def __init__(self, exporter: SpanExporter) -> None:
        self._exporter = exporter
        self._warned_at = float("-inf")

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        try:
            result = self._exporter.export(spans)
        except Exception as error:  # noqa: BLE001 - whatever the HTTP client raises: spans may be lost
            self._count(len(spans), f"{type(error).__name__}: {error}")
            return SpanExportResult.FAILURE
        if result is not SpanExportResult.SUCCESS:
            self._count(len(spans), "the endpoint did not take them")
        return result

    def shutdown(self) -> None:
        self._exporter.shutdown()

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        return self._exporter.force_flush(timeout_millis)

    def _count(self, spans: int, error: str) -> None:
        _lost.inc(spans)
        if time.monotonic() - self._warned_at >= WARNING_EVERY_S:
            self._warned_at = time.monotonic()
            log.warning("trace_export_failed", spans=spans, error=error)


def _remote(parent: TraceContext) -> otel.Span:
    flags = TraceFlags(TraceFlags.SAMPLED if parent.sampled else TraceFlags.DEFAULT)
    context = SpanContext(int(parent.trace_id, 16), int(parent.span_id, 16), is_remote=True, trace_flags=flags)
    return NonRecordingSpan(context)


def _shown(name: str, value: Value) -> Value:
    if not isinstance(value, str):
        return value
    return str(redact.value(name, value))[:MAX_VALUE_CHARS]


def _version() -> str:
    try:
        return version("bitmill")
    except PackageNotFoundError:
        return "0"
