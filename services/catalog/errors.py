"""The errors of the catalog. The same response for what never existed, is deleted, or belongs to another project."""

from chassis.adapters.http.errors import ApiError, not_found, unavailable

RETRY_AFTER_SECONDS = 2


def job_not_found() -> ApiError:
    return not_found("job_not_found", "There is no job with this id.")


def task_not_found() -> ApiError:
    return not_found("task_not_found", "There is no task with this id.")


def media_not_found() -> ApiError:
    return not_found("media_not_found", "There is no media item with this id.")


def file_not_found() -> ApiError:
    return not_found("file_not_found", "There is no file at this address.")


def not_yet_known() -> ApiError:
    """503: the requested resource may have been accepted, and the catalog has not read its event yet."""
    return unavailable(RETRY_AFTER_SECONDS, "It is not known yet whether this exists; try again soon.")
