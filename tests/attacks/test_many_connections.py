"""One address opens connections without end and leaves each in the middle of a request."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from urllib.parse import urlsplit

from tests.attacks.two_projects import Project, TwoProjects

ADDRESS = "127.0.0.2"
CONNECTIONS = 6000
"""More than a process holds by default."""
AGAIN_SECONDS = 10.0
_BATCH = 100


@dataclass
class Holding:
    """How many connections the attacker has opened, and how many the server has closed."""

    opened: int = 0
    closed: int = 0


@asynccontextmanager
async def half_requests(attacker: Project) -> AsyncIterator[Holding]:
    """Always `CONNECTIONS` connections from `ADDRESS`, each with a request whose body does not come."""
    url = urlsplit(attacker.api.address)
    head = (
        f"POST /jobs HTTP/1.1\r\nHost: a\r\nAuthorization: {attacker.api.session.headers['Authorization']}\r\n"
        "Content-Type: application/json\r\nContent-Length: 100\r\n\r\n{"
    )
    holding, opening = Holding(), asyncio.Semaphore(_BATCH)

    async def hold() -> None:
        while True:
            async with opening:
                reader, writer = await asyncio.open_connection(url.hostname, url.port, local_addr=(ADDRESS, 0))
                holding.opened += 1
                writer.write(head.encode())
                await asyncio.sleep(0.01)
            try:
                with suppress(ConnectionError):
                    await reader.read()
            finally:
                writer.transport.abort()
            holding.closed += 1
            await asyncio.sleep(AGAIN_SECONDS)

    tasks = [asyncio.create_task(hold()) for _ in range(CONNECTIONS)]
    try:
        yield holding
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def test_one_address_never_holds_the_connections_that_others_need(two_projects: TwoProjects) -> None:
    async with two_projects.compared() as comparison, half_requests(two_projects.attacker) as holding:
        while holding.opened < CONNECTIONS:
            await asyncio.sleep(0.05)
        await comparison.under_attack()
    assert holding.closed > CONNECTIONS // 2
