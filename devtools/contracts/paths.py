"""The operations of the HTTP API and the webhook, as OpenAPI writes them: data, and nothing but data."""

from typing import Any, get_args

from devtools.contracts.components import (
    BODY,
    JSON,
    ORDER,
    content,
    either,
    errors,
    integer,
    listed,
    parameter,
    query,
    response,
    shared,
)
from devtools.contracts.connection_paths import CONNECTION_PATHS
from devtools.contracts.event_paths import EVENT_PATHS
from devtools.contracts.media_paths import MEDIA_PATHS
from devtools.contracts.upload_paths import UPLOAD_PATHS
from schemas.jobs import JobKind, Status

_MILLISECONDS = {"type": "integer", "minimum": 0}
_TIME = 1_767_225_600_000
_JOB_ID = "job_01h455vb4pex5vsknk084sn02q"
_JOB_FILTERS = [
    query("kind", {"type": "string", "enum": [*get_args(JobKind)]}, "Only jobs of this kind."),
    query("status", {"type": "string", "enum": [*get_args(Status)]}, "Only jobs in this state."),
    query("input", {"type": "string"}, "Only jobs of exactly this input.", "https://example.com/clip.mov"),
    query("created_after", _MILLISECONDS, "Only jobs created after this time, in Unix milliseconds.", _TIME),
    query("created_before", _MILLISECONDS, "Only jobs created before this time, in Unix milliseconds.", _TIME),
    query(
        "metadata.{key}",
        {"type": "string"},
        "`metadata.user_id=123`: only jobs whose metadata has exactly this value; several are joined by AND.",
        "usr_abc123",
    ),
    query("limit", integer(20, 100), "How many."),
    query("after", {"type": "string"}, "The id that ends the page before.", _JOB_ID),
    query("before", {"type": "string"}, "The id that begins the page after.", _JOB_ID),
    query(
        "order",
        ORDER,
        "In the order in which they became visible: newest first, or oldest first. Whoever asks with `asc` for what "
        "comes after the last id that it has seen misses no job.",
    ),
]


def _header(name: str, schema: dict[str, Any], description: str) -> dict[str, Any]:
    return {"name": name, "in": "header", "required": True, "description": description, "schema": schema}


def webhook(operation: str) -> dict[str, Any]:
    """The webhook. It is described once by itself and once as a callback of each operation that asks for it."""
    return {
        "post": {
            "operationId": operation,
            "summary": "A job succeeded, failed or was cancelled",
            "description": (
                "Sent to the job's `webhook_url` with exactly the JSON of `GET /jobs/{id}`. Any 2xx "
                "within 20 seconds is success; redirects are not followed. Otherwise ten attempts: at once, then after "
                "5 s, 5 min, 30 min, 2 h, 5 h, 10 h, 14 h, 20 h and 24 h, each varied by up to 20 %; a longer "
                "`Retry-After` is honoured up to 24 h, and 410 ends it. It may arrive more than once, always with the "
                "same `webhook-id`."
            ),
            "tags": ["jobs"],
            "security": [],
            "parameters": [
                _header("webhook-id", {"type": "string", "pattern": "^msg_"}, "The same on every attempt."),
                _header("webhook-timestamp", {"type": "integer"}, "When this attempt was made, in Unix seconds."),
                _header(
                    "webhook-signature",
                    {"type": "string", "pattern": "^v1,"},
                    "Standard Webhooks 1.0.0: `v1,` and base64 of HMAC-SHA256 over `id.timestamp.body`.",
                ),
                _header(
                    "Ittybit-Signature",
                    {"type": "string", "pattern": "^[0-9a-f]{64}$"},
                    "Hex HMAC-SHA256 of the raw body, keyed by the secret exactly as it is printed.",
                ),
            ],
            "requestBody": {"required": True, "content": content("JobResource")},
            "responses": {
                "2XX": {"description": "Received."},
                "410": {"description": "This webhook is not wanted any more and is not sent again."},
            },
        }
    }


def _list_jobs(noun: str) -> dict[str, Any]:
    page = response("One page of the project's jobs.", "JobResource", "Link", "Has-More", "Limit")
    return {
        "operationId": f"list_{noun}",
        "summary": "List jobs" if noun == "jobs" else "The older name of `GET /jobs`",
        "tags": ["jobs"],
        "parameters": _JOB_FILTERS,
        "responses": {"200": listed(page), **errors("", "InvalidInput")},
    }


def _create_job(noun: str, summary: str, body: str) -> dict[str, Any]:
    return {
        "operationId": f"create_{noun}",
        "summary": summary,
        "tags": ["jobs"],
        "parameters": [shared("IdempotencyKey")],
        "requestBody": {"required": True, "content": content(body)},
        "responses": {
            "200": response("Accepted before, with the same Idempotency-Key.", "JobResource", "Idempotent-Replayed"),
            "201": response("Accepted and stored: it will be done, and reported by webhook.", "JobResource"),
            **errors("", "InvalidInput", *BODY, "Conflict", "IdempotencyMismatch", "QueueFull"),
        },
        "callbacks": {"finished": {"{$request.body#/webhook_url}": webhook(f"{noun}_finished_callback")}},
    }


def _create_jobs() -> dict[str, Any]:
    answers = listed(response("The response to each body, in their order.", "BatchAnswer"))
    bodies = {
        "type": "array",
        "minItems": 1,
        "maxItems": 100,
        "items": {"$ref": "#/components/schemas/JobRequest"},
    }
    return {
        "operationId": "create_jobs",
        "summary": "Make up to 100 outputs",
        "description": (
            "Each body is accepted or refused on its own, as `POST /jobs` would. With an Idempotency-Key each body has "
            "it by its place: a repetition of the request gets the first responses of those that were accepted, and "
            "tries the others again."
        ),
        "tags": ["jobs"],
        "parameters": [shared("IdempotencyKey")],
        "requestBody": {"required": True, "content": {JSON: {"schema": bodies}}},
        "responses": {"200": answers, **errors("", "InvalidInput", *BODY)},
    }


def _get_job(noun: str) -> dict[str, Any]:
    return {
        "operationId": f"get_{noun}",
        "summary": f"Read a {noun}",
        "tags": ["jobs"],
        "parameters": [shared("JobId")],
        "responses": {"200": response("As it is now.", "JobResource"), **errors("", "InvalidInput", "NotFound")},
    }


def _get_task() -> dict[str, Any]:
    found = response("As it is now.", "JobResource")
    either = [{"$ref": f"#/components/schemas/{name}"} for name in ("JobResource", "TaskResource")]
    found["content"] = {JSON: {"schema": {"anyOf": either}}}
    return {
        **_get_job("task"),
        "summary": "Read a job or task of `POST /tasks`, or a step of a job",
        "description": "A step has the field `job_id`: its id is in the `tasks` of the job.",
        "responses": {"200": found, **errors("", "InvalidInput", "NotFound")},
    }


def _cancel_job(operation: str, summary: str) -> dict[str, Any]:
    return {
        "operationId": operation,
        "summary": summary,
        "description": (
            "A queued job ends at once; of a running one, the process ends and nothing of its output is kept. The "
            "webhook is sent as after any other end. Repeating it changes nothing."
        ),
        "tags": ["jobs"],
        "parameters": [shared("JobId")],
        "responses": {
            "200": response("The job has been cancelled.", "CancellationResource"),
            "202": response("The job is being stopped: it will be cancelled shortly.", "CancellationResource"),
            **errors("", "InvalidInput", "NotFound", "Conflict"),
        },
    }


def _retry_job(noun: str) -> dict[str, Any]:
    return {
        "operationId": f"retry_{noun}",
        "summary": f"Run a {noun} again that failed or was cancelled",
        "description": (
            "The same job is queued for its next run: `run` is one more, and `earlier_runs` says how the runs before "
            "ended. Its webhook is sent again after the end of the run. 409 where the job has not ended or has "
            "succeeded: repeating the request while the run is under way changes nothing."
        ),
        "tags": ["jobs"],
        "parameters": [shared("JobId")],
        "responses": {
            "200": response("Queued again.", "JobResource"),
            **errors("", "InvalidInput", "NotFound", "Conflict", "QueueFull"),
        },
    }


def _delete_job(noun: str) -> dict[str, Any]:
    cancel = _cancel_job(f"delete_{noun}", f"Cancel a {noun}, or remove it for good")
    either = [{"$ref": f"#/components/schemas/{name}"} for name in ("CancellationResource", "PurgeResource")]
    done = response("The job has been cancelled, or is removed.", "PurgeResource")
    done["content"] = {JSON: {"schema": {"oneOf": either}}}
    purge = query("purge", {"type": "boolean", "default": False}, "Remove a job that has ended.")
    return cancel | {
        "description": (
            f"The same as `POST /{noun}s/{{id}}/cancel`. With `purge=true` a job that has ended is removed for good, "
            "with its output unless a media item has it: afterwards `GET` responds with 404, as does the address of "
            "the output. 409 `job_not_ended` where the job has not ended."
        ),
        "parameters": [*cancel["parameters"], purge],
        "responses": cancel["responses"] | {"200": done},
    }


def _job(noun: str) -> dict[str, Any]:
    return {"get": _get_job(noun), "delete": _delete_job(noun)}


_FILE_PATH = [
    parameter(
        "project",
        "path",
        {"type": "string", "pattern": "^prj_[0-9a-z]{26}$"},
        "`prj_…`",
        "prj_01h455vb4pex5vsknk084sn02q",
    ),
    parameter("path", "path", {"type": "string"}, "Folder and name; may hold slashes.", "our/folder/our-filename.mp4"),
]
# In fact the content type of its format; generators of clients take no wildcard.
_BINARY = {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}}
_GET_FILE: dict[str, Any] = {
    "operationId": "get_file",
    "summary": "Fetch a stored file",
    "description": (
        "At DELIVERY_URL (PUBLIC_URL unless set). The address is the only credential; with signed delivery it "
        "has a signature that ends."
    ),
    "tags": ["files"],
    "security": [],
    "responses": {
        "200": {"description": "The file.", "content": _BINARY},
        "206": {"description": "The requested range of it.", "content": _BINARY},
        "304": {"description": "Unchanged since the ETag or the time that was sent."},
        "403": response("`signature_missing`, `signature_invalid` or `signature_expired`", "ErrorResource"),
        "404": response("`file_not_found`", "ErrorResource"),
        "410": response("`file_gone`: its media item is deleted", "ErrorResource"),
        "416": response("`range_not_satisfiable`", "ErrorResource"),
    },
}
# What HTTP itself can refuse, where an operation has no errors of its own.
_BAD_REQUEST = {"400": {"description": "The request is not valid HTTP."}}
_PREFLIGHT: dict[str, Any] = {
    "operationId": "preflight_file",
    "summary": "CORS: scripts of other sites may request files and ranges of them",
    "tags": ["files"],
    "security": [],
    "responses": {
        "204": {"description": "They may."},
        **_BAD_REQUEST,
        "404": response("`not_found`: no file can have this address.", "ErrorResource"),
    },
}


def _health(operation: str, summary: str, responses: dict[str, Any]) -> dict[str, Any]:
    details = {"operationId": operation, "summary": summary, "tags": ["health"], "security": []}
    return {"get": {**details, "responses": responses | _BAD_REQUEST}}


_PAGE = query("page", integer(1, 1_000_000), "Which page: version 2025-08-20 only, with `limit` and nothing else.")


def _versioned(operation: dict[str, Any]) -> dict[str, Any]:
    """An operation of /tasks: with version 2025-08-20 it takes and gives tasks of that version."""
    parameters = [shared("AcceptVersion"), *operation["parameters"]]
    responses = {
        status: each if status not in ("200", "201") else _task_of_version(each)
        for status, each in operation["responses"].items()
    }
    changed = {**operation, "parameters": parameters, "responses": responses}
    if "requestBody" in operation:
        changed["requestBody"] = either(operation["requestBody"], "TaskRequest20250820")
    return changed


def _task_of_version(answer: dict[str, Any]) -> dict[str, Any]:
    schema = answer["content"][JSON]["schema"]
    if "items" not in schema:
        return either(answer, "Task20250820")
    one = either({"content": {JSON: {"schema": schema["items"]}}}, "Task20250820")
    headers = {**answer["headers"], "Links": {"$ref": "#/components/headers/Links"}}
    return listed({**answer, **one, "headers": headers})


def _list_tasks() -> dict[str, Any]:
    operation = _versioned(_list_jobs("tasks"))
    return {**operation, "parameters": [*operation["parameters"], _PAGE]}


_CREATE_TASK = _create_job("task", "Make a job with an id `task_…`, or one task by itself", "TaskRequest")
_TASK = _job("task")

PATHS: dict[str, Any] = {
    "/jobs": {"get": _list_jobs("jobs"), "post": _create_job("job", "Make one output from one input", "JobRequest")},
    "/jobs/batch": {"post": _create_jobs()},
    "/jobs/{id}": _job("job"),
    "/jobs/{id}/cancel": {"post": _cancel_job("cancel_job", "Cancel a job")},
    "/jobs/{id}/retry": {"post": _retry_job("job")},
    "/tasks": {"get": _list_tasks(), "post": _versioned(_CREATE_TASK)},
    "/tasks/{id}": {**_TASK, "get": _versioned(_get_task())},
    "/tasks/{id}/cancel": {"post": _cancel_job("cancel_task", "The older name of `POST /jobs/{id}/cancel`")},
    "/tasks/{id}/retry": {"post": _versioned(_retry_job("task"))},
    **EVENT_PATHS,
    **MEDIA_PATHS,
    **UPLOAD_PATHS,
    **CONNECTION_PATHS,
    "/{project}/{path}": {"parameters": _FILE_PATH, "get": _GET_FILE, "options": _PREFLIGHT},
    "/livez": _health("livez", "Is the process alive", {"200": response("It is.", "LivenessReport")}),
    "/readyz": _health(
        "readyz",
        "Would a request succeed",
        {
            "200": response("It would.", "ReadinessReport"),
            "503": response("Not now.", "ReadinessReport", "Retry-After"),
        },
    ),
    "/metrics": _health(
        "metrics",
        "Metrics of the process",
        {"200": {"description": "Prometheus.", "content": {"text/plain": {"schema": {"type": "string"}}}}},
    ),
}
