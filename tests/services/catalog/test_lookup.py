"""What is missing is waited for; whether it then is "not found" or "not known yet" depends on what is certain."""

import asyncio
import os
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any, cast

import pytest

from chassis.adapters.http.errors import ApiError
from chassis.core.concurrency import WakeSignal
from schemas.ids import typeid, uuid7
from schemas.jobs import Job
from schemas.topics import Topic
from services.catalog.lookup import Lookup
from services.catalog.publication import SETTLED_MS, Watermark
from services.catalog.queries import Queries
from services.catalog.waiting import WaitingRequests
from tests.services.catalog import factories

NOW = 1_800_000_000_000
PROJECT = "prj_01h455vb4pex5vsknk084sn02q"
LONG = 60.0
"""Seconds that no test waits for."""


class FakeQueries:
    """Finds the jobs and keys in `rows`."""

    def __init__(self) -> None:
        self.rows: dict[str, Any] = {}
        self.looks = 0

    async def job(self, id: str, project: str) -> Job | None:
        self.looks += 1
        found: Job | None = self.rows.get(id)
        return found if found is not None and found.project == project else None

    async def key(self, hash: str) -> Any:
        self.looks += 1
        return self.rows.get(hash)


class FakeWatermarks:
    """Gives `marks` and `end`; `receive` adds one as if it came from Kafka."""

    def __init__(self) -> None:
        self.marks: list[Watermark] = []
        self.end: int | None = 10
        self._received = WakeSignal()

    @property
    def recent(self) -> Sequence[Watermark]:
        return self.marks

    def receive(self, mark: Watermark) -> None:
        self.marks.append(mark)
        self._received.notify()

    async def wait_until(self, holds: Callable[[Sequence[Watermark]], bool]) -> None:
        while not holds(self.marks):
            await asyncio.sleep(0.005)

    async def end_offset(self) -> int | None:
        return self.end


class Catalog:
    """A lookup on fakes. `caught_up` is whether the projection has read everything."""

    def __init__(self, **times: Any) -> None:
        self.queries = FakeQueries()
        self.watermarks = FakeWatermarks()
        self.waiting = WaitingRequests(limit=3)
        self.caught_up = asyncio.Event()
        self.barriers = 0
        given: dict[str, Any] = {"wait": LONG, "grace": 0.0, "name_wait": LONG, "poll": LONG} | times
        self.lookup = Lookup(
            cast(Queries, self.queries),
            self.waiting,
            self.watermarks,
            self._wait_caught_up,
            **given,
        )

    async def _wait_caught_up(self, topics: Sequence[Topic], seconds: float) -> bool:
        self.barriers += 1
        try:
            async with asyncio.timeout(seconds):
                return await self.caught_up.wait()
        except TimeoutError:
            return False

    @asynccontextmanager
    async def request(self, id: str, project: str = PROJECT) -> AsyncIterator["asyncio.Task[Job | None]"]:
        """A request for a job that has looked once and waits."""
        looks = self.queries.looks
        task = asyncio.create_task(self.lookup.job(id, project))
        async with asyncio.timeout(LONG):
            while self.queries.looks < looks + 2:
                await asyncio.sleep(0)
        assert not task.done()
        try:
            yield task
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)


def minted(at_ms: int) -> str:
    return typeid("job", uuid7(at_ms, os.urandom(10)))


def job(id: str) -> Job:
    return factories.queued(PROJECT, id=id)


async def test_what_is_there_is_found_at_once() -> None:
    catalog, id = Catalog(), minted(NOW)
    catalog.queries.rows[id] = found = job(id)
    assert await catalog.lookup.job(id, PROJECT) == found
    assert catalog.queries.looks == 1


async def test_an_announcement_wakes_the_request() -> None:
    catalog, id = Catalog(), minted(NOW)
    async with catalog.request(id) as request:
        catalog.queries.rows[id] = found = job(id)
        catalog.waiting.announce([id])
        assert await request == found


async def test_what_another_replica_projects_is_found_by_looking_again() -> None:
    catalog, id = Catalog(poll=0.01), minted(NOW)
    async with catalog.request(id) as request:
        catalog.queries.rows[id] = found = job(id)
        assert await request == found


async def test_a_young_id_is_not_found_once_it_is_published_and_projected() -> None:
    catalog, id = Catalog(), minted(NOW)
    async with catalog.request(id) as request:
        catalog.watermarks.receive(Watermark(NOW, NOW, 9))
        catalog.watermarks.receive(Watermark(NOW + 1000, NOW + 500, 10))
        await asyncio.sleep(0.05)
        assert not request.done()
        assert catalog.barriers == 0
        catalog.watermarks.receive(Watermark(NOW + 2000, NOW + 1500, 11))
        async with asyncio.timeout(LONG):
            while not catalog.barriers:
                await asyncio.sleep(0)
        assert not request.done()
        catalog.caught_up.set()
        assert await request is None


async def test_what_is_projected_last_is_found_and_not_denied() -> None:
    catalog, id = Catalog(), minted(NOW)
    async with catalog.request(id) as request:
        catalog.watermarks.receive(Watermark(NOW + 1, NOW + 1, 10))
        catalog.queries.rows[id] = found = job(id)
        catalog.caught_up.set()
        assert await request == found


async def test_an_old_id_needs_no_further_watermark() -> None:
    catalog = Catalog()
    catalog.watermarks.receive(Watermark(NOW, NOW, None))
    catalog.caught_up.set()
    assert await catalog.lookup.job(minted(NOW - SETTLED_MS - 1), PROJECT) is None


@pytest.mark.parametrize("published", [False, True])
async def test_what_is_not_certain_in_time_is_unavailable(published: bool) -> None:
    catalog = Catalog(wait=0.1)
    if published:
        catalog.watermarks.receive(Watermark(NOW + 1, NOW + 1, 10))
    else:
        catalog.caught_up.set()
    with pytest.raises(ApiError) as raised:
        await catalog.lookup.job(minted(NOW), PROJECT)
    assert raised.value.status == 503
    assert "Retry-After" in raised.value.headers


async def test_while_kafka_is_away_nothing_is_denied() -> None:
    catalog = Catalog(wait=0.1)
    catalog.watermarks.receive(Watermark(NOW + 1, NOW + 1, 10))
    catalog.watermarks.end = None
    catalog.caught_up.set()
    with pytest.raises(ApiError) as raised:
        await catalog.lookup.job(minted(NOW), PROJECT)
    assert raised.value.status == 503


async def test_a_project_has_so_many_waiting_requests_and_leaves_others_theirs() -> None:
    catalog = Catalog()
    async with catalog.request(minted(NOW)), catalog.request(minted(NOW)), catalog.request(minted(NOW)):
        with pytest.raises(ApiError) as raised:
            await catalog.lookup.job(minted(NOW), PROJECT)
        assert raised.value.status == 503
        known = minted(NOW)
        catalog.queries.rows[known] = found = job(known)
        assert await catalog.lookup.job(known, PROJECT) == found
        async with catalog.request(minted(NOW), "prj_01h455vb4pex5vsknk084sn02r"):
            pass


async def test_waiting_requests_share_their_barrier() -> None:
    catalog = Catalog()
    catalog.watermarks.receive(Watermark(NOW + 1, NOW + 1, 10))
    async with (
        catalog.request(minted(NOW)) as one,
        catalog.request(minted(NOW)) as two,
        catalog.request(minted(NOW)) as three,
    ):
        catalog.caught_up.set()
        assert [await request for request in (one, two, three)] == [None, None, None]
    assert catalog.barriers <= 2


async def test_a_key_is_refused_once_all_is_published_and_projected() -> None:
    catalog = Catalog()
    catalog.watermarks.receive(Watermark(NOW + 1, NOW + 1, 10))
    catalog.caught_up.set()
    assert await catalog.lookup.key("0" * 64, "client:::1") is None
    assert catalog.barriers == 1


async def test_a_key_is_not_refused_while_it_may_be_unpublished() -> None:
    catalog = Catalog(wait=0.1)
    catalog.caught_up.set()
    with pytest.raises(ApiError) as raised:
        await catalog.lookup.key("0" * 64, "client:::1")
    assert raised.value.status == 503


async def test_a_key_is_not_refused_while_the_projection_is_behind() -> None:
    catalog = Catalog(wait=0.1)
    catalog.watermarks.receive(Watermark(NOW + 1, NOW + 1, 10))
    with pytest.raises(ApiError) as raised:
        await catalog.lookup.key("0" * 64, "client:::1")
    assert raised.value.status == 503


async def test_a_request_that_ends_leaves_nothing_behind() -> None:
    catalog, id = Catalog(), minted(NOW)
    for _ in range(10):
        async with catalog.request(id):
            pass
    assert not [task for task in asyncio.all_tasks() if "certain" in repr(task)]
