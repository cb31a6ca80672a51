"""Stored files: what the probe found, and the address at which they are delivered."""

from typing import Literal
from urllib.parse import quote

from schemas.base import EventModel, OpenEnum

MediaKind = Literal["image", "video", "audio"]


class Codecs(EventModel):
    """The codecs' names as ffmpeg gives them (`h264`, `aac`); null where there is no such stream."""

    video: str | None = None
    audio: str | None = None


class File(EventModel):
    """A stored, immutable object and what the probe found in it.

    `width` and `height` are display pixels: rotation and sample aspect ratio are applied. `duration` is in seconds,
    `fps` in frames a second, `filesize` in bytes. `key` names the object in storage and never changes; the names
    under which it is delivered can change, and are kept by the catalog.
    """

    id: str
    key: str
    kind: OpenEnum[MediaKind]
    format: str
    """The short name: `mp4`, `webm`, `mov`, `webp`, `jpeg`, `png`, `mp3` …"""
    content_type: str
    filesize: int
    width: int | None = None
    height: int | None = None
    duration: float | None = None
    fps: float | None = None
    codecs: Codecs | None = None
    placeholder: str | None = None
    """A tiny image as a `data:` address, for images that belong to a media item."""
    background: str | None = None
    """The dominant colour, `#RRGGBB`."""


class Output(File):
    """A file that a job made. `path` is its name below the project at the delivery address."""

    path: str


def delivery_url(base: str, project: str, path: str) -> str:
    """The public address of a file: `<base>/<project>/<path>`."""
    return f"{base.rstrip('/')}/{project}/{quote(path)}"
