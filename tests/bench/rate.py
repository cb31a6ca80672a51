"""`POST /jobs` a second over the same framework doing one plain insert: rounds in turn, the median of their ratios."""

import asyncio
import statistics
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import aiohttp
import asyncpg

from embedded.kafka import KafkaServer
from embedded.postgres import PostgresServer
from services.ingest import keys
from tests.support.processes import clean_environment

ROUNDS = 5
REQUESTS = 2000
CONNECTIONS = 16


@dataclass(frozen=True)
class Rate:
    """Requests a second of both, and the ratio of each round."""

    ours: list[float]
    baseline: list[float]

    @property
    def ratios(self) -> list[float]:
        return [one / other for one, other in zip(self.ours, self.baseline, strict=True)]

    @property
    def ratio(self) -> float:
        return statistics.median(self.ratios)


@asynccontextmanager
async def child_process(*command: str, env: dict[str, str]) -> AsyncIterator[asyncio.subprocess.Process]:
    process = await asyncio.create_subprocess_exec(*command, env=env, stdout=asyncio.subprocess.PIPE)
    try:
        yield process
    finally:
        if process.returncode is None:
            process.terminate()
            await process.wait()


async def _load(url: str, key: str, requests: int) -> float:
    command = (sys.executable, "-m", "tests.bench.load", url, key, str(requests), str(CONNECTIONS))
    async with child_process(*command, env=clean_environment()) as process:
        out, _ = await process.communicate()
        return float(out)


async def _ready(url: str) -> None:
    async with aiohttp.ClientSession() as session, asyncio.timeout(60):
        while True:
            try:
                async with session.get(f"{url}/readyz") as response:
                    if response.status == 200:
                        return
            except aiohttp.ClientError:
                pass  # not listening yet: that is what is waited for
            await asyncio.sleep(0.1)


async def _drained(dsn: str) -> None:
    # What the relay still has to publish must not slow down the other side's round.
    connection = await asyncpg.connect(dsn)
    try:
        while await connection.fetchval("SELECT count(*) FROM ingest.outbox"):
            await asyncio.sleep(0.1)
    finally:
        await connection.close()


async def measure(folder: Path, port: int) -> Rate:
    """Ingest alone as its own process against the peer, on the same Postgres (durable) and an embedded Kafka."""
    async with AsyncExitStack() as stack:
        dsn = await stack.enter_async_context(PostgresServer(folder).running(print))
        kafka = await stack.enter_async_context(KafkaServer(folder).running(print))
        env = {
            **clean_environment(),
            "DATABASE_URL": dsn,
            "KAFKA_BOOTSTRAP_SERVERS": kafka,
            "STORAGE_URL": folder.as_uri(),
            "HTTP_PORT": str(port),
            "LOG_LEVEL": "warning",
        }
        await stack.enter_async_context(child_process(sys.executable, "-m", "cli", "serve", "ingest", env=env))
        ours = f"http://127.0.0.1:{port}"
        await _ready(ours)
        async with keys.database(dsn, migrate_first=True) as pool:
            key = (await keys.create_key(pool, name="bench")).text
        peer = await stack.enter_async_context(child_process(sys.executable, "-m", "tests.bench.peer", dsn, env=env))
        assert peer.stdout is not None
        peer_url = f"http://127.0.0.1:{int(await peer.stdout.readline())}"
        rates = Rate([], [])
        for warm in (True, *[False] * ROUNDS):
            one = await _load(f"{ours}/jobs", key, REQUESTS)
            await _drained(dsn)
            other = await _load(f"{peer_url}/jobs", key, REQUESTS)
            if not warm:
                rates.ours.append(one)
                rates.baseline.append(other)
        return rates
