"""The operations of the HTTP surface, as OpenAPI writes them: data, and nothing but data."""

from typing import Any, get_args

from devtools.contracts.parts import JSON, answer, content, parameter, query, refusals, shared, whole
from devtools.contracts.webhook import JOB_FINISHED
from schemas.files import MediaKind
from schemas.jobs import JobKind, Status

_ORDER = {"type": "string", "enum": ["desc", "asc"], "default": "desc"}
_SORT = ["created", "updated", "filesize", "duration", "width", "height", "fps", "filename"]
_JOB_FILTERS = [
    query("kind", {"type": "string", "enum": [*get_args(JobKind)]}, "Only jobs of this kind."),
    query("status", {"type": "string", "enum": [*get_args(Status)]}, "Only jobs in this state."),
    query("input", {"type": "string"}, "Only jobs of exactly this input."),
    query("limit", whole(20, 100), "How many."),
    query("after", {"type": "string"}, "The id that ends the page before."),
    query("before", {"type": "string"}, "The id that begins the page after."),
    query("order", _ORDER, "By time of creation: newest first, or oldest first."),
]
_MEDIA_FILTERS = [
    query("page", whole(1), "Which page."),
    query("limit", whole(12, 100), "How many items a page."),
    query("sort", {"type": "string", "enum": _SORT, "default": "created"}, "What to sort by."),
    query("order", _ORDER, "Which way."),
    query("kind", {"type": "string", "enum": [*get_args(MediaKind)]}, "Only items of this kind."),
    # OpenAPI has no word for parameters that share a prefix, so that the rule stands in the sentence.
    query(
        "metadata.{key}",
        {"type": "string"},
        "`metadata.user_id=123`: only items whose metadata has exactly this value; several are joined by AND.",
    ),
]


def _list_of_jobs(noun: str) -> dict[str, Any]:
    listed = answer("One page of the project's jobs.", "JobBody", "Link", "Has-More", "Limit")
    listed["content"] = {JSON: {"schema": {"type": "array", "items": {"$ref": "#/components/schemas/JobBody"}}}}
    return {
        "operationId": f"list_{noun}",
        "summary": "List jobs" if noun == "jobs" else "The older name of `GET /jobs`",
        "tags": ["jobs"],
        "parameters": _JOB_FILTERS,
        "responses": {"200": listed, **refusals("", "InvalidInput")},
    }


def _create_job(noun: str, summary: str) -> dict[str, Any]:
    return {
        "operationId": f"create_{noun}",
        "summary": summary,
        "tags": ["jobs"],
        "parameters": [shared("IdempotencyKey")],
        "requestBody": {"required": True, "content": content("JobRequest")},
        "responses": {
            "200": answer("Accepted before, under the same Idempotency-Key.", "JobBody", "Idempotent-Replayed"),
            "201": answer("Accepted and stored: it will be done, and told by webhook.", "JobBody"),
            **refusals("", "InvalidInput", "Conflict", "IdempotencyMismatch"),
        },
        "callbacks": {"finished": {"{$request.body#/webhook_url}": JOB_FINISHED}},
    }


def _get_job(noun: str) -> dict[str, Any]:
    return {
        "operationId": f"get_{noun}",
        "summary": f"Read a {noun}",
        "tags": ["jobs"],
        "parameters": [shared("JobId")],
        "responses": {
            "200": answer("As it is now.", "JobBody"),
            **refusals("", "InvalidInput", "NotFound"),
        },
    }


_LIST_MEDIA: dict[str, Any] = {
    "operationId": "list_media",
    "summary": "List media items",
    "tags": ["media"],
    "parameters": _MEDIA_FILTERS,
    "responses": {
        "200": answer("One page of the project's items.", "MediaListEnvelope"),
        **refusals("Media", "InvalidInput"),
    },
}
_CREATE_MEDIA: dict[str, Any] = {
    "operationId": "create_media",
    "summary": "Take a file into the catalog",
    "description": (
        "Answers once the file is stored, or after MEDIA_WAIT with status `processing`. A file that cannot be had is "
        "an answer as well: status `failed`, and the reason in `error`."
    ),
    "tags": ["media"],
    "parameters": [shared("IdempotencyKey")],
    "requestBody": {"required": True, "content": content("MediaRequest")},
    "responses": {
        "200": answer("The item.", "MediaEnvelope", "Idempotent-Replayed"),
        **refusals("Media", "InvalidInput", "Conflict", "IdempotencyMismatch"),
    },
}
_GET_MEDIA: dict[str, Any] = {
    "operationId": "get_media",
    "summary": "Read a media item",
    "tags": ["media"],
    "parameters": [shared("MediaId")],
    "responses": {"200": answer("The item.", "MediaEnvelope"), **refusals("Media", "InvalidInput", "NotFound")},
}

_FILE_PATH = [
    parameter("project", "path", {"type": "string", "pattern": "^prj_[0-9a-z]{26}$"}, "`prj_…`"),
    parameter("path", "path", {"type": "string"}, "Folder and name; may hold slashes."),
]
_BINARY = {"*/*": {"schema": {"type": "string", "format": "binary"}}}
_GET_FILE: dict[str, Any] = {
    "operationId": "get_file",
    "summary": "Fetch a stored file",
    "description": "At DELIVERY_URL (PUBLIC_URL unless set). Whoever has the address may fetch.",
    "tags": ["files"],
    "security": [],
    "responses": {
        "200": {"description": "The file.", "content": _BINARY},
        "206": {"description": "The asked range of it.", "content": _BINARY},
        "304": {"description": "Unchanged since the ETag or the time that was sent."},
        "404": answer("`file_not_found`", "ErrorBody"),
        "416": answer("`range_not_satisfiable`", "ErrorBody"),
    },
}
_PREFLIGHT: dict[str, Any] = {
    "operationId": "preflight_file",
    "summary": "Scripts of other sites may ask for files and ranges of them",
    "tags": ["files"],
    "security": [],
    "responses": {"204": {"description": "They may."}},
}


def _health(operation: str, summary: str, responses: dict[str, Any]) -> dict[str, Any]:
    details = {"operationId": operation, "summary": summary, "tags": ["health"], "security": []}
    return {"get": {**details, "responses": responses}}


PATHS: dict[str, Any] = {
    "/jobs": {"get": _list_of_jobs("jobs"), "post": _create_job("job", "Make one output from one input")},
    "/jobs/{id}": {"get": _get_job("job")},
    "/tasks": {
        "get": _list_of_jobs("tasks"),
        "post": _create_job("task", "The older name of `POST /jobs`: the same body, ids `task_…`"),
    },
    "/tasks/{id}": {"get": _get_job("task")},
    "/media": {"get": _LIST_MEDIA, "post": _CREATE_MEDIA},
    "/media/{id}": {"get": _GET_MEDIA},
    "/{project}/{path}": {"parameters": _FILE_PATH, "get": _GET_FILE, "options": _PREFLIGHT},
    "/livez": _health("livez", "Is the process alive", {"200": answer("It is.", "LivenessBody")}),
    "/readyz": _health(
        "readyz",
        "Would a request truly work",
        {"200": answer("It would.", "ReadinessBody"), "503": answer("Not now.", "ReadinessBody", "Retry-After")},
    ),
    "/metrics": _health(
        "metrics",
        "What is measured",
        {"200": {"description": "Prometheus.", "content": {"text/plain": {"schema": {"type": "string"}}}}},
    ),
}
