"""What got a 2xx survives a restart; what cannot be stored is refused with 503 and may be sent again."""

import asyncio
from datetime import timedelta
from pathlib import Path

import pytest

from schemas.events import JobCreated, MediaCreated
from tests.services.ingest.system import FileServer, Heard, running
from tests.support.proxy import Proxy
from tests.support.waiting import until

GOOD = {"input": "https://example.com/a.mov", "kind": "video"}


async def test_an_accepted_import_goes_on_after_a_restart(
    fresh_dsn: str, kafka_bootstrap: str, heard: Heard, files: FileServer, tmp_path: Path
) -> None:
    files.arrived.clear()
    files.let_go.clear()
    storage = tmp_path / "storage"
    async with running(fresh_dsn, kafka_bootstrap, storage, media_wait=timedelta(0)) as system:
        answer = await system.post("/media", {"url": f"{files.url}/held.png", "filename": "kept.png"})
        assert (answer.status, answer.body["data"]["status"]) == (200, "processing")
        media_id = answer.body["data"]["id"]
        # The service ends in the middle of the fetch.
        await files.arrived.wait()
    files.let_go.set()
    async with running(fresh_dsn, kafka_bootstrap, storage):
        created = await heard.first(MediaCreated, media_id)
    assert (created.media.status, created.media.filename) == ("active", "kept.png")


async def test_a_stopping_service_sends_those_who_wait_home_with_what_it_knows(
    fresh_dsn: str, kafka_bootstrap: str, files: FileServer, tmp_path: Path
) -> None:
    files.arrived.clear()
    files.let_go.clear()
    async with running(fresh_dsn, kafka_bootstrap, tmp_path / "storage") as system:
        waiting = asyncio.create_task(system.post("/media", {"url": f"{files.url}/held.png"}))
        await files.arrived.wait()
        system.stop.set()
        answer = await waiting
        assert (answer.status, answer.body["data"]["status"]) == (200, "processing")
    files.let_go.set()


@pytest.mark.parametrize("hang", [False, True])
async def test_while_postgres_is_away_requests_are_told_to_come_again(
    fresh_dsn: str, kafka_bootstrap: str, heard: Heard, tmp_path: Path, hang: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("services.ingest.store.WORK_SECONDS", 1.0)
    monkeypatch.setattr("services.ingest.store.ACQUIRE_SECONDS", 1.0)
    async with Proxy(fresh_dsn) as proxy, running(proxy.dsn, kafka_bootstrap, tmp_path / "storage") as system:
        assert (await system.post("/jobs", GOOD)).status == 201
        await proxy.cut(hang=hang)
        for path, body in (("/jobs", GOOD), ("/media", {"url": "https://example.com/a.mp4"})):
            answer = await system.post(path, body)
            assert answer.status == 503
            assert int(answer.headers["Retry-After"]) >= 1
        await proxy.mend()

        async def accepted() -> str | None:
            answer = await system.post("/jobs", GOOD)
            return answer.body["id"] if answer.status == 201 else None

        await heard.first(JobCreated, await until(accepted))
