"""The five services and a gateway as six processes, each of which a test can kill and start again."""

import asyncio
import signal
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import psutil

from schemas.topics import SERVICES
from tests.support.processes import DEADLINE_SECONDS, clean_environment, shell
from tests.support.system import ApiClient, free_port
from tests.support.waiting import until

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
READY_SECONDS = 180


class ServiceProcess:
    """One of the six processes. Its log continues through restarts."""

    def __init__(self, name: str, command: tuple[str, ...], port: int, env: Mapping[str, str], folder: Path) -> None:
        self.name = name
        self.address = f"http://127.0.0.1:{port}"
        self.log = folder / f"{name}.log"
        self._command = command
        self._env = {**clean_environment(), **env, "HTTP_PORT": str(port)}
        self._process: asyncio.subprocess.Process | None = None

    async def start(self) -> None:
        with self.log.open("ab") as out:
            self._process = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "cli", *self._command, env=self._env, stdout=out, stderr=out
            )

    async def kill(self) -> list[psutil.Process]:
        """SIGKILL; returns the child processes that it had at that moment."""
        children = self.children()
        assert self._process is not None
        self._process.kill()
        assert await self._process.wait() == -signal.SIGKILL, self.tail()
        return children

    async def stop(self) -> None:
        if self._process is None:
            return
        if self._process.returncode is None:
            self._process.terminate()
        try:
            status = await asyncio.wait_for(self._process.wait(), DEADLINE_SECONDS)
        except TimeoutError:
            self._process.kill()
            raise
        assert status == 0, self.tail()

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.returncode is None

    def children(self) -> list[psutil.Process]:
        assert self._process is not None
        return psutil.Process(self._process.pid).children(recursive=True)

    def is_encoding(self) -> bool:
        """Whether an ffmpeg runs as its child."""
        return any("ffmpeg" in child.name() for child in self.children())

    def tail(self) -> str:
        return f"{self.name}: {self.log.read_text(errors='replace')[-3000:]}"


@dataclass(frozen=True)
class Deployment:
    """The six processes. `api` is a client of the gateway; `env` is what the command line needs for this system."""

    api: ApiClient
    processes: Mapping[str, ServiceProcess]
    env: Mapping[str, str]

    async def failing_checks(self, name: str) -> set[str] | None:
        """The checks of a process that fail, as its /readyz names them; None if it does not answer."""
        try:
            async with self.api.session.get(f"{self.processes[name].address}/readyz") as response:
                body: dict[str, Any] = await response.json()
        except aiohttp.ClientError:
            return None
        failing = {check["name"] for check in body["checks"] if check["state"] != "ok"}
        assert (response.status == 200) == (not failing), body
        return failing

    async def until_ready(self, within: float = READY_SECONDS) -> None:
        """Wait until every process reports that it is ready."""

        async def all_ready() -> bool:
            dead = [process.tail() for process in self.processes.values() if not process.running]
            assert not dead, "\n".join(dead)
            return all([await self.failing_checks(name) == set() for name in self.processes])

        try:
            await until(all_ready, within=within, poll=0.05)
        except AssertionError as error:
            logs = "\n".join(process.tail() for process in self.processes.values())
            raise AssertionError(f"{error}\n{logs}") from None


@asynccontextmanager
async def deployment(
    database_url: str,
    kafka_bootstrap: str,
    folder: Path,
    *,
    database_urls: Mapping[str, str] | None = None,
    **settings: str,
) -> AsyncIterator[Deployment]:
    """Start the six on the given Postgres and Kafka, wait until they are ready, and stop them at the end.

    `database_urls` has the addresses of services that connect with roles of their own.
    """
    ports: dict[str, int] = {name: free_port() for name in (*SERVICES, "gateway")}
    address = f"http://127.0.0.1:{ports['gateway']}"
    urls = {f"{service.upper()}_URL": f"http://127.0.0.1:{ports[service]}" for service in SERVICES}
    env = {
        "KAFKA_BOOTSTRAP_SERVERS": kafka_bootstrap,
        "DATABASE_URL": database_url,
        "STORAGE_URL": (folder / "files").as_uri(),
        "PUBLIC_URL": address,
        "ALLOW_NET": "127.0.0.0/8",
        "WEBHOOK_SECRET": SECRET,
        "WORK_DIR": str(folder / "work"),
        "LOG_FORMAT": "json",
        **urls,
        **settings,
    }
    (folder / "files").mkdir(exist_ok=True)
    (folder / "work").mkdir()
    addresses = {name: {"DATABASE_URL": (database_urls or {}).get(name, database_url)} for name in map(str, SERVICES)}
    processes = {
        name: ServiceProcess(name, ("serve", name), ports[name], env | own, folder) for name, own in addresses.items()
    }
    processes["gateway"] = ServiceProcess("gateway", ("gateway",), ports["gateway"], urls, folder)
    try:
        for process in processes.values():
            await process.start()
        async with aiohttp.ClientSession() as session:
            await Deployment(ApiClient(address, SECRET, session), processes, env).until_ready()
        key = await shell(["bitmill", "keys", "create"], cwd=folder, env={**clean_environment(), **env})
        assert key.returncode == 0, key.stderr
        headers = {"Authorization": f"Bearer {key.stdout.split()[0]}"}
        async with aiohttp.ClientSession(headers=headers) as session:
            yield Deployment(ApiClient(address, SECRET, session), processes, env)
    finally:
        stops = (process.stop() for process in processes.values())
        results = await asyncio.gather(*stops, return_exceptions=True)
    failures = [str(result) for result in results if result is not None]
    assert not failures, "\n".join(failures)
