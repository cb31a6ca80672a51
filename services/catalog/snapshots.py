"""Which snapshot wins, and the rows that follow from it (pure).

Events carry whole snapshots and come more than once and in any order. The functions `latest_*` reduce a batch to one
snapshot per id by the same rules by which Postgres compares it with the stored row: the result does not depend on how
a history is cut into batches.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

from schemas.files import File
from schemas.jobs import Job, supersedes
from schemas.keys import ApiKey
from schemas.media import MediaItem


class FileRow(NamedTuple):
    """A row of `files`: a name at the delivery address and the stored object behind it.

    `owner` is the job or media item that the name belongs to. Of two owners that claim one name the higher `since`
    (Unix milliseconds) wins. The file is hidden while the item `media_id` is. `lasting` says that the name will never
    point at other bytes.
    """

    project: str
    path: str
    owner: str
    since: int
    media_id: str | None
    key: str
    content_type: str
    lasting: bool


@dataclass(frozen=True, slots=True)
class MediaSnapshot:
    """A media item as an event shows it; `hidden` from customers because it is deleted or purged."""

    item: MediaItem
    hidden: bool


def latest_jobs(jobs: Iterable[Job]) -> list[Job]:
    """The winning snapshot of each job, in ascending order of ids."""
    latest: dict[str, Job] = {}
    for job in jobs:
        current = latest.get(job.id)
        if current is None or supersedes(job, current):
            latest[job.id] = job
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


def files_of_job(job: Job) -> list[FileRow]:
    """The name of a job's output; empty until there is one."""
    output = job.output
    if output is None:
        return []
    # The label of a media item may be given to another file one day; the output of a job alone never changes.
    lasting = job.media_id is None
    return [
        FileRow(
            job.project, output.path, job.id, job.updated_at, job.media_id, output.key, output.content_type, lasting
        )
    ]


def files_of_media(snapshot: MediaSnapshot) -> list[FileRow]:
    """The names of a media item: its original and its derived files; none while it is hidden."""
    item = snapshot.item
    if snapshot.hidden:
        return []
    named: dict[str, File] = {}
    if item.original is not None and item.original_path is not None:
        named[item.original_path] = item.original
    named |= {derived.path: derived.file for derived in item.files}
    return [
        FileRow(item.project, path, item.id, item.updated_at, item.id, file.key, file.content_type, False)
        for path, file in named.items()
    ]
