"""`bitmill up` as a child process of the tests, and clients of its API and of its command line.

Fixtures, one of each for the whole session (a plugin of `tests/conftest.py`):
    up        a running `bitmill up` with embedded servers (`BitmillUp`)
    uploads   a `FileServer` with real clips and photographs, under the names that the examples use
    hooks     a `WebhookReceiver` with the secret of `up`

`bitmill_up(folder)` runs another one for a test that stops, kills or restarts it.
"""

import asyncio
import json
import shutil
import signal
import socket
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import psutil
import pytest

from cli import env_file
from cli.banner import READY_LINE
from devtools.footage import Footage
from tests.support.file_server import FileServer, file_server
from tests.support.footage import Material
from tests.support.processes import DEADLINE_SECONDS, clean_environment, shell
from tests.support.waiting import until
from tests.support.webhook_receiver import WebhookReceiver, webhook_receiver

REPLY_TOPIC = "shop.replies"
"""The topic that producers may name for replies."""
START_SECONDS = 300.0
"""For a start: the first one on a machine downloads Kafka."""


@dataclass(frozen=True)
class ApiClient:
    """The address of an API, and a session that sends a key. `secret` signs the webhooks of the system behind it."""

    address: str
    secret: str
    session: aiohttp.ClientSession

    async def post(self, path: str, body: Mapping[str, Any]) -> Any:
        """The body of a successful answer."""
        async with self.session.post(self.address + path, json=body) as response:
            assert response.status < 400, f"POST {path}: {response.status} {await response.text()}"
            return await response.json()

    async def get(self, path: str, **query: str) -> Any:
        """The body of a successful answer."""
        async with self.session.get(self.address + path, params=query) as response:
            assert response.status < 400, f"GET {path}: {response.status} {await response.text()}"
            return await response.json()

    async def finished(self, job_id: str, within: float = DEADLINE_SECONDS) -> dict[str, Any]:
        """The job once it has ended."""

        async def ended() -> Any:
            job = await self.get(f"/jobs/{job_id}")
            return None if job["status"] in ("queued", "processing") else job

        job: dict[str, Any] = await until(ended, within=within)
        return job


class BitmillUp:
    """A `bitmill up` on the folder `data`. Its output is appended to `data`.log beside the folder."""

    def __init__(self, data: Path, environment: Mapping[str, str] | None = None) -> None:
        self.data = data
        self._environment = clean_environment() if environment is None else environment
        self._log = data.with_name(f"{data.name}.log")
        self._process: asyncio.subprocess.Process | None = None
        self._session: aiohttp.ClientSession | None = None

    async def start(self) -> None:
        """Start it on a free port, with loopback allowed for inputs and webhooks, and wait until it is ready."""
        options = ("--data", str(self.data), "--port", "0", "--allow-net", "127.0.0.0/8", "--log-format", "json")
        command = (sys.executable, "-m", "cli", "up", *options)
        with self._log.open("ab") as log:
            begin = log.tell()
            self._process = await asyncio.create_subprocess_exec(
                *command, env=self._environment, stdout=log, stderr=log
            )

        def ready() -> bool:
            output = self._log.read_bytes()[begin:].decode(errors="replace")
            assert self.process.returncode is None, output
            return READY_LINE in output.splitlines()

        await until(ready, within=START_SECONDS, poll=0.05)
        await self._close_session()
        self._session = aiohttp.ClientSession(headers=self.headers)

    async def stop(self, with_signal: signal.Signals = signal.SIGTERM) -> None:
        """Send the signal and wait for the end. Does nothing if it has ended."""
        await self._close_session()
        if self._process is None or self._process.returncode is not None:
            return
        self._process.send_signal(with_signal)
        try:
            await asyncio.wait_for(self._process.wait(), DEADLINE_SECONDS)
        except TimeoutError:
            self._process.kill()
            raise

    @property
    def process(self) -> asyncio.subprocess.Process:
        assert self._process is not None
        return self._process

    @property
    def log(self) -> str:
        """All output so far, of every start."""
        return self._log.read_text(errors="replace")

    @property
    def env(self) -> dict[str, str]:
        """The environment of a shell that has sourced the env file."""
        return {**clean_environment(), **env_file.read(self.data)}

    @property
    def headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {env_file.read(self.data)['ITTYBIT_API_KEY']}"}

    @property
    def api(self) -> ApiClient:
        assert self._session is not None
        values = env_file.read(self.data)
        return ApiClient(values["ITTYBIT_API_URL"], values["ITTYBIT_WEBHOOK_SECRET"], self._session)

    def children(self) -> list[psutil.Process]:
        """Its child processes and theirs."""
        return psutil.Process(self.process.pid).children(recursive=True)

    async def _close_session(self) -> None:
        session, self._session = self._session, None
        if session is not None:
            await session.close()


@asynccontextmanager
async def bitmill_up(data: Path, environment: Mapping[str, str] | None = None) -> AsyncIterator[BitmillUp]:
    """Start `bitmill up` on a folder (made if absent), stop it at the end."""
    data.mkdir(parents=True, exist_ok=True)
    system = BitmillUp(data, environment)
    try:
        await system.start()
        yield system
    finally:
        await system.stop()


@pytest.fixture(scope="session")
async def up(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[BitmillUp]:
    """The session's `bitmill up`, started as a person would start it."""
    environment = clean_environment() | {"REPLY_TOPICS": REPLY_TOPIC}
    async with bitmill_up(tmp_path_factory.mktemp("up") / "data", environment) as system:
        yield system


@pytest.fixture(scope="session")
async def uploads(
    footage: Footage, material: Material, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[FileServer]:
    """A file server with real files under the names that the examples use, and `film.mov`, which takes longer."""
    folder = tmp_path_factory.mktemp("uploads")
    # Seconds of each: most tests wait until a whole file is encoded.
    shutil.copy(material.beginning(footage.bikes, 3), folder / "clip.mov")
    shutil.copy(material.beginning(footage.bunny, 2), folder / "video-9182.mov")
    shutil.copy(footage.bunny, folder / "film.mov")
    shutil.copy(footage.carphone, folder / "your-file.mp4")
    shutil.copy(footage.chelsea, folder / "photo.png")
    shutil.copy(footage.coffee, folder / "coffee.png")
    async with file_server(folder) as server:
        yield server


@pytest.fixture(scope="session")
async def hooks(up: BitmillUp) -> AsyncIterator[WebhookReceiver]:
    """A webhook receiver that accepts only the signatures of `up`."""
    async with webhook_receiver(secret=up.api.secret) as receiver:
        yield receiver


async def kafka_client_options(up: BitmillUp) -> dict[str, Any]:
    """The arguments of aiokafka's clients, as the command prints them."""
    command = [sys.executable, "-m", "cli", "kafka", "client", "--data", str(up.data), "--format", "aiokafka"]
    done = await shell(command, cwd=Path.cwd(), env=clean_environment())
    assert done.returncode == 0, done.stderr
    printed: dict[str, Any] = json.loads(done.stdout)
    return printed


def free_port() -> int:
    """A port of 127.0.0.1 on which nothing listened a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
