"""A `bitmill up` of the demo's own, as a child process; its address and key come from its env file."""

import asyncio
import signal
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp

from cli import env_file
from cli.banner import READY_LINE
from cli.errors import CliError

SILENT_SECONDS = 300
"""How long it may print nothing while it starts: it says what it waits for, the download of Kafka for example."""
STOP_SECONDS = 15
_POLL_SECONDS = 0.1


@dataclass(frozen=True)
class Api:
    """A running system: its address, the secret of its webhooks, and a session that sends its key."""

    address: str
    secret: str
    session: aiohttp.ClientSession

    async def post(self, path: str, body: dict[str, Any]) -> Any:
        """The body of the response. Raises `CliError` if it is an error, or none comes."""
        return await self._request("POST", path, json=body)

    async def get(self, path: str, **query: str) -> Any:
        """The body of the response. Raises `CliError` if it is an error, or none comes."""
        return await self._request("GET", path, params=query)

    async def _request(self, method: str, path: str, **options: Any) -> Any:
        try:
            async with self.session.request(method, self.address + path, **options) as response:
                body = await response.json()
        except (aiohttp.ClientError, TimeoutError) as error:
            raise CliError(f"{method} {path} got no response: {error or type(error).__name__}") from None
        if response.status >= 400:
            raise CliError(f"{method} {path} was refused: {body}")
        return body


@asynccontextmanager
async def bitmill_process(data: Path, progress: Callable[[str], None]) -> AsyncIterator[Api]:
    """Start it on a free port, wait until it is ready, stop it at the end. `progress` gets lines for the user."""
    log = data / "log"
    data.mkdir(parents=True, exist_ok=True)
    options = ("--port", "0", "--data", str(data), "--allow-net", "127.0.0.0/8", "--log-format", "json")
    with log.open("wb") as output:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "cli", "up", *options),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=output,
            stderr=output,
        )
    try:
        try:
            await _wait_until_ready(process, log, progress)
        except TimeoutError:
            raise CliError(f"bitmill printed nothing for {SILENT_SECONDS} s:\n{_end_of(log)}") from None
        values = env_file.read(data)
        async with aiohttp.ClientSession(headers={"Authorization": f"Bearer {values['ITTYBIT_API_KEY']}"}) as session:
            yield Api(values["ITTYBIT_API_URL"], values["ITTYBIT_WEBHOOK_SECRET"], session)
    finally:
        await _stop(process)


async def _wait_until_ready(process: asyncio.subprocess.Process, log: Path, progress: Callable[[str], None]) -> None:
    shown = 0
    async with asyncio.timeout(SILENT_SECONDS) as limit:
        while process.returncode is None:
            lines = log.read_text(errors="replace").splitlines()
            for line in lines[shown:]:
                limit.reschedule(asyncio.get_running_loop().time() + SILENT_SECONDS)
                if line == READY_LINE:
                    return
                # Plain lines are for the user, JSON lines are log events.
                if line.strip() and not line.startswith("{"):
                    progress(line)
            shown = len(lines)
            await asyncio.sleep(_POLL_SECONDS)
    raise CliError(f"bitmill did not start:\n{_end_of(log)}")


def _end_of(log: Path) -> str:
    return "\n".join(log.read_text(errors="replace").splitlines()[-20:])


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
