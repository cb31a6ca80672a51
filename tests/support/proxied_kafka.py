"""A Kafka of its own whose clients reach it through a proxy only, so that their connections can be disturbed."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from embedded import KafkaServer
from embedded.kafka_login import BrokerSecurity
from tests.support.proxy import Proxy


@asynccontextmanager
async def kafka_behind_proxy(data: Path) -> AsyncIterator[tuple[Proxy, str]]:
    """The proxy and its address, which is also where Kafka tells its clients that it is."""
    async with Proxy("kafka://127.0.0.1:1") as proxy:
        address = f"127.0.0.1:{proxy.port}"
        security = BrokerSecurity("PLAINTEXT", "PLAINTEXT", {"advertised.listeners": f"PLAINTEXT://{address}"})
        async with KafkaServer(data, security=security, durable=False).running(print) as bootstrap:
            proxy.forward_to(f"kafka://{bootstrap}")
            yield proxy, address
