"""`bitmill gc` on a real Postgres with the tables of all services, a local folder and an S3 server."""

import asyncio
import json
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from chassis.adapters.postgres import Pool, open_pool
from chassis.adapters.storage import Storage, open_storage
from chassis.adapters.storage.s3 import s3_client
from chassis.core.ids import new_id, now_ms
from chassis.runtime.job_queue import JobQueue, QueueItem
from chassis.runtime.outbox import Outbox
from cli.__main__ import main
from schemas.events import JobSucceeded, MediaCreated
from schemas.ids import derived
from schemas.jobs import Job
from schemas.media import Derived, MediaItem
from schemas.stored_keys import parse_key
from schemas.topics import Service
from services.catalog.projection import Projection
from services.catalog.store import Store as CatalogStore
from services.ingest import names
from services.ingest.store import Store as IngestStore
from tests.chassis.adapters.storage.conftest import BUCKET, s3_endpoint
from tests.services.catalog import factories
from worker.attempt_object import attempt_key
from worker.settings import scratch_dir

__all__ = ["s3_endpoint"]


@dataclass
class System:
    """All services' tables in one database, and a storage."""

    dsn: str
    url: str
    storage: Storage
    folder: Path
    capsys: pytest.CaptureFixture[str]

    @asynccontextmanager
    async def pool(self, service: Service) -> AsyncIterator[Pool]:
        async with await open_pool(self.dsn, service, size=2) as opened:
            yield opened

    async def put(self, key: str) -> str:
        file = self.folder / "object"
        file.write_bytes(b"bytes")
        await self.storage.put(key, file, "video/mp4")
        return key

    async def has(self, key: str) -> bool:
        return await self.storage.stat(key) is not None

    async def gc(self, *options: str, older_than: str = "0s") -> tuple[int, list[str], str]:
        """Status, names of what was found or deleted, standard error."""
        self.capsys.readouterr()
        arguments = ["gc", "--json", "--storage", self.url, "--older-than", older_than, *options]
        status = await asyncio.to_thread(main, arguments)
        out, err = self.capsys.readouterr()
        return status, [json.loads(line)["name"] for line in out.splitlines()], err

    async def project(self, job: Job) -> None:
        """The catalog has read of the job."""
        async with self.pool("catalog") as pool:
            projection = Projection(CatalogStore(pool), lambda names: None)
            await projection.jobs(factories.prepared([JobSucceeded(job=job)]))

    async def store_item(self, item: MediaItem) -> None:
        """Ingest has the item."""
        async with self.pool("ingest") as pool, IngestStore(pool).transaction() as conn:
            await IngestStore(pool).add_media(conn, item)


@pytest.fixture(params=["local", "s3"])
async def system(
    request: pytest.FixtureRequest,
    fresh_dsn: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> AsyncIterator[System]:
    for name in ("ADMIN_DATABASE_URL", "STORAGE_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("DATABASE_URL", fresh_dsn)
    monkeypatch.chdir(tmp_path)
    if request.param == "local":
        url = f"file://{tmp_path}/store"
    else:
        url = f"s3://{BUCKET}/{tmp_path.name}?endpoint={request.getfixturevalue('s3_endpoint')}&region=eu-west-1"
    assert await asyncio.to_thread(main, ["migrate"]) == 0
    async with open_storage(url) as storage:
        yield System(fresh_dsn, url, storage, tmp_path, capsys)


def job_key(job: Job, attempt: int = 1) -> str:
    file_id = derived("file", job.id, "output")
    return attempt_key(f"{job.project}/jobs/{job.id}", file_id, attempt, "mp4")


def succeeded(job: Job, key: str) -> Job:
    return job.start(now_ms()).succeed(factories.output(job, key), now_ms() + 1)


async def queued(
    pool: Pool, service: str, id: str, project: str, payload: dict[str, Any]
) -> tuple[JobQueue, QueueItem]:
    """An item that a worker has claimed."""
    queue = JobQueue(pool, Outbox(pool, service))
    async with pool.acquire() as conn:
        await queue.add(conn, id=id, project=project, kind="video", payload=payload)
    item = await queue.claim("worker-1")
    assert item is not None
    return queue, item


async def test_only_what_no_row_refers_to_is_found_and_deleted(system: System) -> None:
    project = new_id("prj")
    shown = factories.queued(project)
    kept_by_catalog = await system.put(job_key(shown))
    await system.project(succeeded(shown, kept_by_catalog))
    left_by_attempt = await system.put(job_key(shown, attempt=2))
    of_nobody = await system.put(job_key(factories.queued(project)))

    status, found, err = await system.gc()
    assert (status, sorted(found)) == (0, sorted([left_by_attempt, of_nobody]))
    assert "3 objects (15 bytes): 1 referred to" in err and "nothing was deleted" in err
    assert await system.has(of_nobody), "a dry run deletes nothing"

    status, deleted, _ = await system.gc("--delete")
    assert (status, sorted(deleted)) == (0, sorted([left_by_attempt, of_nobody]))
    assert not await system.has(of_nobody) and not await system.has(left_by_attempt)
    assert await system.has(kept_by_catalog)
    assert (await system.gc("--delete"))[1] == []


async def test_the_files_of_a_media_item_stay_when_only_ingest_knows_them(system: System) -> None:
    project, media_id = new_id("prj"), factories.old_id("med")
    poster_job = factories.queued(project)
    original_id = derived("file", media_id, "original")
    original = await system.put(names.storage_key(project, media_id, original_id, "mp4", 1))
    failed_attempt = await system.put(names.storage_key(project, media_id, original_id, "mp4", 2))
    poster = await system.put(job_key(poster_job))
    replaced = await system.put(job_key(factories.queued(project)))
    poster_file = Derived(ref="poster", path="clips/poster.jpg", file=factories.original(media_id, key=poster))
    await system.store_item(factories.item(project, id=media_id, file={"key": original}, files=[poster_file]))
    assert sorted((await system.gc("--delete"))[1]) == sorted([failed_attempt, replaced])
    assert await system.has(original) and await system.has(poster)


async def test_objects_of_running_work_stay_until_it_has_ended(system: System) -> None:
    """At any moment between the upload of an attempt and the transaction that names it."""
    job = factories.queued(new_id("prj"))
    kept = factories.queued(job.project)
    await system.project(succeeded(kept, await system.put(job_key(kept))))
    async with system.pool("transcoder") as pool:
        queue, item = await queued(pool, "transcoder", job.id, job.project, job.model_dump(mode="json"))
        uploaded, lost = await system.put(job_key(job, 1)), await system.put(job_key(job, 2))
        assert (await system.gc("--delete"))[1] == []
        await queue.finish(item, "done", JobSucceeded(job=succeeded(job, uploaded)))
        assert (await system.gc("--delete"))[1] == [lost]
        assert await system.has(uploaded), "the catalog has not read of it yet"
        await pool.execute("UPDATE job_queue SET final_events = NULL")
        assert (await system.gc("--delete"))[1] == [], "an end of before the rows kept their events"


async def test_the_original_of_an_import_stays_until_the_import_has_ended(system: System) -> None:
    project = new_id("prj")
    kept = factories.queued(project)
    await system.project(succeeded(kept, await system.put(job_key(kept))))
    item = factories.item(project, status="processing", original=None, original_path=None)
    file_id = derived("file", item.id, "original")
    await system.put(names.storage_key(project, item.id, file_id, "mp4", 1))
    async with system.pool("ingest") as pool:
        queue, claimed = await queued(pool, "ingest", item.id, project, {"url": "https://example.com/a.mp4"})
        assert (await system.gc("--delete"))[1] == []
        await queue.finish(claimed, "done", MediaCreated(media=item, jobs=[]))
        await system.store_item(item)
        assert (await system.gc("--delete"))[1] == [], "the item has no original yet"


async def test_uploads_that_run_while_it_deletes_lose_nothing(system: System) -> None:
    """Workers store and finish jobs, in the order in which an attempt does, while gc runs again and again."""
    project = new_id("prj")
    kept = factories.queued(project)
    await system.project(succeeded(kept, await system.put(job_key(kept))))
    stored: list[str] = []
    orphans: list[str] = []
    done = asyncio.Event()

    async def work(worker: int) -> None:
        async with system.pool("transcoder") as pool:
            queue = JobQueue(pool, Outbox(pool, "transcoder"))
            for _ in range(12):
                job = factories.queued(project)
                async with pool.acquire() as conn:
                    await queue.add(conn, id=job.id, project=project, kind="video", payload={"id": job.id})
                item = await queue.claim(f"worker-{worker}")
                assert item is not None
                claimed = factories.queued(project, id=item.id)
                key = job_key(claimed, item.attempt)
                source = system.folder / f"source-{worker}"
                source.write_bytes(os.urandom(1000))
                await system.storage.put(key, source, "video/mp4")
                await asyncio.sleep(0.02)
                await queue.finish(item, "done", JobSucceeded(job=succeeded(claimed, key)))
                stored.append(key)
                orphans.append(await system.put(job_key(factories.queued(project))))

    async def collect() -> set[str]:
        deleted: set[str] = set()
        while not done.is_set():
            deleted |= set((await system.gc("--delete"))[1])
        return deleted | set((await system.gc("--delete"))[1])

    collecting = asyncio.create_task(collect())
    await asyncio.gather(work(1))
    done.set()
    assert await collecting == set(orphans)
    assert [key for key in stored if not await system.has(key)] == []


async def test_young_objects_and_foreign_ones_are_left_alone(system: System) -> None:
    kept = factories.queued(new_id("prj"))
    await system.project(succeeded(kept, await system.put(job_key(kept))))
    young = await system.put(job_key(factories.queued(new_id("prj"))))
    foreign = [await system.put("backups/database.dump"), await system.put("prj_x/jobs/job_y/file_z-1.mp4")]
    assert (await system.gc("--delete", older_than="1h"))[1] == []
    _, deleted, err = await system.gc("--delete")
    assert deleted == [young]
    assert "2 objects are not bitmill's and are left alone" in err
    assert all([await system.has(key) for key in foreign])


async def test_the_database_of_another_system_deletes_nothing(system: System) -> None:
    key = await system.put(job_key(factories.queued(new_id("prj"))))
    status, _, err = await system.gc("--delete")
    assert status == 1 and "is this the database of that storage?" in err
    assert await system.has(key)
    assert (await system.gc("--delete", "--force"))[1] == [key]


async def test_nothing_is_deleted_while_a_service_cannot_be_asked(
    system: System, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = await system.put(job_key(factories.queued(new_id("prj"))))
    monkeypatch.setenv("THUMBNAILER_DATABASE_URL", "postgresql://postgres@127.0.0.1:9/none")
    status, found, err = await system.gc("--delete", "--force")
    assert (status, found) == (1, []) and "could not be asked" in err
    assert await system.has(key)


async def test_unfinished_uploads_of_killed_processes_are_removed(system: System) -> None:
    if system.url.startswith("file:"):
        # Whoever opens a storage folder removes them.
        unfinished = system.folder / "store" / ".incoming" / "0123456789abcdef"
        unfinished.write_bytes(b"half a film")
        assert (await system.gc("--delete"))[1] == [] and unfinished.exists(), "its process may be alive"
        day_ago = now_ms() / 1000 - 25 * 3600
        os.utime(unfinished, (day_ago, day_ago))
        await system.gc("--delete")
        assert not unfinished.exists()
        return
    endpoint = system.url.partition("endpoint=")[2].partition("&")[0]
    async with s3_client(endpoint, "eu-west-1") as client:
        # The server says of each upload that it began in 2010.
        started = await client.create_multipart_upload(Bucket=BUCKET, Key=f"{system.folder.name}/prj_a/film.mp4")
    name = f"prj_a/film.mp4?uploadId={started['UploadId']}"
    assert (await system.gc())[1] == [name]
    assert (await system.gc("--delete"))[1] == [name]
    assert (await system.gc())[1] == []


async def test_scratch_folders_of_killed_workers_are_removed_and_those_of_others_stay(
    system: System, monkeypatch: pytest.MonkeyPatch
) -> None:
    work = system.folder / "work"
    monkeypatch.setenv("WORK_DIR", str(work))
    with scratch_dir(work) as alive:
        killed = work / "run-killed"
        killed.mkdir()
        (killed / "input").write_bytes(b"a film")
        assert (await system.gc())[1] == [str(killed)]
        assert killed.exists()
        assert (await system.gc("--delete"))[1] == [str(killed)]
        assert not killed.exists() and alive.exists()


def test_keys_are_of_our_form_or_foreign() -> None:
    project, job = new_id("prj"), new_id("job")
    found = parse_key(f"{project}/jobs/{job}/file_a-1.mp4")
    assert found is not None and (found.project, found.folder, found.owner) == (project, "jobs", job)
    for key in ("a", f"{project}/jobs/{job}", f"{project}/media/{job}/file_a.mp4", f"x/jobs/{job}/file_a.mp4"):
        assert parse_key(key) is None
