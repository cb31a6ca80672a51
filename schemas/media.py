"""The media item: an original file, the files that jobs made from it, and the customer's data about them."""

from typing import Literal

from schemas.base import EventModel, OpenEnum
from schemas.faults import Fault
from schemas.files import File

MediaStatus = Literal["processing", "active", "failed", "deleted"]


class Derived(EventModel):
    """A file that a job made for a media item; `ref` is its label, `path` its name below the project."""

    ref: str
    path: str
    file: File


class MediaItem(EventModel):
    """A media item. Events carry the complete item.

    `version` grows with each change: of two snapshots, the one with the higher version is current.
    `original_path` (`folder/filename`) is the original's name below the project. Times in Unix milliseconds.
    """

    id: str
    project: str
    version: int
    status: OpenEnum[MediaStatus]
    url: str | None = None
    """The address that it is fetched from; null once it is stored, because it may hold a signature."""
    title: str | None = None
    folder: str | None = None
    filename: str | None = None
    original_path: str | None = None
    original: File | None = None
    files: list[Derived] = []
    placeholder: str | None = None
    background: str | None = None
    metadata: dict[str, str] = {}
    error: Fault | None = None
    created_at: int
    updated_at: int
