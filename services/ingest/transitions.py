"""The states of a media item: accepted, stored or failed, then extended by derived files, changed, deleted, restored.

Pure; each transition raises the version by one.
"""

from pathlib import PurePosixPath
from typing import Any

from schemas.api import EmptyMediaRequest, MediaPatch, MediaRequest
from schemas.faults import Fault
from schemas.files import File
from schemas.jobs import Job
from schemas.media import Derived, MediaItem
from services.ingest import names

POSTER_REF = "poster"
"""The label of the derived file that also gives the item its placeholder and background colour."""


def accepted(request: MediaRequest, *, id: str, project: str, at: int) -> MediaItem:
    """A new item whose file is still to be fetched.

    The URL is not kept in the item: it may carry a signature, and only the import needs it.
    """
    return MediaItem(
        id=id,
        project=project,
        version=1,
        status="processing",
        title=request.title or request.filename,
        folder=request.folder,
        filename=request.filename,
        metadata=request.metadata,
        created_at=at,
        updated_at=at,
    )


def without_file(request: EmptyMediaRequest, *, id: str, project: str, at: int) -> MediaItem:
    """A new item without a file: nothing is fetched."""
    return MediaItem(
        id=id,
        project=project,
        version=1,
        status="active",
        title=request.title,
        alt=request.alt,
        metadata=request.metadata,
        created_at=at,
        updated_at=at,
    )


def stored(item: MediaItem, original: File, at: int) -> MediaItem:
    """The original is stored: the item is active, and has the default for each name that the customer left open."""
    filename = item.filename or names.default_filename(original.id, original.format)
    return _changed(
        item,
        at,
        status="active",
        original=original,
        filename=filename,
        title=item.title or filename,
        original_path=names.original_path(item.folder, filename),
        error=None,
        retry_at=None,
    )


def retrying(item: MediaItem, error: Fault, at: int, retry_at: int) -> MediaItem:
    """The file could not be fetched, for a passing cause; it is tried again at `retry_at`."""
    return _changed(item, at, error=error, retry_at=retry_at)


def failed(item: MediaItem, error: Fault, at: int) -> MediaItem:
    """The file could not be imported."""
    return _changed(item, at, status="failed", error=error, retry_at=None)


def attached(item: MediaItem, job: Job, at: int) -> MediaItem | None:
    """The item with the output of a finished job, or None where that changes nothing.

    Each job has one file. Results come twice and in any order: of two outputs with one label the younger file has it,
    whichever came last; the older one stays without a label.
    """
    if job.output is None or job.ref is None or any(made.file.id == job.output.id for made in item.files):
        return None
    file = File.model_validate(job.output.model_dump(exclude={"path", "placeholder", "background"}))
    holder = next((made for made in item.files if made.ref == job.ref), None)
    newer = holder is None or holder.file.id < file.id
    ref = job.ref if newer else file.id
    files = [made for made in item.files if made is not holder or not newer]
    if holder is not None and newer:
        files.append(_named(item, holder.file.id, holder.file, holder.path))
    files = sorted([*files, _named(item, ref, file, job.output.path)], key=lambda made: made.ref)
    changes: dict[str, Any] = {"files": files}
    if ref == POSTER_REF:
        changes |= {"placeholder": job.output.placeholder, "background": job.output.background}
    return _changed(item, at, **changes)


def _named(item: MediaItem, ref: str, file: File, path: str) -> Derived:
    """The file under its label or id; `path` is a name with its extension."""
    return Derived(ref=ref, path=names.derived_path(item.folder, item.id, ref, path), file=file)


def edited(item: MediaItem, patch: MediaPatch, at: int) -> MediaItem:
    """The item with another title, alternative text, folder or metadata. Raises MetadataOutOfBounds."""
    changes: dict[str, Any] = {"metadata": patch.merged(item.metadata)}
    if "title" in patch.model_fields_set:
        changes["title"] = patch.title
    if "alt" in patch.model_fields_set:
        changes["alt"] = patch.alt
    if "folder" in patch.model_fields_set:
        changes |= _moved(item, patch.folder)
    return _changed(item, at, **changes)


def displaced(item: MediaItem, at: int) -> MediaItem:
    """The item without its name, which another takes over: its file has the default name, once it is stored."""
    if item.original is None:
        return _changed(item, at, filename=None)
    filename = names.default_filename(item.original.id, item.original.format)
    return _changed(item, at, filename=filename, original_path=names.original_path(item.folder, filename))


def deleted(item: MediaItem, at: int) -> MediaItem:
    """Hidden from customers, with everything that is needed to restore it, or to remove its files."""
    return _changed(item, at, status="deleted", retry_at=None)


def restored(item: MediaItem, at: int) -> MediaItem:
    """A deleted item whose original is stored is active again."""
    return _changed(item, at, status="active")


def _moved(item: MediaItem, folder: str | None) -> dict[str, Any]:
    files = [
        derived.model_copy(update={"path": names.moved_path(folder, item.id, derived.path)}) for derived in item.files
    ]
    path = None if item.original_path is None else names.original_path(folder, PurePosixPath(item.original_path).name)
    return {"folder": folder, "files": files, "original_path": path}


def _changed(item: MediaItem, at: int, **changes: Any) -> MediaItem:
    # The clocks of two replicas differ: an item's time never goes backwards.
    return item.model_copy(update={"version": item.version + 1, "updated_at": max(at, item.updated_at), **changes})
