"""Where files are stored, and the names under which customers find them (pure)."""

from pathlib import PurePosixPath

from media.formats import FORMATS
from schemas.ids import is_id
from worker.attempt_object import attempt_key

DEFAULT_FOLDER = "media"
"""The folder of an item without one of its own; the item's `folder` stays null."""


def extension(format_: str) -> str:
    """The usual extension of a format, without the dot: `jpg` for `jpeg`."""
    known = FORMATS.get(format_)
    return known.extension if known else format_


def default_filename(file_id: str, format_: str) -> str:
    """The name of an original whose customer gave none: the file's id and an extension."""
    return f"{file_id}.{extension(format_)}"


def original_path(folder: str | None, filename: str) -> str:
    """The original's name below the project."""
    return f"{folder or DEFAULT_FOLDER}/{filename}"


def derived_path(folder: str | None, media_id: str, ref: str, path: str) -> str:
    """The name of a derived file: the item's folder and id, the file's label, and the extension of `path`."""
    return f"{folder or DEFAULT_FOLDER}/{media_id}/{ref}{PurePosixPath(path).suffix}"


def moved_path(folder: str | None, media_id: str, path: str) -> str:
    """The name of a derived file in another folder."""
    return f"{folder or DEFAULT_FOLDER}/{media_id}/{PurePosixPath(path).name}"


def storage_key(project: str, media_id: str, file_id: str, format_: str, attempt: int) -> str:
    """The key in storage of the original that import attempt number `attempt` stores."""
    return attempt_key(f"{project}/media/{media_id}", file_id, attempt, extension(format_))


def reserved_part(folder: str) -> str | None:
    """The part of a folder that is the id of a job, task or media item, if any.

    Outputs have such names (`job_…/video.mp4`, `media/med_…/poster.jpg`): a customer's file there could hide one.
    """
    return next((part for part in folder.split("/") if is_id(part, "job", "task", "med")), None)
