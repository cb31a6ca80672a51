"""Kafka in: submitted jobs and media items, and the results of jobs."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

from faststream.kafka import KafkaBroker

from chassis.adapters.egress.policy import EgressPolicy
from chassis.adapters.kafka.consumer import subscribe
from chassis.adapters.kafka.errors import RecordRejected
from chassis.core import logs
from chassis.core.encryption import Keyring
from chassis.core.ids import new_id, now_ms
from schemas.api import JobAction, MediaRequest
from schemas.events import JobCancelled, JobFailed, JobSucceeded, Submission
from schemas.explain import format_errors, render_value
from schemas.faults import FieldFault, RequestFault
from schemas.ids import is_id
from schemas.topics import JOB_CONTROL, JOB_RESULTS, JOB_SUBMITTED_TOPIC, MEDIA_SUBMITTED_TOPIC
from services.ingest import transitions
from services.ingest.errors import NameTaken, name_taken
from services.ingest.idempotency import MAX_KEY_CHARS, IdempotencyKey, is_storable, submission_key
from services.ingest.inputs import InputRefused
from services.ingest.job_actions import JobActions
from services.ingest.job_results import JobResults
from services.ingest.job_stores import JobStores, StoreRefused
from services.ingest.jobs import JobWriter, addresses_of, jobs_accepted, new_job
from services.ingest.media_items import MediaWriter, media_accepted
from services.ingest.queue_bounds import QueueBound, QueueFull
from services.ingest.replies import Replies
from services.ingest.requests import job_request_faults, media_request_faults
from services.ingest.store import AlsoWrite, Store
from services.ingest.upload_inputs import UploadInputs, UploadRefused

_INVALID: RequestFault = "invalid_input"

log = logs.get_logger(__name__)


@dataclass(frozen=True)
class Submissions:
    """Accepts jobs and media items that producers submit over Kafka, by the rules of HTTP.

    The id of a submission makes it take effect once, whatever Kafka or its producer repeats. The methods raise
    RecordRejected with a sentence and, as code, the `kind` that the refusal of the same request over HTTP has.
    """

    store: Store
    jobs: JobWriter
    media: MediaWriter
    job_bound: QueueBound
    media_bound: QueueBound
    egress: EgressPolicy
    job_stores: JobStores
    replies: Replies
    keyring: Keyring | None = None
    uploads: UploadInputs | None = None
    delivery_base: str = ""
    _known_projects: set[str] = field(default_factory=set)  # projects are never removed

    async def accept_job(self, submission: Submission) -> None:
        request = submission.body
        if isinstance(request, MediaRequest | JobAction):
            raise RecordRejected("this topic takes the bodies of POST /jobs", _INVALID)
        await self.check(submission, job_request_faults(request, self.egress, self.delivery_base))
        at, id = now_ms(), new_id("job")
        key = submission_key(JOB_SUBMITTED_TOPIC.name, submission.id, at)
        await self.admit(self.job_bound, submission.project, key)
        try:
            store = await self.job_stores.of(addresses_of(request, id), submission.project)
        except StoreRefused as refused:
            raise RecordRejected(format_errors(refused.faults), _INVALID) from None
        job = new_job(request, id=id, project=submission.project, at=at, keyring=self.keyring, store=store)
        try:
            job = job if self.uploads is None else await self.uploads.with_file(job)
            new = await self.jobs.accept_once(job, key, also=self._reply(submission, "job", job.id, at))
        except (UploadRefused, InputRefused) as refused:
            raise RecordRejected(format_errors([refused.fault]), _INVALID) from None
        if new:
            self.replies.added.notify()
            jobs_accepted.labels("ingest", "kafka").inc()
            log.info("job_submitted", job_id=job.id, project=job.project, submission_id=submission.id)
        else:
            log.info("submission_repeated", project=job.project, submission_id=submission.id)

    async def accept_media(self, submission: Submission) -> None:
        request = submission.body
        if not isinstance(request, MediaRequest):
            raise RecordRejected("this topic takes the bodies of POST /media", _INVALID)
        at = now_ms()
        await self.check(submission, media_request_faults(request, self.egress, at, self.delivery_base))
        key = submission_key(MEDIA_SUBMITTED_TOPIC.name, submission.id, at)
        await self.admit(self.media_bound, submission.project, key)
        item = transitions.accepted(request, id=new_id("med"), project=submission.project, at=at)
        try:
            new = await self.media.accept(item, request, key, also=self._reply(submission, "media", item.id, at))
        except UploadRefused as refused:
            raise RecordRejected(format_errors([refused.fault]), _INVALID) from None
        except NameTaken:
            taken = name_taken(request.folder, request.filename or "")
            raise RecordRejected(format_errors(taken.faults), taken.kind) from None
        if new:
            self.replies.added.notify()
            media_accepted.labels("ingest", "kafka").inc()
            log.info("media_submitted", media_id=item.id, project=item.project, submission_id=submission.id)
        else:
            log.info("submission_repeated", project=item.project, submission_id=submission.id)

    async def admit(self, bound: QueueBound, project: str, key: IdempotencyKey) -> None:
        """A project that is over its bound must not make the others wait, whose records are on the same partition: the
        record becomes a dead letter, from which it can be replayed."""
        try:
            await bound.admit(project)
        except QueueFull as full:
            if await self.store.stored_response(project, key) is None:
                raise RecordRejected(str(full), "queue_full") from None

    async def admit_job(self, project: str, key: IdempotencyKey) -> None:
        """As `admit`, for a job that is run again."""
        await self.admit(self.job_bound, project, key)

    async def check(self, submission: Submission, faults: Sequence[FieldFault] = ()) -> None:
        """Refuses what cannot be stored, unknown projects, and what has `faults`."""
        # Here and not by an error of Postgres, which would count as a failure of ours.
        if not is_storable(submission.id):
            raise RecordRejected(f"ce_id must be 1 to {MAX_KEY_CHARS} printable characters", _INVALID)
        project = submission.project
        if project not in self._known_projects:
            if not is_id(project, "prj") or await self.store.project(project) is None:
                raise RecordRejected(f"unknown project {render_value(project)} in the header ce_project", "not_found")
            self._known_projects.add(project)
        self.replies.check(submission)
        if faults:
            raise RecordRejected(format_errors(list(faults)), _INVALID)

    def _reply(self, submission: Submission, kind: Literal["job", "media"], id: str, at: int) -> AlsoWrite:
        return lambda conn: self.replies.accepted(conn, submission, kind, id, at)


def register(broker: KafkaBroker, submissions: Submissions, actions: JobActions, results: JobResults) -> None:
    """Subscribes to what this service reads; the arguments are used only once a record arrives."""

    @subscribe(broker, JOB_SUBMITTED_TOPIC, one_by_one=True)
    async def on_job_submitted(events: Sequence[Submission]) -> None:
        for submission in events:
            await submissions.accept_job(submission)

    @subscribe(broker, MEDIA_SUBMITTED_TOPIC, one_by_one=True)
    async def on_media_submitted(events: Sequence[Submission]) -> None:
        for submission in events:
            await submissions.accept_media(submission)

    @subscribe(broker, JOB_CONTROL, one_by_one=True)
    async def on_job_action(events: Sequence[Submission]) -> None:
        for submission in events:
            await actions.accept(submission)

    @subscribe(broker, JOB_RESULTS)
    async def on_job_finished(events: Sequence[JobSucceeded | JobFailed | JobCancelled]) -> None:
        await results.apply([event.job for event in events], now_ms())
