"""Dead letters: records that could not be handled, on `<topic>.dlq` with the reason and the original position."""

import asyncio
import time
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from typing import Protocol

from aiokafka import AIOKafkaProducer, ConsumerRecord
from aiokafka.errors import MessageSizeTooLargeError

from chassis.adapters.failure_policy import is_outage
from chassis.adapters.kafka.connection import Kafka
from chassis.adapters.kafka.producer import open_producer
from chassis.core import logs
from schemas.storable import storable_text
from schemas.topics import Topic

REASON = "reason"
REASON_CODE = "reason_code"
SOURCE_TOPIC = "source_topic"
SOURCE_PARTITION = "source_partition"
SOURCE_OFFSET = "source_offset"
SOURCE_SERVICE = "source_service"
OUR_HEADERS = frozenset({REASON, REASON_CODE, SOURCE_TOPIC, SOURCE_PARTITION, SOURCE_OFFSET, SOURCE_SERVICE})
_REASON_CHARS = 2000
_MAX_REQUEST_BYTES = 2 * 1024 * 1024
_WRITE_SECONDS = 15.0

log = logs.get_logger(__name__)


class DeadLetterWriter(Protocol):
    """Returns once Kafka has acknowledged the dead letter: only then may the record's offset be committed."""

    async def write(self, topic: Topic, record: ConsumerRecord, reason: str, code: str) -> None: ...


DeadLetterReport = Callable[[Topic, ConsumerRecord, str, str], Awaitable[None]]
"""Called with each dead letter before it is written: the topic, the record, reason and code. It may come again."""


class ReportedDeadLetters:
    """Writes dead letters after reporting each. An outage of the report is raised, so that both are repeated.

    Any other failure of it is logged: a dead letter is written in any case, or its partition would stand still.
    """

    def __init__(self, writer: DeadLetterWriter, report: DeadLetterReport) -> None:
        self._writer = writer
        self._report = report

    async def write(self, topic: Topic, record: ConsumerRecord, reason: str, code: str) -> None:
        try:
            await self._report(topic, record, reason, code)
        except Exception as error:
            if is_outage(error):
                raise
            log.exception("dead_letter_report_failed")
        await self._writer.write(topic, record, reason, code)


class KafkaDeadLetters:
    """The dead letters of one service. The producer is opened for the first dead letter: most services write none."""

    def __init__(self, kafka: Kafka, service: str) -> None:
        self._kafka = kafka
        self._service = service
        self._producer: AIOKafkaProducer | None = None
        self._opening = asyncio.Lock()

    async def write(self, topic: Topic, record: ConsumerRecord, reason: str, code: str) -> None:
        async with asyncio.timeout(_WRITE_SECONDS):
            producer = await self._open()
            headers = dead_letter_headers(record, self._service, reason, code)
            # aiokafka sends no record without both: any other producer can, and its dead letter must not fail.
            without_value = None if record.key is not None else b""
            value = without_value if record.value is None else record.value
            try:
                await producer.send_and_wait(topic.dead_letter, value, key=record.key, headers=headers)
            except MessageSizeTooLargeError:
                # A topic that the operator made may take less. The record must not stop its partition: its position
                # is in the headers, and the record itself is there for as long as the topic keeps it.
                try:
                    await producer.send_and_wait(topic.dead_letter, without_value, key=record.key, headers=headers)
                except MessageSizeTooLargeError:
                    # Its key or its headers are the large part: megabytes of them may have been compressed.
                    ours = [header for header in headers if header[0] in OUR_HEADERS]
                    await producer.send_and_wait(topic.dead_letter, b"", key=None, headers=ours)

    async def close(self) -> None:
        if self._producer is not None:
            await self._producer.stop()
            self._producer = None

    async def _open(self) -> AIOKafkaProducer:
        async with self._opening:
            if self._producer is None:
                self._producer = await open_producer(
                    self._kafka, f"bitmill.{self._service}.dead-letters", max_request_size=_MAX_REQUEST_BYTES
                )
            return self._producer


def dead_letter_headers(
    record: ConsumerRecord, service: str, reason: str, code: str
) -> Sequence[tuple[str, bytes | None]]:
    """Our headers, then the record's own; those of an earlier dead letter are replaced (pure)."""
    ours = {
        REASON: storable_text(reason, _REASON_CHARS),
        REASON_CODE: code,
        SOURCE_TOPIC: record.topic,
        SOURCE_PARTITION: str(record.partition),
        SOURCE_OFFSET: str(record.offset),
        SOURCE_SERVICE: service,
    }
    kept = [(name, value) for name, value in record.headers if name not in OUR_HEADERS]
    return [*((name, value.encode()) for name, value in ours.items()), *kept]


class DeadLetterLimit:
    """Detects too many dead letters of one topic: then the code is more likely to be wrong than the records.

    More than `limit` in a minute are too many, and so are `limit` in a row without a success: attempts with pauses
    between them take so long that few dead letters fit into a minute. `clock` gives monotonic seconds.
    """

    def __init__(self, limit: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._limit = limit
        self._clock = clock
        self._times: deque[float] = deque(maxlen=limit)
        self._in_a_row = 0

    def count(self) -> None:
        """A dead letter was written."""
        self._times.append(self._clock())
        self._in_a_row += 1

    def reset(self) -> None:
        """A record was handled."""
        self._in_a_row = 0

    def exceeded(self) -> str | None:
        """Why no further dead letter may be written, or None."""
        if self._in_a_row >= self._limit:
            return f"more than {self._limit} dead letters in a row"
        if len(self._times) == self._limit and self._clock() - self._times[0] < 60:
            return f"more than {self._limit} dead letters in a minute"
        return None
