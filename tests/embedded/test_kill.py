"""What survives when everything is killed: the data; and what does not: the servers."""

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
from embedded import processes
from tests.chassis.adapters.kafka.examples import read, topic_of_its_own

_PROGRAM = "tests.embedded.both"


@dataclass
class Up:
    """The program of `tests.embedded.both`, running."""

    process: asyncio.subprocess.Process
    dsn: str
    bootstrap: str
    servers: list[psutil.Process]


@asynccontextmanager
async def _up(folder: Path) -> AsyncIterator[Up]:
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(sys.executable, "-m", _PROGRAM, str(folder), stdout=pipe)
    try:
        assert process.stdout
        dsn, bootstrap, *pids = (await asyncio.wait_for(process.stdout.readline(), 60)).decode().split()
        yield Up(process, dsn, bootstrap, [psutil.Process(int(pid)) for pid in pids])
    finally:
        if process.returncode is None:
            process.send_signal(signal.SIGINT)
        await asyncio.wait_for(process.wait(), 15)


async def test_after_a_kill_of_everything_the_next_start_finds_its_data_and_its_ports(tmp_path: Path) -> None:
    topic = topic_of_its_own()
    folder = tmp_path / "a, ä"  # Kafka would take the comma for the end of a folder's name
    folder.mkdir()
    async with _up(folder) as up:
        await ensure_topics(up.bootstrap, [topic])
        producer = await open_producer(up.bootstrap, "test")
        await producer.send_and_wait(topic.name, b"kept", partition=0)
        await producer.stop()
        connection = await asyncpg.connect(up.dsn)
        await connection.execute("CREATE TABLE kept AS SELECT 1 AS one")
        await connection.close()
        up.process.kill()
        for server in up.servers:
            server.kill()  # as a machine that is out of memory would, one of them or all
    async with _up(folder) as again:
        assert again.bootstrap == up.bootstrap
        connection = await asyncpg.connect(again.dsn)
        assert await connection.fetchval("SELECT one FROM kept") == 1
        await connection.close()
        (record,) = await read(again.bootstrap, topic.name, 1)
        assert record.value == b"kept"
        again.process.kill()
        # Of the program alone: the kernel tells its servers (Linux), or the next start ends them.
        await again.process.wait()
    async with _up(folder) as last:
        assert all(processes.gone(server) for server in again.servers)
    assert all(processes.gone(server) for server in last.servers), "an orderly stop leaves nothing"
