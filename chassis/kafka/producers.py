"""A producer that can be had anew: what a relay needs to outlive a session with Kafka that is beyond repair."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager

from aiokafka import AIOKafkaProducer

from chassis import logs
from chassis.kafka.producer import open_producer

_STOP_SECONDS = 1.0
"""For the last acknowledgements: where Kafka is away a producer would wait for them much longer than we may."""

log = logs.get(__name__)


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
