"""How the catalog refuses: what never was, what is deleted and what is another project's look the same."""

from chassis.adapters.http.errors import ApiError, not_found


def job_not_found() -> ApiError:
    return not_found("job_not_found", "There is no job with this id.")


def task_not_found() -> ApiError:
    return not_found("task_not_found", "There is no task with this id.")


def media_not_found() -> ApiError:
    return not_found("media_not_found", "There is no media item with this id.")


def file_not_found() -> ApiError:
    return not_found("file_not_found", "There is no file at this address.")
