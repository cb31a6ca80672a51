"""Which snapshot wins, and the rows that follow from it (pure).

Events carry complete snapshots and come more than once and in any order. The functions `latest_*` reduce a batch to one
snapshot per id by the same rules by which Postgres compares it with the stored row: the result does not depend on how
a history is cut into batches.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import NamedTuple, TypeVar

from schemas.events import MediaCreated
from schemas.files import File
from schemas.jobs import Job, supersedes
from schemas.keys import ApiKey
from schemas.media import MediaItem
from schemas.projects import Project

T = TypeVar("T")


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
    return _latest(snapshots, lambda each: each.job.id, lambda new, old: supersedes(new.job, old.job))


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
