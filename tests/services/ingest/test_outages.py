"""A request answered with 2xx survives a restart; one that cannot be stored is answered with 503."""

import asyncio
from datetime import timedelta
from functools import partial
from pathlib import Path

import asyncpg
import pytest

from schemas.events import JobCreated, MediaCreated
from tests.services.ingest.support import EventLog, RunningIngest, running
from tests.support.dns_server import dns_server
from tests.support.file_server import FileServer, redirect
from tests.support.proxy import Proxy
from tests.support.waiting import until

GOOD = {"input": "https://example.com/a.mov", "kind": "video"}


async def is_accepted(ingest: RunningIngest) -> bool:
    """With deadlines as short as in these tests, a busy machine exceeds them now and then."""
    return (await ingest.post("/jobs", GOOD)).status == 201


async def test_an_accepted_import_goes_on_after_a_restart(
    fresh_dsn: str, kafka_bootstrap: str, events: EventLog, files: FileServer, tmp_path: Path
) -> None:
    held = files.hold("held-over-a-restart.png", redirect(files.url("photo.png")))
    storage = tmp_path / "storage"
    async with running(fresh_dsn, kafka_bootstrap, storage, media_wait=timedelta(0)) as ingest:
        answer = await ingest.post("/media", {"url": held.url, "filename": "kept.png"})
        assert (answer.status, answer.body["data"]["status"]) == (200, "processing")
        media_id = answer.body["data"]["id"]
        # The service ends in the middle of the fetch.
        await held.requested.wait()
    held.release.set()
    async with running(fresh_dsn, kafka_bootstrap, storage):
        created = await events.first(MediaCreated, media_id)
    assert (created.media.status, created.media.filename) == ("active", "kept.png")


async def test_a_stopping_service_answers_waiting_requests_with_what_it_knows(
    fresh_dsn: str, kafka_bootstrap: str, files: FileServer, tmp_path: Path
) -> None:
    held = files.hold("held-at-a-stop.png", redirect(files.url("photo.png")))
    async with running(fresh_dsn, kafka_bootstrap, tmp_path / "storage") as ingest:
        request = asyncio.create_task(ingest.post("/media", {"url": held.url}))
        await held.requested.wait()
        ingest.stop.set()
        answer = await request
        assert (answer.status, answer.body["data"]["status"]) == (200, "processing")
    held.release.set()


async def test_an_outage_of_our_name_servers_fails_no_import(
    fresh_dsn: str, kafka_bootstrap: str, events: EventLog, files: FileServer, tmp_path: Path
) -> None:
    """It lasts for more attempts than an import may fail in."""
    async with (
        dns_server({"input.example": ["127.0.0.1"]}) as dns,
        running(
            fresh_dsn,
            kafka_bootstrap,
            tmp_path / "storage",
            media_wait=timedelta(0),
            egress_name_servers=(dns.address,),
        ) as ingest,
    ):
        dns.outage = "failure"
        address = files.url("photo.png").replace("127.0.0.1", "input.example")
        media_id = (await ingest.post("/media", {"url": address})).body["data"]["id"]
        connection = await asyncpg.connect(fresh_dsn)
        try:

            async def postponed() -> bool:
                query = "SELECT failures, postponements FROM ingest.job_queue WHERE id = $1"
                row = await connection.fetchrow(query, media_id)
                assert row is not None and row["failures"] == 0
                return bool(row["postponements"] >= 4)

            await until(postponed, within=120)
        finally:
            await connection.close()
        dns.outage = None
        created = await events.first(MediaCreated, media_id)
    assert created.media.status == "active"


@pytest.mark.parametrize("hang", [False, True])
async def test_requests_get_503_while_postgres_is_away(
    fresh_dsn: str, kafka_bootstrap: str, events: EventLog, tmp_path: Path, hang: bool
) -> None:
    async with (
        Proxy(fresh_dsn) as proxy,
        running(proxy.dsn, kafka_bootstrap, tmp_path / "storage", deadline_s=1.0) as ingest,
    ):
        await until(partial(is_accepted, ingest))
        await proxy.cut(hang=hang)
        for path, body in (("/jobs", GOOD), ("/media", {"url": "https://example.com/a.mp4"})):
            answer = await ingest.post(path, body)
            assert answer.status == 503
            assert int(answer.headers["Retry-After"]) >= 1
        await proxy.restore()

        async def accepted() -> str | None:
            answer = await ingest.post("/jobs", GOOD)
            return answer.body["id"] if answer.status == 201 else None

        await events.first(JobCreated, await until(accepted))


async def test_requests_get_503_in_time_while_postgres_is_slow(
    fresh_dsn: str, kafka_bootstrap: str, tmp_path: Path
) -> None:
    """Each query is fast enough for its own deadline, all of them together are not."""
    async with (
        Proxy(fresh_dsn) as proxy,
        running(proxy.dsn, kafka_bootstrap, tmp_path / "storage", deadline_s=60.0, response_s=1.0) as ingest,
    ):
        await until(partial(is_accepted, ingest))
        proxy.slow_down(0.3)
        requests = [("/jobs", GOOD), ("/tasks", GOOD), ("/media", {"url": "https://example.com/a.mp4"})]
        for answer in await asyncio.gather(
            *(ingest.post(path, body, Idempotency_Key=f"slow-{path}") for path, body in requests)
        ):
            assert answer.status == 503
            assert int(answer.headers["Retry-After"]) >= 1
        proxy.slow_down(0.0)

        async def accepted() -> bool:
            return (await ingest.post("/jobs", GOOD, Idempotency_Key="slow-/jobs")).status in (200, 201)

        await until(accepted)
