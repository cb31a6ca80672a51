"""`python -m tests.bench.webhooks [records]`: deliveries a second from `job.results`, over a bare loop of POSTs.

The records are in their topic before the notifier starts, as a process of its own. Both rates are taken by the sink,
from the first request to the last. Rounds in turn.
"""

import asyncio
import statistics
import sys
import tempfile
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import asyncpg

from chassis.adapters.kafka.admin import ensure_topics, wait_for_groups
from chassis.adapters.kafka.codec import encode
from chassis.adapters.kafka.producer import open_producer
from chassis.core.ids import new_id, now_ms
from embedded.kafka import KafkaServer
from embedded.postgres import PostgresServer
from schemas.events import JobSucceeded
from tests.bench.figures import Pairs, Row, print_rows
from tests.bench.rate import child_process
from tests.services.notifier.support import SECRET, job, succeeded
from tests.support.processes import clean_environment, killed_process
from tests.support.system import free_port
from tests.support.waiting import until

ROUNDS = 5
RECORDS = 3000
CONCURRENT = 32
"""Of the bare loop; as many as the notifier sends at a time by default."""
BODY_BYTES = 800
"""Of the bare loop; about as many as a webhook has."""
DEADLINE_SECONDS = 300.0
_PROJECTS = [new_id("prj") for _ in range(50)]


class Sink:
    """The receiver's process."""

    def __init__(self, process: Process, port: int) -> None:
        self._process = process
        self.url = f"http://127.0.0.1:{port}/hook"

    async def expect(self, requests: int) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(b"%d\n" % requests)
        await self._process.stdin.drain()

    async def seconds(self) -> float:
        """From the first to the last of the requests that are expected."""
        assert self._process.stdout is not None
        async with asyncio.timeout(DEADLINE_SECONDS):
            return float(await self._process.stdout.readline())


@asynccontextmanager
async def sink() -> AsyncIterator[Sink]:
    command = (sys.executable, "-m", "tests.bench.sink")
    async with killed_process(*command, env=clean_environment(), stdin=PIPE, stdout=PIPE) as process:
        assert process.stdout is not None
        yield Sink(process, int(await process.stdout.readline()))


async def measure(folder: Path, records: int = RECORDS, rounds: int = ROUNDS) -> Pairs:
    """The notifier alone, on a durable Postgres and an embedded Kafka; every delivery goes to one host."""
    pairs = Pairs()
    async with AsyncExitStack() as stack:
        dsn = await stack.enter_async_context(PostgresServer(folder).running(print))
        kafka = await stack.enter_async_context(KafkaServer(folder).running(print))
        await ensure_topics(kafka)
        await wait_for_groups(kafka)
        receiver = await stack.enter_async_context(sink())
        env = {
            **clean_environment(),
            "DATABASE_URL": dsn,
            "KAFKA_BOOTSTRAP_SERVERS": kafka,
            "STORAGE_URL": folder.as_uri(),
            "HTTP_PORT": str(free_port()),
            "WEBHOOK_SECRET": SECRET,
            "ALLOW_NET": "127.0.0.0/8",
            "LOG_LEVEL": "warning",
        }
        for round_ in range(rounds + 1):
            ours = await _deliver(receiver, dsn, kafka, env, records)
            peer = await _bare_loop(receiver, records)
            if round_:  # the first one creates tables and warms caches
                pairs.add(ours, peer)
    return pairs


async def _deliver(receiver: Sink, dsn: str, kafka: str, env: dict[str, str], records: int) -> float:
    await _fill(kafka, receiver.url, records)
    await receiver.expect(records)
    async with child_process(sys.executable, "-m", "cli", "serve", "notifier", env=env):
        rate = records / await receiver.seconds()
        await _check(dsn, records)
    return rate


async def _bare_loop(receiver: Sink, requests: int) -> float:
    await receiver.expect(requests)
    command = (receiver.url, str(BODY_BYTES), str(requests), str(CONCURRENT))
    async with child_process(sys.executable, "-m", "tests.bench.post_loop", *command, env=clean_environment()):
        return requests / await receiver.seconds()


async def _fill(kafka: str, url: str, records: int) -> None:
    producer = await open_producer(kafka, "bench")
    try:
        acknowledgements = []
        for number in range(records):
            event: JobSucceeded = succeeded(job(url, project=_PROJECTS[number % len(_PROJECTS)]))
            record = encode(event, id=new_id("evt"), source="/bitmill/bench", time_ms=now_ms())
            sent = await producer.send(record.topic, record.value, key=record.key, headers=record.headers)
            acknowledgements.append(sent)
        await asyncio.gather(*acknowledgements)
    finally:
        await producer.stop()


async def _check(dsn: str, records: int) -> None:
    """Every delivery is recorded as delivered, by one attempt with a result. Leaves empty tables."""
    connection = await asyncpg.connect(dsn, server_settings={"search_path": "notifier"})
    try:

        async def all_delivered() -> bool:
            return bool(await connection.fetchval(_DELIVERED) == records)

        await until(all_delivered, within=DEADLINE_SECONDS)
        attempts = await connection.fetchval("SELECT count(*) FROM delivery_attempts WHERE status = 204")
        if attempts != records:
            raise RuntimeError(f"{attempts} attempts for {records} deliveries")
        await connection.execute("TRUNCATE deliveries, delivery_attempts, job_queue; CHECKPOINT")
    finally:
        await connection.close()


_DELIVERED = """
    SELECT count(*) FROM deliveries JOIN job_queue USING (id)
    WHERE deliveries.state = 'delivered' AND job_queue.state = 'done'
"""


async def rows(folder: Path) -> list[Row]:
    pairs = await measure(folder)
    what = "Webhook deliveries a second from `job.results` over a bare loop of POSTs, a new connection each"
    how = f"median of {ROUNDS} rounds of {RECORDS} to one host, {CONCURRENT} at a time"
    return [pairs.row(what, 0.5, how, "notifier", "bare loop")]


async def main(records: int) -> int:
    with tempfile.TemporaryDirectory(prefix="bitmill-bench-") as name:
        pairs = await measure(Path(name), records)
    print("ours", [round(each) for each in pairs.ours], "median", round(statistics.median(pairs.ours)))
    return print_rows([pairs.row("Webhook deliveries", 0.5, f"{records} records", "notifier", "bare loop")])


if __name__ == "__main__":
    sys.exit(asyncio.run(main(int(sys.argv[1]) if len(sys.argv) > 1 else RECORDS)))
