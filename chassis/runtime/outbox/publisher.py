"""One batch to Kafka: every record is sent before the first acknowledgement is awaited, in the order of the rows."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeAlias

from aiokafka.errors import (
    KafkaError,
    MessageSizeTooLargeError,
    RecordListTooLargeError,
)

PUBLISH_SECONDS = 5.0
"""A transaction stays open while Kafka acknowledges; when Kafka is away it must not, or Postgres cannot vacuum."""
TOO_LARGE: tuple[type[BaseException], ...] = (MessageSizeTooLargeError, RecordListTooLargeError)


class Producer(Protocol):
    """The part of `aiokafka.AIOKafkaProducer` that is used."""

    async def send(
        self, topic: str, value: bytes | None = None, key: bytes | None = None, *, headers: Any = None
    ) -> "asyncio.Future[Any]": ...


@dataclass(frozen=True)
class Row:
    """A row of the outbox."""

    id: int
    topic: str
    key: bytes
    value: bytes
    headers: list[tuple[str, bytes]]


@dataclass
class PublishResult:
    """What became of one batch: rows that are Kafka's now, rows it will never take, and why the others have to wait."""

    sent: list[int] = field(default_factory=list)
    too_large: dict[int, BaseException] = field(default_factory=dict)
    trouble: BaseException | None = None


Ack: TypeAlias = asyncio.Future[Any] | BaseException
"""The acknowledgement to come, or why the record could not even be sent."""


class Publisher:
    """Sends rows, and remembers those not acknowledged in time: they are awaited again instead of sent again."""

    def __init__(self, producer: Producer) -> None:
        self._producer = producer
        self._in_flight: dict[int, asyncio.Future[Any]] = {}

    async def publish(self, rows: Sequence[Row]) -> PublishResult:
        outcome = PublishResult()
        acks = await self._send_all(rows, outcome)
        in_flight = [ack for ack in acks.values() if isinstance(ack, asyncio.Future)]
        if in_flight:
            await asyncio.wait(in_flight, timeout=PUBLISH_SECONDS)
        await self._sort(rows, acks, outcome)
        return outcome

    async def _send_all(self, rows: Sequence[Row], outcome: PublishResult) -> dict[int, Ack]:
        acks: dict[int, Ack] = {}
        anew: set[tuple[str, bytes]] = set()
        try:
            # Where Kafka is away, `send` itself waits: for metadata, or for room in the producer's buffer.
            async with asyncio.timeout(PUBLISH_SECONDS):
                for row in rows:
                    in_flight = self._in_flight.get(row.id)
                    if in_flight is not None and (row.topic, row.key) not in anew:
                        acks[row.id] = in_flight
                        continue
                    anew.add((row.topic, row.key))
                    acks[row.id] = await self._send(row)
        except Exception as error:  # noqa: BLE001 - whatever the client calls it: these rows wait for the next turn
            outcome.trouble = error
        return acks

    async def _send(self, row: Row) -> Ack:
        try:
            return await self._producer.send(row.topic, row.value, row.key, headers=row.headers)
        except KafkaError as error:
            if isinstance(error, TOO_LARGE):
                return error
            raise

    async def _sort(self, rows: Sequence[Row], acks: Mapping[int, Ack], outcome: PublishResult) -> None:
        # A row behind a failed one of the same key counts as failed: it is sent again after it, and the order holds.
        held: set[tuple[str, bytes]] = set()
        self._in_flight = {}
        for row in rows:
            ack = acks.get(row.id)
            error = await self._error(row, ack)
            if isinstance(error, TOO_LARGE):
                outcome.too_large[row.id] = error
            elif error is None and (row.topic, row.key) not in held:
                outcome.sent.append(row.id)
            else:
                held.add((row.topic, row.key))
                outcome.trouble = outcome.trouble or error
                if isinstance(ack, asyncio.Future) and not ack.done():
                    self._in_flight[row.id] = ack

    async def _error(self, row: Row, ack: Ack | None) -> BaseException | None:
        """None when Kafka has the record, otherwise why not (yet)."""
        error = _settled(ack)
        if not isinstance(error, TOO_LARGE) or isinstance(ack, BaseException):
            return error
        # The broker refuses a whole batch of records: only the one that it refuses by itself is to blame.
        alone = await self._send(row)
        if isinstance(alone, asyncio.Future):
            await asyncio.wait([alone], timeout=PUBLISH_SECONDS)
        return _settled(alone)


def _settled(ack: Ack | None) -> BaseException | None:
    if isinstance(ack, asyncio.Future):
        return ack.exception() if ack.done() else TimeoutError(f"no acknowledgement within {PUBLISH_SECONDS:g} s")
    return TimeoutError("not sent") if ack is None else ack
