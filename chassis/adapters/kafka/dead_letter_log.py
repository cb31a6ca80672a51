"""Listing, replaying and deleting dead letters, for operators."""

import heapq
from collections.abc import AsyncGenerator, AsyncIterator, Iterable, Sequence
from contextlib import AsyncExitStack, aclosing, asynccontextmanager
from dataclasses import dataclass, replace

from aiokafka import AIOKafkaProducer, TopicPartition
from aiokafka.admin import RecordsToDelete

from chassis.adapters.kafka.connection import Kafka, KafkaConnection, connection
from chassis.adapters.kafka.dead_letter import (
    MARK_KEY,
    DeadLetter,
    NotReplayable,
    Position,
    ReplayMark,
    Summary,
    mark_headers,
    read_record,
    replay_of,
    summary,
)
from chassis.adapters.kafka.producer import open_producer
from chassis.adapters.kafka.record_reader import REQUEST_MS, RecordReader, Span, open_reader
from schemas.topics import Topic

CLIENT_ID = "bitmill.operator"
_MAX_RECORD_BYTES = 2 * 1024 * 1024


@dataclass(frozen=True)
class Listing:
    """The newest dead letters, oldest of them first; `more`: there are older ones that were asked for."""

    found: Sequence[Summary]
    more: bool


class DeadLetterLog:
    """The dead letters of all services. Methods raise KafkaError, KafkaUnavailable or TimeoutError."""

    def __init__(self, kafka: KafkaConnection, reader: RecordReader, stack: AsyncExitStack) -> None:
        self._kafka = kafka
        self._reader = reader
        self._stack = stack
        self._producer: AIOKafkaProducer | None = None

    async def spans(self, topics: Iterable[str]) -> list[Span]:
        """The partitions of those dead-letter topics that exist, as they are now."""
        return await self._reader.spans(topics)

    async def newest(self, topics: Iterable[str], limit: int, since_ms: int | None = None) -> Listing:
        """At most `limit` dead letters, given up at `since_ms` or later. Reads no more of a partition than it needs."""
        newest: list[tuple[int, Position, Summary]] = []
        more = False
        for span in await self.spans(topics):
            wanted = span if since_ms is None else await self._reader.since(span, since_ms)
            found, older = await self._newest_of(wanted, limit)
            newest += [(each.at_ms, each.position, each) for each in found]
            more |= older or len(newest) > limit
            newest = heapq.nlargest(limit, newest)
        return Listing([each for _, _, each in sorted(newest)], more)

    async def at(self, position: Position) -> DeadLetter | None:
        """The dead letter at this position, if it is there."""
        record = await self._reader.record(position.topic, position.partition, position.offset)
        found = None if record is None else read_record(record)
        return found if isinstance(found, DeadLetter) else None

    async def marks(self, span: Span) -> dict[int, ReplayMark]:
        """The marks within the span, by the offset of their dead letter. Marks follow what they are about."""
        return {entry.offset: entry async for entry in self._entries(span) if isinstance(entry, ReplayMark)}

    async def mark_of(self, position: Position) -> ReplayMark | None:
        """The mark of a dead letter that was replayed."""
        for span in await self.spans([position.topic]):
            if span.partition == position.partition and position.offset < span.end:
                return (await self.marks(replace(span, begin=position.offset))).get(position.offset)
        return None

    async def letters(self, span: Span) -> AsyncGenerator[DeadLetter, None]:
        """The dead letters of a span, in their order."""
        async with aclosing(self._entries(span)) as entries:
            async for entry in entries:
                if isinstance(entry, DeadLetter):
                    yield entry

    async def replay(self, letter: DeadLetter, topic: Topic) -> Position:
        """Sends the original record to `topic` and marks the dead letter; where the record is now.

        The mark comes second, so that a crash in between repeats a replay and never loses one. Raises NotReplayable.
        """
        value = letter.value or await self._original_value(letter)
        sending = replay_of(letter, topic, value)
        producer = await self._open_producer()
        partitions = await producer.partitions_for(topic.name)
        sent = await producer.send_and_wait(
            sending.topic,
            sending.value,
            key=sending.key,
            # The topic may have been made again with fewer partitions: then the key decides.
            partition=sending.partition if sending.partition in partitions else None,
            headers=sending.headers,
        )
        to = Position(sent.topic, sent.partition, sent.offset)
        at = letter.position
        headers = mark_headers(letter, str(to))
        await producer.send_and_wait(at.topic, None, key=MARK_KEY, partition=at.partition, headers=headers)
        return to

    async def delete_before(self, span: Span, offset: int) -> int:
        """Deletes the records of a partition below `offset`; the first offset that is left.

        Kafka deletes from the beginning of a partition only (DeleteRecords, KIP-107).
        """
        tp = span.topic_partition
        left: dict[TopicPartition, int] = await self._reader.admin.delete_records(
            {tp: RecordsToDelete(offset)}, timeout_ms=REQUEST_MS
        )
        return left[tp]

    async def _newest_of(self, span: Span, limit: int) -> tuple[list[Summary], bool]:
        """Reads backwards in blocks, because marks are among the records. Marks come after what they are about."""
        marks: dict[int, ReplayMark] = {}
        found: list[Summary] = []
        end = span.end
        while end > span.begin and len(found) < limit:
            begin = max(span.begin, end - limit)
            block: list[Summary] = []
            async for entry in self._entries(replace(span, begin=begin, end=end)):
                if isinstance(entry, ReplayMark):
                    marks[entry.offset] = entry
                else:
                    block.append(summary(entry))
            found = [*block, *found]
            end = begin
        kept = found[-limit:]
        shown = [replace(each, replayed=marks.get(each.position.offset)) for each in kept]
        return shown, len(found) > limit or end > span.begin

    async def _original_value(self, letter: DeadLetter) -> bytes | None:
        """The value of the original record, where the dead letter has none: it was too large, or never had one."""
        source = letter.source
        record = None
        if source is not None:
            record = await self._reader.record(source.topic, source.partition, source.offset)
        if record is None or record.key != letter.key:
            raise NotReplayable(f"it has no value, and the original record {source or ''} is no longer there")
        # aiokafka sends no record without both, and the readers make the same of an empty value.
        value: bytes | None = b"" if record.value is None and record.key is None else record.value
        return value

    async def _entries(self, span: Span) -> AsyncGenerator[DeadLetter | ReplayMark, None]:
        async with aclosing(self._reader.records(span)) as records:
            async for record in records:
                yield read_record(record)

    async def _open_producer(self) -> AIOKafkaProducer:
        if self._producer is None:
            producer = await open_producer(self._kafka, CLIENT_ID, max_request_size=_MAX_RECORD_BYTES)
            self._stack.push_async_callback(producer.stop)
            self._producer = producer
        return self._producer


@asynccontextmanager
async def open_dead_letters(kafka: Kafka, *, wait: float = 60.0) -> AsyncIterator[DeadLetterLog]:
    """The dead letters in this Kafka, for which it waits up to `wait` seconds.

    Raises KafkaRefused and KafkaUnavailable.
    """
    async with AsyncExitStack() as stack:
        reader = await stack.enter_async_context(open_reader(kafka, CLIENT_ID, wait=wait))
        yield DeadLetterLog(connection(kafka), reader, stack)
