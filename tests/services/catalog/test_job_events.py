"""What is recorded of jobs: every change of each, once and in order, while two replicas project them in any order."""

import asyncio
from collections import defaultdict
from random import Random

import orjson
import pytest

from chassis.core.ids import new_id
from schemas.events import (
    JobCancelled,
    JobCreated,
    JobEvent,
    JobFailed,
    JobProgressed,
    JobStarted,
    JobSucceeded,
    MediaCreated,
)
from schemas.faults import Fault
from schemas.jobs import EarlierRun, Job
from services.catalog.event_log import EventLog, KeptEvents, RecordedEvent
from services.catalog.job_changes import JobState, changes, histories
from tests.services.catalog import factories
from tests.services.catalog.conftest import Tables
from tests.services.catalog.test_following_jobs import replicas

JOBS = 60
LIFE = ["queued", "processing", "progress", "processing", "progress", "succeeded"]
"""Of `factories.snapshots`: two attempts."""


def events_of(job: Job) -> list[tuple[str, JobEvent]]:
    """The life of a job that succeeds on its second attempt, with the topic of each event."""
    created, first, probing, again, half, end = factories.snapshots(job)
    return [
        ("job.created", JobCreated(job=created)),
        ("job.results", JobStarted(job=first)),
        ("job.progress", JobProgressed(job=probing)),
        ("job.results", JobStarted(job=again)),
        ("job.progress", JobProgressed(job=half)),
        ("job.results", JobSucceeded(job=end)),
    ]


async def recorded(tables: Tables, project: str, after: int = 0) -> list[RecordedEvent]:
    return await EventLog(tables.query_pool).after({project: after}, 10_000)


def names(events: list[RecordedEvent]) -> list[str]:
    return [event.name for event in events]


async def test_every_change_of_a_job_is_recorded_with_what_it_was_then(tables: Tables, project: str) -> None:
    job = factories.queued(project)
    for _, event in events_of(job):
        await tables.projection.jobs(factories.prepared([event]))
    found = await recorded(tables, project)
    assert names(found) == LIFE
    assert [event.position for event in found] == [1, 2, 3, 4, 5, 6]
    assert {(event.job_id, event.kind) for event in found} == {(job.id, "video")}
    states = factories.snapshots(job)
    for number in (0, 1, 3, 5):
        assert Job.model_validate_json(found[number].data) == states[number]
    assert orjson.loads(found[4].data)["progress"] == 0.5
    assert orjson.loads(found[2].data)["step"] == "probe"


async def test_the_changes_of_one_batch_are_recorded_one_by_one(tables: Tables, project: str) -> None:
    job = factories.queued(project)
    events = [event for _, event in events_of(job)]
    await tables.projection.jobs(factories.prepared([*events, *events]))
    assert names(await recorded(tables, project)) == LIFE


@pytest.mark.parametrize("seed", range(4))
async def test_each_run_is_complete_in_order_and_without_doubles_whatever_the_order_of_the_topics(
    tables: Tables, database_url: str, project: str, seed: int
) -> None:
    random = Random(seed)
    jobs = [factories.queued(project) for _ in range(JOBS)]
    queues: dict[tuple[str, int], list[JobEvent]] = defaultdict(list)
    for number, job in enumerate(jobs):
        for topic, event in events_of(job):
            queues[topic, number % 3].append(event)

    async def read(partition: list[JobEvent]) -> None:
        position = 0
        while position < len(partition):
            size = random.randint(1, 12)
            projection = random.choice(both)
            await projection.jobs(factories.prepared(partition[position : position + size]))
            # A rebalance delivers a batch again, here or elsewhere.
            position += size if random.random() < 0.8 else random.randint(0, size)

    async with replicas(database_url, 2) as both:
        await asyncio.gather(*(read(partition) for partition in queues.values()))
    found = await recorded(tables, project)
    assert [event.position for event in found] == list(range(1, len(found) + 1)), "no holes"
    for job in jobs:
        life = [event for event in found if event.job_id == job.id]
        states = [event.name for event in life if event.name != "progress"]
        assert states in (["queued", "processing", "succeeded"], ["queued", "processing", "processing", "succeeded"])
        assert life[0].name == "queued" and life[-1].name == "succeeded", names(life)
        times = [orjson.loads(event.data)["updated_at"] for event in life]
        assert times == sorted(times) and len(set(times)) == len(times), "and none comes twice"


def test_a_change_that_was_overtaken_is_made_of_the_one_that_overtook_it(project: str) -> None:
    job = factories.queued(project)
    created, started, *_, end = factories.snapshots(job)
    (snapshot,) = factories.prepared([JobSucceeded(job=end)])
    made = changes(histories([snapshot]), {job.id: None})
    assert [change.name for change in made] == ["queued", "processing", "succeeded"]
    assert made[0].data is not None and made[1].data is not None
    assert Job.model_validate_json(made[0].data) == created
    assert Job.model_validate_json(made[1].data) == started
    assert made[2].data is None, "as it is in its table"


def test_a_job_that_ends_without_a_start_was_never_processing(project: str) -> None:
    job = factories.queued(project)
    (snapshot,) = factories.prepared([JobCancelled(job=job.cancel(job.created_at + 5))])
    assert [change.name for change in changes(histories([snapshot]), {job.id: None})] == ["queued", "cancelled"]


def test_the_end_of_a_run_that_was_overtaken_by_the_next_run_is_not_left_out(project: str) -> None:
    job = factories.queued(project)
    fault = Fault(kind="input_empty", message="no bytes")
    at = job.created_at
    ended = EarlierRun(run=1, status="failed", error=fault, started_at=at + 1, finished_at=at + 2)
    again = job.run_again(2, [ended], at + 3)
    (snapshot,) = factories.prepared([JobCreated(job=again)])
    found = changes(histories([snapshot]), {job.id: JobState(1, 1, at + 1)})
    assert [change.name for change in found] == ["failed", "queued"]
    assert found[0].data is not None
    shown = Job.model_validate_json(found[0].data)
    assert (shown.run, shown.error, shown.finished_at, shown.earlier_runs) == (1, fault, at + 2, [])
    in_order = changes(histories([snapshot]), {job.id: JobState(1, 2, at + 2)})
    assert [change.name for change in in_order] == ["queued"]


def test_an_attempt_that_waits_for_the_next_one_is_a_change_of_its_own(project: str) -> None:
    job = factories.queued(project)
    started = job.start(job.created_at + 1)
    waiting = started.retry(Fault(kind="input_unreachable", message="x"), job.created_at + 2, job.created_at + 9)
    snapshots = factories.prepared([JobStarted(job=started), JobProgressed(job=waiting)])
    found = changes(histories(snapshots), {job.id: JobState(1, 0, job.updated_at)})
    assert [change.name for change in found] == ["processing", "retrying"]


async def test_the_jobs_of_a_media_item_are_recorded_and_projects_count_for_themselves(
    tables: Tables, project: str
) -> None:
    media = factories.item(project)
    jobs = [factories.queued(project, kind="image", media_id=media.id, ref=f"r{n}") for n in range(2)]
    await tables.projection.media_created(factories.prepared([MediaCreated(media=media, jobs=jobs)]))
    other = new_id("prj")
    failed = factories.failed(factories.queued(other))
    await tables.projection.jobs(factories.prepared([JobFailed(job=failed)]))
    assert [(event.position, event.name) for event in await recorded(tables, project)] == [(1, "queued"), (2, "queued")]
    assert names(await recorded(tables, other)) == ["queued", "processing", "failed"]


async def test_what_was_purged_is_known_to_be_lost(tables: Tables, project: str) -> None:
    log = EventLog(tables.query_pool)
    assert await log.kept(project) == KeptEvents(None, 0)
    await tables.projection.jobs(factories.prepared([event for _, event in events_of(factories.queued(project))]))
    kept = await log.kept(project)
    assert kept == KeptEvents(1, 6) and all(map(kept.has_all_after, range(7))) and not kept.has_all_after(7)
    await tables.pool.execute("DELETE FROM job_events WHERE project = $1 AND position <= 4", project)
    kept = await log.kept(project)
    assert [kept.has_all_after(position) for position in range(8)] == [False] * 4 + [True] * 3 + [False]
    await tables.pool.execute("DELETE FROM job_events WHERE project = $1", project)
    kept = await log.kept(project)
    assert [kept.has_all_after(position) for position in (5, 6, 7)] == [False, True, False]
