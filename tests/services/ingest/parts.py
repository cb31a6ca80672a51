"""The use cases of ingest over a pool, as its app builds them."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from chassis.adapters.kafka import codec
from chassis.adapters.postgres import Pool
from chassis.core.ids import new_id, now_ms
from chassis.runtime.job_queue import JobQueue
from chassis.runtime.outbox import Outbox
from schemas.api import JOB_REQUEST
from schemas.events import Event
from schemas.files import Output
from schemas.ids import derived
from schemas.jobs import Job
from schemas.task_api import TASK_REQUEST
from schemas.topics import TOPICS
from services.ingest.cancellations import Cancellations
from services.ingest.inputs import Inputs
from services.ingest.job_results import Attachments, JobResults
from services.ingest.jobs import JobWriter, new_job
from services.ingest.media_changes import MediaChanges
from services.ingest.name_takeover import NameTakeover
from services.ingest.retries import Retries
from services.ingest.store import Store

BASE = "https://files.example.com"
_TOPICS = {topic.name: topic for topic in TOPICS}


def outbox(pool: Pool) -> Outbox:
    return Outbox(pool, "ingest")


def inputs(pool: Pool) -> Inputs:
    return Inputs(outbox(pool), BASE)


def attachments(pool: Pool) -> Attachments:
    return Attachments(Store(pool), outbox(pool))


def job_results(pool: Pool) -> JobResults:
    return JobResults(Store(pool), outbox(pool), attachments(pool), inputs(pool))


def media_changes(pool: Pool) -> MediaChanges:
    takeover, queue = NameTakeover(Store(pool), outbox(pool)), JobQueue(pool, outbox(pool))
    return MediaChanges(Store(pool), queue, outbox(pool), takeover, inputs(pool), timedelta(days=1))


def cancellations(pool: Pool, *pauses_s: float) -> Cancellations:
    return Cancellations(Store(pool), outbox(pool), pauses_s)


def retries(pool: Pool, **limits: int) -> Retries:
    return Retries(Store(pool), outbox(pool), inputs(pool), **limits)


async def accept(pool: Pool, project: str, **body: Any) -> Job:
    """An accepted job, or task where its input is an object; by default a video."""
    schema: Any = JOB_REQUEST if isinstance(body["input"], str) else TASK_REQUEST
    request = schema.validate_python({"kind": "video", **body})
    job = new_job(request, id=new_id("job"), project=project, at=now_ms())
    await JobWriter(Store(pool), outbox(pool), inputs=inputs(pool)).accept(job)
    return job


def with_output(job: Job, **fields: Any) -> Job:
    """The job after it has succeeded."""
    id = derived("file", job.id, "output")
    facts: dict[str, Any] = {"kind": "video", "format": "mp4", "content_type": "video/mp4", "filesize": 1, **fields}
    key, path = f"{job.project}/jobs/{job.id}/{id}-1.mp4", f"{job.id}/{job.kind}.mp4"
    return job.start(now_ms()).succeed(Output(id=id, key=key, path=path, **facts), now_ms() + 1)


async def end(pool: Pool, *jobs: Job) -> None:
    """Ingest reads that these jobs have ended."""
    await job_results(pool).apply(jobs, now_ms())


async def published(pool: Pool) -> Sequence[Any]:
    """The events that were written since the last call."""
    rows = sorted(await pool.fetch("DELETE FROM outbox RETURNING id, topic, headers, value"), key=lambda row: row["id"])
    events = []
    for row in rows:
        headers = [(name, text.encode()) for name, text in row["headers"]]
        event = codec.decode(_TOPICS[row["topic"]], headers, row["value"])
        assert isinstance(event, Event)
        events.append(event)
    return events
