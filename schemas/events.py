"""Events: what has happened, with a version in the name. They grow by optional fields and by values of open enums.

On Kafka they travel as CloudEvents 1.0 in binary mode: attributes in `ce_*` headers, the JSON of the model as value.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from pydantic import TypeAdapter

from schemas.api import JOB_REQUEST, ImageJobRequest, JobAction, MediaRequest, VideoJobRequest
from schemas.base import EventModel
from schemas.ids import Prefix
from schemas.jobs import Job
from schemas.keys import ApiKey
from schemas.media import MediaItem
from schemas.projects import Project
from schemas.replies import ReplyAddress
from schemas.storable import IdText, Offset, TimestampMs, Version


class Event(EventModel):
    """`TYPE` is the `ce_type`; `subject()` is the record's key, `project_id()` the `ce_project` attribute.

    `project_id()` is empty for events that belong to no project; the attribute is then left out. `SUBJECTS` are the
    prefixes that the subject's id may have; empty where the subject is not an id.
    """

    TYPE: ClassVar[str]
    SUBJECTS: ClassVar[tuple[Prefix, ...]] = ()

    def subject(self) -> str:
        raise NotImplementedError

    def project_id(self) -> str:
        raise NotImplementedError


class JobEvent(Event):
    """Something happened to a job; `job` is the job after it."""

    SUBJECTS = ("job", "task")
    job: Job

    def subject(self) -> str:
        return self.job.id

    def project_id(self) -> str:
        return self.job.project


class JobCreated(JobEvent):
    """A job was accepted, or is to run again (`job.run` is more than 1), and waits for a worker.

    `repeated` where it was announced a while ago and no end of it is known: the record may have been lost, or that of
    the end. A worker that has the job in its queue does not queue it again, and publishes its end again if it has one.
    """

    TYPE = "bitmill.job.created.v1"
    repeated: bool = False


class JobStarted(JobEvent):
    """An attempt began."""

    TYPE = "bitmill.job.started.v1"


class JobProgressed(JobEvent):
    """A job has made progress; at most one a second per job. May be lost.

    Or an attempt failed for a passing cause, which its step has, and the next one begins at `job.retry_at`.
    """

    TYPE = "bitmill.job.progressed.v1"


class JobSucceeded(JobEvent):
    """The output is stored and can be fetched."""

    TYPE = "bitmill.job.succeeded.v1"


class JobFailed(JobEvent):
    """The job ended without an output; `job.error` says why. Never sent while it is still being retried."""

    TYPE = "bitmill.job.failed.v1"


class JobCancelled(JobEvent):
    """The job was cancelled before it ended."""

    TYPE = "bitmill.job.cancelled.v1"


class JobNotice(Event):
    """Something about a job, without the job."""

    SUBJECTS = ("job", "task")
    job_id: IdText
    project: IdText
    at: TimestampMs

    def subject(self) -> str:
        return self.job_id

    def project_id(self) -> str:
        return self.project


class CancelRequested(JobNotice):
    """A customer requested the cancellation of a run of a job. The worker that has the job ends it."""

    TYPE = "bitmill.job.cancel_requested.v1"
    run: Version = 1


class JobPurged(JobNotice):
    """A job that had ended is removed for good: each service forgets it, and its worker deletes its own output.

    An output that belongs to a media item stays with the item.
    """

    TYPE = "bitmill.job.purged.v1"


class MediaEvent(Event):
    """Something happened to a media item; `media` is the item after it."""

    SUBJECTS = ("med",)
    media: MediaItem

    def subject(self) -> str:
        return self.media.id

    def project_id(self) -> str:
        return self.media.project


class MediaCreated(MediaEvent):
    """An original was stored and probed. `jobs` are to be run on it, each by the worker of its kind."""

    TYPE = "bitmill.media.created.v1"
    jobs: list[Job] = []


class MediaAccepted(MediaEvent):
    """A media item was accepted; its file is being fetched."""

    TYPE = "bitmill.media.accepted.v1"


class MediaFailed(MediaEvent):
    """The file of an accepted item could not be fetched or read; `media.error` says why."""

    TYPE = "bitmill.media.failed.v1"


class MediaUpdated(MediaEvent):
    """Title, names, metadata or derived files changed."""

    TYPE = "bitmill.media.updated.v1"


class MediaDeleted(MediaEvent):
    """Hidden from customers, kept for 24 hours."""

    TYPE = "bitmill.media.deleted.v1"


class MediaRestored(MediaEvent):
    """A deleted item is visible again."""

    TYPE = "bitmill.media.restored.v1"


class MediaPurged(MediaEvent):
    """The item and its files are removed for good."""

    TYPE = "bitmill.media.purged.v1"


class KeyChanged(Event):
    """An API key was created or revoked. The topic is compacted: the last event of a key is its state."""

    TYPE = "bitmill.key.changed.v1"
    SUBJECTS = ("key",)
    key: ApiKey

    def subject(self) -> str:
        return self.key.id

    def project_id(self) -> str:
        return self.key.project


class ProjectChanged(Event):
    """A project was changed. The topic is compacted: the last event of a project is its state."""

    TYPE = "bitmill.project.changed.v1"
    project: Project

    def subject(self) -> str:
        return self.project.id

    def project_id(self) -> str:
        return self.project.id


class OutboxAdvanced(Event):
    """Every event that `service` committed to its outbox before `published_through` has been published to Kafka.

    `at` is when the database was queried. Both in Unix milliseconds by the database's clock. `after_offset` is the
    offset of an earlier watermark that Kafka had acknowledged before that query: if the earlier watermark was written
    after some moment, then `at` is after that moment, too, independent of clocks. Sent about once a second, and may be
    lost: a reader that has read `service`'s topics up to their ends has read everything up to `published_through`.
    """

    TYPE = "bitmill.outbox.advanced.v1"
    service: IdText
    at: TimestampMs
    published_through: TimestampMs
    after_offset: Offset | None = None

    def subject(self) -> str:
        return self.service

    def project_id(self) -> str:
        return ""


class QueueOrdered(Event):
    """The jobs that are to begin next in `service`, the next one first; those behind the last of them are not known.

    Their order at the moment `at` (Unix milliseconds), if nothing that runs ended and nothing was added. Sent about
    once a second while jobs wait, once more when none does, and may be lost.
    """

    TYPE = "bitmill.queue.ordered.v1"
    service: IdText
    at: TimestampMs
    job_ids: list[IdText] = []

    def subject(self) -> str:
        return self.service

    def project_id(self) -> str:
        return ""


JOB_SUBMITTED = "bitmill.job.submitted.v1"
"""The type of a submitted body of POST /jobs: `schemas.api.JOB_REQUEST`."""
JOB_ACTION_SUBMITTED = "bitmill.job.action_submitted.v1"
"""The type of what a producer asks for of a job: `schemas.api.JobAction`."""
MEDIA_SUBMITTED = "bitmill.media.submitted.v1"
"""The type of a submitted body of POST /media: `schemas.api.MediaRequest`."""

SUBMISSIONS: Mapping[str, TypeAdapter[Any]] = {
    JOB_SUBMITTED: JOB_REQUEST,
    JOB_ACTION_SUBMITTED: TypeAdapter(JobAction),
    MEDIA_SUBMITTED: TypeAdapter(MediaRequest),
}
"""Validates the body of each type that any Kafka producer may send."""


@dataclass(frozen=True)
class Submission:
    """A request that a producer sent to Kafka instead of HTTP. `id` is the same at each redelivery.

    `reply` is where the producer wants replies.
    """

    project: str
    id: str
    body: VideoJobRequest | ImageJobRequest | MediaRequest | JobAction
    reply: ReplyAddress | None = None


EVENTS: dict[str, type[Event]] = {
    event.TYPE: event
    for event in (
        JobCreated,
        JobStarted,
        JobProgressed,
        JobSucceeded,
        JobFailed,
        JobCancelled,
        CancelRequested,
        JobPurged,
        MediaCreated,
        MediaAccepted,
        MediaFailed,
        MediaUpdated,
        MediaDeleted,
        MediaRestored,
        MediaPurged,
        KeyChanged,
        ProjectChanged,
        OutboxAdvanced,
        QueueOrdered,
    )
}
"""Every event that services publish, by its `ce_type`."""
