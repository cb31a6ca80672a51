"""Traces: which trace the running code belongs to, and the spans of its steps.

The context is kept and passed on (HTTP, records, rows of outbox and job queue) whether or not this process exports
spans. Without a tracer a span is nothing but that: no library is imported, nothing is measured. With one
(`chassis.adapters.telemetry`) each step becomes a span.

    with tracing.span("fetch", kind="client", attributes={"url.full": url}) as span:
        ...
        span.set("size", size)
"""

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Literal, Protocol, TypeAlias

from structlog.contextvars import get_contextvars

from chassis.core.trace_context import TraceContext, parse

Kind: TypeAlias = Literal["internal", "server", "client", "producer", "consumer"]
Value: TypeAlias = str | bool | int | float
Attributes: TypeAlias = Mapping[str, Value | None]


class StartedSpan(Protocol):
    """A span of a tracer. None of the methods may raise or block."""

    @property
    def context(self) -> TraceContext: ...

    def set(self, name: str, value: Value | None) -> None: ...

    def fail(self, error: BaseException | str) -> None: ...

    def end(self, at_ns: int) -> None: ...


class Tracer(Protocol):
    """Makes spans of a service. `parent` None begins a trace. Times are Unix nanoseconds."""

    def start(
        self,
        service: str,
        name: str,
        kind: Kind,
        parent: TraceContext | None,
        attributes: Attributes,
        at_ns: int,
    ) -> StartedSpan: ...


class Span:
    """The span of a block. Without a tracer its methods do nothing."""

    def __init__(self, started: StartedSpan | None = None) -> None:
        self._started = started

    def set(self, name: str, value: Value | None) -> None:
        """Sets an attribute; None sets nothing."""
        if self._started is not None:
            self._started.set(name, value)

    def fail(self, error: BaseException | str) -> None:
        """Marks the step as failed, where it does not raise."""
        if self._started is not None:
            self._started.fail(error)


_current: ContextVar[TraceContext | None] = ContextVar("trace", default=None)
_of_subjects: ContextVar[Mapping[str, str]] = ContextVar("traces_of_subjects")
_NOTHING = Span()
_tracer: Tracer | None = None


def use(tracer: Tracer | None) -> None:
    """From now on spans of this process go to `tracer`."""
    global _tracer
    _tracer = tracer


def enabled() -> bool:
    """Whether this process makes spans."""
    return _tracer is not None


def current() -> TraceContext | None:
    """The span, or the header of a caller, that the running code belongs to."""
    return _current.get()


def traceparent(subject: str | None = None) -> str | None:
    """The header for what the running code causes; None where it belongs to no trace.

    In a handler of a batch of events: of the event about `subject`, as `subjects` knows it.
    """
    if subject is not None and (found := _of_subjects.get({}).get(subject)) is not None:
        return found
    context = _current.get()
    return None if context is None else context.traceparent


@contextmanager
def subjects(traces: Mapping[str, str]) -> Iterator[None]:
    """In the block `traceparent(subject)` gives the header of each subject: events of one batch have many traces."""
    token = _of_subjects.set(traces)
    try:
        yield
    finally:
        _of_subjects.reset(token)


@contextmanager
def continued(context: TraceContext | None) -> Iterator[None]:
    """The block belongs to `context`, without a span of its own."""
    token = _current.set(context)
    try:
        yield
    finally:
        _current.reset(token)


@contextmanager
def span(
    name: str,
    *,
    kind: Kind = "internal",
    attributes: Attributes | None = None,
    service: str | None = None,
) -> Iterator[Span]:
    """The block as a span below the current one. `service` is that of the log context if not given."""
    if _tracer is None:
        yield _NOTHING
        return
    started = _tracer.start(_service(service), name, kind, _current.get(), attributes or {}, time.time_ns())
    token = _current.set(started.context)
    try:
        yield Span(started)
    except BaseException as error:
        started.fail(error)
        raise
    finally:
        _current.reset(token)
        started.end(time.time_ns())


def record(
    name: str,
    *,
    kind: Kind,
    parent: str | None,
    started_ns: int,
    attributes: Attributes | None = None,
    error: BaseException | str | None = None,
) -> None:
    """A span of something that has ended: from `started_ns` (Unix nanoseconds) until now, below the header `parent`."""
    if _tracer is None:
        return
    started = _tracer.start(_service(None), name, kind, parse(parent), attributes or {}, started_ns)
    if error is not None:
        started.fail(error)
    started.end(time.time_ns())


def begin(name: str, *, kind: Kind, parent: TraceContext | None, attributes: Attributes) -> StartedSpan | None:
    """A span that the caller ends, below `parent`; None without a tracer. For work on many traces at once."""
    if _tracer is None:
        return None
    return _tracer.start(_service(None), name, kind, parent, attributes, time.time_ns())


def _service(given: str | None) -> str:
    return given or str(get_contextvars().get("service", "unknown"))
