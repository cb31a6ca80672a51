"""Which snapshot wins, and the rows that follow from it (pure).

Events carry complete snapshots and come more than once and in any order. The functions `latest_*` reduce a batch to one
snapshot per id by the same rules by which Postgres compares it with the stored row: the result does not depend on how
a history is cut into batches.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

from schemas.events import MediaCreated
from schemas.files import File
from schemas.jobs import Job, supersedes
from schemas.keys import ApiKey
from schemas.media import MediaItem


class JobSnapshot(NamedTuple):
    """A job as an event shows it. `path` is where the event's JSON has the job, as Postgres writes an array."""

    job: Job
    event_json: bytes
    path: str = "{job}"


@dataclass(frozen=True, slots=True)
class MediaSnapshot:
    """A media item as an event shows it, in the field `media` of the event's JSON.

    `hidden` from customers because it is deleted or purged.
    """

    item: MediaItem
    hidden: bool
    event_json: bytes


def snapshots_of_jobs(event: MediaCreated, event_json: bytes) -> list[JobSnapshot]:
    """The jobs that come with a new media item."""
    return [JobSnapshot(job, event_json, f"{{jobs,{position}}}") for position, job in enumerate(event.jobs)]


def latest_jobs(snapshots: Iterable[JobSnapshot]) -> list[JobSnapshot]:
    """The winning snapshot of each job, in ascending order of ids."""
    latest: dict[str, JobSnapshot] = {}
    for snapshot in snapshots:
        job = snapshot.job
        current = latest.get(job.id)
        if current is None or supersedes(job, current.job):
            latest[job.id] = snapshot
    return [latest[id] for id in sorted(latest)]


def latest_media(snapshots: Iterable[MediaSnapshot]) -> list[MediaSnapshot]:
    """The snapshot with the highest version of each item, in ascending order of ids."""
    latest: dict[str, MediaSnapshot] = {}
    for snapshot in snapshots:
        current = latest.get(snapshot.item.id)
        if current is None or snapshot.item.version > current.item.version:
            latest[snapshot.item.id] = snapshot
    return [latest[id] for id in sorted(latest)]


def latest_keys(keys: Iterable[ApiKey]) -> list[ApiKey]:
    """The last snapshot of each key, in ascending order of ids; a revoked one stays."""
    latest: dict[str, ApiKey] = {}
    for key in keys:
        current = latest.get(key.id)
        if current is None or current.revoked_at is None:
            latest[key.id] = key
    return [latest[id] for id in sorted(latest)]


def job_rank(job: Job) -> int:
    """0 queued, 1 processing, 2 finished: the later stage of a job wins over the later arrival."""
    return 2 if job.finished else 0 if job.status == "queued" else 1


def named_files(snapshot: MediaSnapshot) -> dict[str, File]:
    """The files of a media item by their paths below the project: the original, then derived ones; none if hidden."""
    item = snapshot.item
    if snapshot.hidden:
        return {}
    named: dict[str, File] = {}
    if item.original is not None and item.original_path is not None:
        named[item.original_path] = item.original
    return named | {derived.path: derived.file for derived in item.files}
