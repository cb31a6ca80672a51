"""Five processes beside a gateway, each of which can be killed and started again: what `bitmill up` does in one."""

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

from cli.up import free_port
from devtools.demo.system import System
from schemas.topics import SERVICES
from tests.support.waiting import until
from tests.system import clean_environment, shell

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
READY_SECONDS = 60
STOP_SECONDS = 15


class Member:
    """One process of the six. Its log goes on through restarts."""

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
        """SIGKILL; the children that it had at that moment."""
        family = self.family()
        assert self._process is not None
        self._process.kill()
        assert await self._process.wait() == -signal.SIGKILL, self.tail()
        return family

    async def stop(self) -> None:
        if self._process is None:
            return
        if self._process.returncode is None:
            self._process.terminate()
        try:
            status = await asyncio.wait_for(self._process.wait(), STOP_SECONDS)
        except TimeoutError:
            self._process.kill()
            raise
        assert status == 0, self.tail()

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.returncode is None

    def family(self) -> list[psutil.Process]:
        assert self._process is not None
        return psutil.Process(self._process.pid).children(recursive=True)

    def encoding(self) -> bool:
        """Whether an ffmpeg runs below it."""
        return any("ffmpeg" in child.name() for child in self.family())

    def tail(self) -> str:
        return f"{self.name}: {self.log.read_text(errors='replace')[-3000:]}"


@dataclass(frozen=True)
class Deployment:
    """The running six. `api` is the gateway with a key; `env` is what a shell needs for the same system."""

    api: System
    members: Mapping[str, Member]
    env: Mapping[str, str]
    folder: Path

    async def failing(self, name: str) -> set[str] | None:
        """The checks of a member that do not hold, as its /readyz names them; None where nobody answers."""
        try:
            async with self.api.session.get(f"{self.members[name].address}/readyz") as response:
                body: dict[str, Any] = await response.json()
        except aiohttp.ClientError:
            return None
        failing = {check["name"] for check in body["checks"] if check["state"] != "ok"}
        assert (response.status == 200) == (not failing), body
        return failing

    async def ready(self, within: float = READY_SECONDS) -> None:
        """Waits until every process says that it is ready."""

        async def all_ready() -> bool:
            dead = [member.tail() for member in self.members.values() if not member.running]
            assert not dead, "\n".join(dead)
            return all([await self.failing(name) == set() for name in self.members])

        try:
            await until(all_ready, within=within)
        except AssertionError as error:
            logs = "\n".join(member.tail() for member in self.members.values())
            raise AssertionError(f"{error}\n{logs}") from None


@asynccontextmanager
async def deployment(
    database_url: str, kafka_bootstrap: str, folder: Path, **settings: str
) -> AsyncIterator[Deployment]:
    """Starts the six on the given Postgres and Kafka, waits until they are ready, and stops them at the end."""
    ports: dict[str, int] = {name: free_port("127.0.0.1", 0) for name in (*SERVICES, "gateway")}
    address = f"http://127.0.0.1:{ports['gateway']}"
    urls = {f"{service.upper()}_URL": f"http://127.0.0.1:{ports[service]}" for service in SERVICES}
    common = {
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
    everybody = {name: Member(name, ("serve", name), ports[name], common, folder) for name in map(str, SERVICES)}
    everybody["gateway"] = Member("gateway", ("gateway",), ports["gateway"], urls, folder)
    try:
        for member in everybody.values():
            await member.start()
        async with aiohttp.ClientSession() as session:
            system = System(address, SECRET, session)
            await Deployment(system, everybody, common, folder).ready()
        key = await shell(["bitmill", "keys", "create"], cwd=folder, env={**clean_environment(), **common})
        assert key.returncode == 0, key.stderr
        headers = {"Authorization": f"Bearer {key.stdout.split()[0]}"}
        async with aiohttp.ClientSession(headers=headers) as session:
            yield Deployment(System(address, SECRET, session), everybody, common, folder)
    finally:
        ends = await asyncio.gather(*(member.stop() for member in everybody.values()), return_exceptions=True)
    failures = [str(end) for end in ends if end is not None]
    assert not failures, "\n".join(failures)
