"""Posts tiny jobs to services with retentions of seconds, and measures processes, tables, folders and objects."""

import asyncio
import os
import signal
import struct
import sys
import zlib
from base64 import b64encode
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

import aiohttp
import asyncpg
import psutil
from aiohttp import web

from embedded.kafka import KafkaServer
from embedded.postgres import PostgresServer
from schemas.stored_keys import parse_key
from services.ingest import keys
from tests.support.file_server import content, file_server
from tests.support.processes import clean_environment
from tests.support.system import START_SECONDS, free_port
from tests.support.waiting import until

IN_FLIGHT = 24
KEPT = {
    # Per project, key or migration.
    "ingest": {"projects", "api_keys", "media", "names", "rate_windows"},
    "catalog": {"projects", "api_keys", "job_positions", "job_spans", "event_positions", "rate_windows"},
}
"""Tables that keep rows for other reasons than finished work."""


@dataclass(frozen=True)
class Usage:
    """Of one process: resident memory in MB, open file descriptors, threads."""

    rss_mb: float
    fds: int
    threads: int


@dataclass(frozen=True)
class Sample:
    """What the system used after so many jobs."""

    jobs: int
    processes: Mapping[str, Usage]
    rows: Mapping[str, int]
    """By schema.table; only tables with rows."""
    objects: int
    foreign: int
    """Objects with a key that `bitmill gc` would not know as ours."""
    scratch_files: int


@dataclass
class Soak:
    """A running system. `data` is its folder."""

    data: Path
    address: str
    key: str
    database: str
    services: psutil.Process
    servers: Mapping[str, int]
    input: str
    webhooks: str
    ended: set[str] = field(default_factory=set)

    async def run(self, jobs: int) -> None:
        """Posts jobs, `IN_FLIGHT` at a time, each until its webhook has come."""
        slots = asyncio.Semaphore(IN_FLIGHT)
        headers = {"Authorization": f"Bearer {self.key}"}
        async with aiohttp.ClientSession(headers=headers) as session:

            async def one() -> None:
                try:
                    body = {
                        "input": self.input,
                        "kind": "image",
                        "options": {"width": 16, "format": "jpeg"},
                        "webhook_url": self.webhooks,
                    }
                    async with session.post(f"{self.address}/jobs", json=body) as response:
                        assert response.status == 201, await response.text()
                        id = (await response.json())["id"]
                    await until(lambda: id in self.ended, within=120, poll=0.02)
                    self.ended.discard(id)
                finally:
                    slots.release()

            async with asyncio.TaskGroup() as group:
                for _ in range(jobs):
                    await slots.acquire()
                    group.create_task(one())

    async def sample(self, jobs: int) -> Sample:
        files = [each for each in (self.data / "files").rglob("*") if each.is_file()]
        scratch = [each for each in (self.data / "work").rglob("*") if each.is_file() and each.name != ".lock"]
        foreign = [each for each in files if parse_key(each.relative_to(self.data / "files").as_posix()) is None]
        return Sample(jobs, self._processes(), await self.rows(), len(files), len(foreign), len(scratch))

    async def rows(self) -> dict[str, int]:
        """The exact number of rows of each table of the five schemas that has any."""
        connection = await asyncpg.connect(self.database)
        try:
            tables = await connection.fetch(
                "SELECT schemaname, tablename FROM pg_tables"
                " WHERE schemaname NOT IN ('pg_catalog', 'information_schema') AND tablename !~ '^_?yoyo'"
                " AND tablename <> 'migration_checksums' ORDER BY 1, 2"
            )
            counts = {
                f"{schema}.{table}": await connection.fetchval(f'SELECT count(*) FROM "{schema}"."{table}"')
                for schema, table in tables
            }
        finally:
            await connection.close()
        return {table: rows for table, rows in counts.items() if rows}

    async def finished_rows(self) -> dict[str, int]:
        """Rows of work that is over, which retention has to delete; single rows of the chassis are left out."""
        kept = {f"{schema}.{table}" for schema, tables in KEPT.items() for table in tables}
        singles = ("outbox_watermark", "gauge_leader", "job_queue_clock", "job_queue_order")
        return {
            table: rows
            for table, rows in (await self.rows()).items()
            if table not in kept and not table.endswith((*singles, "job_queue_projects"))
        }

    def _processes(self) -> dict[str, Usage]:
        found = {"services": _usage(self.services)}
        for child in self.services.children(recursive=True):
            name = "fork servers and children"
            try:
                usage = _usage(child)
            except psutil.NoSuchProcess:
                continue
            before = found.get(name, Usage(0, 0, 0))
            found[name] = Usage(before.rss_mb + usage.rss_mb, before.fds + usage.fds, before.threads + usage.threads)
        for name, pid in self.servers.items():
            found[name] = _usage(psutil.Process(pid))
        return found


def _png(width: int, height: int) -> bytes:
    """A picture of one colour."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    pixels = (b"\0" + bytes((200, 40, 90)) * width) * height
    parts = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(pixels)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + parts


def _usage(process: psutil.Process) -> Usage:
    with process.oneshot():
        return Usage(round(process.memory_info().rss / 2**20, 1), process.num_fds(), process.num_threads())


def table(samples: list[Sample]) -> str:
    """The samples for people."""
    lines = []
    for each in samples:
        used = "; ".join(
            f"{name} {usage.rss_mb:.0f} MB {usage.fds} fds {usage.threads} threads"
            for name, usage in each.processes.items()
        )
        lines += [
            f"after {each.jobs} jobs: {used}; {each.objects} objects, {each.scratch_files} scratch files",
            f"    rows: {dict(each.rows)}",
        ]
    return "\n".join(lines)


@asynccontextmanager
async def running(data: Path, keep: timedelta, purge_interval: timedelta) -> AsyncIterator[Soak]:
    """The system with retentions of `keep`."""
    async with AsyncExitStack() as stack:
        kafka, postgres = KafkaServer(data, durable=False), PostgresServer(data, durable=False)
        bootstrap = await stack.enter_async_context(kafka.running(print))
        database = await stack.enter_async_context(postgres.running(print))
        async with keys.database(database, migrate_first=True) as pool:
            key = (await keys.create_key(pool)).text
        files = await stack.enter_async_context(file_server())
        ended: set[str] = set()
        webhooks = await stack.enter_async_context(_webhooks(ended))
        port = free_port()
        environment = clean_environment() | {
            "KAFKA_BOOTSTRAP_SERVERS": bootstrap,
            "DATABASE_URL": database,
            "STORAGE_URL": (data / "files").as_uri(),
            "WORK_DIR": str(data / "work"),
            "HTTP_PORT": str(port),
            "PUBLIC_URL": f"http://127.0.0.1:{port}",
            "ALLOW_NET": "127.0.0.0/8",
            "WEBHOOK_SECRET": "whsec_" + b64encode(os.urandom(32)).decode(),
            "PURGE_INTERVAL": f"{purge_interval.total_seconds():g}s",
            "LOG_LEVEL": "warning",
        }
        process = await stack.enter_async_context(_services(environment, keep, data / "services.log"))
        servers = {server.name: server.pid for server in (kafka, postgres) if server.pid is not None}
        address = f"http://127.0.0.1:{port}"
        picture = files.answer("picture.png", content(_png(32, 24), "image/png"))
        yield Soak(data, address, key, database, psutil.Process(process.pid), servers, picture, webhooks, ended)


@asynccontextmanager
async def _services(
    environment: Mapping[str, str], keep: timedelta, log: Path
) -> AsyncIterator[asyncio.subprocess.Process]:
    command = (sys.executable, "-m", "tests.soak.services", f"{keep.total_seconds():g}")
    with log.open("ab") as errors:
        process = await asyncio.create_subprocess_exec(
            *command, env=environment, stdout=asyncio.subprocess.PIPE, stderr=errors
        )
    try:
        assert process.stdout is not None
        async with asyncio.timeout(START_SECONDS):
            line = await process.stdout.readline()
        assert line == b"ready\n", log.read_text(errors="replace")
        yield process
    finally:
        if process.returncode is None:
            process.send_signal(signal.SIGTERM)
        await asyncio.wait_for(process.wait(), 60)


@asynccontextmanager
async def _webhooks(ended: set[str]) -> AsyncIterator[str]:
    """A receiver that keeps ids only: the harness must not grow either."""

    async def receive(request: web.Request) -> web.Response:
        job = await request.json()
        assert job["status"] == "succeeded", job
        ended.add(job["id"])
        return web.Response(status=204)

    application = web.Application()
    application.router.add_post("/", receive)
    runner = web.AppRunner(application, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        yield f"http://127.0.0.1:{runner.addresses[0][1]}/"
    finally:
        await runner.cleanup()
