"""Processes that a test starts, and that do not outlive it."""

import asyncio
import os
import subprocess
import sys
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

DEADLINE_SECONDS = 120.0
"""For one job, one command, one stop: a safety net."""


def clean_environment() -> dict[str, str]:
    """The environment of the tests without what would lead the command to another system."""
    prefixes = ("ITTYBIT_", "KAFKA_", "DATABASE_URL", "STORAGE_URL", "BITMILL_")
    environment = {name: value for name, value in os.environ.items() if not name.startswith(prefixes)}
    environment["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{environment.get('PATH', '')}"
    return environment


@asynccontextmanager
async def killed_process(*command: str, **options: Any) -> AsyncIterator[Process]:
    """A process that is killed at the end of the block, unless it has ended. `options` as those of asyncio."""
    process = await asyncio.create_subprocess_exec(*command, **options)
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def shell(
    command: list[str], *, cwd: Path, env: Mapping[str, str], seconds: float = DEADLINE_SECONDS
) -> subprocess.CompletedProcess[str]:
    """Run a command to its end; standard output and error as text."""
    options: dict[str, Any] = {"cwd": cwd, "env": dict(env), "stdin": DEVNULL, "stdout": PIPE, "stderr": PIPE}
    async with killed_process(*command, **options) as process, asyncio.timeout(seconds):
        out, err = await process.communicate()
    assert process.returncode is not None
    return subprocess.CompletedProcess(command, process.returncode, out.decode(), err.decode())
