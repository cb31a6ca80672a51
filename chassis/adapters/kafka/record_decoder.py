"""Decodes the records of one topic; never raises for what is wrong with a record."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias

from aiokafka import ConsumerRecord

from chassis.adapters.kafka.bounded_fetch import unreadable_reason
from chassis.adapters.kafka.codec import UnknownEvent, decode
from chassis.adapters.kafka.errors import RecordUnreadable
from chassis.core import logs
from chassis.core.metrics import counter
from schemas.events import Submission
from schemas.reading import UnknownValue
from schemas.storable import storable_text
from schemas.topics import Topic

log = logs.get_logger(__name__)

_unknown = counter(
    "bitmill_kafka_unknown", "Event types and values that this release does not know.", ("service", "topic", "what")
)
_MAX_WARNINGS = 100
_SHOWN_CHARS = 120
_MAX_VALUE_BYTES = 1024 * 1024
"""Of a record: what a request may have, and what Kafka takes of a record by default, unless it is compressed."""

Prepare: TypeAlias = Callable[[Any, bytes], Any]
"""From an event and its JSON to what the handler gets in its place."""


@dataclass(frozen=True)
class ReceivedRecord:
    """A record and what the handler gets for it: nothing (None) where its type is not one that the handler takes.

    `error` is set where the record could not be read (`RecordUnreadable`) or prepared (any other exception).
    """

    record: ConsumerRecord
    item: Any = None
    error: Exception | None = None

    @property
    def position(self) -> tuple[int, int]:
        """Partition and offset."""
        return self.record.partition, self.record.offset

    @property
    def subject(self) -> str:
        """What the record is about, for log lines: its key, which may be anything, shortened."""
        return storable_text((self.record.key or b"").decode("utf-8", "replace"), _SHOWN_CHARS)

    @property
    def event_type(self) -> str:
        """The record's `ce_type`, for log lines, shortened; empty where it has none."""
        value = next((value for name, value in self.record.headers if name == "ce_type"), None) or b""
        return storable_text(value.decode("utf-8", "replace"), _SHOWN_CHARS)

    @property
    def unreadable(self) -> bool:
        return isinstance(self.error, RecordUnreadable)

    @property
    def wanted(self) -> bool:
        """Whether the handler is to be called with it."""
        return self.item is not None or (self.error is not None and not self.unreadable)


class RecordDecoder:
    """Decodes to events of `types`, or to what `prepare` makes of them.

    Also counts event types and values that this release does not know, and logs each of them once.
    """

    def __init__(
        self, service: str, topic: Topic, types: tuple[type[Any], ...], prepare: Prepare | None = None
    ) -> None:
        self._service = service
        self._topic = topic
        self._types = types
        self._prepare = prepare
        self._warned: set[str] = set()

    def decode(self, record: ConsumerRecord) -> ReceivedRecord:
        """The record with what the handler gets for it, or with the error."""
        origin = f"{record.topic}/{record.partition}/{record.offset}"
        try:
            _check_readable(record)
            event = decode(
                self._topic,
                record.headers,
                record.value,
                origin=origin,
                submissions=Submission in self._types,
                on_unknown=self._count_unknown_value,
            )
        except RecordUnreadable as unreadable:
            return ReceivedRecord(record, error=unreadable)
        if isinstance(event, UnknownEvent):
            self._count_unknown_type(event.type)
        if not isinstance(event, self._types):
            return ReceivedRecord(record)
        if self._prepare is None:
            return ReceivedRecord(record, event)
        try:
            return ReceivedRecord(record, self._prepare(event, record.value))
        except Exception as error:  # noqa: BLE001 - a failure of the handler: the failure policy decides about it
            return ReceivedRecord(record, error=error)

    def _count_unknown_type(self, event_type: str) -> None:
        _unknown.labels(self._service, self._topic.name, "type").inc()
        if self._first_time(event_type):
            log.warning("kafka_event_type_unknown", topic=self._topic.name, event_type=event_type[:120])

    def _count_unknown_value(self, unknown: UnknownValue) -> None:
        _unknown.labels(self._service, self._topic.name, "value").inc()
        if self._first_time(f"{unknown.field}={unknown.value}"):
            log.warning("kafka_event_value_unknown", topic=self._topic.name, field=unknown.field, value=unknown.value)

    def _first_time(self, key: str) -> bool:
        if key in self._warned or len(self._warned) >= _MAX_WARNINGS:
            return False
        self._warned.add(key)
        return True


def _check_readable(record: ConsumerRecord) -> None:
    if (reason := unreadable_reason(record)) is not None:
        raise RecordUnreadable(reason)
    if len(record.value or b"") > _MAX_VALUE_BYTES:
        raise RecordUnreadable(f"the value has {len(record.value)} bytes; at most {_MAX_VALUE_BYTES} are allowed")
