"""The errors that only this service has.

ApiError (chassis.adapters.http.errors)
  name_taken            409  another item has that folder and filename
  request_in_progress   409  the first request with this Idempotency-Key has no response yet
  idempotency_mismatch  422  this Idempotency-Key came with another body
  job_not_found         404  the project has no job with this id; task_not_found below /tasks
  media_not_found       404  the project has no media item with this id
  version_mismatch      412  If-Match names another version of the media item
  job_ended             409  a job that has ended cannot be cancelled
  job_not_failed        409  a job that has not failed and was not cancelled cannot be run again
  upload_not_found      404  there is no upload of this id and token
  upload_used           409  the upload has its file, or was tried too often
  upload_expired        410  the file was awaited until a time that has passed
  connection_missing    409  the connection of a job that is to run again was deleted
  job_not_ended         409  a job that has not ended cannot be purged
  queue_full            429  the project has as much unfinished work as it may have
NameTaken                    raised by the store for a reserved name, before it becomes an ApiError
"""

from typing import Literal

from chassis.adapters.http.errors import ApiError, conflict, invalid_input, not_found
from chassis.adapters.http.rate_limit import LEFT, POLICY
from schemas.explain import render_value
from schemas.faults import FieldFault
from services.ingest.queue_bounds import RETRY_AFTER_S, QueueFull


class NameTaken(Exception):
    """Another media item of the project has this name."""


def name_taken(folder: str | None, filename: str) -> ApiError:
    """409: within a project each path belongs to one item."""
    error = conflict("The filename is taken in this folder: choose another filename or folder.")
    error.faults = [
        FieldFault(field="folder", rule="already holds a file of this name", value=render_value(folder)),
        FieldFault(field="filename", rule="must be unique in its folder", value=render_value(filename)),
    ]
    return error


def request_in_progress() -> ApiError:
    """409 with Retry-After: a repetition one second later will succeed."""
    message = "The first request with this Idempotency-Key is still in progress; repeat it in a second."
    error = conflict(message, "request_in_progress")
    error.headers["Retry-After"] = "1"
    return error


def idempotency_mismatch() -> ApiError:
    """422: a key stands for one body."""
    return ApiError(
        422,
        "idempotency_mismatch",
        "This Idempotency-Key was used with another body within the last 24 hours: use a new key for a new request.",
    )


def job_not_found(noun: Literal["job", "task"]) -> ApiError:
    """404: never accepted, purged, or of another project."""
    return not_found("job_not_found" if noun == "job" else "task_not_found", f"There is no {noun} with this id.")


def media_not_found() -> ApiError:
    """404: never accepted, deleted, or of another project."""
    return not_found("media_not_found", "There is no media item with this id.")


def still_imported() -> ApiError:
    """409 with Retry-After: the names of the item's files are not known yet."""
    error = conflict("The file of the media item is still being fetched: change it once its status is active.")
    error.headers["Retry-After"] = "2"
    return error


def version_mismatch(etag: str) -> ApiError:
    """412 with the ETag of the item as it is now: If-Match names another version."""
    message = f"The media item was changed since the version that If-Match names: its ETag is {etag} now."
    return ApiError(412, "version_mismatch", message, headers={"ETag": etag})


def job_ended(status: str) -> ApiError:
    """409: its result stands."""
    return conflict(f"The job has ended already, with status {status}: it cannot be cancelled.", "job_ended")


def job_not_failed(status: str | None) -> ApiError:
    """409: there is nothing to run again."""
    why = "has not ended" if status is None else f"has ended with status {status}"
    return conflict(f"The job {why}: only one that failed or was cancelled can be retried.", "job_not_failed")


def job_not_ended() -> ApiError:
    """409: its worker still works on it, or will."""
    return conflict("The job has not ended: cancel it, and purge it when it has ended.", "job_not_ended")


def too_many_runs(most: int) -> ApiError:
    """409: a new job is to be made instead."""
    return conflict(f"The job has been run {most} times: create a new one instead.", "job_not_failed")


def upload_not_found() -> ApiError:
    """404: no such upload, or another token."""
    return not_found("upload_not_found", "There is no upload at this address.")


def upload_used() -> ApiError:
    """409: an address stores one file."""
    return conflict(
        "The file of this upload is stored already, or was sent too often: create a new upload.", "upload_used"
    )


def upload_expired() -> ApiError:
    """410: the address works for a time only."""
    return ApiError(410, "upload_expired", "The address of this upload has expired: create a new upload.")


def empty_upload() -> ApiError:
    """400: there are no bytes."""
    return invalid_input("body must be the bytes of a file; it is empty")


def upload_too_large(size: int, most: int) -> ApiError:
    """400: a larger file is announced than may be sent."""
    return invalid_input([FieldFault(field="size", rule=f"must be at most {most}", value=render_value(size))])


def upload_size(size: int, announced: int) -> ApiError:
    """400: the file has another size than was announced."""
    rule = f"must be {announced}, as was announced with POST /uploads"
    return invalid_input([FieldFault(field="size", rule=rule, value=render_value(size))])


def connection_missing() -> ApiError:
    """409: the files of the job cannot be reached any more."""
    return conflict("The connection of the job was deleted: create a new job with another.", "connection_missing")


def queue_full(full: QueueFull) -> ApiError:
    """429 with Retry-After: a bound of the project's unfinished work."""
    policy = f"unfinished-{full.what}"
    headers = {
        POLICY: f'"{policy}";q={full.limit};qu="{full.what}"',
        LEFT: f'"{policy}";r=0;t={RETRY_AFTER_S}',
        "Retry-After": str(RETRY_AFTER_S),
    }
    return ApiError(429, "queue_full", str(full), headers=headers)
