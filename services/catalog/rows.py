"""The shapes between Postgres and the rest of the room, and what follows from a snapshot (pure)."""

from dataclasses import dataclass
from uuid import UUID

from schemas.base import Unknown
from schemas.files import MediaKind
from schemas.jobs import Job
from schemas.media import MediaItem


@dataclass(frozen=True)
class FileRow:
    """A name at the delivery address. `since` (Unix milliseconds) decides between two claims to one name.

    `media_id` is the item that has to be visible for the file to be; `lasting` says that the name will never point
    at other bytes.
    """

    project: str
    path: str
    since: int
    media_id: str | None
    key: str
    content_type: str
    lasting: bool


@dataclass(frozen=True)
class MediaBefore:
    """What was known of an item before an event: the rows of `media_metadata` follow from it."""

    version: int
    kind: MediaKind | Unknown | None
    created_at: int
    pairs: list[UUID]


@dataclass(frozen=True)
class Deliverable:
    """The object behind a name."""

    key: str
    content_type: str
    lasting: bool


def job_rank(job: Job) -> int:
    """0 queued, 1 processing, 2 ended: later in life wins over later in arrival."""
    return 2 if job.finished else 0 if job.status == "queued" else 1


def files_of_job(job: Job) -> list[FileRow]:
    """The name of a job's output; none until it has one."""
    if job.output is None:
        return []
    out = job.output
    # The label of a media item may be given to another file one day; what belongs to a job alone never changes.
    lasting = job.media_id is None
    return [FileRow(job.project, out.path, job.updated_at, job.media_id, out.key, out.content_type, lasting)]


def files_of_media(item: MediaItem) -> list[FileRow]:
    """The names of a media item: its original, and what was made from it."""
    named = [(made.path, made.file) for made in item.files]
    if item.original is not None and item.original_path is not None:
        named.insert(0, (item.original_path, item.original))
    return [
        FileRow(item.project, path, item.updated_at, item.id, file.key, file.content_type, lasting=False)
        for path, file in dict(named).items()
    ]
