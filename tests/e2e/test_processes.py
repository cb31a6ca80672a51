"""The same as five processes beside a gateway: what `bitmill up` does in one."""

import asyncio
import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from devtools.demo import darkroom
from devtools.demo.system import System
from devtools.footage import Footage
from tests.e2e.processes import SECRET, deployment
from tests.support.servers import Postgres


@pytest.fixture(scope="module")
async def deployed(
    postgres_server: Postgres, kafka_bootstrap: str, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[System]:
    folder = tmp_path_factory.mktemp("processes")
    async with deployment(await postgres_server.database(), kafka_bootstrap, folder) as running:
        yield running.api


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
