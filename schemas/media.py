"""The media item: an original file, the files that jobs made from it, and the customer's data about them."""

from typing import Literal

from schemas.base import EventModel, OpenEnum
from schemas.faults import Fault
from schemas.files import File
from schemas.ids import is_id
from schemas.storable import IdText, PathText, StoredMetadata, StoredText, TimestampMs, Version

MediaStatus = Literal["processing", "active", "failed", "deleted"]


class Derived(EventModel):
    """A file that a job made for a media item; `ref` is its label, `path` its name below the project.

    A file without a label has its own id as `ref`.
    """

    ref: IdText
    path: PathText
    file: File


def label_of(ref: str | None) -> str | None:
    """The label that customers see of a `ref`."""
    return None if ref is None or is_id(ref, "file") else ref


class MediaItem(EventModel):
    """A media item. Events carry the complete item.

    `version` grows with each change: of two snapshots, the one with the higher version is current.
    `original_path` (`folder/filename`) is the original's name below the project. Times in Unix milliseconds; `retry_at`
    is when the file is to be fetched again, because `error` ended the last attempt.
    """

    id: IdText
    project: IdText
    version: Version
    status: OpenEnum[MediaStatus]
    url: StoredText | None = None
    """The address that it is fetched from; null once it is stored, because it may hold a signature."""
    title: StoredText | None = None
    alt: StoredText | None = None
    """What stands for the item where it cannot be seen."""
    folder: PathText | None = None
    filename: PathText | None = None
    original_path: PathText | None = None
    original: File | None = None
    files: list[Derived] = []
    placeholder: StoredText | None = None
    background: StoredText | None = None
    metadata: StoredMetadata = {}
    error: Fault | None = None
    created_at: TimestampMs
    updated_at: TimestampMs
    retry_at: TimestampMs | None = None
