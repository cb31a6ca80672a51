"""`python -m tests.bench.job_reads`: `GET /jobs/{id}` with 50 requests in flight, p99 over that of the bare query.

The catalog is a process of its own. The peer is the same framework with the bare query in its handler, so that both
sides have the same network and the same parser. Rounds in turn. The query alone, without HTTP, is measured as well.

`python -m tests.bench.job_reads URL KEY IDS REQUESTS` is the load: it prints the seconds of the slowest 1 % and the
requests a second.
"""

import asyncio
import statistics
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from pathlib import Path

import aiohttp
import asyncpg
import uvloop

from chassis.adapters.kafka.admin import ensure_topics
from chassis.adapters.kafka.codec import encode
from chassis.adapters.kafka.producer import open_producer
from chassis.core.ids import new_id, now_ms
from embedded.kafka import KafkaServer
from embedded.postgres import PostgresServer
from schemas.events import Event, JobCreated, KeyChanged
from tests.bench.figures import Row, print_rows
from tests.bench.rate import child_process
from tests.services.catalog.factories import queued
from tests.services.catalog.service import customer
from tests.support.processes import clean_environment
from tests.support.system import free_port
from tests.support.waiting import until

ROUNDS = 7
REQUESTS = 5000
IN_FLIGHT = 50
JOBS = 500
BOUND = 3.0
_QUERY = "SELECT job::text FROM catalog.jobs WHERE id = $1"


async def p99_of(ask: Callable[[str], Awaitable[object]], ids: Sequence[str], requests: int) -> tuple[float, float]:
    """Seconds of the slowest 1 % with so many in flight, and requests a second."""
    took: list[float] = []
    left = iter(range(requests))

    async def client() -> None:
        for number in left:
            began = time.perf_counter()
            await ask(ids[number * 7 % len(ids)])
            took.append(time.perf_counter() - began)

    began = time.perf_counter()
    await asyncio.gather(*(client() for _ in range(IN_FLIGHT)))
    return statistics.quantiles(took, n=100)[98], requests / (time.perf_counter() - began)


async def load(url: str, key: str, ids: Sequence[str], requests: int) -> tuple[float, float]:
    headers, connector = {"Authorization": f"Bearer {key}"}, aiohttp.TCPConnector(limit=IN_FLIGHT)
    async with aiohttp.ClientSession(headers=headers, connector=connector) as session:

        async def get(id: str) -> None:
            async with session.get(f"{url}/jobs/{id}") as response:
                await response.read()
                if response.status != 200:
                    raise SystemExit(f"{url} answered {response.status}: {await response.text()}")

        return await p99_of(get, ids, requests)


async def _load_process(url: str, key: str, ids: Path) -> float:
    command = (sys.executable, "-m", "tests.bench.job_reads", url, key, str(ids), str(REQUESTS))
    async with child_process(*command, env=clean_environment()) as process:
        out, _ = await process.communicate()
        return float(out.split()[0])


async def _publish(kafka: str, *events: Event) -> None:
    producer = await open_producer(kafka, "bench")
    try:
        records = [encode(each, id=new_id("evt"), source="/bitmill/ingest", time_ms=now_ms()) for each in events]
        sent = [await producer.send(each.topic, each.value, key=each.key, headers=each.headers) for each in records]
        await asyncio.gather(*sent)
    finally:
        await producer.stop()


async def measure(folder: Path) -> tuple[list[float], list[float], list[float]]:
    """The p99 in seconds of each round: the catalog's, the peer's, and that of the query alone."""
    who, port = customer(0), free_port()
    jobs = [queued(who.project) for _ in range(JOBS)]
    ids = folder / "ids"
    ids.write_text("\n".join(job.id for job in jobs))
    async with AsyncExitStack() as stack:
        dsn = await stack.enter_async_context(PostgresServer(folder).running(print))
        kafka = await stack.enter_async_context(KafkaServer(folder).running(print))
        await ensure_topics(kafka)
        env = {
            **clean_environment(),
            "DATABASE_URL": dsn,
            "KAFKA_BOOTSTRAP_SERVERS": kafka,
            "STORAGE_URL": folder.as_uri(),
            "HTTP_PORT": str(port),
            "LOG_LEVEL": "warning",
        }
        await stack.enter_async_context(child_process(sys.executable, "-m", "cli", "serve", "catalog", env=env))
        peer = await stack.enter_async_context(child_process(sys.executable, "-m", "tests.bench.peer", dsn, env=env))
        assert peer.stdout is not None
        peer_url = f"http://127.0.0.1:{int(await peer.stdout.readline())}"
        pool = await stack.enter_async_context(asyncpg.create_pool(dsn, min_size=10, max_size=10))
        await _publish(kafka, KeyChanged(key=who.key), *(JobCreated(job=job) for job in jobs))

        async def projected() -> bool:
            there = await pool.fetchval("SELECT to_regclass('catalog.jobs') IS NOT NULL")
            return bool(there) and await pool.fetchval("SELECT count(*) FROM catalog.jobs") == JOBS

        await until(projected, within=120)
        ours, other, query = list[float](), list[float](), list[float]()
        for round_ in range(ROUNDS + 1):
            one = await _load_process(f"http://127.0.0.1:{port}", who.secret, ids)
            two = await _load_process(peer_url, who.secret, ids)
            bare, _ = await p99_of(lambda id: pool.fetchval(_QUERY, id), [job.id for job in jobs], REQUESTS)
            if round_:
                ours.append(one)
                other.append(two)
                query.append(bare)
        return ours, other, query


async def rows(folder: Path) -> list[Row]:
    ours, peer, query = await measure(folder)
    ratios = [one / two for one, two in zip(ours, peer, strict=True)]
    found = statistics.median(ratios)
    return [
        Row(
            f"`GET /jobs/{{id}}` with {IN_FLIGHT} in flight, p99 over that of the bare query in the same framework",
            f"{found:.2f}",
            f"≤ {BOUND:g}",
            found <= BOUND,
            f"median of {ROUNDS} rounds of {REQUESTS}; catalog {statistics.median(ours) * 1000:.1f} ms, bare query "
            f"{statistics.median(peer) * 1000:.1f} ms, without HTTP {statistics.median(query) * 1000:.1f} ms; "
            f"ratios {min(ratios):.2f} to {max(ratios):.2f}",
        )
    ]


def main() -> int:
    if len(sys.argv) > 1:
        url, key, ids, requests = sys.argv[1:]
        print(*uvloop.run(load(url, key, Path(ids).read_text().split(), int(requests))))
        return 0
    with tempfile.TemporaryDirectory(prefix="bitmill-bench-") as name:
        return print_rows(uvloop.run(rows(Path(name))))


if __name__ == "__main__":
    sys.exit(main())
