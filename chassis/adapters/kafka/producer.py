"""The producer of events: idempotent, acknowledged by every replica in step, without waiting for company."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager

from aiokafka import AIOKafkaProducer

from chassis.adapters.kafka.admin import wait_for_kafka
from chassis.adapters.kafka.log_filters import spare_client_logs
from chassis.core import logs

_STOP_SECONDS = 1.0
"""For the last acknowledgements: where Kafka is away a producer would wait for them much longer than we may."""

log = logs.get_logger(__name__)


async def open_producer(
    bootstrap: str, client_id: str, *, wait: float = 60.0, max_request_size: int = 1024 * 1024
) -> AIOKafkaProducer:
    """A started producer; close it with `await producer.stop()`. Waits up to `wait` seconds for Kafka."""
    spare_client_logs()
    await wait_for_kafka(bootstrap, wait)
    producer = AIOKafkaProducer(
        bootstrap_servers=bootstrap,
        client_id=client_id,
        acks="all",
        enable_idempotence=True,
        linger_ms=0,
        max_request_size=max_request_size,
    )
    try:
        await producer.start()
    except BaseException:
        await producer.stop()
        raise
    return producer


@asynccontextmanager
async def producers(bootstrap: str, client_id: str) -> AsyncIterator[Callable[[], Awaitable[AIOKafkaProducer]]]:
    """Gives the function that opens a producer, and closes the one before; the last is closed at the end."""
    async with AsyncExitStack() as current:

        async def renewed() -> AIOKafkaProducer:
            await current.aclose()
            producer = await open_producer(bootstrap, client_id)
            current.push_async_callback(_stop, producer)
            return producer

        yield renewed


async def _stop(producer: AIOKafkaProducer) -> None:
    try:
        async with asyncio.timeout(_STOP_SECONDS):
            await producer.stop()
    except Exception as error:  # noqa: BLE001 - it is given up either way; what it still held is in the outbox
        log.debug("a producer did not end in order", reason=f"{type(error).__name__}: {error}")
