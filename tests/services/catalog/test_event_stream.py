"""One open stream: a client that does not read is cut off, others go on, and who falls behind reads from the tables."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import aiohttp
import pytest
from aiohttp import web
from prometheus_client import REGISTRY

from chassis.core.fair_slots import FairSlots
from chassis.core.ids import new_id
from schemas.events import JobCreated
from services.catalog.event_buffers import EventBuffer
from services.catalog.event_history import History
from services.catalog.event_log import EventLog, RecordedEvent
from services.catalog.event_stream import EventStream, StreamTimes, Wanted
from services.catalog.event_text import StreamEvent, event_text
from services.catalog.listeners import Listener
from tests.services.catalog import factories
from tests.services.catalog.conftest import Tables
from tests.support.event_stream import event_stream
from tests.support.waiting import until

LARGE = {"text": "x" * 8192}
MANY_BYTES = 10**9
ALL = Wanted()


async def render(project: str, events: Sequence[RecordedEvent]) -> list[StreamEvent]:
    del project
    return [_made(event.position) for event in events]


def _made(position: int) -> StreamEvent:
    return StreamEvent(position, "job_1", "video", "queued", "queued", event_text("job.queued", LARGE, position))


def cut_off() -> float:
    return REGISTRY.get_sample_value("bitmill_event_listeners_cut_off_total") or 0.0


async def _confirmed() -> None:
    return None


@asynccontextmanager
async def served(tables: Tables, buffer: EventBuffer, times: StreamTimes, wanted: Wanted = ALL) -> AsyncIterator[str]:
    """The address of streams of the buffer."""
    history = History(EventLog(tables.query_pool), render, _confirmed, FairSlots(2))

    async def handle(request: web.Request) -> web.StreamResponse:
        listener = Listener(buffer.project, "key")
        buffer.listeners.add(listener)
        after = int(request.headers.get("Last-Event-ID", "0"))
        try:
            return await EventStream(request, listener, buffer, history, wanted, after, times).run(b"")
        finally:
            buffer.listeners.discard(listener)

    app = web.Application()
    app.add_routes([web.get("/events", handle)])
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        yield f"http://127.0.0.1:{runner.addresses[0][1]}/events"
    finally:
        await runner.cleanup()


async def test_a_client_that_does_not_read_is_cut_off_and_the_others_go_on(tables: Tables, project: str) -> None:
    before = cut_off()
    buffer = EventBuffer(project, 0)
    async with (
        served(tables, buffer, StreamTimes(heartbeat_s=60, write_s=1.0)) as url,
        aiohttp.ClientSession() as session,
        event_stream(session, url, {}) as reads,
    ):
        host, port = url.removeprefix("http://").removesuffix("/events").split(":")
        _, silent = await asyncio.open_connection(host, int(port), limit=1024)
        silent.write(b"GET /events HTTP/1.1\r\nHost: a\r\n\r\n")
        await until(lambda: len(buffer.listeners) == 2, within=60)
        position = 0
        while len(buffer.listeners) == 2:
            buffer.add([_made(position := position + 1)], MANY_BYTES)
            (event,) = await reads.take(1)
            assert event.id == position
        assert cut_off() == before + 1
        buffer.add([_made(position + 1)], MANY_BYTES)
        assert [event.id for event in await reads.take(1)] == [position + 1]
        silent.close()


async def test_who_falls_behind_the_memory_reads_from_the_tables_without_a_gap(tables: Tables, project: str) -> None:
    jobs = [factories.queued(project, id=new_id("job")) for _ in range(100)]
    for job in jobs:
        await tables.projection.jobs(factories.prepared([JobCreated(job=job)]))
    buffer = EventBuffer(project, 0)
    # Only the last few fit.
    buffer.add([_made(position) for position in range(1, 101)], 3 * len(_made(100).text))
    assert buffer.after(50, 1) is None
    async with (
        served(tables, buffer, StreamTimes()) as url,
        aiohttp.ClientSession() as session,
        event_stream(session, url, {}) as events,
    ):
        assert [event.id for event in await events.take(100)] == list(range(1, 101))
        buffer.add([_made(101)], MANY_BYTES)
        assert [event.id for event in await events.take(1)] == [101]


@pytest.mark.parametrize("after", [0, 40, 99])
async def test_a_stream_goes_on_anywhere(tables: Tables, project: str, after: int) -> None:
    jobs = [factories.queued(project) for _ in range(100)]
    await tables.projection.jobs(factories.prepared([JobCreated(job=job) for job in jobs]))
    buffer = EventBuffer(project, 100)
    async with (
        served(tables, buffer, StreamTimes()) as url,
        aiohttp.ClientSession() as session,
        event_stream(session, url, {}, after) as events,
    ):
        assert [event.id for event in await events.take(100 - after)] == list(range(after + 1, 101))


async def test_a_client_that_wants_nothing_of_what_happens_gets_signs_of_life_and_ids(
    tables: Tables, project: str
) -> None:
    buffer = EventBuffer(project, 0)
    async with (
        served(tables, buffer, StreamTimes(heartbeat_s=0.2), Wanted(kind="image")) as url,
        aiohttp.ClientSession() as session,
        event_stream(session, url, {}) as events,
    ):
        position = 0

        async def work() -> None:
            nonlocal position
            while True:
                buffer.add([_made(position := position + 1)], MANY_BYTES)
                await asyncio.sleep(0.01)

        busy = asyncio.create_task(work())
        for _ in range(3):
            events.comments.clear()
            await events.until_comment("heartbeat")
        busy.cancel()
        while events.last_id != position:
            events.comments.clear()
            await events.until_comment("heartbeat")
