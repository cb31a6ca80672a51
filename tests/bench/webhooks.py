"""`python -m tests.bench.webhooks [records [notifiers]]`: deliveries a second, over a bare loop of POSTs.

The records of `job.results` are in their topic before the notifier starts, as a process of its own. Both rates are
taken by the sink, from the first request to the last. Rounds in turn. The bare loop has a new connection for each POST;
the notifier keeps those that the sink leaves open. The rates need two idle cores; the notifier's processor time, which
is measured as well, depends less on what else runs.
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
import psutil

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


async def measure(
    folder: Path, records: int = RECORDS, rounds: int = ROUNDS, notifiers: int = 1
) -> tuple[Pairs, list[float]]:
    """The notifier alone, on a durable Postgres and an embedded Kafka; every delivery goes to one host.

    Also the processor time of the notifiers for each delivery in microseconds, of each round.
    """
    pairs, cpu = Pairs(), list[float]()
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
            "WEBHOOK_SECRET": SECRET,
            "ALLOW_NET": "127.0.0.0/8",
            "LOG_LEVEL": "warning",
        }
        for round_ in range(rounds + 1):
            await _fill(kafka, receiver.url, records)
            ours, cpu_us = await _deliver(receiver, dsn, env, records, notifiers)
            peer = await _bare_loop(receiver, records)
            if round_:  # the first one creates tables and warms caches
                pairs.add(ours, peer)
                cpu.append(cpu_us)
    return pairs, cpu


async def _deliver(receiver: Sink, dsn: str, env: dict[str, str], records: int, notifiers: int) -> tuple[float, float]:
    """The rate, and the microseconds of processor time."""
    await receiver.expect(records)
    async with AsyncExitStack() as stack:
        processes = [
            await stack.enter_async_context(
                child_process(
                    sys.executable, "-m", "cli", "serve", "notifier", env={**env, "HTTP_PORT": str(free_port())}
                )
            )
            for _ in range(notifiers)
        ]
        await _begun(dsn)
        before_s = sum(_cpu_seconds(process.pid) for process in processes)
        rate = records / await receiver.seconds()
        await _check(dsn, records)
        used_s = sum(_cpu_seconds(process.pid) for process in processes) - before_s
    return rate, 1e6 * used_s / records


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


def _cpu_seconds(pid: int) -> float:
    times = psutil.Process(pid).cpu_times()
    return float(times.user + times.system)


async def _begun(dsn: str) -> None:
    """Deliveries are queued: the notifiers have started."""
    connection = await asyncpg.connect(dsn)
    try:

        async def any_delivery() -> bool:
            if await connection.fetchval("SELECT to_regclass('notifier.deliveries')") is None:
                return False
            return bool(await connection.fetchval("SELECT EXISTS (SELECT FROM notifier.deliveries)"))

        await until(any_delivery, within=DEADLINE_SECONDS, poll=0.02)
    finally:
        await connection.close()


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
    pairs, cpu = await measure(folder)
    what = "Webhook deliveries a second from `job.results` over a bare loop of POSTs, a new connection each"
    how = (
        f"median of {ROUNDS} rounds of {RECORDS} to one host, {CONCURRENT} at a time; "
        f"{statistics.median(cpu):.0f} µs of the notifier's processor time for each"
    )
    return [pairs.row(what, 0.5, how, "notifier", "bare loop")]


async def main(records: int = RECORDS, notifiers: int = 1) -> int:
    with tempfile.TemporaryDirectory(prefix="bitmill-bench-") as name:
        pairs, cpu = await measure(Path(name), records, notifiers=notifiers)
    print("ours", [round(each) for each in pairs.ours], "median", round(statistics.median(pairs.ours)))
    print("µs of processor time for each", [round(each) for each in cpu], "median", round(statistics.median(cpu)))
    how = f"{records} records, {notifiers} notifiers"
    return print_rows([pairs.row("Webhook deliveries", 0.5, how, "notifier", "bare loop")])


if __name__ == "__main__":
    sys.exit(asyncio.run(main(*map(int, sys.argv[1:]))))
