"""`GET /events` and `GET /jobs/{id}/events` of the complete service, and of two replicas of it."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager

import pytest
from aiokafka.admin import AIOKafkaAdminClient

from chassis.runtime.lifecycle import serve
from schemas.events import JobCreated, JobProgressed, JobStarted, JobSucceeded
from schemas.jobs import Job
from schemas.keys import REVOKED_CHANNEL, Revocation, revocations_text
from schemas.topics import group_id, topics_of
from services.catalog.app import Catalog
from tests.services.catalog import factories
from tests.services.catalog.conftest import Tables
from tests.services.catalog.service import CatalogService, Customer, running
from tests.services.catalog.test_job_events import LIFE, events_of
from tests.support.event_stream import EventStreamClient, ReceivedEvent, event_stream
from tests.support.waiting import until


@pytest.fixture(scope="module")
async def replica(
    tables: Tables,
    catalog: CatalogService,
    database_url: str,
    kafka_bootstrap: str,
    tmp_path_factory: pytest.TempPathFactory,
) -> AsyncIterator[CatalogService]:
    """A second replica on the same tables, which shares out the partitions with the first one; short heartbeats."""
    async with running(
        database_url,
        kafka_bootstrap,
        tmp_path_factory.mktemp("replica"),
        beside=catalog.ingest,
        event_heartbeat="200ms",
        event_listeners_per_project=3,
    ) as service:
        yield service
    # What follows waits for no group in which partitions are given to other members.
    admin = AIOKafkaAdminClient(bootstrap_servers=kafka_bootstrap)
    await admin.start()
    try:
        await until(lambda: groups_are_stable(admin), within=60)
    finally:
        await admin.close()


async def groups_are_stable(admin: AIOKafkaAdminClient) -> bool:
    ids = [group_id("catalog", topic) for topic in topics_of("catalog") if not topic.broadcast]
    described = [await admin.describe_consumer_groups([id]) for id in ids]
    return all(group[2] == "Stable" for responses in described for each in responses for group in each.groups)


def stream(
    service: CatalogService, path: str, who: Customer, after: int | None = None
) -> AbstractAsyncContextManager[EventStreamClient]:
    return event_stream(service.session, service.url + path, who.headers, after)


async def project_life(tables: Tables, *jobs: Job) -> None:
    """The whole life of jobs, event by event, projected by another process."""
    for job in jobs:
        for _, event in events_of(job):
            await tables.projection.jobs(factories.prepared([event]))


def names(events: list[ReceivedEvent]) -> list[str]:
    return [event.name for event in events]


async def test_the_life_of_a_job_is_streamed_as_it_happens_and_the_stream_ends_with_it(
    catalog: CatalogService,
) -> None:
    who = await catalog.new_customer()
    job = factories.queued(who.project)
    states = factories.snapshots(job)
    await catalog.publish(JobCreated(job=job))
    async with stream(catalog, f"/jobs/{job.id}/events", who) as events:
        (first,) = await events.take(1)
        assert (first.name, first.data["status"]) == ("job.queued", "queued")
        assert events.retry_ms is not None and events.retry_ms > 0
        await catalog.publish(JobStarted(job=states[3]))
        (began,) = await events.take(1)
        await catalog.publish(JobProgressed(job=states[4]))
        (progress,) = await events.take(1)
        await catalog.publish(JobSucceeded(job=states[5]))
        rest = await events.rest()
    assert (began.name, began.data["status"]) == ("job.processing", "processing")
    assert progress.name == "job.progress"
    assert progress.data == {
        "id": job.id,
        "object": "job",
        "kind": "video",
        "status": "processing",
        "progress": 0.5,
        "eta_ms": None,
        "step": "video",
        "updated_at": states[4].updated_at,
    }
    assert names(rest) == ["job.succeeded"]
    status, shown = await catalog.get(f"/jobs/{job.id}", who)
    assert (status, rest[0].data) == (200, shown)
    assert [first.id, began.id, progress.id, rest[0].id] == [1, 2, 3, 4]


async def test_a_client_goes_on_at_another_replica_without_a_gap_or_a_double(
    tables: Tables, catalog: CatalogService, replica: CatalogService
) -> None:
    who = await catalog.new_customer()
    await catalog.until("/jobs", who, lambda jobs: jobs == [])
    jobs = [factories.queued(who.project) for _ in range(40)]
    seen: list[ReceivedEvent] = []
    whole: list[ReceivedEvent] = []
    total = len(jobs) * len(LIFE)

    async def listen_without_a_break() -> None:
        async with stream(catalog, "/events", who, 0) as events:
            whole.extend(await events.take(total))

    async def move_about() -> None:
        turn = 0
        while len(seen) < total:
            service = (catalog, replica)[turn % 2]
            async with stream(service, "/events", who, seen[-1].id if seen else 0) as events:
                seen.extend(await events.take(min(7 + turn % 5, total - len(seen))))
            turn += 1

    async with asyncio.TaskGroup() as group:
        group.create_task(listen_without_a_break())
        group.create_task(move_about())
        for part in range(0, len(jobs), 5):
            await project_life(tables, *jobs[part : part + 5])
    assert [event.id for event in seen] == list(range(1, total + 1))
    assert seen == whole
    for job in jobs:
        assert names([each for each in seen if each.data["id"] == job.id]) == [f"job.{name}" for name in LIFE]


async def test_what_one_replica_projects_is_heard_at_the_other(
    catalog: CatalogService, replica: CatalogService
) -> None:
    who = await catalog.new_customer()
    jobs = [factories.queued(who.project) for _ in range(24)]
    async with stream(catalog, "/events", who) as one, stream(replica, "/events", who) as other:
        await catalog.publish(*(JobCreated(job=job) for job in jobs))
        at_one, at_other = await one.take(len(jobs)), await other.take(len(jobs))
    assert at_one == at_other
    assert {event.data["id"] for event in at_one} == {job.id for job in jobs}


async def test_a_stream_begins_now_and_its_first_id_is_a_place_to_go_on_from(
    tables: Tables, replica: CatalogService
) -> None:
    who = await replica.new_customer()
    before, after = factories.queued(who.project), factories.queued(who.project)
    await replica.until("/jobs", who, lambda jobs: jobs == [])
    await project_life(tables, before)
    async with stream(replica, "/events", who) as events:
        await events.until_comment("heartbeat")
        assert events.last_id == len(LIFE)
    await project_life(tables, after)
    async with stream(replica, "/events", who, events.last_id) as events:
        found = await events.take(len(LIFE))
    assert {event.data["id"] for event in found} == {after.id}


async def test_only_jobs_of_the_project_are_streamed_and_a_foreign_job_is_404(
    tables: Tables, catalog: CatalogService
) -> None:
    who, other = await catalog.new_customer(), await catalog.new_customer()
    foreign, own = factories.queued(other.project), factories.queued(who.project)
    await catalog.until("/jobs", who, lambda jobs: jobs == [])
    async with stream(catalog, "/events", who) as events:
        await project_life(tables, foreign, own)
        assert {event.data["id"] for event in await events.take(len(LIFE))} == {own.id}
    status, body = await catalog.get(f"/jobs/{foreign.id}/events", who)
    assert (status, body["kind"]) == (404, "job_not_found")
    status, body = await catalog.get(f"/jobs/{foreign.id}/events", who, **{"Last-Event-ID": "1"})
    assert (status, body["kind"]) == (404, "job_not_found")
    assert (await catalog.get("/events"))[0] == 401


async def test_events_are_filtered_by_kind_and_status(tables: Tables, replica: CatalogService) -> None:
    who = await replica.new_customer()
    await replica.until("/jobs", who, lambda jobs: jobs == [])
    film, picture = factories.queued(who.project), factories.queued(who.project, kind="image")
    async with stream(replica, "/events?kind=image&status=succeeded", who) as events:
        await project_life(tables, film, picture)
        (event,) = await events.take(1)
        assert (event.name, event.data["id"], event.id) == ("job.succeeded", picture.id, 2 * len(LIFE))
        await project_life(tables, factories.queued(who.project))
        # So that a client that waits long for what it wants can go on all the same.
        while events.last_id != 3 * len(LIFE):
            events.comments.clear()
            await events.until_comment("heartbeat")
    status, body = await replica.get("/events?kind=sculpture&colour=red", who)
    assert (status, [fault["field"] for fault in body["errors"]]) == (400, ["kind", "colour"])


async def test_a_job_that_has_ended_is_shown_once_and_a_client_that_has_its_end_connects_no_more(
    tables: Tables, catalog: CatalogService
) -> None:
    who = await catalog.new_customer()
    job = factories.queued(who.project)
    await catalog.until("/jobs", who, lambda jobs: jobs == [])
    await project_life(tables, job)
    async with stream(catalog, f"/jobs/{job.id}/events", who) as events:
        (only,) = await events.rest()
    assert (only.name, only.id) == ("job.succeeded", len(LIFE))
    headers = who.headers | {"Last-Event-ID": str(only.id)}
    async with catalog.session.get(f"{catalog.url}/jobs/{job.id}/events", headers=headers) as response:
        assert (response.status, await response.read()) == (204, b"")
    async with stream(catalog, f"/jobs/{job.id}/events", who, 2) as events:
        assert names(await events.rest()) == [f"job.{name}" for name in LIFE[2:]]


async def test_a_client_learns_that_what_it_has_missed_is_not_kept(tables: Tables, catalog: CatalogService) -> None:
    who = await catalog.new_customer()
    job = factories.queued(who.project)
    await catalog.until("/jobs", who, lambda jobs: jobs == [])
    await project_life(tables, job)
    await tables.pool.execute("DELETE FROM job_events WHERE project = $1 AND position <= 4", who.project)
    async with stream(catalog, "/events", who, 1) as events:
        reset, *rest = await events.take(3)
    assert (reset.name, reset.id, names(rest)) == ("stream.reset", 4, ["job.progress", "job.succeeded"])
    async with stream(catalog, "/events", who, 99) as events:
        (reset,) = await events.take(1)
    assert (reset.name, reset.id) == ("stream.reset", len(LIFE)), "of before the tables were restored"
    async with stream(catalog, f"/jobs/{job.id}/events", who, 1) as events:
        assert names(await events.rest()) == ["job.succeeded"], "the job as it is now"
    status, body = await catalog.get("/events", who, **{"Last-Event-ID": "abc"})
    assert (status, body["errors"][0]["field"]) == (400, "Last-Event-ID")


async def test_a_revoked_key_ends_its_streams_and_no_others(tables: Tables, replica: CatalogService) -> None:
    who = await replica.new_customer()
    second = await replica.new_customer()
    await replica.until("/jobs", who, lambda jobs: jobs == [])
    await replica.until("/jobs", second, lambda jobs: jobs == [])
    async with stream(replica, "/events", who) as ends, stream(replica, "/events", second) as goes_on:
        await goes_on.until_comment("heartbeat")
        message = revocations_text([Revocation(who.key.id, 5)])
        await tables.pool.execute("SELECT pg_notify($1, $2)", REVOKED_CHANNEL, message)
        assert await ends.rest() == []
        assert "the key was revoked" in ends.comments
        await project_life(tables, factories.queued(second.project))
        assert len(await goes_on.take(len(LIFE))) == len(LIFE)
    assert (await replica.get("/events", who))[0] == 401


async def test_streams_beyond_the_bound_of_a_project_are_refused(replica: CatalogService) -> None:
    who, other = await replica.new_customer(), await replica.new_customer()
    await replica.until("/jobs", other, lambda jobs: jobs == [])
    async with (
        stream(replica, "/events", who),
        stream(replica, "/events", who),
        stream(replica, "/events", who),
    ):
        async with replica.session.get(replica.url + "/events", headers=who.headers) as response:
            body = await response.json()
            assert (response.status, body["kind"]) == (429, "too_many_listeners")
            assert int(response.headers["Retry-After"]) > 0
        async with stream(replica, "/events", other):
            pass

    async def free() -> bool:
        async with replica.session.get(replica.url + "/events", headers=who.headers) as response:
            return response.status == 200

    await until(free, within=60)


async def test_a_stopping_process_ends_its_streams_at_once_with_a_hint_when_to_come_back(
    tables: Tables, catalog: CatalogService
) -> None:
    who = await catalog.new_customer()
    await catalog.until("/jobs", who, lambda jobs: jobs == [])
    stop, ready = asyncio.Event(), asyncio.Event()
    addresses: list[str] = []
    app = Catalog(catalog.settings)
    serving = asyncio.create_task(
        serve([app], host="127.0.0.1", port=0, stop=stop, started=addresses.append, ready=ready.set)
    )
    try:
        await asyncio.wait_for(ready.wait(), 120)
        async with event_stream(catalog.session, addresses[0] + "/events", who.headers) as events:
            await project_life(tables, factories.queued(who.project))
            assert len(await events.take(len(LIFE))) == len(LIFE)
            stop.set()
            assert await events.rest() == []
        assert events.comments[-1] == "the server stops"
        assert events.retry_ms is not None and 500 <= events.retry_ms <= 4000
    finally:
        stop.set()
        await asyncio.wait_for(serving, 120)
