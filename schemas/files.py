"""Stored files: what the probe found. The addresses at which they are delivered: `schemas.delivery`."""

from typing import Literal

from schemas.base import EventModel, OpenEnum
from schemas.faults import OutputWarning
from schemas.storable import ByteCount, DurationSeconds, IdText, PathText, Pixels, Rate, StoredText

MediaKind = Literal["image", "video", "audio"]


class Codecs(EventModel):
    """The codecs' names as ffmpeg gives them (`h264`, `aac`); null where there is no such stream."""

    video: StoredText | None = None
    audio: StoredText | None = None


class FileFacts(EventModel):
    """What the probe found in a file that is not stored here; units as in `File`."""

    kind: OpenEnum[MediaKind]
    format: StoredText
    content_type: StoredText
    filesize: ByteCount
    width: Pixels | None = None
    height: Pixels | None = None
    duration: DurationSeconds | None = None
    fps: Rate | None = None
    codecs: Codecs | None = None


class File(EventModel):
    """A stored, immutable object and what the probe found in it.

    `width` and `height` are display pixels: rotation and sample aspect ratio are applied. `duration` is in seconds,
    `fps` in frames a second, `filesize` in bytes. `key` names the object in storage and never changes; the names
    under which it is delivered can change, and are kept by the catalog.
    """

    id: IdText
    key: PathText
    kind: OpenEnum[MediaKind]
    format: StoredText
    """The short name: `mp4`, `webm`, `mov`, `webp`, `jpeg`, `png`, `mp3` …"""
    content_type: StoredText
    filesize: ByteCount
    width: Pixels | None = None
    height: Pixels | None = None
    duration: DurationSeconds | None = None
    fps: Rate | None = None
    codecs: Codecs | None = None
    placeholder: StoredText | None = None
    """A tiny image as a `data:` address, for images that belong to a media item."""
    background: StoredText | None = None
    """The dominant colour, `#RRGGBB`."""


class Output(File):
    """A file that a job made. `path` is its name below the project at the delivery address.

    `warnings` say what was rescued from a damaged input, or left out of the output. `location` is the address of a file
    that was stored at the customer, `s3://bucket/key`: storage has no object of its `key` then.
    """

    path: PathText
    location: StoredText | None = None
    warnings: list[OutputWarning] = []
