"""A media item as customers see it: `data` in the envelope of `/media`.

Typed dictionaries, as in `schemas.job_resource`.
"""

import re
from datetime import UTC, datetime
from typing import Any, Literal

from pydantic import ConfigDict, with_config
from typing_extensions import TypedDict

from schemas.base import OpenEnum
from schemas.delivery import DeliveryUrls
from schemas.faults import FaultResource, fault_resource
from schemas.files import File, MediaKind
from schemas.media import MediaItem, MediaStatus, label_of

_ETAG = re.compile(r'(W/)?("[^"]*")')
Orientation = Literal["landscape", "portrait", "square"]


class SourceResource(TypedDict):
    """One file of a media item: the original, or a file that a job made of it, with its `label`.

    Sides in display pixels, `duration` in seconds, `fps` in frames a second, `filesize` in bytes, times in ISO 8601.
    """

    id: str
    object: Literal["source"]
    media_id: str
    kind: OpenEnum[MediaKind]
    format: str
    type: str
    codec: str | None
    width: int | None
    height: int | None
    orientation: Orientation | None
    duration: float | None
    fps: float | None
    filesize: int
    original: bool
    label: str | None
    folder: str | None
    filename: str
    url: str
    created: str
    updated: str


# Labels are chosen in requests for jobs, and in the configuration of the jobs that are run on each new item.
@with_config(ConfigDict(json_schema_extra={"additionalProperties": {"type": "string"}}))
class MediaResource(TypedDict):
    """A media item. The address of each file that a job made is also a field of its own, named by its label (`poster`).

    Units as in its sources, which are those of the original; `total_filesize` adds up all files. While its `status` is
    `processing`, `retry_at` is the time of the next attempt at fetching the file, and `error` why the last one failed.
    """

    id: str
    object: Literal["media"]
    title: str | None
    folder: str | None
    filename: str | None
    kind: OpenEnum[MediaKind] | None
    width: int | None
    height: int | None
    duration: float | None
    fps: float | None
    filesize: int | None
    total_filesize: int
    sources: list[SourceResource]
    tracks: list[Any]
    intelligence: list[Any]
    original: str | None
    placeholder: str | None
    background: str | None
    metadata: dict[str, str]
    status: OpenEnum[MediaStatus]
    error: FaultResource | None
    created: str
    updated: str
    retry_at: str | None


def media_resource(item: MediaItem, urls: DeliveryUrls) -> MediaResource:
    """The media item as a response. `urls` gives the addresses of its project's files."""
    original = item.original
    sources = []
    if original is not None and item.original_path is not None:
        sources.append(_source_resource(item, original, item.original_path, urls, None, original=True))
    sources += [_source_resource(item, made.file, made.path, urls, label_of(made.ref)) for made in item.files]
    sizes = [original.filesize] if original else []
    labels: Any = {made.ref: urls.url(item.project, made.path) for made in item.files if label_of(made.ref)}
    return {
        "id": item.id,
        "object": "media",
        "title": item.title,
        "folder": item.folder,
        "filename": item.filename,
        "kind": original.kind if original else None,
        "width": original.width if original else None,
        "height": original.height if original else None,
        "duration": original.duration if original else None,
        "fps": original.fps if original else None,
        "filesize": original.filesize if original else None,
        "total_filesize": sum(sizes + [made.file.filesize for made in item.files]),
        "sources": sources,
        "tracks": [],
        "intelligence": [],
        "original": urls.url(item.project, item.original_path) if item.original_path else None,
        **labels,
        "placeholder": item.placeholder,
        "background": item.background,
        "metadata": item.metadata,
        "status": item.status,
        "error": fault_resource(item.error) if item.error else None,
        "created": iso(item.created_at),
        "updated": iso(item.updated_at),
        "retry_at": iso(item.retry_at) if item.retry_at is not None else None,
    }


def iso(at_ms: int) -> str:
    """Unix milliseconds as `2024-08-30T15:00:00Z` (whole seconds, UTC)."""
    return datetime.fromtimestamp(at_ms // 1000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _source_resource(
    item: MediaItem, file: File, path: str, urls: DeliveryUrls, label: str | None, *, original: bool = False
) -> SourceResource:
    folder, _, filename = path.rpartition("/")
    return {
        "id": file.id,
        "object": "source",
        "media_id": item.id,
        "kind": file.kind,
        "format": file.format,
        "type": file.content_type,
        "codec": (file.codecs.video or file.codecs.audio) if file.codecs else None,
        "width": file.width,
        "height": file.height,
        "orientation": _orientation(file),
        "duration": file.duration,
        "fps": file.fps,
        "filesize": file.filesize,
        "original": original,
        "label": label,
        "folder": folder or None,
        "filename": filename,
        "url": urls.url(item.project, path),
        "created": iso(item.created_at),
        "updated": iso(item.updated_at),
    }


def _orientation(file: File) -> Orientation | None:
    if not file.width or not file.height:
        return None
    if file.width == file.height:
        return "square"
    return "landscape" if file.width > file.height else "portrait"


def media_etag(item: MediaItem) -> str:
    """The entity tag of a media item, with its quotes. It changes with each change of the item."""
    return f'"{item.version}"'


def names_etag(header: str, etag: str, *, weak: bool = False) -> bool:
    """Whether If-Match or, with `weak` comparison, If-None-Match names the tag. RFC 9110, sections 8.8.3.2 and 13.1."""
    return header.strip() == "*" or any(tag == etag and (weak or not prefix) for prefix, tag in _ETAG.findall(header))
