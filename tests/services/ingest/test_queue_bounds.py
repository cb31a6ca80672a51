"""A project with too much unfinished work gets 429; nothing that was accepted is lost, and other projects go on."""

import orjson
import pytest

from chassis.adapters.kafka.record_handler import HandlerLimits
from schemas.events import JobCreated
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


@pytest.mark.parametrize(
    ("topic", "body", "unfinished", "setting"),
    [
        ("job.submitted", JOB, JOBS, "MAX_UNFINISHED_JOBS"),
        ("media.submitted", {"url": "https://example.com/a.mov"}, MEDIA, "MAX_UNFINISHED_IMPORTS"),
    ],
)
async def test_a_submission_over_the_bound_is_a_dead_letter_with_the_code_of_the_refusal(
    ingest: RunningIngest, events: EventLog, topic: str, body: dict[str, str], unfinished: str, setting: str
) -> None:
    project, _ = await new_project(ingest, f"over the bound of {topic}")
    await ingest.pool.execute(unfinished, project, MOST)
    await ingest.submit(topic, orjson.dumps(body), ce_project=project, ce_id="order-5", mark=topic)
    letter = await events.dead_letter(topic)
    assert (letter["reason_code"], letter["ce_project"], letter["ce_id"]) == ("queue_full", project, "order-5")
    assert f"{setting}={MOST}" in letter["reason"]


async def test_a_submission_over_the_bound_is_accepted_when_it_is_sent_again_later(
    ingest: RunningIngest, events: EventLog
) -> None:
    project, _ = await new_project(ingest, "submitted again")
    await ingest.pool.execute(JOBS, project, MOST)
    headers = {"ce_project": project, "ce_id": "order-6", "mark": "again"}
    await ingest.submit("job.submitted", orjson.dumps(JOB), **headers)
    await events.dead_letter("again")
    await ingest.pool.execute("UPDATE jobs SET ended = 'succeeded', ended_at = 1 WHERE project = $1", project)

    async def accepted() -> bool:
        await ingest.submit("job.submitted", orjson.dumps(JOB), **headers)
        return bool(jobs_of(events, project))

    await until(accepted, within=60)
    # What follows on the same partition comes after all of them: they took effect once.
    await ingest.submit("job.submitted", orjson.dumps({**JOB, "kind": "image"}), ce_project=project)
    await until(lambda: any(event.job.kind == "image" for event in jobs_of(events, project)), within=60)
    assert [event.job.kind for event in jobs_of(events, project)] == ["video", "image"]


async def test_many_submissions_over_the_bound_stop_neither_the_consumer_nor_another_project(
    ingest: RunningIngest, events: EventLog
) -> None:
    """As many dead letters of a bug of ours would halt it."""
    project, _ = await new_project(ingest, "a pile of submissions")
    other, _ = await new_project(ingest, "a submission behind them")
    await ingest.pool.execute(JOBS, project, MOST)
    for number in range(HandlerLimits().dead_letters_per_minute + 5):
        await ingest.submit("job.submitted", orjson.dumps(JOB), ce_project=project, mark=f"pile {number}")
    await ingest.submit("job.submitted", orjson.dumps(JOB), ce_project=other)
    await until(lambda: jobs_of(events, other), within=60)
    assert not jobs_of(events, project)


def jobs_of(events: EventLog, project: str) -> list[JobCreated]:
    return [event for event in events.of_project(project) if isinstance(event, JobCreated)]
