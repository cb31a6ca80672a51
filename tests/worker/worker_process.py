"""A worker in a process of its own, which a test can freeze, or whose clock it sets."""

import asyncio
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

ROOT = Path(__file__).parents[2]


class WorkerProcess:
    """`python -m module arguments`, for the `WorkerHarness`; it runs a worker of films."""

    name = "transcoder"

    def __init__(self, module: str, *arguments: str) -> None:
        self._command = (sys.executable, "-m", module, *arguments)
        self._process: asyncio.subprocess.Process | None = None

    def send(self, number: signal.Signals) -> None:
        assert self._process is not None
        self._process.send_signal(number)

    @asynccontextmanager
    async def run(self) -> AsyncIterator[None]:
        self._process = await asyncio.create_subprocess_exec(*self._command, cwd=ROOT)
        try:
            yield
        finally:
            # In order, so that no consumer of it is left in the groups: the next test resets their offsets.
            with suppress(ProcessLookupError):
                self.send(signal.SIGCONT)
                self.send(signal.SIGINT)
            try:
                # A request to Kafka that the freeze interrupted may have to time out first, once for each consumer.
                await asyncio.wait_for(self._process.wait(), 180)
            finally:
                with suppress(ProcessLookupError):
                    self._process.kill()
                await self._process.wait()
