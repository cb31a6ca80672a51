"""A dead letter as operators see it: where it is, what it says, and the record that a replay of it sends. Pure.

A replay writes a mark beside the dead letter, in the same partition and after it: a record without a value that names
the offset. Kafka cannot change a record, and the mark is kept as long as what it is about.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from aiokafka import ConsumerRecord

from chassis.adapters.kafka.bounded_fetch import UNREADABLE_BATCH
from chassis.adapters.kafka.dead_letters import (
    OUR_HEADERS,
    REASON,
    REASON_CODE,
    SOURCE_OFFSET,
    SOURCE_PARTITION,
    SOURCE_SERVICE,
    SOURCE_TOPIC,
)
from schemas.topics import Topic

REPLAYED_FROM = "replayed_from"
"""Header of a replayed record: the position of its dead letter."""
MARK_KEY = b"replayed"
MARK_OFFSET = "replayed_offset"
MARK_TO = "replayed_to"
_POSITION = re.compile(r"([A-Za-z0-9._-]{1,249})/([0-9]{1,9})/([0-9]{1,18})")

Headers: TypeAlias = Sequence[tuple[str, bytes | None]]


class NotReplayable(Exception):
    """The dead letter cannot be sent to its topic again; the message says why, and what to do."""


@dataclass(frozen=True, order=True)
class Position:
    """The position of a record, as text `topic/partition/offset`."""

    topic: str
    partition: int
    offset: int

    def __str__(self) -> str:
        return f"{self.topic}/{self.partition}/{self.offset}"

    @classmethod
    def parse(cls, text: str) -> "Position":
        """Raises ValueError."""
        match = _POSITION.fullmatch(text)
        if match is None:
            raise ValueError("must be TOPIC/PARTITION/OFFSET, such as job.created.dlq/0/17")
        return cls(match[1], int(match[2]), int(match[3]))


@dataclass(frozen=True)
class DeadLetter:
    """A record of a dead-letter topic, with our headers and those of the original record. `at_ms`: when it was given
    up, in Unix milliseconds. Header names and values may be anything: whoever prints them has to make them safe."""

    position: Position
    at_ms: int
    key: bytes | None
    value: bytes | None
    headers: Headers

    def text(self, name: str) -> str:
        """The first header of this name as text; empty where there is none."""
        value = next((value for key, value in self.headers if key == name), None)
        return "" if value is None else value.decode("utf-8", "backslashreplace")

    @property
    def source(self) -> Position | None:
        """Where the original record was; None where the headers do not say."""
        text = f"{self.text(SOURCE_TOPIC)}/{self.text(SOURCE_PARTITION)}/{self.text(SOURCE_OFFSET)}"
        try:
            return Position.parse(text)
        except ValueError:
            return None

    @property
    def subject(self) -> str:
        """What the event is about: its `ce_subject`, otherwise the record's key."""
        return self.text("ce_subject") or (self.key or b"").decode("utf-8", "backslashreplace")

    @property
    def own_headers(self) -> Headers:
        """The headers of the original record."""
        return [(name, value) for name, value in self.headers if name not in OUR_HEADERS]


@dataclass(frozen=True)
class ReplayMark:
    """Says that the dead letter at `offset` of the same partition was sent to the position `to`."""

    offset: int
    at_ms: int
    to: str


@dataclass(frozen=True)
class Summary:
    """What a list shows of a dead letter, each text with at most `SUMMARY_CHARS` characters."""

    position: Position
    at_ms: int
    type: str
    subject: str
    reason: str
    code: str
    service: str
    source: str
    replayed: ReplayMark | None = None


SUMMARY_CHARS = 500


@dataclass(frozen=True)
class Replay:
    """The record that a replay sends. `partition` is that of the original record."""

    topic: str
    partition: int
    key: bytes | None
    value: bytes | None
    headers: list[tuple[str, bytes | None]]


def read_record(record: ConsumerRecord) -> DeadLetter | ReplayMark:
    """What a record of a dead-letter topic is.

    A dead letter always has a reason, and a mark has none: so no header that a customer's record came with makes it
    look like a mark.
    """
    letter = DeadLetter(
        Position(record.topic, record.partition, record.offset),
        record.timestamp,
        record.key,
        record.value,
        record.headers,
    )
    names = {name for name, _ in record.headers}
    offset = letter.text(MARK_OFFSET)
    if MARK_OFFSET in names and REASON not in names and record.value is None and offset.isdecimal():
        return ReplayMark(int(offset), record.timestamp, letter.text(MARK_TO))
    return letter


def summary(letter: DeadLetter) -> Summary:
    """The dead letter without its value and without long texts."""
    texts = (letter.text("ce_type"), letter.subject, letter.text(REASON), letter.text(SOURCE_SERVICE))
    type_, subject, reason, service = (text[:SUMMARY_CHARS] for text in texts)
    source, code = str(letter.source or ""), letter.text(REASON_CODE)[:SUMMARY_CHARS]
    return Summary(letter.position, letter.at_ms, type_, subject, reason, code, service, source)


def mark_headers(letter: DeadLetter, to: str) -> list[tuple[str, bytes]]:
    """The headers of the mark for a dead letter that was sent to `to`."""
    return [(MARK_OFFSET, str(letter.position.offset).encode()), (MARK_TO, to.encode())]


def replay_of(letter: DeadLetter, topic: Topic, value: bytes | None) -> Replay:
    """The original record again. `topic` is the one whose dead letters these are; `value` the original record's.

    Where the record has no id of its own, it gets its first position as one: readers then know it as the same record.
    Raises NotReplayable.
    """
    if topic.lossy:
        raise NotReplayable(f"records of {topic.name} say how things are now: an old one is worth nothing, drop it")
    source = letter.source
    if source is None or not letter.text(REASON):
        raise NotReplayable("it does not say where it came from: it was not written by a service of this system")
    if any(name == UNREADABLE_BATCH for name, _ in letter.own_headers):
        raise NotReplayable("it stands for a batch of records that cannot be read: only who sent them has them")
    if source.topic != topic.name:
        raise NotReplayable(f"it says that it came from {source.topic}, and belongs to {topic.name}")
    return Replay(topic.name, source.partition, letter.key, value, list(_replay_headers(letter, source)))


def _replay_headers(letter: DeadLetter, source: Position) -> Iterator[tuple[str, bytes | None]]:
    ids = [value for name, value in letter.own_headers if name.lower() == "ce_id" and value is not None]
    yield from ((name, value) for name, value in letter.own_headers if name != REPLAYED_FROM)
    if not ids or not ids[-1]:
        # As `codec.decode` does for a record without an id.
        yield "ce_id", str(source).encode()
    yield REPLAYED_FROM, str(letter.position).encode()
