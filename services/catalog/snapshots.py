"""Which snapshot wins, and the rows that follow from it (pure).

Events carry complete snapshots and come more than once and in any order. The functions `latest_*` reduce a batch to one
snapshot per id by the same rules by which Postgres compares it with the stored row: the result does not depend on how
a history is cut into batches.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple, TypeVar

import orjson

from schemas.base import Unknown
from schemas.events import JobEvent, JobPurged, JobStarted, MediaCreated, MediaDeleted, MediaEvent, MediaPurged
from schemas.files import File
from schemas.job_progress import progress_resource
from schemas.jobs import RANK, Job, JobKind, Status, supersedes
from schemas.keys import ApiKey
from schemas.media import MediaItem
from schemas.projects import Project

T = TypeVar("T")


class OutputName(NamedTuple):
    """The name of a job's output below the project, and the object that it names."""

    path: str
    key: str
    content_type: str


class JobSnapshot(NamedTuple):
    """What is read of a job as an event shows it; the event's JSON has the rest.

    `json_path` is where the job is in it, as Postgres writes an array. Hundreds of snapshots make a batch, and are much
    smaller than as many jobs. `starts`: an attempt begins; `waits`: for the next one. `progress` is the JSON that says
    how far a running job has got.
    """

    id: str
    project: str
    kind: JobKind | Unknown
    status: Status | Unknown
    input: str
    created_at: int
    updated_at: int
    metadata: Sequence[tuple[str, str]]
    media_id: str | None
    output: OutputName | None
    event_json: bytes
    json_path: str
    run: int = 1
    starts: bool = False
    waits: bool = False
    progress: str | None = None


class PurgedJob(NamedTuple):
    """A job that was removed for good."""

    id: str
    project: str


@dataclass(frozen=True, slots=True)
class MediaSnapshot:
    """A media item as an event shows it, in the field `media` of the event's JSON.

    `hidden` from customers because it is deleted or purged; with `purged`, its files are removed as well.
    """

    item: MediaItem
    hidden: bool
    event_json: bytes
    purged: bool = False


class NewMedia(NamedTuple):
    """A new media item and the jobs that come with it."""

    media: MediaSnapshot
    jobs: list[JobSnapshot]


def job_snapshot(event: JobEvent, event_json: bytes) -> JobSnapshot:
    return _job_snapshot(event.job, event_json, "{job}", starts=isinstance(event, JobStarted))


def job_notice(event: JobEvent | JobPurged, event_json: bytes) -> JobSnapshot | PurgedJob:
    """What an event of the topic `job.created` says."""
    if isinstance(event, JobPurged):
        return PurgedJob(event.job_id, event.project)
    return job_snapshot(event, event_json)


def media_snapshot(event: MediaEvent, event_json: bytes) -> MediaSnapshot:
    hidden = event.media.status == "deleted" or isinstance(event, MediaDeleted | MediaPurged)
    return MediaSnapshot(event.media, hidden, event_json, purged=isinstance(event, MediaPurged))


def new_media(event: MediaCreated, event_json: bytes) -> NewMedia:
    jobs = [_job_snapshot(job, event_json, f"{{jobs,{position}}}") for position, job in enumerate(event.jobs)]
    return NewMedia(media_snapshot(event, event_json), jobs)


def _job_snapshot(job: Job, event_json: bytes, json_path: str, *, starts: bool = False) -> JobSnapshot:
    output = None
    if job.output is not None and job.output.location is None:
        output = OutputName(job.output.path, job.output.key, job.output.content_type)
    return JobSnapshot(
        id=job.id,
        project=job.project,
        kind=job.kind,
        status=job.status,
        input=job.input,
        created_at=job.created_at,
        updated_at=job.updated_at,
        metadata=tuple(job.metadata.items()),
        media_id=job.media_id,
        output=output,
        event_json=event_json,
        json_path=json_path,
        run=job.run,
        starts=starts,
        waits=job.retry_at is not None,
        progress=orjson.dumps(progress_resource(job)).decode() if RANK[job.status] == 1 else None,
    )


def latest_jobs(snapshots: Iterable[JobSnapshot]) -> list[JobSnapshot]:
    """The winning snapshot of each job, in ascending order of ids."""
    return _latest(snapshots, lambda each: each.id, supersedes)


def latest_media(snapshots: Iterable[MediaSnapshot]) -> list[MediaSnapshot]:
    """The snapshot with the highest version of each item, in ascending order of ids."""
    return _latest(snapshots, lambda each: each.item.id, lambda new, old: new.item.version > old.item.version)


def latest_keys(keys: Iterable[ApiKey]) -> list[ApiKey]:
    """The last snapshot of each key, in ascending order of ids; a revoked one stays."""
    return _latest(keys, lambda key: key.id, lambda _, old: old.revoked_at is None)


def latest_projects(projects: Iterable[Project]) -> list[Project]:
    """The snapshot with the highest version of each project, in ascending order of ids."""
    return _latest(projects, lambda project: project.id, lambda new, old: new.version > old.version)


def _latest(snapshots: Iterable[T], id_of: Callable[[T], str], replaces: Callable[[T, T], bool]) -> list[T]:
    latest: dict[str, T] = {}
    for snapshot in snapshots:
        id = id_of(snapshot)
        if id not in latest or replaces(snapshot, latest[id]):
            latest[id] = snapshot
    return [latest[id] for id in sorted(latest)]


def named_files(snapshot: MediaSnapshot) -> dict[str, File]:
    """The files of a media item by their paths below the project: the original, then derived ones; none if purged.

    A deleted item keeps its names, so that its addresses answer that they are gone.
    """
    item = snapshot.item
    if snapshot.purged:
        return {}
    named: dict[str, File] = {}
    if item.original is not None and item.original_path is not None:
        named[item.original_path] = item.original
    return named | {derived.path: derived.file for derived in item.files}
