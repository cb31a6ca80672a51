"""SIGKILL of the parent, of the servers or of both: the data survives, no server outlives its parent for long."""

import asyncio
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import asyncpg
import psutil

from chassis.adapters.kafka.admin import ensure_topics
from chassis.adapters.kafka.producer import open_producer
from embedded.data_folder import has_ended
from tests.chassis.adapters.kafka.examples import read, topic_of_its_own

_PROGRAM = "tests.embedded.both_servers"
_DEADLINE_SECONDS = 300


@dataclass
class Running:
    """`tests.embedded.both_servers`, running."""

    process: asyncio.subprocess.Process
    dsn: str
    bootstrap: str
    servers: list[psutil.Process]


@asynccontextmanager
async def _running(folder: Path) -> AsyncIterator[Running]:
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(sys.executable, "-m", _PROGRAM, str(folder), stdout=pipe)
    try:
        assert process.stdout
        dsn, bootstrap, *pids = (await asyncio.wait_for(process.stdout.readline(), _DEADLINE_SECONDS)).decode().split()
        yield Running(process, dsn, bootstrap, [psutil.Process(int(pid)) for pid in pids])
    finally:
        if process.returncode is None:
            process.send_signal(signal.SIGTERM)
        await asyncio.wait_for(process.wait(), _DEADLINE_SECONDS)


async def test_after_a_kill_of_everything_the_next_start_finds_its_data_and_its_ports(tmp_path: Path) -> None:
    topic = topic_of_its_own()
    folder = tmp_path / "a, ä"  # Kafka would take the comma for the end of a folder's name
    folder.mkdir()
    async with _running(folder) as first:
        await ensure_topics(first.bootstrap, [topic])
        producer = await open_producer(first.bootstrap, "test")
        await producer.send_and_wait(topic.name, b"kept", partition=0)
        await producer.stop()
        connection = await asyncpg.connect(first.dsn)
        await connection.execute("CREATE TABLE kept AS SELECT 1 AS one")
        await connection.close()
        first.process.kill()
        for server in first.servers:
            server.kill()  # as the kernel does when memory runs out: one of them or all
    async with _running(folder) as second:
        assert second.bootstrap == first.bootstrap
        connection = await asyncpg.connect(second.dsn)
        assert await connection.fetchval("SELECT one FROM kept") == 1
        await connection.close()
        (record,) = await read(second.bootstrap, topic.name, 1)
        assert record.value == b"kept"
        second.process.kill()
        # The program alone: the kernel signals its servers (Linux), or the next start stops them.
        await second.process.wait()
    async with _running(folder) as third:
        assert all(has_ended(server) for server in second.servers)
    assert all(has_ended(server) for server in third.servers), "an orderly stop leaves no process"
