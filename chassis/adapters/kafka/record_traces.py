"""The traces of the records that a handler is called with: one call may handle records of many traces."""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from aiokafka import ConsumerRecord

from chassis.adapters.kafka.record_decoder import ReceivedRecord
from chassis.core import tracing
from chassis.core.trace_context import TRACEPARENT, TraceContext, parse
from chassis.core.tracing import StartedSpan
from schemas.topics import Topic

_SHOWN_HEADERS = {
    "ce_id": "cloudevents.event_id",
    "ce_type": "cloudevents.event_type",
    "ce_subject": "cloudevents.event_subject",
}


@contextmanager
def handling(topic: Topic, group: str, records: Sequence[ReceivedRecord]) -> Iterator[None]:
    """A span for each record, in its own trace, while the block handles all of them.

    In the block `tracing.traceparent(subject)` gives the trace of the record about a subject; a single record's is the
    current one. A record that carries no trace begins one, except on topics whose records may be lost or that all
    replicas read: they tell of progress, and are no beginning of work.
    """
    begins = tracing.enabled() and not (topic.lossy or topic.broadcast)
    contexts: dict[str, str] = {}
    spans: list[StartedSpan] = []
    context: TraceContext | None = None
    for received in records:
        record = received.record
        context = trace_of(record)
        if begins or (context is not None and tracing.enabled()):
            span = tracing.begin(
                f"process {topic.name}", kind="consumer", parent=context, attributes=_attributes(topic, group, record)
            )
            if span is not None:
                spans.append(span)
                context = span.context
        if context is not None and record.key is not None:
            contexts[record.key.decode("utf-8", "replace")] = context.traceparent
    try:
        with tracing.continued(context if len(records) == 1 else None), tracing.subjects(contexts):
            yield
    except BaseException as error:
        for span in spans:
            span.fail(error)
        raise
    finally:
        ended = time.time_ns()
        for span in spans:
            span.end(ended)


def trace_of(record: ConsumerRecord) -> TraceContext | None:
    """What the record's header says; None where it has none or an invalid one: any producer may have written it."""
    return next((parse(value) for name, value in record.headers if name == TRACEPARENT), None)


def _attributes(topic: Topic, group: str, record: ConsumerRecord) -> dict[str, tracing.Value | None]:
    found: dict[str, tracing.Value | None] = {
        "messaging.system": "kafka",
        "messaging.operation.type": "process",
        "messaging.destination.name": topic.name,
        "messaging.destination.partition.id": str(record.partition),
        "messaging.kafka.offset": record.offset,
        "messaging.consumer.group.name": group,
    }
    for name, value in record.headers:
        if value is not None and (attribute := _SHOWN_HEADERS.get(name)) is not None:
            found[attribute] = value.decode("utf-8", "replace")
    return found
