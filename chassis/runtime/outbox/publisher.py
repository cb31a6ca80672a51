"""One batch to Kafka: every record is sent, in the order of the rows, before the first acknowledgement is awaited."""

import asyncio
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from aiokafka.errors import MessageSizeTooLargeError, RecordListTooLargeError

TOO_LARGE = (MessageSizeTooLargeError, RecordListTooLargeError)


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
    """The ids of the rows that Kafka acknowledged and of those it will never accept, and an error of the others."""

    published: list[int] = field(default_factory=list)
    too_large: dict[int, BaseException] = field(default_factory=dict)
    error: BaseException | None = None


async def publish(producer: Producer, rows: Sequence[Row], *, timeout_s: float) -> PublishResult:
    """Sends the rows and waits for their acknowledgements, `timeout_s` for each of the two. Raises nothing.

    A row behind a failed one with the same topic and key counts as failed even where Kafka acknowledged it: both are
    sent again in the next batch, so that the last records of a key are always in order. A row that is not acknowledged
    in time is sent again as well, and may then come twice: readers have to be idempotent in any case.
    """
    result = PublishResult()
    acks: dict[int, asyncio.Future[Any]] = {}
    try:
        # While Kafka is away `send` itself waits: for metadata, or for space in the producer's buffer.
        async with asyncio.timeout(timeout_s):
            for row in rows:
                acks[row.id] = await _send(producer, row)
    except Exception as error:  # noqa: BLE001 - whatever the client raises: the remaining rows wait for the next batch
        result.error = error
    await _wait(acks.values(), timeout_s)
    failed_keys: set[tuple[str, bytes]] = set()
    for row in rows:
        failure = _failure(acks.get(row.id), timeout_s)
        if isinstance(failure, TOO_LARGE) and len(acks) > 1:
            # The broker rejects the client's batch of records: only a record that it rejects alone is too large.
            failure = await _send_alone(producer, row, timeout_s)
        if isinstance(failure, TOO_LARGE):
            result.too_large[row.id] = failure
        elif failure is None and (row.topic, row.key) not in failed_keys:
            result.published.append(row.id)
        else:
            failed_keys.add((row.topic, row.key))
            result.error = result.error or failure
    return result


async def _send(producer: Producer, row: Row) -> "asyncio.Future[Any]":
    """The acknowledgement to come; one that has failed already where the client finds the record too large."""
    try:
        ack = await producer.send(row.topic, row.value, row.key, headers=row.headers)
    except TOO_LARGE as error:
        ack = asyncio.get_running_loop().create_future()
        ack.set_exception(error)
    # Reads the exception of an acknowledgement that fails after we stopped waiting, or asyncio would report it.
    ack.add_done_callback(lambda done: done.cancelled() or done.exception())
    return ack


async def _send_alone(producer: Producer, row: Row, timeout_s: float) -> BaseException | None:
    try:
        async with asyncio.timeout(timeout_s):
            ack = await _send(producer, row)
    except Exception as error:  # noqa: BLE001 - as above
        return error
    await _wait([ack], timeout_s)
    return _failure(ack, timeout_s)


async def _wait(acks: "Iterable[asyncio.Future[Any]]", timeout_s: float) -> None:
    pending = list(acks)
    if pending:
        await asyncio.wait(pending, timeout=timeout_s)


def _failure(ack: "asyncio.Future[Any] | None", timeout_s: float) -> BaseException | None:
    """None where Kafka has the record, otherwise why not (yet)."""
    if ack is None:
        return TimeoutError("not sent")
    if not ack.done():
        return TimeoutError(f"no acknowledgement within {timeout_s:g} s")
    return ConnectionError("the producer was closed") if ack.cancelled() else ack.exception()
