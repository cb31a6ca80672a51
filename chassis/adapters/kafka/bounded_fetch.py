"""A Kafka consumer whose memory is bounded, whatever the records that it reads decompress to or consist of.

aiokafka decompresses a batch whole, without a limit; where it cannot read one, it raises, and reads it again for ever.
Here such a batch, or the rest of it, becomes one `UnreadableRecord` with the last of its offsets: the reader counts it,
writes its dead letter and goes on behind it. A single `getmany` gives no more than `FETCH_BUDGET_BYTES` of records that
were compressed, and finishes the batch that it has opened.

aiokafka has no place for that: the two classes of its fetcher that read batches are replaced by those below, for the
whole process, when this module is imported. `tests/chassis/adapters/kafka/test_bounded_fetch.py` fails where another
version of it does not use them.
"""

import struct
from collections.abc import Iterator
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition
from aiokafka.consumer import fetcher
from aiokafka.errors import CorruptRecordException
from aiokafka.record.default_records import DefaultRecordBatch
from aiokafka.record.legacy_records import LegacyRecordBatch

from chassis.adapters.kafka.decompression import Undecompressable, decompress

MAX_BATCH_BYTES = 4 * 1024 * 1024
"""What a batch may decompress to. Producers bound a batch before they compress it, by default to 1 MiB. Records of
headers only become 32 times as much in Python."""
FETCH_BUDGET_BYTES = 8 * 1024 * 1024
"""What one `getmany` decompresses: it may take 500 records, each of them in a batch of its own."""

_OVERHEAD = 12
"""Of a batch: its base offset and its length, which does not count these."""
_LENGTH_AT = 8
_MAGIC_AT = 16
_ATTRIBUTES_AT = 21
_V2_HEADER_BYTES = 61
_MAGIC_V2 = 2
_CODEC_MASK = 0x07
_LEGACY_ATTRIBUTES_AT = 17


UNREADABLE_BATCH = "unreadable_batch"
"""The one header of a record that stands for a batch that could not be read; its value is the reason."""


@dataclass(frozen=True)
class UnreadableRecord:
    """In place of the records of a batch that could not be read; has what aiokafka reads of a record."""

    offset: int
    headers: tuple[tuple[str, bytes]]
    timestamp: int = 0
    timestamp_type: int = 0
    checksum: None = None
    key: None = None
    value: None = None


def unreadable_reason(record: ConsumerRecord) -> str | None:
    """Why the batch that this record stands for could not be read; None for a record that was read.

    A producer that sends this header itself gets a dead letter for its record, no more.
    """
    if len(record.headers) != 1 or record.headers[0][0] != UNREADABLE_BATCH:
        return None
    return bytes(record.headers[0][1] or b"").decode("utf-8", "replace")


@dataclass
class _Budget:
    """What a `getmany` may still decompress."""

    bytes_left: int


_budget: ContextVar[_Budget | None] = ContextVar("fetch_budget", default=None)


class BoundedConsumer(AIOKafkaConsumer):  # type: ignore[misc]  # aiokafka has no types
    """A consumer whose `getmany` decompresses no more than `FETCH_BUDGET_BYTES` and the rest of one batch."""

    async def getmany(
        self, *partitions: TopicPartition, timeout_ms: int = 0, max_records: int | None = None
    ) -> dict[TopicPartition, list[ConsumerRecord]]:
        token = _budget.set(_Budget(FETCH_BUDGET_BYTES))
        try:
            found: dict[TopicPartition, list[ConsumerRecord]] = await super().getmany(
                *partitions, timeout_ms=timeout_ms, max_records=max_records
            )
            return found
        finally:
            _budget.reset(token)


class _BoundedResult(fetcher.FetchResult):  # type: ignore[misc]
    """The records of one partition, of which `getall` gives none once the budget is used up."""

    _partition_records: Any

    def getall(self, max_records: int | None = None) -> list[ConsumerRecord]:
        if not self.check_assignment(self._topic_partition) or not self.has_more():
            return []
        budget = _budget.get()
        found: list[ConsumerRecord] = []
        if budget is not None and budget.bytes_left <= 0:
            return found
        for record in self._partition_records:
            found.append(record)
            if len(found) == max_records or (budget is not None and budget.bytes_left <= 0):
                self._update_position()
                return found
        self._update_position()
        self._partition_records = None
        return found


class _BoundedBatches:
    """The batches of a fetch response for one partition: what aiokafka calls MemoryRecords."""

    def __init__(self, data: bytes | None) -> None:
        self._data = memoryview(data or b"")
        self._position = 0

    def size_in_bytes(self) -> int:
        return len(self._data)

    def has_next(self) -> bool:
        return self._end() is not None

    def next_batch(self) -> Any:
        end = self._end()
        if end is None:
            return None
        batch = self._data[self._position : end]
        if len(batch) <= _LEGACY_ATTRIBUTES_AT:
            raise CorruptRecordException(f"a batch of {len(batch)} bytes")
        self._position = end
        if batch[_MAGIC_AT] >= _MAGIC_V2:
            return _BoundedBatch(batch)
        if batch[_LEGACY_ATTRIBUTES_AT] & _CODEC_MASK:
            return _OldCompressedBatch(batch)
        return LegacyRecordBatch(batch, batch[_MAGIC_AT])

    def _end(self) -> int | None:
        """Where the next batch ends; None where it is not here as a whole: a response ends anywhere."""
        begin = self._position
        if len(self._data) - begin < _OVERHEAD:
            return None
        (length,) = struct.unpack_from(">i", self._data, begin + _LENGTH_AT)
        end = begin + _OVERHEAD + int(length)
        return end if begin < end <= len(self._data) else None


class _BoundedBatch:
    """A batch of message format v2 as aiokafka's PartitionRecords reads it."""

    def __init__(self, data: memoryview) -> None:
        self._data = data
        self._batch = DefaultRecordBatch(data)
        self.base_offset: int = self._batch.base_offset
        self.next_offset: int = self._batch.next_offset
        self.producer_id: int = self._batch.producer_id
        self.is_control_batch: bool = self._batch.is_control_batch
        self.is_transactional: bool = self._batch.is_transactional

    def validate_crc(self) -> bool:
        return bool(self._batch.validate_crc())

    def __next__(self) -> Any:
        """The first record, which is read of control batches only; only brokers write those."""
        return next(self._batch)

    def __iter__(self) -> Iterator[Any]:
        first = self.base_offset
        try:
            for record in self._decompressed():
                first = record.offset + 1
                yield record
        except (Undecompressable, CorruptRecordException, UnicodeDecodeError) as error:
            reason = f"the offsets {first} to {self.next_offset - 1} cannot be read: {error}"
            # With the last offset: its reader then goes on behind the batch, and finds it again where it has to.
            yield UnreadableRecord(self.next_offset - 1, ((UNREADABLE_BATCH, reason.encode()),))

    def _decompressed(self) -> Any:
        codec = self._batch.attributes & _CODEC_MASK
        if not codec:
            return self._batch
        if (budget := _budget.get()) is not None:
            # Whatever comes out of it, it may have cost as much.
            budget.bytes_left -= MAX_BATCH_BYTES
        records = decompress(codec, bytes(self._data[_V2_HEADER_BYTES:]), MAX_BATCH_BYTES)
        header = bytearray(self._data[:_V2_HEADER_BYTES])
        header[_ATTRIBUTES_AT + 1] &= ~_CODEC_MASK
        if budget is not None:
            budget.bytes_left += MAX_BATCH_BYTES - len(records)
        return DefaultRecordBatch(bytes(header) + records)


class _OldCompressedBatch:
    """A compressed batch of a format that no broker since Kafka 0.11 writes: it is not decompressed."""

    producer_id = None
    is_control_batch = is_transactional = False

    def __init__(self, data: memoryview) -> None:
        (self.base_offset,) = struct.unpack_from(">q", data)
        self.next_offset: int = self.base_offset + 1
        self._legacy = LegacyRecordBatch(data, data[_MAGIC_AT])

    def validate_crc(self) -> bool:
        return bool(self._legacy.validate_crc())

    def __iter__(self) -> Iterator[UnreadableRecord]:
        reason = f"the compressed batch that ends at offset {self.base_offset} has a format from before Kafka 0.11"
        yield UnreadableRecord(self.base_offset, ((UNREADABLE_BATCH, reason.encode()),))


fetcher.MemoryRecords = _BoundedBatches
fetcher.FetchResult = _BoundedResult
