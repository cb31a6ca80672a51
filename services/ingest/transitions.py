"""The states of a media item: accepted, stored or failed, then extended by derived files, changed, deleted, restored.

Pure; each transition raises the version by one.
"""

from pathlib import PurePosixPath
from typing import Any

from schemas.api import MediaPatch, MediaRequest
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

    Results come twice and in any order: of two outputs with one label the younger file stays, whichever came last.
    """
    if job.output is None or job.ref is None or item.status != "active":
        return None
    others = [derived for derived in item.files if derived.ref != job.ref]
    current = next((derived for derived in item.files if derived.ref == job.ref), None)
    if current is not None and current.file.id >= job.output.id:
        return None
    file = File.model_validate(job.output.model_dump(exclude={"path", "placeholder", "background"}))
    path = names.derived_path(item.folder, item.id, job.ref, job.output)
    files = sorted([*others, Derived(ref=job.ref, path=path, file=file)], key=lambda derived: derived.ref)
    changes: dict[str, Any] = {"files": files}
    if job.ref == POSTER_REF:
        changes |= {"placeholder": job.output.placeholder, "background": job.output.background}
    return _changed(item, at, **changes)


def edited(item: MediaItem, patch: MediaPatch, at: int) -> MediaItem:
    """The item with another title, folder or metadata. Raises MetadataOutOfBounds."""
    changes: dict[str, Any] = {"metadata": patch.merged(item.metadata)}
    if "title" in patch.model_fields_set:
        changes["title"] = patch.title
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
