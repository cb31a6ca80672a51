"""One process of a service: started again whenever it ends, as an orchestrator would, until it is told to stop."""

import asyncio
import ctypes
import signal
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

import aiohttp

from tests.support.processes import clean_environment
from tests.support.system import free_port

ROOT = Path(__file__).parents[2]
RESTART_SECONDS = 0.5
STOP_SECONDS = 60.0
"""For an orderly stop, after which it counts as hung."""
_LIBC = ctypes.CDLL(None)
_PR_SET_PDEATHSIG = 1


def _die_with_parent() -> None:
    """In the child before the program starts: a run that is killed leaves no process behind (Linux)."""
    if hasattr(_LIBC, "prctl"):
        _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


class Replica:
    """`name` is `catalog-1`. Its log continues through restarts. `complaints` are what an operator would not accept."""

    def __init__(self, name: str, start: Sequence[str], env: Mapping[str, str], folder: Path) -> None:
        self.name = name
        self.service = name.rpartition("-")[0]
        port = free_port()
        self.address = f"http://127.0.0.1:{port}"
        self.log = folder / f"{name}.log"
        self.complaints: list[str] = []
        self.starts_given_up = 0
        self.stops_cut_short = 0
        self._command = (sys.executable, *start, "serve", self.service)
        self._env = {**clean_environment(), **env, "HTTP_PORT": str(port)}
        self._process: asyncio.subprocess.Process | None = None
        self._supervisor: asyncio.Task[None] | None = None
        self._expected_end = False
        self._log_begin = 0

    @property
    def pid(self) -> int | None:
        """None while it does not run."""
        process = self._process
        return process.pid if process is not None and process.returncode is None else None

    async def start(self) -> None:
        await self._start()
        self._supervisor = asyncio.create_task(self._supervise())

    async def _start(self) -> None:
        self._expected_end = False
        with self.log.open("ab") as out:
            self._log_begin = out.tell()
            self._process = await asyncio.create_subprocess_exec(
                *self._command, cwd=ROOT, env=self._env, stdout=out, stderr=out, preexec_fn=_die_with_parent
            )

    async def _supervise(self) -> None:
        while self._process is not None:
            status = await self._process.wait()
            if not self._expected_end and status == 1 and not self._has_logged("service_started"):
                # By design: a service that finds no Kafka or Postgres for a while leaves it to the orchestrator.
                self.starts_given_up += 1
            elif not self._expected_end:
                self.complaints.append(f"{self.name} ended by itself with status {status}: {self.tail(600)}")
            await asyncio.sleep(RESTART_SECONDS)
            await self._start()

    def _has_logged(self, event: str) -> bool:
        """Since its last start."""
        with self.log.open("rb") as log:
            log.seek(self._log_begin)
            return f'"{event}"'.encode() in log.read()

    def kill(self) -> None:
        self._send(signal.SIGKILL)

    def freeze(self) -> None:
        self._send(signal.SIGSTOP)

    def thaw(self) -> None:
        self._send(signal.SIGCONT)

    async def stop(self) -> None:
        """SIGTERM; after its end it is started again, unless `shut_down` was called."""
        process = self._process
        if process is None or process.returncode is not None:
            return
        self._send(signal.SIGTERM)
        try:
            status = await asyncio.wait_for(process.wait(), STOP_SECONDS)
        except TimeoutError:
            self.complaints.append(f"{self.name} did not stop within {STOP_SECONDS:g} s of SIGTERM: {self.tail(600)}")
            process.kill()
            await process.wait()
        else:
            if status == 1 and self._has_logged("shutdown_deadline_exceeded"):
                # By design, where Postgres or Kafka does not respond: what it held is taken over as after a kill.
                self.stops_cut_short += 1
            elif status not in (0, -signal.SIGTERM):  # a process that is still importing has no handler yet
                self.complaints.append(f"{self.name} ended with status {status} after SIGTERM: {self.tail(600)}")

    async def shut_down(self, *, kill: bool = False) -> None:
        """The last stop."""
        supervisor, self._supervisor = self._supervisor, None
        if supervisor is not None:
            supervisor.cancel()
            await asyncio.gather(supervisor, return_exceptions=True)
        if kill:
            self.kill()
        elif self.pid is not None:
            self.thaw()
            await self.stop()
        if self._process is not None:
            await self._process.wait()

    async def failing_checks(self, session: aiohttp.ClientSession) -> list[str]:
        """What /readyz complains of; nothing if the replica is ready."""
        try:
            async with session.get(f"{self.address}/readyz", timeout=aiohttp.ClientTimeout(total=5)) as response:
                body = await response.json()
        except (aiohttp.ClientError, TimeoutError) as error:
            return [f"no response: {type(error).__name__}"]
        return [str(check) for check in body["checks"] if check["state"] != "ok"]

    def tail(self, size: int = 2000) -> str:
        return self.log.read_text(errors="replace")[-size:] if self.log.exists() else "(no log)"

    def _send(self, number: signal.Signals) -> None:
        self._expected_end = self._expected_end or number in (signal.SIGKILL, signal.SIGTERM)
        if self._process is not None:
            with suppress(ProcessLookupError):
                self._process.send_signal(number)
