"""What arrives over Kafka: submissions, and what became of jobs. Translation only."""

from typing import Protocol

from faststream.kafka import KafkaBroker

from chassis.adapters.kafka.codec import Submission
from chassis.adapters.kafka.consumer import subscribe
from chassis.adapters.kafka.errors import Rejected
from chassis.core import logs
from chassis.core.ids import now_ms
from chassis.core.metrics import counter
from schemas.api import MediaRequest
from schemas.events import JobCancelled, JobFailed, JobStarted, JobSucceeded
from schemas.jobs import Job
from schemas.topics import JOB_RESULTS, JOB_SUBMITTED_TOPIC, MEDIA_SUBMITTED_TOPIC
from services.ingest.requests import JobBody

log = logs.get_logger(__name__)


class TakesSubmissions(Protocol):
    """False where a submission was seen before; raises Rejected."""

    async def job(self, project: str, submission_id: str, body: JobBody) -> bool: ...

    async def media(self, project: str, submission_id: str, body: MediaRequest) -> bool: ...


class TakesResults(Protocol):
    """Hears of the end of a job, perhaps more than once."""

    async def ended(self, job: Job, at: int) -> None: ...


def register(broker: KafkaBroker, submissions: TakesSubmissions, results: TakesResults) -> None:
    """Declares the subscribers of ingest on a broker that need not be connected."""
    jobs_accepted = counter("bitmill_jobs_accepted", "Jobs accepted, by the way they came in.", ("service", "via"))

    @subscribe(broker, JOB_SUBMITTED_TOPIC, "ingest")
    async def job_submitted(event: Submission) -> None:
        if isinstance(event.body, MediaRequest):
            raise Rejected("this topic takes the bodies of POST /jobs")
        new = await submissions.job(event.project, event.id, event.body)
        log.info("job submitted", project=event.project, submission=event.id, new=new)
        if new:
            jobs_accepted.labels("ingest", "kafka").inc()

    @subscribe(broker, MEDIA_SUBMITTED_TOPIC, "ingest")
    async def media_submitted(event: Submission) -> None:
        if not isinstance(event.body, MediaRequest):
            raise Rejected("this topic takes the bodies of POST /media")
        new = await submissions.media(event.project, event.id, event.body)
        log.info("media submitted", project=event.project, submission=event.id, new=new)

    @subscribe(broker, JOB_RESULTS, "ingest")
    async def job_result(event: JobStarted | JobSucceeded | JobFailed | JobCancelled) -> None:
        if isinstance(event, JobSucceeded | JobFailed | JobCancelled):
            await results.ended(event.job, now_ms())
