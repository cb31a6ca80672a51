"""The embedded Postgres and Kafka of a run on its disk, started again whenever they end, each behind a proxy."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import psutil

from embedded import KafkaServer, PostgresServer
from embedded.kafka_login import BrokerSecurity
from embedded.restarts import RestartPolicy, keep_running
from tests.chaos.network import NetworkProxy, OwnersOf

_PATIENT = RestartPolicy(delays_seconds=(0.0,) + (1.0,) * 1000)


class Servers:
    """`postgres` and `kafka` are the proxies; `admin_dsn` and `bootstrap` are addresses of the servers themselves."""

    def __init__(self, folder: Path, owners_of: OwnersOf, *, flush: bool = True) -> None:
        self.postgres = NetworkProxy(self._connect_postgres, owners_of)
        self.kafka = NetworkProxy(self._connect_kafka, owners_of)
        self.admin_dsn = ""
        self._folder = folder
        self._flush = flush
        self._kafka_port = 0
        self._running: AsyncExitStack | None = None
        self._servers: dict[str, KafkaServer | PostgresServer] = {}

    @property
    def dsn(self) -> str:
        """Postgres behind its proxy."""
        return f"postgresql://postgres@127.0.0.1:{self.postgres.port}/bitmill?sslmode=disable"

    @property
    def bootstrap(self) -> str:
        """Kafka behind its proxy, which is also where the broker says that it is."""
        return f"127.0.0.1:{self.kafka.port}"

    def proxy(self, server: str) -> NetworkProxy:
        return self.postgres if server == "postgres" else self.kafka

    @asynccontextmanager
    async def open(self) -> AsyncIterator["Servers"]:
        async with self.postgres, self.kafka:
            try:
                await self.start()
                yield self
            finally:
                await self.stop()

    async def start(self) -> None:
        """Starts both on what the folder has."""
        advertised = BrokerSecurity(
            "PLAINTEXT", "PLAINTEXT", {"advertised.listeners": f"PLAINTEXT://127.0.0.1:{self.kafka.port}"}
        )
        postgres = PostgresServer(self._folder)
        kafka = KafkaServer(self._folder, security=advertised, durable=self._flush)
        self._servers = {"postgres": postgres, "kafka": kafka}
        self._running = AsyncExitStack()
        self.admin_dsn = await self._running.enter_async_context(postgres.running(_quiet))
        address = await self._running.enter_async_context(kafka.running(_quiet))
        self._kafka_port = int(address.rpartition(":")[2])
        for server in (postgres, kafka):
            task = asyncio.create_task(keep_running(server, _PATIENT))
            self._running.push_async_callback(_end, task)

    async def stop(self) -> None:
        running, self._running = self._running, None
        if running is not None:
            await running.aclose()

    def kill(self, server: str) -> None:
        """SIGKILL to one of them; it is started again."""
        pid = self._servers[server].pid
        if pid is not None:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    def processes(self) -> list[psutil.Process]:
        """All processes of both."""
        found = []
        for server in self._servers.values():
            with suppress(psutil.Error):
                if server.pid is not None:
                    parent = psutil.Process(server.pid)
                    found += [parent, *parent.children(recursive=True)]
        return found

    async def _connect_postgres(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        query = parse_qs(urlsplit(self.admin_dsn).query)
        return await asyncio.open_unix_connection(f"{query['host'][0]}/.s.PGSQL.{query.get('port', ['5432'])[0]}")

    async def _connect_kafka(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        return await asyncio.open_connection("127.0.0.1", self._kafka_port)


async def _end(task: "asyncio.Task[None]") -> None:
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


def _quiet(_: str) -> None:
    pass
