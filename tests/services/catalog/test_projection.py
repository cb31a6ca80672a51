"""Events come more than once, in any order, in batches cut anywhere: the same rows come out, on a real Postgres."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from itertools import permutations
from random import Random
from typing import Any

import asyncpg
import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from chassis.core.ids import new_id, now_ms
from schemas.events import (
    Event,
    JobCancelled,
    JobCreated,
    JobEvent,
    JobFailed,
    JobProgressed,
    JobSucceeded,
    KeyChanged,
    MediaAccepted,
    MediaCreated,
    MediaDeleted,
    MediaEvent,
    MediaPurged,
    MediaRestored,
    MediaUpdated,
)
from schemas.jobs import Job, supersedes
from schemas.media import Derived, MediaItem
from services.catalog.filters import media_filter
from services.catalog.queries import Hidden, StoredFile
from tests.services.catalog import factories
from tests.services.catalog.conftest import Tables

PROPERTY = settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def job_events(snapshots: Sequence[Job]) -> list[JobEvent]:
    types: dict[str, type[JobEvent]] = {
        "queued": JobCreated,
        "processing": JobProgressed,
        "succeeded": JobSucceeded,
        "failed": JobFailed,
        "cancelled": JobCancelled,
    }
    return [types[job.status](job=job) for job in snapshots]


def media_events(project: str) -> list[MediaEvent]:
    """An item that is accepted, stored, labelled, moved, deleted and restored; versions 1 to 6."""
    item = factories.item(project, version=1, status="processing", original=None, original_path=None)
    stored = item.model_copy(
        update={
            "version": 2,
            "status": "active",
            "original": factories.original(item.id),
            "original_path": f"clips/{item.id}.mp4",
        }
    )
    poster = Derived(
        ref="poster", path=f"clips/{item.id}/poster.jpg", file=factories.original(item.id, key="poster.jpg")
    )
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


async def project_one_by_one(tables: Tables, events: Sequence[Event]) -> None:
    for event in events:
        await project_batch(tables, [event])


async def project_batch(tables: Tables, events: Sequence[Any]) -> None:
    """Projects events of one topic."""
    handlers: dict[type[Event], Callable[[Sequence[Any]], Awaitable[None]]] = {
        MediaCreated: tables.projection.media_created,
        MediaEvent: tables.projection.media_changed,
        JobProgressed: tables.projection.progress,
        JobEvent: tables.projection.jobs,
        KeyChanged: tables.projection.keys,
    }
    handler = next(handler for type_, handler in handlers.items() if isinstance(events[0], type_))
    await handler(factories.prepared(events))


async def rows_of(tables: Tables, project: str) -> dict[str, list[asyncpg.Record]]:
    """All rows of a project."""
    of_project = "SELECT id FROM media WHERE project = $1"
    queries = {
        "jobs": "SELECT id, kind, status, input, rank, updated_at, job FROM jobs WHERE project = $1 ORDER BY id",
        "media": "SELECT id, version, hidden, kind, created_at, updated_at, filesize, fps, filename, pairs, item "
        "FROM media WHERE project = $1 ORDER BY id",
        "metadata": f"SELECT * FROM media_metadata WHERE media_id IN ({of_project}) ORDER BY media_id, pair",
        "files": "SELECT * FROM files WHERE project = $1 ORDER BY path, owner",
        "keys": "SELECT * FROM api_keys WHERE key->>'project' = $1 ORDER BY id",
    }
    return {name: _comparable(await tables.pool.fetch(query, project)) for name, query in queries.items()}


def _comparable(rows: Sequence[asyncpg.Record]) -> list[Any]:
    # The order of pairs within an item says nothing.
    return [{name: sorted(value) if name == "pairs" else value for name, value in row.items()} for row in rows]


async def delete_rows(tables: Tables, project: str) -> None:
    await tables.pool.execute(
        "DELETE FROM media_metadata WHERE media_id IN (SELECT id FROM media WHERE project = $1)", project
    )
    for table in ("jobs", "media", "files"):
        await tables.pool.execute(f"DELETE FROM {table} WHERE project = $1", project)
    await tables.pool.execute("DELETE FROM api_keys WHERE key->>'project' = $1", project)


def topics_of(project: str) -> list[list[Event]]:
    """Two items with jobs, two jobs and a key: all that happens to them, a list for each topic."""
    items = [media_events(project) for _ in range(2)]
    of_items = [factories.queued(project, id=new_id("job"), media_id=events[0].media.id) for events in items]
    alone = [factories.queued(project, id=new_id("job")) for _ in range(2)]
    lives = [*(factories.snapshots(job) for job in [*of_items, alone[0]]), [alone[1], factories.failed(alone[1])]]
    created = [MediaCreated(media=events[1].media, jobs=[job]) for events, job in zip(items, of_items, strict=True)]
    changed = [event for events in items for event in events if not isinstance(event, MediaCreated)]
    key = factories.key(project, new_id("key"))
    return [
        [*created],
        [*changed],
        [JobCreated(job=job) for job in alone],
        [event for snapshots in lives for event in job_events(snapshots[1:])],
        [KeyChanged(key=key), KeyChanged(key=key.model_copy(update={"revoked_at": now_ms()}))],
    ]


@PROPERTY
@given(seed=st.integers(0, 2**32), longest=st.integers(1, 12))
async def test_batches_cut_anywhere_and_projected_concurrently_give_the_rows_of_one_by_one(
    tables: Tables, seed: int, longest: int
) -> None:
    random = Random(seed)
    project = new_id("prj")
    topics = topics_of(project)
    projectors: tuple[list[Sequence[Event]], list[Sequence[Event]]] = ([], [])
    for events in topics:
        history = events + random.choices(events, k=random.randint(0, len(events)))
        random.shuffle(history)
        while history:
            size = random.randint(1, longest)
            random.choice(projectors).append(history[:size])
            history = history[size:]

    async def run(batches: list[Sequence[Event]]) -> None:
        random.shuffle(batches)
        for batch in batches:
            await project_batch(tables, batch)

    await asyncio.gather(*(run(batches) for batches in projectors))
    in_batches = await rows_of(tables, project)
    await delete_rows(tables, project)
    await project_one_by_one(tables, [event for events in topics for event in events])
    assert in_batches == await rows_of(tables, project)
    await delete_rows(tables, project)


@settings(PROPERTY, max_examples=12)
@given(seed=st.integers(0, 2**32), from_offset=st.integers(0, 8))
async def test_a_replay_and_progress_after_the_end_change_no_row(tables: Tables, seed: int, from_offset: int) -> None:
    """All topics are read again, from their first record or another one; a frozen worker reports last of all."""
    random = Random(seed)
    project = new_id("prj")
    topics = topics_of(project)
    random.shuffle(topics)
    for events in topics:
        await project_batch(tables, events)
    before = await rows_of(tables, project)
    ended = [event.job for events in topics for event in events if isinstance(event, JobSucceeded | JobFailed)]
    late = [
        JobProgressed(
            job=job.model_copy(update={"status": "processing", "output": None, "updated_at": now_ms() + 10**6})
        )
        for job in ended
    ]
    random.shuffle(late)
    await project_batch(tables, late)
    for events in random.sample(topics, len(topics)):
        for event in events[from_offset:]:
            await project_batch(tables, [event])
    await project_batch(tables, late)
    assert before == await rows_of(tables, project)
    await delete_rows(tables, project)


@PROPERTY
@given(order=st.lists(st.integers(0, 9), min_size=1, max_size=14))
async def test_a_job_follows_the_published_rule_after_each_event(
    tables: Tables, project: str, order: list[int]
) -> None:
    """Two runs, of which the first is cancelled."""
    first = factories.queued(project, id=new_id("job"))
    cancelled = first.start(first.created_at + 2).cancel(first.created_at + 3)
    again = first.run_again(2, [], first.created_at + 4)
    snapshots = [first, first.start(first.created_at + 2), cancelled, again, *factories.snapshots(again)[1:], again]
    current: Job | None = None
    for event in job_events([snapshots[position] for position in order]):
        await tables.projection.jobs(factories.prepared([event]))
        if current is None or supersedes(event.job, current):
            current = event.job
        assert await tables.queries.job(event.job.id, project) == current


async def test_replicas_that_project_the_same_batches_do_not_deadlock(tables: Tables, project: str) -> None:
    items = [media_events(project) for _ in range(20)]
    for position in range(6):
        batch = [events[position] for events in items]
        backwards = batch[::-1]
        await asyncio.gather(*(project_batch(tables, each) for each in (batch, backwards, batch, backwards)))
    found = await tables.queries.media(project, media_filter([]))
    assert found.total == 20
    assert {item.version for item in found.items} == {6}


async def test_one_value_that_no_column_holds_leaves_nothing_of_its_batch(tables: Tables, project: str) -> None:
    good = factories.item(project, id=new_id("med"))
    absurd = factories.original(new_id("med")).model_copy(update={"width": 2**40})  # which validates nothing
    bad = factories.item(project, id=new_id("med")).model_copy(update={"original": absurd})
    with pytest.raises(asyncpg.DataError):
        await tables.projection.media_created(factories.prepared([MediaCreated(media=good), MediaCreated(media=bad)]))
    assert await tables.queries.media_item(good.id, project) is None
    await tables.projection.media_created(factories.prepared([MediaCreated(media=good)]))
    assert await tables.queries.media_item(good.id, project) == good


async def test_values_of_newer_releases_are_projected_as_unknown(tables: Tables, project: str) -> None:
    job = factories.queued(project)
    changes: dict[str, Any] = {"kind": "audio", "status": "paused", "updated_at": job.updated_at + 1}
    newer = Job.model_validate(job.model_dump() | changes)
    await tables.projection.jobs(factories.prepared([JobCreated(job=job), JobProgressed(job=newer)]))
    found = await tables.queries.job(job.id, project)
    assert found is not None
    assert (found.kind, found.status) == ("unknown", "unknown")
    item = factories.item(project)
    assert item.original is not None
    file = item.original.model_copy(update={"kind": "unknown"})
    await tables.projection.media_created(
        factories.prepared([MediaCreated(media=item.model_copy(update={"original": file}))])
    )
    found_item = await tables.queries.media_item(item.id, project)
    assert isinstance(found_item, MediaItem)
    assert found_item.original == file


async def test_what_a_newer_release_has_written_is_kept_in_the_stored_snapshots(tables: Tables, project: str) -> None:
    item = factories.item(project)
    jobs = [factories.queued(project, media_id=item.id) for _ in range(2)]
    created = MediaCreated(media=item, jobs=jobs).model_dump(mode="json")
    created["media"]["rating"] = 5
    for number, job in enumerate(created["jobs"]):
        job["attempt"] = number
    progressed = JobProgressed(job=jobs[1].start(now_ms())).model_dump(mode="json")
    progressed["job"]["status"] = "paused"
    json = orjson.dumps({"added": [], **created})
    await tables.projection.media_created([factories.prepare(MediaCreated.model_validate_json(json), json)])
    json = orjson.dumps({"added": [], **progressed})
    await tables.projection.progress([factories.prepare(JobProgressed.model_validate_json(json), json)])
    ids = [job.id for job in jobs]
    rows = await tables.pool.fetch("SELECT status, job FROM jobs WHERE id = ANY ($1) ORDER BY id", ids)
    snapshots = {row["job"]["id"]: (row["status"], row["job"]) for row in rows}
    assert snapshots == {ids[0]: ("queued", created["jobs"][0]), ids[1]: ("unknown", progressed["job"])}
    assert await tables.pool.fetchval("SELECT item FROM media WHERE id = $1", item.id) == created["media"]
    assert await tables.queries.media_item(item.id, project) == item


async def test_metadata_keeps_the_order_in_which_it_was_written(tables: Tables, project: str) -> None:
    job = factories.queued(project, metadata={"zz": "1", "a": "2", "mmm": "3", "é\n\"'\\": "\U0001f600"})
    await tables.projection.jobs(factories.prepared([JobCreated(job=job)]))
    found = await tables.queries.job(job.id, project)
    assert found is not None
    assert list(found.metadata.items()) == list(job.metadata.items())
    assert found.model_dump_json() == job.model_dump_json()


async def test_a_deleted_item_is_hidden_with_its_files_and_its_jobs_outputs(tables: Tables, project: str) -> None:
    events = media_events(project)
    id = events[0].media.id
    poster = factories.queued(project, kind="image", media_id=id, ref="poster", source=factories.original(id))
    ended = factories.snapshots(poster)[-1]
    await project_one_by_one(tables, events[:4])
    await tables.projection.jobs(factories.prepared([JobSucceeded(job=ended)]))
    path = f"moved/{id}.mp4"
    assert await tables.queries.file(project, path) == StoredFile(f"originals/{id}.mp4", "video/mp4", False)
    assert await tables.queries.file(project, f"clips/{id}.mp4") is None
    assert await tables.queries.file(project, f"{poster.id}/video.mp4") is not None
    await project_one_by_one(tables, events[4:5])
    for name in (path, f"{poster.id}/video.mp4"):
        assert await tables.queries.file(project, name) is None
        assert await tables.queries.had_file(project, name)
    assert (await tables.queries.media(project, media_filter([]))).total == 0
    assert (await tables.queries.media(project, media_filter([("metadata.new", "1")]))).total == 0
    await project_one_by_one(tables, events[5:])
    assert await tables.queries.file(project, path) is not None
    assert await tables.queries.file(project, f"{poster.id}/video.mp4") is not None
    assert (await tables.queries.media(project, media_filter([("metadata.new", "1"), ("metadata.b", "2")]))).total == 1


async def test_a_purged_item_stays_hidden_when_an_old_event_comes_again(tables: Tables, project: str) -> None:
    events = media_events(project)
    last = events[-1].media.model_copy(update={"version": 7, "status": "deleted"})
    await project_one_by_one(tables, [*events, MediaPurged(media=last), *events])
    assert await tables.queries.media_item(last.id, project) == Hidden()
    assert await tables.pool.fetchval("SELECT count(*) FROM files WHERE project = $1", project) == 0


async def test_jobs_of_a_new_item_are_queued_unless_more_is_known(tables: Tables, project: str) -> None:
    item = factories.item(project)
    job = factories.queued(project, kind="image", media_id=item.id, ref="poster")
    ended = factories.snapshots(job)[-1]
    await tables.projection.media_created(factories.prepared([MediaCreated(media=item, jobs=[job])]))
    assert await tables.queries.job(job.id, project) == job
    await tables.projection.jobs(factories.prepared([JobSucceeded(job=ended)]))
    await tables.projection.media_created(factories.prepared([MediaCreated(media=item, jobs=[job])]))
    assert await tables.queries.job(job.id, project) == ended


@pytest.mark.parametrize("order", list(permutations(range(4))))
async def test_a_name_belongs_to_the_owner_that_took_it_last(
    tables: Tables, project: str, order: tuple[int, ...]
) -> None:
    path = "clips/same.mp4"
    first = factories.item(project, original_path=path)
    second = factories.item(project, original_path=path, updated_at=now_ms())
    renamed = first.model_copy(update={"version": 2, "title": "new"})
    released = first.model_copy(update={"version": 3, "original_path": "clips/other.mp4", "updated_at": now_ms() + 9})
    events: list[MediaItem] = [first, renamed, released, second]
    await project_one_by_one(tables, [MediaUpdated(media=events[position]) for position in order])
    found = await tables.queries.file(project, path)
    assert found is not None
    assert second.original is not None
    assert found.key == second.original.key


async def test_an_event_of_one_project_changes_no_row_of_another(tables: Tables, project: str) -> None:
    """A forged record whose parts all belong to its project, but for the id."""
    other = new_id("prj")
    job = factories.queued(project, id=new_id("job"))
    item = factories.item(project)
    own: list[Event] = [JobCreated(job=job), MediaUpdated(media=item)]
    await project_one_by_one(tables, own)
    forged_job = factories.snapshots(factories.queued(other, id=job.id))[-1]
    forged_item = factories.item(other, id=item.id, version=99, title="forged")
    await project_one_by_one(tables, [JobSucceeded(job=forged_job), MediaUpdated(media=forged_item)])
    assert await tables.queries.job(job.id, project) == job
    assert await tables.queries.job(job.id, other) is None
    stored = await tables.pool.fetchrow("SELECT version, item ->> 'title' AS title FROM media WHERE id = $1", item.id)
    assert stored is not None and (stored["version"], stored["title"]) == (item.version, item.title)


@pytest.mark.parametrize("together", [False, True])
@pytest.mark.parametrize("order", list(permutations(range(2))))
async def test_a_revoked_key_stays_revoked(
    tables: Tables, project: str, order: tuple[int, ...], together: bool
) -> None:
    key = factories.key(project, new_id("key"))
    gone = key.model_copy(update={"revoked_at": now_ms()})
    events = [KeyChanged(key=[key, gone][position]) for position in (*order, *order)]
    await (project_batch if together else project_one_by_one)(tables, events)
    assert await tables.queries.key(key.hash) == gone
    assert await tables.queries.key("0" * 64) is None
