"""`bitmill up` as a person runs it: one screen, one folder, and what happens to it under signals."""

import asyncio
import os
import re
import signal
import stat
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import psutil
import pytest

from cli import envfile
from devtools.demo.darkroom import Darkroom
from tests.system import JOB_SECONDS, Up, clean_environment, shell

READY_SECONDS = 60


class Process:
    """A `bitmill up` of this test's own, that may be killed."""

    def __init__(self, data: Path) -> None:
        self.data = data
        self.process: asyncio.subprocess.Process | None = None

    async def start(self) -> None:
        command = [sys.executable, "-m", "cli", "up", "--port", "0", "--data", str(self.data)]
        with (self.data.parent / f"{self.data.name}.log").open("ab") as log:
            self.process = await asyncio.create_subprocess_exec(
                *command, "--allow-net", "127.0.0.0/8", env=clean_environment(), stdout=log, stderr=log
            )
        before = envfile.read(self.data).get("ITTYBIT_API_URL")
        async with aiohttp.ClientSession() as session, asyncio.timeout(READY_SECONDS):
            while not await self._ready(session, before):
                assert self.process.returncode is None, self.log
                await asyncio.sleep(0.1)

    async def _ready(self, session: aiohttp.ClientSession, before: str | None) -> bool:
        address = envfile.read(self.data).get("ITTYBIT_API_URL")
        if address is None:
            return False
        try:
            async with session.get(f"{address}/readyz") as response:
                return response.status == 200
        except aiohttp.ClientError:
            return False

    @property
    def log(self) -> str:
        return (self.data.parent / f"{self.data.name}.log").read_text(errors="replace")

    @property
    def api(self) -> str:
        return envfile.read(self.data)["ITTYBIT_API_URL"]

    @property
    def headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {envfile.read(self.data)['ITTYBIT_API_KEY']}"}

    def family(self) -> list[psutil.Process]:
        assert self.process is not None
        return psutil.Process(self.process.pid).children(recursive=True)

    async def end(self, with_: signal.Signals) -> float:
        """Seconds until it was gone."""
        assert self.process is not None
        began = time.monotonic()
        self.process.send_signal(with_)
        await asyncio.wait_for(self.process.wait(), 30)
        return time.monotonic() - began


@asynccontextmanager
async def own_up(data: Path) -> AsyncIterator[Process]:
    data.mkdir()
    process = Process(data)
    await process.start()
    try:
        yield process
    finally:
        if process.process is not None and process.process.returncode is None:
            await process.end(signal.SIGTERM)


async def _post(process: Process, platform: Darkroom, upload: str = "clip.mov", **options: object) -> str:
    body = {"input": platform.upload_url(upload), "kind": "video", "options": {"width": 320, **options}}
    async with (
        aiohttp.ClientSession(headers=process.headers) as session,
        session.post(f"{process.api}/jobs", json=body) as response,
    ):
        assert response.status == 201, await response.text()
        job: dict[str, str] = await response.json()
        return job["id"]


async def _status(process: Process, job: str) -> str:
    async with (
        aiohttp.ClientSession(headers=process.headers) as session,
        session.get(f"{process.api}/jobs/{job}") as response,
    ):
        assert response.status == 200, await response.text()
        found: dict[str, str] = await response.json()
        return found["status"]


async def _reaches(process: Process, job: str, *wanted: str) -> None:
    async with asyncio.timeout(JOB_SECONDS):
        while await _status(process, job) not in wanted:
            await asyncio.sleep(0.05)


async def _gone(children: list[psutil.Process]) -> None:
    async with asyncio.timeout(10):
        while [child for child in children if child.is_running() and child.status() != psutil.STATUS_ZOMBIE]:
            await asyncio.sleep(0.1)


async def test_it_stops_within_ten_seconds_leaves_no_child_and_goes_on_at_the_next_start(
    tmp_path: Path, platform: Darkroom
) -> None:
    async with own_up(tmp_path / "data") as process:
        finished = await _post(process, platform)
        await _reaches(process, finished, "succeeded")
        undone = await _post(process, platform, "video-9182.mov", width=3840, quality="very_high")
        await _reaches(process, undone, "processing")
        children = process.family()
        assert await process.end(signal.SIGTERM) < 10
        await _gone(children)
        key = process.headers
        await process.start()
        assert process.headers == key, "the key that was handed out stays good"
        assert await _status(process, finished) == "succeeded"
        await _reaches(process, undone, "succeeded")


async def test_after_a_sigkill_the_next_start_works_by_itself_and_loses_nothing(
    tmp_path: Path, platform: Darkroom
) -> None:
    async with own_up(tmp_path / "data") as process:
        jobs = [await _post(process, platform, "video-9182.mov", width=1920) for _ in range(2)]
        await _reaches(process, jobs[0], "processing")
        children = process.family()
        await process.end(signal.SIGKILL)
        began = time.monotonic()
        await process.start()
        took = time.monotonic() - began
        await _gone(children)
        for job in jobs:
            await _reaches(process, job, "succeeded")
        assert took < READY_SECONDS


async def test_a_second_one_on_the_same_folder_is_refused_with_a_sentence(up: Up) -> None:
    command = [sys.executable, "-m", "cli", "up", "--port", "0", "--data", str(up.data)]
    done = await shell(command, cwd=up.data, env=clean_environment())
    assert done.returncode != 0
    assert "in use" in done.stderr
    assert "Traceback" not in done.stderr


async def test_the_printed_curl_works_as_it_is_printed(up: Up, tmp_path: Path) -> None:
    command = next(line.strip() for line in up.log.splitlines() if re.match(r"\s+curl \S+/jobs -H", line))
    done = await shell(["bash", "-c", f"{command} -sS"], cwd=tmp_path, env=clean_environment())
    assert done.returncode == 0
    assert done.stdout.startswith("[")


async def test_the_env_file_is_for_its_owner_only(up: Up) -> None:
    assert stat.S_IMODE(os.stat(envfile.path(up.data)).st_mode) == 0o600


async def test_a_revoked_key_is_refused_within_a_second_everywhere(up: Up, tmp_path: Path) -> None:
    done = await shell(["bitmill", "keys", "create", "--name", "short-lived"], cwd=tmp_path, env=up.env)
    assert done.returncode == 0, done.stderr
    key, about = done.stdout.splitlines()[:2]
    headers = {"Authorization": f"Bearer {key}"}
    async with aiohttp.ClientSession(headers=headers) as session:

        async def statuses() -> set[int]:
            async with session.get(f"{up.api.address}/jobs") as query:
                pass
            async with session.post(f"{up.api.address}/jobs", json={}) as command:
                pass
            return {query.status, command.status}

        assert await statuses() == {200, 400}
        revoked = await shell(["bitmill", "keys", "revoke", about.split()[0]], cwd=tmp_path, env=up.env)
        assert revoked.returncode == 0, revoked.stderr
        await asyncio.sleep(1)  # the promise itself: within a second
        assert await statuses() == {401}
    listed = await shell(["bitmill", "keys", "list"], cwd=tmp_path, env=up.env)
    assert key not in listed.stdout
    assert "short-lived" in listed.stdout


async def test_a_project_sees_nothing_of_another(up: Up, platform: Darkroom, tmp_path: Path) -> None:
    job = await up.api.post("/jobs", {"input": platform.upload_url("photo.png"), "kind": "image"})
    media = await up.api.post("/media", {"url": platform.upload_url("photo.png")})
    command = ["bitmill", "keys", "create", "--project", "other"]
    key = (await shell(command, cwd=tmp_path, env=up.env)).stdout.split()[0]
    async with aiohttp.ClientSession(headers={"Authorization": f"Bearer {key}"}) as session:
        for path in (f"/jobs/{job['id']}", f"/media/{media['data']['id']}"):
            async with session.get(up.api.address + path) as response:
                assert response.status == 404
        async with session.get(f"{up.api.address}/jobs") as response:
            assert await response.json() == []


async def test_the_way_of_one_job_can_be_read_with_grep(up: Up, platform: Darkroom) -> None:
    body = {"input": platform.upload_url("photo.png") + "?token=do-not-log", "kind": "image"}
    job = await up.api.post("/jobs", {**body, "webhook_url": platform.webhook_url})
    await platform.webhook(job["id"])
    async with asyncio.timeout(5):
        while True:
            lines = [line for line in up.log.splitlines() if job["id"] in line]
            services = set(re.findall(r'"service": ?"(\w+)"', "\n".join(lines)))
            if services >= {"ingest", "thumbnailer", "catalog", "notifier"}:
                break
            await asyncio.sleep(0.1)
    assert "do-not-log" not in up.log
    assert up.env["ITTYBIT_API_KEY"] not in "\n".join(line for line in up.log.splitlines() if line.startswith("{"))


@pytest.mark.parametrize("path", ["/livez", "/readyz", "/metrics"])
async def test_health_and_metrics_need_no_key(path: str, up: Up) -> None:
    async with aiohttp.ClientSession() as session, session.get(up.api.address + path) as response:
        assert response.status == 200
