"""Six processes, the five services and a gateway: the same behaviour as `bitmill up` in one process.

Each service connects to Postgres with a role of its own that `bitmill migrate` has made, and migrates nothing.
"""

from collections.abc import AsyncIterator
from uuid import uuid4

import asyncpg
import pytest

from schemas.topics import SERVICES
from tests.e2e.processes import SECRET, deployment
from tests.support.file_server import FileServer
from tests.support.processes import clean_environment, shell
from tests.support.servers import Postgres, with_user
from tests.support.system import ApiClient
from tests.support.waiting import until
from tests.support.webhook_receiver import webhook_receiver


@pytest.fixture(scope="module")
async def api(
    postgres_server: Postgres, kafka_bootstrap: str, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[ApiClient]:
    folder = tmp_path_factory.mktemp("processes")
    admin = await postgres_server.database()
    roles = {service: f"{service}_{uuid4().hex[:8]}" for service in SERVICES}
    addresses = {str(service): with_user(admin, role) for service, role in roles.items()}
    env = {f"{service.upper()}_DATABASE_URL": address for service, address in addresses.items()}
    migrate = ["bitmill", "migrate", "--roles"]
    made = await shell(migrate, cwd=folder, env={**clean_environment(), **env, "ADMIN_DATABASE_URL": admin})
    assert made.returncode == 0, made.stderr
    try:
        async with deployment(
            admin, kafka_bootstrap, folder, database_urls=addresses, MIGRATE_ON_START="false"
        ) as running:
            yield running.api
    finally:
        connection = await asyncpg.connect(admin)
        for role in roles.values():
            await connection.execute(f"DROP OWNED BY {role}; DROP ROLE {role}")
        await connection.close()


async def test_jobs_and_media_items_through_five_processes_and_a_gateway(api: ApiClient, uploads: FileServer) -> None:
    clip = uploads.url("clip.mov")
    async with webhook_receiver(secret=SECRET) as hooks:
        jobs = [
            {"kind": "video", "options": {"width": 480, "quality": "low"}},
            {"kind": "image", "options": {"start": 2, "width": 640, "format": "webp"}},
        ]
        for body in jobs:
            job = await api.post("/jobs", {**body, "input": clip, "webhook_url": hooks.url()})
            webhook = await hooks.webhook(job["id"])
            assert webhook["status"] == "succeeded", webhook["error"]
            assert await api.finished(job["id"]) == webhook
            async with api.session.get(webhook["output"]["url"], headers={"Range": "bytes=0-99"}) as response:
                assert response.status == 206
                assert len(await response.read()) == 100
    item = (await api.post("/media", {"url": clip, "metadata": {"user_id": "7"}}))["data"]
    assert item["status"] == "active"

    async def listed() -> bool:
        found = await api.get("/media", **{"metadata.user_id": "7"})
        return [each["id"] for each in found["data"]] == [item["id"]]

    await until(listed, poll=0.05)  # POST /media waits two seconds for the catalog
