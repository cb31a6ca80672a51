"""A `bitmill up` of the demonstration's own, as a child process, found by its folder like any other."""

import asyncio
import signal
import sys
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp

from cli import envfile
from cli.banner import READY_LINE
from cli.errors import CliError

START_SECONDS = 180
"""The first start of all downloads the embedded servers."""
STOP_SECONDS = 15


@dataclass(frozen=True)
class System:
    """A running system: its address and key, and a session that uses them."""

    address: str
    secret: str
    session: aiohttp.ClientSession

    async def post(self, path: str, body: dict[str, Any]) -> Any:
        async with self.session.post(self.address + path, json=body) as response:
            answer = await response.json()
            if response.status >= 400:
                raise CliError(f"POST {path} was refused: {answer}")
            return answer

    async def get(self, path: str, **query: str) -> Any:
        async with self.session.get(self.address + path, params=query) as response:
            answer = await response.json()
            if response.status >= 400:
                raise CliError(f"GET {path} was refused: {answer}")
            return answer


@asynccontextmanager
async def running(
    data: Path, say: Callable[[str], None], env: Mapping[str, str] | None = None
) -> AsyncIterator[System]:
    """Start it on a free port (with `env` instead of our environment), wait until it is ready, stop it at the end."""
    log = data / "log"
    data.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-m", "cli", "up", "--port", "0", "--data", str(data), "--allow-net", "127.0.0.0/8"]
    with log.open("wb") as err:
        process = await asyncio.create_subprocess_exec(
            *command, "--log-format", "json", stdin=asyncio.subprocess.DEVNULL, stdout=err, stderr=err, env=env
        )
    try:
        async with asyncio.timeout(START_SECONDS):
            yield_to = await _ready(process, data, log, say)
    except TimeoutError:
        await _stop(process)
        raise CliError(f"bitmill was not ready within {START_SECONDS} s; its log is {log}") from None
    except BaseException:
        await _stop(process)
        raise
    try:
        headers = {"Authorization": f"Bearer {yield_to['ITTYBIT_API_KEY']}"}
        async with aiohttp.ClientSession(headers=headers) as session:
            yield System(yield_to["ITTYBIT_API_URL"], yield_to["ITTYBIT_WEBHOOK_SECRET"], session)
    finally:
        await _stop(process)


async def _ready(
    process: asyncio.subprocess.Process, data: Path, log: Path, say: Callable[[str], None]
) -> dict[str, str]:
    said = 0
    async with aiohttp.ClientSession() as session:
        while process.returncode is None:
            lines = log.read_text(errors="replace").splitlines()
            for line in lines[said:]:
                # Plain lines are its progress, JSON ones are events for its log; what comes last is its own screen.
                if line == READY_LINE:
                    break
                if line.strip() and not line.startswith("{"):
                    say(line)
            said = len(lines) if READY_LINE not in lines else sys.maxsize
            values = envfile.read(data)
            if values and await _answers(session, values["ITTYBIT_API_URL"]):
                return values
            await asyncio.sleep(0.1)
    raise CliError("bitmill did not start:\n" + "\n".join(log.read_text(errors="replace").splitlines()[-20:]))


async def _answers(session: aiohttp.ClientSession, address: str) -> bool:
    try:
        async with session.get(f"{address}/readyz", timeout=aiohttp.ClientTimeout(total=3)) as response:
            return response.status == 200
    except (aiohttp.ClientError, TimeoutError):
        return False


async def _stop(process: asyncio.subprocess.Process) -> None:
    if process.returncode is not None:
        return
    process.send_signal(signal.SIGTERM)
    try:
        async with asyncio.timeout(STOP_SECONDS):
            await process.wait()
    except TimeoutError:
        process.kill()
        await process.wait()
