"""Producers: the idempotent one of the outbox relay, which can be replaced, and a lossy one that never blocks."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any, Protocol

from aiokafka import AIOKafkaProducer

from chassis.adapters.kafka.admin import wait_for_kafka
from chassis.adapters.kafka.codec import encode
from chassis.adapters.kafka.connection import Kafka, connection
from chassis.adapters.kafka.log_filters import limit_client_logs
from chassis.core import logs
from chassis.core.ids import new_id, now_ms
from chassis.core.retry import Backoff
from schemas.events import Event

REQUEST_TIMEOUT_MS = 10_000
"""A connection without a response for so long is reopened."""
_STOP_SECONDS = 1.0
"""For the last acknowledgements: without Kafka a producer would wait for them longer than a shutdown may take."""
_MAX_IN_FLIGHT = 1000

log = logs.get_logger(__name__)


async def open_producer(
    kafka: Kafka, client_id: str, *, wait: float = 60.0, max_request_size: int = 1024 * 1024, acks: int | str = "all"
) -> AIOKafkaProducer:
    """A started producer; close it with `await producer.stop()`. Waits up to `wait` seconds for Kafka.

    With `acks` "all" it is idempotent: a record that it sends again after a lost answer is written once.
    """
    limit_client_logs()
    await wait_for_kafka(kafka, wait)
    producer = AIOKafkaProducer(
        client_id=client_id,
        acks=acks,
        enable_idempotence=acks == "all",
        linger_ms=0,
        max_request_size=max_request_size,
        request_timeout_ms=REQUEST_TIMEOUT_MS,
        **connection(kafka).options,
    )
    try:
        await producer.start()
    except BaseException:
        await producer.stop()
        raise
    return producer


@asynccontextmanager
async def replaceable_producer(
    kafka: Kafka, client_id: str
) -> AsyncIterator[Callable[[], Awaitable[AIOKafkaProducer]]]:
    """Gives a function that opens a producer and closes the one before it; the last is closed at the end.

    An idempotent producer whose session with Kafka has failed for good has to be replaced.
    """
    async with AsyncExitStack() as current:

        async def reopen() -> AIOKafkaProducer:
            await current.aclose()
            producer = await open_producer(kafka, client_id)
            current.push_async_callback(_stop, producer)
            return producer

        yield reopen


class LossyPublisher(Protocol):
    """Publishes events that may be lost; never blocks and never raises."""

    def publish(self, event: Event) -> None: ...


class KafkaLossyPublisher:
    """Sends events without waiting for Kafka; while Kafka is away, or too many are in flight, they are dropped."""

    def __init__(self, kafka: Kafka, service: str) -> None:
        self._kafka = kafka
        self._service = service
        self._producer: AIOKafkaProducer | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    def publish(self, event: Event) -> None:
        if self._producer is None or len(self._tasks) >= _MAX_IN_FLIGHT:
            return
        task = asyncio.create_task(self._send(self._producer, event))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def run(self) -> None:
        """Keeps a producer open until cancelled."""
        backoff = Backoff(log, "lossy producer")
        while self._producer is None:
            try:
                self._producer = await open_producer(self._kafka, f"bitmill.{self._service}.lossy", acks=1)
            except Exception as error:  # noqa: BLE001 - Kafka is away, with any exception of its client
                await backoff.sleep(error)
        try:
            await asyncio.Event().wait()
        finally:
            producer, self._producer = self._producer, None
            for task in self._tasks:
                task.cancel()
            await _stop(producer)

    async def _send(self, producer: Any, event: Event) -> None:
        record = encode(event, id=new_id("evt"), source=f"/bitmill/{self._service}", time_ms=now_ms())
        try:
            async with asyncio.timeout(_STOP_SECONDS):
                await producer.send(record.topic, record.value, key=record.key, headers=record.headers)
        except Exception as error:  # noqa: BLE001 - it may be lost, by definition
            log.debug("lossy_event_dropped", event_type=event.TYPE, error=f"{type(error).__name__}: {error}")


async def _stop(producer: AIOKafkaProducer) -> None:
    try:
        async with asyncio.timeout(_STOP_SECONDS):
            await producer.stop()
    except Exception as error:  # noqa: BLE001 - it is discarded either way; its unsent events are still in the outbox
        log.debug("kafka_producer_not_stopped", error=f"{type(error).__name__}: {error}")
