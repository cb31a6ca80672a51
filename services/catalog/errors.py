"""The errors of the catalog. An id gets the same response if it never existed, is deleted, or is another project's."""

from typing import Literal

from chassis.adapters.http.errors import ApiError, not_found, unavailable
from schemas.delivery import SignatureFault

RETRY_AFTER_SECONDS = 2
LISTENERS_RETRY_AFTER_SECONDS = 10
_SIGNATURE_FAULTS: dict[SignatureFault, str] = {
    "signature_missing": "This file needs a signed address: get one with GET /jobs/{id} or GET /media/{id}.",
    "signature_invalid": "The signature in this address is not valid for this file.",
    "signature_expired": "This address has expired: get a new one with GET /jobs/{id} or GET /media/{id}.",
}


def job_not_found() -> ApiError:
    return not_found("job_not_found", "There is no job with this id.")


def task_not_found() -> ApiError:
    return not_found("task_not_found", "There is no task with this id.")


def media_not_found() -> ApiError:
    return not_found("media_not_found", "There is no media item with this id.")


def file_not_found() -> ApiError:
    return not_found("file_not_found", "There is no file at this address.")


def file_gone() -> ApiError:
    """410: the media item of the file is deleted."""
    return ApiError(410, "file_gone", "The media item of this file is deleted.")


def signature_refused(fault: SignatureFault) -> ApiError:
    """403: the files of this project are delivered only with a valid signature in the address."""
    return ApiError(403, fault, _SIGNATURE_FAULTS[fault])


def not_yet_known() -> ApiError:
    """503: the requested resource may have been accepted, and the catalog has not read its event yet."""
    return unavailable(RETRY_AFTER_SECONDS, "It is not known yet whether this exists; try again soon.")


def too_many_listeners(bound: Literal["project", "process"], limit: int) -> ApiError:
    """429: as many streams of events are open as may be, of this project or in all."""
    whose = "This project has" if bound == "project" else "All projects together have"
    message = f"{whose} {limit} streams of events open here, as many as there may be: close some, or try again later."
    return ApiError(429, "too_many_listeners", message, headers={"Retry-After": str(LISTENERS_RETRY_AFTER_SECONDS)})
