"""The system under test: two processes of each service, the servers behind proxies, all data on a disk of the run."""

import asyncio
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Collection, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from pathlib import Path
from uuid import uuid4

import aiohttp
import asyncpg
import psutil

from tests.chaos.disk import Disk
from tests.chaos.port_owners import owners_of_ports
from tests.chaos.replica import ROOT, Replica
from tests.chaos.schedule import replica_names
from tests.chaos.servers import Servers
from tests.support.processes import clean_environment, shell
from tests.support.waiting import until

READY_SECONDS = 240.0
RUN_VARIABLE = "CHAOS_RUN"
"""In the environment of every process of the run, by which the auditor finds those that are left."""
SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
SETTINGS: Mapping[str, str] = {
    "ALLOW_NET": "127.0.0.0/8",
    "WEBHOOK_SECRET": SECRET,
    "LOG_FORMAT": "json",
    "MIGRATE_ON_START": "false",
    "MEDIA_WAIT": "2s",
    "ANNOUNCE_AGAIN_AFTER": "15s",
    "TRANSCODER_SLOTS": "1",
    "THUMBNAILER_SLOTS": "2",
    "FETCH_SPACE_BYTES": str(256 * 1024**2),
}
"""Of the size of a test, where the default is hours. The lease is the product's own: 15 s."""


class Cluster:
    """See the module."""

    def __init__(self, base: Path, seeded_fault: str | None) -> None:
        self.run_id = uuid4().hex
        self.disk = Disk(base)
        self.logs = base / "logs"
        self.replicas: dict[str, Replica] = {}
        self.servers = Servers(self.disk.folder / "data", self.owners_of, flush=seeded_fault != "no_flush")
        self._seeded_fault = seeded_fault
        self._session: aiohttp.ClientSession | None = None

    @property
    def storage(self) -> Path:
        return self.disk.folder / "files"

    @property
    def work(self) -> Path:
        return self.disk.folder / "work"

    def of(self, service: str) -> list[Replica]:
        return [replica for replica in self.replicas.values() if replica.service == service]

    def addresses(self, service: str) -> list[str]:
        return [replica.address for replica in self.of(service)]

    @asynccontextmanager
    async def running(self) -> AsyncIterator["Cluster"]:
        async with AsyncExitStack() as stack:
            self.disk.open()
            stack.callback(self.disk.close)
            for folder in (self.logs, self.storage, self.work, self.disk.folder / "data"):
                folder.mkdir(parents=True, exist_ok=True)
            await stack.enter_async_context(self.servers.open())
            await self._migrate()
            self._session = await stack.enter_async_context(aiohttp.ClientSession())
            stack.push_async_callback(self.shut_down, kill=True)
            self._make_replicas()
            for replica in self.replicas.values():
                await replica.start()
            await self.until_ready()
            yield self

    async def until_ready(self, within: float = READY_SECONDS) -> None:
        """Waits until every replica reports that it is ready."""

        async def ready() -> bool:
            return not await self.not_ready()

        try:
            await until(ready, within=within, poll=1.0)
        except AssertionError:
            failing = await self.not_ready()
            logs = "\n".join(self.replicas[name].tail() for name in failing)
            raise AssertionError(f"not ready within {within:g} s: {failing}\n{logs}") from None

    async def not_ready(self) -> dict[str, list[str]]:
        """The replicas that are not ready, and why."""
        assert self._session is not None
        checks = await asyncio.gather(*[each.failing_checks(self._session) for each in self.replicas.values()])
        return {name: failing for name, failing in zip(self.replicas, checks, strict=True) if failing}

    async def create_key(self, project: str) -> tuple[str, str]:
        """A key, and the id of the project."""
        command = [sys.executable, "-m", "cli", "keys", "create", "--project", project]
        made = await shell(command, cwd=ROOT, env=self._env())
        assert made.returncode == 0, made.stderr
        connection = await asyncpg.connect(self.servers.dsn)
        try:
            id = await connection.fetchval("SELECT id FROM ingest.projects WHERE name = $1", project)
        finally:
            await connection.close()
        return made.stdout.split()[0], str(id)

    async def collect_garbage(self) -> str:
        """`bitmill gc`, for the objects of attempts that a kill cut off. Returns what went wrong, else nothing."""
        command = [sys.executable, "-m", "cli", "gc", "--delete", "--older-than", "1s"]
        done = await shell(command, cwd=ROOT, env=self._env())
        return "" if done.returncode == 0 else done.stdout + done.stderr

    async def cut_power(self) -> None:
        """Suspends all processes, copies the disk, kills them, and starts everything from the copy."""
        processes = [*self.servers.processes(), *self._processes()]
        for process in processes:
            with suppress(psutil.Error):
                process.suspend()
        await asyncio.to_thread(self.disk.copy)
        await self.shut_down(kill=True)
        for process in processes:
            with suppress(psutil.Error):
                process.kill()
        await self.servers.stop()
        await self.servers.postgres.break_all()
        await self.servers.kafka.break_all()
        await asyncio.to_thread(self.disk.change_to_copy)
        await self.servers.start()
        for replica in self.replicas.values():
            await replica.start()

    async def shut_down(self, *, kill: bool = False) -> None:
        """The last stop of all replicas; the servers go on."""
        await asyncio.gather(*[replica.shut_down(kill=kill) for replica in self.replicas.values()])

    async def owners_of(self, ports: Collection[int]) -> Mapping[int, str]:
        pids = {name: replica.pid for name, replica in self.replicas.items()}
        return await asyncio.to_thread(owners_of_ports, ports, pids)

    def _processes(self) -> list[psutil.Process]:
        found = []
        for replica in self.replicas.values():
            with suppress(psutil.Error):
                if replica.pid is not None:
                    parent = psutil.Process(replica.pid)
                    found += [parent, *parent.children(recursive=True)]
        return found

    def _make_replicas(self) -> None:
        start = ("-m", "tests.chaos.seeded_faults", self._seeded_fault) if self._seeded_fault else ("-m", "cli")
        for name in replica_names():
            service = name.rpartition("-")[0]
            env = {**self._env(), "WORK_DIR": str(self.work / service)}
            self.replicas[name] = Replica(name, start, env, self.logs)

    def _env(self) -> dict[str, str]:
        sandbox = {name: os.environ[name] for name in ("SANDBOX",) if name in os.environ}
        return {
            **clean_environment(),
            **SETTINGS,
            **sandbox,
            "WORK_DIR": str(self.work),
            "KAFKA_BOOTSTRAP_SERVERS": self.servers.bootstrap,
            "DATABASE_URL": self.servers.dsn,
            "STORAGE_URL": self.storage.as_uri(),
            RUN_VARIABLE: self.run_id,
        }

    async def _migrate(self) -> None:
        done = await shell([sys.executable, "-m", "cli", "migrate"], cwd=ROOT, env=self._env())
        if done.returncode != 0:
            raise subprocess.CalledProcessError(done.returncode, "bitmill migrate", done.stdout, done.stderr)
