"""POST /media waits for the import and then for the catalog, for a bounded time and a bounded number of requests."""

import asyncio
from collections.abc import Sequence
from datetime import timedelta

import pytest

from schemas.media import MediaItem, MediaStatus
from schemas.topics import Topic
from services.ingest.import_waiter import CatalogVisibility, ImportWaiter

HOUR = timedelta(hours=1)
MEDIA = "med_01h455vb4pex5vsknk084sn02q"


class Rows:
    """The row of one item."""

    def __init__(self) -> None:
        self.status: MediaStatus = "processing"
        self.reads = 0
        self.error: Exception | None = None
        self.read_once = asyncio.Event()

    async def read(self, media_id: str) -> MediaItem | None:
        self.reads += 1
        self.read_once.set()
        if self.error is not None:
            raise self.error
        return MediaItem(id=media_id, project="prj_1", version=2, status=self.status, created_at=1, updated_at=2)


async def test_a_notification_ends_the_wait() -> None:
    rows = Rows()
    waiter = ImportWaiter(rows.read, timeout=HOUR, poll=HOUR)
    with waiter.expect("prj_1", MEDIA):
        waiting = asyncio.create_task(waiter.wait(MEDIA))
        await rows.read_once.wait()
        rows.status = "active"
        waiter.notify(MEDIA)
        item = await asyncio.wait_for(waiting, 60)
    assert item is not None
    assert item.status == "active"


async def test_an_import_in_another_replica_is_found_by_polling() -> None:
    rows = Rows()
    waiter = ImportWaiter(rows.read, timeout=HOUR, poll=timedelta(milliseconds=1))
    with waiter.expect("prj_1", MEDIA):
        waiting = asyncio.create_task(waiter.wait(MEDIA))
        await rows.read_once.wait()
        rows.status = "failed"
        item = await asyncio.wait_for(waiting, 60)
    assert item is not None
    assert item.status == "failed"


@pytest.mark.parametrize("timeout", [timedelta(0), timedelta(milliseconds=20)])
async def test_after_the_timeout_the_item_is_returned_as_it_is(timeout: timedelta) -> None:
    waiter = ImportWaiter(Rows().read, timeout=timeout)
    with waiter.expect("prj_1", MEDIA):
        item = await waiter.wait(MEDIA)
    assert item is not None
    assert item.status == "processing"


async def test_a_project_with_too_many_waiting_requests_does_not_wait_and_others_do() -> None:
    rows = Rows()
    waiter = ImportWaiter(rows.read, timeout=HOUR, max_per_project=1)
    with waiter.expect("prj_1", "med_1"), waiter.expect("prj_1", "med_2"), waiter.expect("prj_2", "med_3"):
        assert await waiter.wait("med_2") is None
        assert rows.reads == 0
        rows.status = "active"
        assert await waiter.wait("med_1") is not None
        assert await waiter.wait("med_3") is not None
    with waiter.expect("prj_1", "med_4"):
        assert await waiter.wait("med_4") is not None


async def test_a_database_outage_is_waited_out() -> None:
    rows = Rows()
    rows.error = ConnectionError("Postgres is away")
    waiter = ImportWaiter(rows.read, timeout=HOUR, poll=timedelta(milliseconds=1))
    with waiter.expect("prj_1", MEDIA):
        waiting = asyncio.create_task(waiter.wait(MEDIA))
        await rows.read_once.wait()
        rows.error, rows.status = None, "active"
        assert await asyncio.wait_for(waiting, 60) is not None


async def test_closing_ends_every_wait() -> None:
    rows = Rows()
    waiter = ImportWaiter(rows.read, timeout=HOUR, poll=HOUR)
    with waiter.expect("prj_1", MEDIA):
        waiting = asyncio.create_task(waiter.wait(MEDIA))
        await rows.read_once.wait()
        waiter.close()
        item = await asyncio.wait_for(waiting, 60)
    assert item is not None
    assert item.status == "processing"


class Pipeline:
    """An outbox and a consumer group whose answers the test chooses."""

    def __init__(self, *, published: bool = True, read: bool = True, error: Exception | None = None) -> None:
        self.published = published
        self.read = read
        self.error = error
        self.calls: list[str] = []
        self.timeouts: list[float] = []

    async def wait_published(self, *, timeout: timedelta) -> bool:
        self.calls.append("published")
        self.timeouts.append(timeout.total_seconds())
        if self.error is not None:
            raise self.error
        return self.published

    async def wait_caught_up(self, service: str, topics: Sequence[Topic], timeout: float) -> bool:
        self.calls.append(f"{service} {' '.join(sorted(topic.name for topic in topics))}")
        self.timeouts.append(timeout)
        return self.read


async def visible(pipeline: Pipeline) -> bool:
    return await CatalogVisibility(pipeline, pipeline, timeout=timedelta(seconds=2)).wait()


async def test_published_first_then_read_by_the_catalog_within_one_timeout() -> None:
    pipeline = Pipeline()
    assert await visible(pipeline)
    assert pipeline.calls == ["published", "catalog media.changed media.created"]
    assert all(0 <= timeout <= 2 for timeout in pipeline.timeouts)


async def test_events_that_are_not_published_are_not_waited_for_at_the_catalog() -> None:
    pipeline = Pipeline(published=False)
    assert not await visible(pipeline)
    assert pipeline.calls == ["published"]


async def test_a_catalog_that_is_behind_does_not_fail_the_request() -> None:
    assert not await visible(Pipeline(read=False))


async def test_an_outage_of_the_database_does_not_fail_the_request() -> None:
    assert not await visible(Pipeline(error=ConnectionError("Postgres is away")))
