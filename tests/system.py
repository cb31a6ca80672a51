"""One running `bitmill up` for a whole test session, and a platform that hosts uploads and receives webhooks."""

import asyncio
import os
import shutil
import subprocess
import sys
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from cli import envfile
from devtools.demo import darkroom, system
from devtools.demo.darkroom import Darkroom
from devtools.demo.system import System
from devtools.footage import Footage

JOB_SECONDS = 60


@dataclass(frozen=True)
class Up:
    """The running system with its folder, and the environment that its `env` file gives to a shell."""

    data: Path
    api: System

    @property
    def env(self) -> dict[str, str]:
        return {**clean_environment(), **envfile.read(self.data)}

    @property
    def log(self) -> str:
        return (self.data / "log").read_text(errors="replace")

    async def finished(self, job_id: str) -> dict[str, Any]:
        """The job once it has ended."""
        async with asyncio.timeout(JOB_SECONDS):
            while True:
                job: dict[str, Any] = await self.api.get(f"/jobs/{job_id}")
                if job["status"] not in ("queued", "processing"):
                    return job
                await asyncio.sleep(0.1)


def clean_environment() -> dict[str, str]:
    """Ours without what would lead the command to another system."""
    ours = ("ITTYBIT_", "KAFKA_", "DATABASE_URL", "STORAGE_URL", "BITMILL_")
    found = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
    found["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{found.get('PATH', '')}"
    return found


@pytest.fixture(scope="session")
async def up(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Up]:
    """`bitmill up` with embedded servers, as a person would start it."""
    data = tmp_path_factory.mktemp("up")
    async with system.running(data, print) as api:
        yield Up(data, api)


@pytest.fixture(scope="session")
async def platform(up: Up, footage: Footage, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Darkroom]:
    """A web server with real uploads under the names of the documents, and a webhook receiver."""
    uploads = tmp_path_factory.mktemp("uploads")
    shutil.copy(footage.bikes, uploads / "clip.mov")
    shutil.copy(footage.bunny, uploads / "video-9182.mov")
    shutil.copy(footage.carphone, uploads / "your-file.mp4")
    shutil.copy(footage.chelsea, uploads / "photo.png")
    shutil.copy(footage.coffee, uploads / "coffee.png")
    async with darkroom.running(uploads) as room:
        room.secret = up.api.secret
        yield room


async def shell(
    command: list[str], *, cwd: Path, env: Mapping[str, str], seconds: float = JOB_SECONDS
) -> subprocess.CompletedProcess[str]:
    """Run a command to its end; standard output and error as text."""
    process = await asyncio.create_subprocess_exec(
        *command,
        cwd=cwd,
        env=dict(env),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        async with asyncio.timeout(seconds):
            out, err = await process.communicate()
    except TimeoutError:
        process.kill()
        await process.wait()
        raise
    assert process.returncode is not None
    return subprocess.CompletedProcess(command, process.returncode, out.decode(), err.decode())
