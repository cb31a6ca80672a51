"""Decodes the records of one topic; never raises for what is wrong with a record."""

from dataclasses import dataclass
from typing import Any

from aiokafka import ConsumerRecord

from chassis.adapters.kafka.codec import UnknownEvent, decode
from chassis.adapters.kafka.errors import RecordUnreadable
from chassis.core import logs
from chassis.core.metrics import counter
from schemas.events import Event, Submission
from schemas.reading import EventWithJson, UnknownValue
from schemas.topics import Topic

log = logs.get_logger(__name__)

_unknown = counter(
    "bitmill_kafka_unknown", "Event types and values that this release does not know.", ("service", "topic", "what")
)
_MAX_WARNINGS = 100


@dataclass(frozen=True)
class ReceivedRecord:
    """A record and what it was decoded to, or why it could not be."""

    record: ConsumerRecord
    event: Event | Submission | UnknownEvent | RecordUnreadable

    @property
    def position(self) -> tuple[int, int]:
        """Partition and offset."""
        return self.record.partition, self.record.offset

    @property
    def event_with_json(self) -> EventWithJson[Any]:
        """Only for a record that was decoded to an event."""
        return EventWithJson(self.event, self.record.value)


class RecordDecoder:
    """Also counts event types and values that this release does not know, and logs each of them once."""

    def __init__(self, service: str, topic: Topic) -> None:
        self._service = service
        self._topic = topic
        self._warned: set[str] = set()

    def decode(self, record: ConsumerRecord) -> ReceivedRecord:
        """The record with its event, or with the reason why it cannot be read."""
        origin = f"{record.topic}/{record.partition}/{record.offset}"
        try:
            event = decode(
                self._topic, record.headers, record.value, origin=origin, on_unknown=self._count_unknown_value
            )
        except RecordUnreadable as unreadable:
            return ReceivedRecord(record, unreadable)
        if isinstance(event, UnknownEvent):
            self._count_unknown_type(event.type)
        return ReceivedRecord(record, event)

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
