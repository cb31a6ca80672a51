"""The same as five processes beside a gateway: what `bitmill up` does in one."""

import asyncio
import shutil
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import aiohttp
import pytest

from cli.demo import darkroom
from cli.demo.system import System
from cli.footage import Footage
from cli.up import free_port
from schemas.topics import SERVICES
from tests.servers import Postgres
from tests.system import clean_environment, shell

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
READY_SECONDS = 60


@asynccontextmanager
async def child(*arguments: str, env: dict[str, str], log: Path) -> AsyncIterator[asyncio.subprocess.Process]:
    with log.open("wb") as out:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "cli", *arguments, env={**clean_environment(), **env}, stdout=out, stderr=out
        )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.terminate()
        assert await asyncio.wait_for(process.wait(), 15) == 0, log.read_text()


@pytest.fixture(scope="module")
async def deployed(
    postgres_server: Postgres, kafka_bootstrap: str, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[System]:
    folder = tmp_path_factory.mktemp("processes")
    ports = {name: free_port("127.0.0.1", 0) for name in (*SERVICES, "gateway")}
    address = f"http://127.0.0.1:{ports['gateway']}"
    common = {
        "KAFKA_BOOTSTRAP_SERVERS": kafka_bootstrap,
        "DATABASE_URL": await postgres_server.database(),
        "STORAGE_URL": (folder / "files").as_uri(),
        "PUBLIC_URL": address,
        "ALLOW_NET": "127.0.0.0/8",
        "WEBHOOK_SECRET": SECRET,
        "WORK_DIR": str(folder / "work"),
        "LOG_FORMAT": "json",
    }
    (folder / "files").mkdir()
    (folder / "work").mkdir()
    async with AsyncExitStack() as stack:
        for service in SERVICES:
            env = {**common, "HTTP_PORT": str(ports[service])}
            await stack.enter_async_context(child("serve", service, env=env, log=folder / f"{service}.log"))
        urls = {f"{service.upper()}_URL": f"http://127.0.0.1:{ports[service]}" for service in SERVICES}
        env = {**urls, "HTTP_PORT": str(ports["gateway"])}
        await stack.enter_async_context(child("gateway", env=env, log=folder / "gateway.log"))
        await _ready(address, folder)
        key = await shell(["bitmill", "keys", "create"], cwd=folder, env={**clean_environment(), **common})
        assert key.returncode == 0, key.stderr
        headers = {"Authorization": f"Bearer {key.stdout.split()[0]}"}
        session = await stack.enter_async_context(aiohttp.ClientSession(headers=headers))
        yield System(address, SECRET, session)


async def _ready(address: str, folder: Path) -> None:
    async with aiohttp.ClientSession() as session:
        try:
            async with asyncio.timeout(READY_SECONDS):
                while True:
                    try:
                        async with session.get(f"{address}/readyz") as response:
                            said = await response.text()
                            if response.status == 200:
                                return
                    except aiohttp.ClientError as error:
                        said = str(error)
                    await asyncio.sleep(0.2)
        except TimeoutError:
            logs = "\n".join(f"{log.name}: {log.read_text()[-2000:]}" for log in folder.glob("*.log"))
            pytest.fail(f"not ready: {said}\n{logs}")


async def test_five_processes_and_a_gateway_do_the_main_job(deployed: System, footage: Footage, tmp_path: Path) -> None:
    shutil.copy(footage.bikes, tmp_path / "clip.mov")
    async with darkroom.running(tmp_path) as room:
        room.secret = SECRET
        wanted = [
            {"kind": "video", "options": {"width": 480, "quality": "low"}},
            {"kind": "image", "options": {"start": 2, "width": 640, "format": "webp"}},
        ]
        for body in wanted:
            url = room.upload_url("clip.mov")
            job = await deployed.post("/jobs", {**body, "input": url, "webhook_url": room.webhook_url})
            async with asyncio.timeout(60):
                done = await room.webhook(job["id"])
            assert done["status"] == "succeeded", done["error"]
            assert await deployed.get(f"/jobs/{job['id']}") == done
            async with deployed.session.get(done["output"]["url"], headers={"Range": "bytes=0-99"}) as response:
                assert response.status == 206
                assert len(await response.read()) == 100
        item = (await deployed.post("/media", {"url": room.upload_url("clip.mov"), "metadata": {"user_id": "7"}}))[
            "data"
        ]
        assert item["status"] == "active"
        listed = await deployed.get("/media", **{"metadata.user_id": "7"})
        assert [found["id"] for found in listed["data"]] == [item["id"]]
