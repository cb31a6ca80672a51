"""The errors of the catalog. The same response for what never existed, is deleted, or belongs to another project."""

from chassis.adapters.http.errors import ApiError, not_found, unavailable
from schemas.delivery import SignatureFault

RETRY_AFTER_SECONDS = 2
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


def signature_refused(fault: SignatureFault) -> ApiError:
    """403: the files of this project are delivered only with a valid signature in the address."""
    return ApiError(403, fault, _SIGNATURE_FAULTS[fault])


def not_yet_known() -> ApiError:
    """503: the requested resource may have been accepted, and the catalog has not read its event yet."""
    return unavailable(RETRY_AFTER_SECONDS, "It is not known yet whether this exists; try again soon.")
