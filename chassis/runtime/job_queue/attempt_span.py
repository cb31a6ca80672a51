"""The spans and metrics of a queued item: how long it waited, its claim, and each attempt at it.

All attempts are below the event or the request that queued the item, because its row keeps the trace: also after a
crash of the worker, in another process, and after a retry.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager

from chassis.core import logs, tracing
from chassis.core.metrics import counter, histogram
from chassis.core.trace_context import parse
from chassis.core.tracing import Attributes, Span
from chassis.runtime.job_queue.item import Complete, Outcome, QueueItem

WAIT_BUCKETS = (0.1, 0.5, 1.0, 5.0, 15.0, 60.0, 300.0, 900.0, 3600.0, 14_400.0)
_waits = histogram("bitmill_job_queue_wait_seconds", "From an item's due time to its claim.", buckets=WAIT_BUCKETS)
_attempts = counter(
    "bitmill_job_queue_attempts",
    "Attempts by outcome: done, failed, cancelled, retry, lost (its lease), abandoned (not written).",
    ("service", "outcome"),
)


@contextmanager
def attempt_span(item: QueueItem) -> Iterator[Span]:
    """The attempt as a span in the trace of the item, which begins here where the item has none."""
    with (
        tracing.continued(parse(item.traceparent)),
        tracing.span(f"attempt {item.kind}", kind="consumer", attributes=_attributes(item)) as span,
    ):
        yield span


def record_claim(item: QueueItem, started_ns: int) -> None:
    """The time that the item was due and nobody worked on it, and the claim, which began at `started_ns`."""
    _waits.labels(logs.service()).observe(max(0.0, item.waited_s))
    if item.traceparent is None or not tracing.enabled():
        return
    due_ns = time.time_ns() - int(max(0.0, item.waited_s) * 1e9)
    tracing.record(
        f"queue {item.kind}", kind="internal", parent=item.traceparent, started_ns=due_ns, attributes=_attributes(item)
    )
    tracing.record(
        f"claim {item.kind}",
        kind="internal",
        parent=item.traceparent,
        started_ns=max(started_ns, due_ns),
        attributes=_attributes(item),
    )


def show_outcome(span: Span, outcome: Outcome) -> None:
    """How the attempt ends; one that is to be repeated has failed."""
    count_outcome(outcome.state if isinstance(outcome, Complete) else "retry")
    if isinstance(outcome, Complete):
        span.set("queue.outcome", outcome.state)
        return
    span.set("queue.outcome", "retry")
    span.set("queue.retry_in_s", outcome.delay.total_seconds())
    span.fail(outcome.reason)


def count_outcome(outcome: str) -> None:
    """An attempt has ended."""
    _attempts.labels(logs.service(), outcome).inc()


def _attributes(item: QueueItem) -> Attributes:
    return {
        "queue.item_id": item.id,
        "queue.kind": item.kind,
        "queue.attempt": item.attempt,
        "queue.worker": item.worker,
        "project": item.project,
    }
