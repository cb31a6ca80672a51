"""Events come twice and in odd order, and the same rows come out: on a real Postgres."""

import asyncio
import random
from collections.abc import Sequence
from itertools import permutations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from chassis.core.ids import new_id, now_ms
from schemas.events import (
    JobCreated,
    JobProgressed,
    JobSucceeded,
    KeyChanged,
    MediaAccepted,
    MediaCreated,
    MediaDeleted,
    MediaPurged,
    MediaRestored,
    MediaUpdated,
)
from schemas.jobs import Job, supersedes
from schemas.media import Derived, MediaItem
from services.catalog.filters import media_filter
from services.catalog.projection import JobEvents
from services.catalog.queries import Hidden
from services.catalog.rows import Deliverable
from tests.services.catalog import made
from tests.services.catalog.conftest import Tables

MediaEvents = MediaAccepted | MediaCreated | MediaUpdated | MediaDeleted | MediaRestored | MediaPurged
ORDERS = settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def events_of(snapshots: Sequence[Job]) -> list[JobEvents]:
    kinds: dict[str, type[JobCreated | JobProgressed | JobSucceeded]] = {
        "queued": JobCreated,
        "processing": JobProgressed,
        "succeeded": JobSucceeded,
    }
    return [kinds[job.status](job=job) for job in snapshots]


@ORDERS
@given(order=st.lists(st.integers(0, 5), min_size=1, max_size=14))
async def test_a_job_ends_as_the_rule_says_whatever_the_order(tables: Tables, project: str, order: list[int]) -> None:
    life = made.life(made.queued(project, id=new_id("job")))
    current: Job | None = None
    for event in events_of([life[position] for position in order]):
        await tables.projection.job(event)
        if current is None or supersedes(event.job, current):
            current = event.job
        assert await tables.queries.job(event.job.id, project) == current


@ORDERS
@given(rest=st.permutations(range(6)), again=st.lists(st.integers(0, 5), max_size=6))
async def test_all_events_in_any_order_with_any_repeats_end_alike(
    tables: Tables, project: str, rest: list[int], again: list[int]
) -> None:
    life = made.life(made.queued(project, id=new_id("job")))
    order = rest + again
    random.Random(0).shuffle(order)
    for event in events_of([life[position] for position in order]):
        await tables.projection.job(event)
    assert await tables.queries.job(life[0].id, project) == life[-1]
    found = await tables.queries.file(project, f"{life[0].id}/video.mp4")
    assert found is not None
    assert found.key == made.output(life[0]).key


async def test_events_that_are_projected_at_the_same_moment_end_alike(tables: Tables, project: str) -> None:
    for _ in range(10):
        life = made.life(made.queued(project, id=new_id("job")))
        await asyncio.gather(*(tables.projection.job(event) for event in events_of(life * 2)))
        assert await tables.queries.job(life[0].id, project) == life[-1]


async def test_metadata_comes_back_in_the_order_in_which_it_was_written(tables: Tables, project: str) -> None:
    job = made.queued(project, metadata={"zz": "1", "a": "2", "mmm": "3", "é\n\"'\\": "\U0001f600"})
    await tables.projection.job(JobCreated(job=job))
    found = await tables.queries.job(job.id, project)
    assert found is not None
    assert list(found.metadata.items()) == list(job.metadata.items())
    assert found.model_dump_json() == job.model_dump_json()


def versions(project: str) -> list[MediaEvents]:
    """The life of an item: accepted, stored, labelled, moved, deleted, back again, deleted."""
    item = made.item(project, version=1, status="processing", original=None, original_path=None)
    stored = item.model_copy(
        update={
            "version": 2,
            "status": "active",
            "original": made.original(item.id),
            "original_path": f"clips/{item.id}.mp4",
        }
    )
    poster = Derived(ref="poster", path=f"clips/{item.id}/poster.jpg", file=made.original(item.id, key="poster.jpg"))
    labelled = stored.model_copy(update={"version": 3, "files": [poster], "metadata": {"new": "1"}})
    moved = labelled.model_copy(update={"version": 4, "folder": "moved", "original_path": f"moved/{item.id}.mp4"})
    deleted = moved.model_copy(update={"version": 5, "status": "deleted"})
    restored = moved.model_copy(update={"version": 6, "metadata": {"new": "1", "b": "2"}})
    return [
        MediaAccepted(media=item),
        MediaCreated(media=stored),
        MediaUpdated(media=labelled),
        MediaUpdated(media=moved),
        MediaDeleted(media=deleted),
        MediaRestored(media=restored),
    ]


async def project_all(tables: Tables, events: Sequence[MediaEvents]) -> None:
    for event in events:
        if isinstance(event, MediaCreated):
            await tables.projection.media_created(event)
        else:
            await tables.projection.media_changed(event)


async def rows_of(tables: Tables, id: str) -> list[list[tuple[object, ...]]]:
    queries = (
        "SELECT version, hidden, kind, filename, pairs::text, item::text FROM media WHERE id = $1",
        "SELECT pair, created_at, kind FROM media_metadata WHERE media_id = $1 ORDER BY pair",
        "SELECT project, path, key, content_type, lasting FROM files WHERE owner = $1 ORDER BY path",
    )
    return [[tuple(row) for row in await tables.pool.fetch(query, id)] for query in queries]


@ORDERS
@given(order=st.permutations(range(6)), again=st.lists(st.integers(0, 5), max_size=4), count=st.integers(1, 6))
async def test_a_media_item_ends_as_its_highest_version_says(
    tables: Tables, project: str, order: list[int], again: list[int], count: int
) -> None:
    events = versions(project)
    shuffled = [position for position in order + again if position < count]
    await project_all(tables, [events[position] for position in shuffled])
    told = await rows_of(tables, events[0].media.id)
    await tables.pool.execute("DELETE FROM media WHERE id = $1", events[0].media.id)
    await tables.pool.execute("DELETE FROM media_metadata WHERE media_id = $1", events[0].media.id)
    await tables.pool.execute("DELETE FROM files WHERE owner = $1", events[0].media.id)
    await project_all(tables, events[:count])
    assert told == await rows_of(tables, events[0].media.id)


async def test_versions_that_are_projected_at_the_same_moment_end_alike(tables: Tables, project: str) -> None:
    for count in range(2, 7):
        events = versions(project)[:count]
        await asyncio.gather(*(project_all(tables, [event]) for event in [*events, *events]))
        found = await tables.queries.media_item(events[0].media.id, project)
        assert found == (Hidden() if count == 5 else events[-1].media)


async def test_a_deleted_item_is_hidden_with_its_files_and_its_jobs_outputs(tables: Tables, project: str) -> None:
    events = versions(project)
    id = events[0].media.id
    poster = made.queued(project, kind="image", media_id=id, ref="poster", source=made.original(id))
    ended = made.life(poster)[-1]
    await project_all(tables, events[:4])
    await tables.projection.job(JobSucceeded(job=ended))
    path = f"moved/{id}.mp4"
    assert await tables.queries.file(project, path) == Deliverable(f"originals/{id}.mp4", "video/mp4", False)
    assert await tables.queries.file(project, f"clips/{id}.mp4") is None
    assert await tables.queries.file(project, f"{poster.id}/video.mp4") is not None
    await project_all(tables, events[4:5])
    assert await tables.queries.file(project, path) is None
    assert await tables.queries.file(project, f"{poster.id}/video.mp4") is None
    assert (await tables.queries.media(project, media_filter([]))).total == 0
    assert (await tables.queries.media(project, media_filter([("metadata.new", "1")]))).total == 0
    await project_all(tables, events[5:])
    assert await tables.queries.file(project, path) is not None
    assert await tables.queries.file(project, f"{poster.id}/video.mp4") is not None
    assert (await tables.queries.media(project, media_filter([("metadata.new", "1"), ("metadata.b", "2")]))).total == 1


async def test_a_purged_item_stays_away_when_an_old_event_comes_again(tables: Tables, project: str) -> None:
    events = versions(project)
    last = events[-1].media.model_copy(update={"version": 7, "status": "deleted"})
    await project_all(tables, [*events, MediaPurged(media=last), *events])
    assert await tables.queries.media_item(last.id, project) == Hidden()


async def test_jobs_that_a_new_item_brings_are_there_as_queued(tables: Tables, project: str) -> None:
    item = made.item(project)
    job = made.queued(project, kind="image", media_id=item.id, ref="poster")
    ended = made.life(job)[-1]
    await tables.projection.media_created(MediaCreated(media=item, jobs=[job]))
    assert await tables.queries.job(job.id, project) == job
    await tables.projection.job(JobSucceeded(job=ended))
    await tables.projection.media_created(MediaCreated(media=item, jobs=[job]))
    assert await tables.queries.job(job.id, project) == ended


@pytest.mark.parametrize("order", list(permutations(range(4))))
async def test_a_name_belongs_to_who_took_it_last(tables: Tables, project: str, order: tuple[int, ...]) -> None:
    path = "clips/same.mp4"
    first, second = made.item(project, original_path=path), made.item(project, original_path=path, updated_at=now_ms())
    renamed = first.model_copy(update={"version": 2, "title": "new"})
    released = first.model_copy(update={"version": 3, "original_path": "clips/other.mp4", "updated_at": now_ms() + 9})
    events: list[MediaItem] = [first, renamed, released, second]
    await project_all(tables, [MediaUpdated(media=events[position]) for position in order])
    found = await tables.queries.file(project, path)
    assert found is not None
    assert second.original is not None
    assert found.key == second.original.key


@pytest.mark.parametrize("order", list(permutations(range(2))))
async def test_a_revoked_key_stays_revoked(tables: Tables, project: str, order: tuple[int, ...]) -> None:
    key = made.key(project, new_id("key"))
    gone = key.model_copy(update={"revoked_at": now_ms()})
    for position in (*order, *order):
        await tables.projection.key(KeyChanged(key=[key, gone][position]))
    assert await tables.queries.key(key.hash) == gone
    assert await tables.queries.key("0" * 64) is None
