"""A project with too much unfinished work gets 429; nothing that was accepted is lost, and other projects go on."""

import pytest

from services.ingest import keys
from services.ingest.queue_bounds import QueueBound, QueueFull
from tests.services.ingest.conftest import MOST
from tests.services.ingest.support import EventLog, RunningIngest
from tests.support.waiting import until

JOB = {"input": "https://example.com/a.mov", "kind": "video"}
JOBS = """
    INSERT INTO jobs (id, project, request, created_at, announced_at, announcements)
    SELECT $1 || n, $1, '{}', 0, now(), 1 FROM generate_series(1, $2::integer) AS n
"""
MEDIA = """
    INSERT INTO media (id, project, version, status, item)
    SELECT $1 || n, $1, 1, 'processing', '{}' FROM generate_series(1, $2::integer) AS n
"""


class Clock:
    """A monotonic clock that is set by hand."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


class Counted:
    """The number of unfinished items in the database."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.queries = 0

    async def __call__(self, project: str, most: int) -> int:
        self.queries += 1
        return min(self.number, most)


async def test_the_bound_is_exact_between_counts_and_counted_once_a_second() -> None:
    counted, clock = Counted(7), Clock()
    bound = QueueBound("jobs", "MAX_UNFINISHED_JOBS", 10, counted, now=clock)
    for _ in range(3):
        await bound.admit("prj_a")
    with pytest.raises(QueueFull, match=r"10 jobs .*MAX_UNFINISHED_JOBS=10"):
        await bound.admit("prj_a")
    assert counted.queries == 1
    await bound.admit("prj_b")
    counted.number, clock.now = 9, 1.0
    await bound.admit("prj_a")
    with pytest.raises(QueueFull):
        await bound.admit("prj_a")


async def new_project(ingest: RunningIngest, name: str) -> tuple[str, str]:
    """A project, and the header with its key."""
    new = await keys.create_key(ingest.pool, name)
    return new.key.project, f"Bearer {new.text}"


async def test_post_jobs_over_the_bound_gets_429_until_some_have_ended(ingest: RunningIngest) -> None:
    project, key = await new_project(ingest, "many jobs")
    await ingest.pool.execute(JOBS, project, MOST - 1)
    first = await ingest.post("/jobs", JOB, Authorization=key, Idempotency_Key="the-last-one")
    assert first.status == 201
    full = await ingest.post("/jobs", JOB, Authorization=key)
    assert (full.status, full.body["kind"], full.headers["Retry-After"]) == (429, "queue_full", "10")
    assert f"MAX_UNFINISHED_JOBS={MOST}" in full.body["message"]
    again = await ingest.post("/jobs", JOB, Authorization=key, Idempotency_Key="the-last-one")
    assert (again.status, again.body["id"]) == (200, first.body["id"]), "a repetition is no new work"
    assert (await ingest.post("/jobs", JOB)).status == 201, "another project"
    await ingest.pool.execute("UPDATE jobs SET ended = 'succeeded', ended_at = 1 WHERE project = $1", project)

    async def accepted() -> bool:
        return (await ingest.post("/jobs", JOB, Authorization=key)).status == 201

    await until(accepted, within=60)


async def test_post_media_over_the_bound_gets_429_in_its_envelope(ingest: RunningIngest) -> None:
    project, key = await new_project(ingest, "many imports")
    await ingest.pool.execute(MEDIA, project, MOST)
    full = await ingest.post("/media", {"url": "https://example.com/a.mov"}, Authorization=key)
    assert (full.status, full.body["error"]["kind"]) == (429, "queue_full")
    assert f"MAX_UNFINISHED_IMPORTS={MOST}" in full.body["error"]["message"]


async def test_a_submission_over_the_bound_is_a_dead_letter_that_can_be_replayed(
    ingest: RunningIngest, events: EventLog
) -> None:
    project, _ = await new_project(ingest, "many submissions")
    await ingest.pool.execute(JOBS, project, MOST)
    body = b'{"input": "https://example.com/a.mov", "kind": "video"}'
    await ingest.submit("job.submitted", body, ce_project=project, mark="over the bound")
    letter = await events.dead_letter("over the bound")
    assert letter["reason"].startswith("queue_full: ") and f"MAX_UNFINISHED_JOBS={MOST}" in letter["reason"]
