"""Exports the spans of this process while a block runs, where the settings name an endpoint.

Spans wait in a bounded queue, which a thread of the SDK empties. Nothing waits for that thread but the end of the
process, and that for at most `FLUSH_SECONDS`: an endpoint that hangs or is away loses spans and delays nothing. This
module imports no part of OpenTelemetry before an endpoint is known.
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from chassis.core import logs, tracing
from chassis.core.settings import StartRefused

if TYPE_CHECKING:
    from chassis.adapters.telemetry.sdk import SdkTracer

FLUSH_SECONDS = 1.0
"""For the last spans at the end of the process."""

log = logs.get_logger(__name__)


class TracingUnavailable(StartRefused):
    """The settings ask for traces, and the packages for them are not installed."""


@contextmanager
def exporting(endpoint: str | None, *, flush_s: float = FLUSH_SECONDS) -> Iterator[None]:
    """Spans go to the OTLP endpoint (a complete URL, HTTP with protobuf) while the block runs. None: no spans.

    Raises TracingUnavailable.
    """
    if endpoint is None:
        yield
        return
    tracer = _tracer(endpoint)
    log.info("tracing_started", endpoint=endpoint)
    tracing.use(tracer)
    try:
        yield
    finally:
        tracing.use(None)
        _close(tracer, flush_s)


def _tracer(endpoint: str) -> "SdkTracer":
    try:
        from chassis.adapters.telemetry.sdk import SdkTracer
    except ModuleNotFoundError as error:
        raise TracingUnavailable(
            f"OTEL_EXPORTER_OTLP_ENDPOINT is set, and the package {error.name} is missing: "
            "install the extra bitmill[tracing], or unset the variable"
        ) from None
    return SdkTracer(endpoint)


def _close(tracer: "SdkTracer", flush_s: float) -> None:
    # In a thread that does not keep the process alive: the SDK's own waits for an answer of the endpoint.
    closing = threading.Thread(target=tracer.close, name="close tracing", daemon=True)
    closing.start()
    closing.join(flush_s)
    if closing.is_alive():
        log.warning("tracing_flush_timed_out", seconds=flush_s)
