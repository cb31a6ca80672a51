"""A bounded wait for Kafka: FastStream has none, and aiokafka gives up at the first refusal."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError

from chassis.kafka.errors import KafkaUnavailable

_FIRST_PAUSE_SECONDS = 0.05
_LONGEST_PAUSE_SECONDS = 2.0


async def wait_for_kafka(bootstrap: str, timeout: float = 60.0) -> None:
    """Return once a broker answers a request; `KafkaUnavailable` after `timeout` seconds."""
    await _until(bootstrap, timeout, _ask)


async def wait_for_groups(bootstrap: str, timeout: float = 60.0) -> None:
    """Return once consumer groups can be joined: a new Kafka first makes the topic in which it keeps them."""
    await _until(bootstrap, timeout, _ask_for_groups)


async def _until(bootstrap: str, timeout: float, ask: Callable[[str], Awaitable[None]]) -> None:
    pause = _FIRST_PAUSE_SECONDS
    why = "no connection"
    try:
        async with asyncio.timeout(timeout):
            while True:
                try:
                    await ask(bootstrap)
                    return
                except (OSError, KafkaError) as error:
                    why = str(error) or type(error).__name__
                await asyncio.sleep(pause)
                pause = min(pause * 2, _LONGEST_PAUSE_SECONDS)
    except TimeoutError:
        raise KafkaUnavailable(f"Kafka at {bootstrap} did not answer within {timeout:g} s: {why}") from None


async def _ask(bootstrap: str) -> None:
    # A plain connection first: aiokafka writes an error to the log for each one that is refused.
    await _connect_to_any(bootstrap)
    async with _admin(bootstrap):
        pass


async def _ask_for_groups(bootstrap: str) -> None:
    async with _admin(bootstrap) as admin:
        await admin.find_coordinator("bitmill.wait")


@asynccontextmanager
async def _admin(bootstrap: str) -> AsyncIterator[AIOKafkaAdminClient]:
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap, client_id="bitmill.wait")
    try:
        await admin.start()
        yield admin
    finally:
        await admin.close()


async def _connect_to_any(bootstrap: str) -> None:
    last: OSError = OSError("no address given")
    for address in bootstrap.split(","):
        host, _, port = address.strip().rpartition(":")
        try:
            _, writer = await asyncio.open_connection(host.strip("[]"), int(port))
        except OSError as error:
            last = error
            continue
        writer.close()
        return
    raise last
