"""Responses of `/media` in version 2025-08-20, made of today's media item: no envelope, `files` and `urls`."""

from collections.abc import Mapping
from typing import Any, Literal

from typing_extensions import TypedDict


class File20250820(TypedDict):
    """A file of a media item of version 2025-08-20. `bitrate` in bits a second; `ref` is the label, if it has one.

    What is not known of a file is null. Pictures are shown upright, so that `rotation` is 0.
    """

    id: str
    object: Literal["source"]
    kind: str
    type: str
    codec: str | None
    container: str
    width: int | None
    height: int | None
    orientation: str | None
    rotation: int
    transparency: bool | None
    frames: int | None
    duration: float | None
    fps: float | None
    filesize: int
    bitrate: int | None
    ref: str | None
    folder: str | None
    filename: str
    url: str
    metadata: dict[str, str]
    original: bool
    created: str
    updated: str
    status: Literal["ready"]


class Media20250820(TypedDict):
    """A media item of version 2025-08-20. `urls` has the address of each file by its label, `original` among them."""

    id: str
    object: Literal["media"]
    kind: str | None
    title: str | None
    alt: str | None
    width: int | None
    height: int | None
    duration: float | None
    files: list[File20250820]
    urls: dict[str, str]
    background: str | None
    metadata: dict[str, str]
    created: str
    updated: str


class Deleted20250820(TypedDict):
    """The confirmation that something is deleted."""

    message: str


def media(resource: Mapping[str, Any], alt: str | None = None) -> Media20250820:
    """Today's media item, as `schemas.media_resource` gives it; `alt` is the text for those who do not see it."""
    files = [_file(each) for each in resource["sources"]]
    return {
        "id": resource["id"],
        "object": "media",
        "kind": resource["kind"],
        "title": resource["title"],
        "alt": alt,
        "width": resource["width"],
        "height": resource["height"],
        "duration": resource["duration"],
        "files": files,
        "urls": {file["ref"] or "original": file["url"] for file in files},
        "background": resource["background"],
        "metadata": resource["metadata"],
        "created": resource["created"],
        "updated": resource["updated"],
    }


def deleted(id: str) -> Deleted20250820:
    return {"message": f"{id} deleted"}


def _file(source: Mapping[str, Any]) -> File20250820:
    duration = source["duration"]
    return {
        "id": source["id"],
        "object": "source",
        "kind": source["kind"],
        "type": source["type"],
        "codec": source["codec"],
        "container": source["format"],
        "width": source["width"],
        "height": source["height"],
        "orientation": source["orientation"],
        "rotation": 0,
        "transparency": None,
        "frames": None,
        "duration": duration,
        "fps": source["fps"],
        "filesize": source["filesize"],
        "bitrate": round(source["filesize"] * 8 / duration) if duration else None,
        "ref": source["label"],
        "folder": source["folder"],
        "filename": source["filename"],
        "url": source["url"],
        "metadata": {},
        "original": source["original"],
        "created": source["created"],
        "updated": source["updated"],
        "status": "ready",
    }
