"""The operations of the HTTP surface, as OpenAPI writes them: data, and nothing but data."""

from typing import Any, get_args

from schemas.files import MediaKind
from schemas.jobs import JobKind, Status

_JSON = "application/json"


def _content(model: str) -> dict[str, Any]:
    return {_JSON: {"schema": {"$ref": f"#/components/schemas/{model}"}}}


def _answer(description: str, model: str) -> dict[str, Any]:
    return {"description": description, "content": _content(model)}


def _refusals(style: str, *names: str) -> dict[str, Any]:
    return {
        _STATUS[name]: {"$ref": f"#/components/responses/{style}{name}"}
        for name in ("TokenMissingOrInvalid", *names, "Unavailable")
    }


_STATUS = {
    "InvalidInput": "400",
    "TokenMissingOrInvalid": "401",
    "NotFound": "404",
    "Unavailable": "503",
}
_SENTENCES = {
    "InvalidInput": "`invalid_input`: each field that broke a rule, the rule, and the value seen. Nothing was stored.",
    "TokenMissingOrInvalid": "`token_missing` or `token_invalid`: no key, or one that is wrong or revoked.",
    "NotFound": "There is no such thing, or it is another project's.",
    "Unavailable": "`unavailable`: nothing was stored; the same request may be sent again after `Retry-After` seconds.",
}
_RETRY_AFTER = {"Retry-After": {"schema": {"type": "integer"}, "description": "Seconds."}}


def _refusal(name: str, model: str) -> dict[str, Any]:
    answer = _answer(_SENTENCES[name], model)
    return answer | ({"headers": _RETRY_AFTER} if name == "Unavailable" else {})


RESPONSES: dict[str, Any] = {name: _refusal(name, "ErrorBody") for name in _STATUS} | {
    f"Media{name}": _refusal(name, "MediaErrorEnvelope") for name in _STATUS
}


def _parameter(name: str, where: str, schema: dict[str, Any], description: str) -> dict[str, Any]:
    return {
        "name": name,
        "in": where,
        "required": where == "path",
        "description": description,
        "schema": schema,
    }


def _query(name: str, schema: dict[str, Any], description: str) -> dict[str, Any]:
    return _parameter(name, "query", schema, description)


def _number(default: int, maximum: int | None = None) -> dict[str, Any]:
    return {"type": "integer", "minimum": 1, **({"maximum": maximum} if maximum else {}), "default": default}


_ORDER = {"type": "string", "enum": ["desc", "asc"], "default": "desc"}
_SORT = ["created", "updated", "filesize", "duration", "width", "height", "fps", "filename"]
PARAMETERS: dict[str, Any] = {
    "JobId": _parameter("id", "path", {"type": "string"}, "`job_…`, or `task_…` of one made by `POST /tasks`."),
    "MediaId": _parameter("id", "path", {"type": "string"}, "`med_…`"),
}
_JOB_ID = {"$ref": "#/components/parameters/JobId"}
_MEDIA_ID = {"$ref": "#/components/parameters/MediaId"}

_JOB_FILTERS = [
    _query("kind", {"type": "string", "enum": [*get_args(JobKind)]}, "Only jobs of this kind."),
    _query("status", {"type": "string", "enum": [*get_args(Status)]}, "Only jobs in this state."),
    _query("input", {"type": "string"}, "Only jobs of exactly this input."),
    _query("limit", _number(20, 100), "How many."),
    _query("after", {"type": "string"}, "Only jobs that come after this id in the order asked for."),
    _query("before", {"type": "string"}, "Only jobs that come before this id in the order asked for."),
    _query("order", _ORDER, "By time of creation: newest first, or oldest first."),
]
_MEDIA_FILTERS = [
    _query("page", _number(1), "Which page."),
    _query("limit", _number(12, 100), "How many items a page."),
    _query("sort", {"type": "string", "enum": _SORT, "default": "created"}, "What to sort by."),
    _query("order", _ORDER, "Which way."),
    _query("kind", {"type": "string", "enum": [*get_args(MediaKind)]}, "Only items of this kind."),
    {
        "name": "metadata",
        "in": "query",
        "required": False,
        "description": (
            "`metadata.KEY=value`: only items that have exactly this value; several are joined by AND. "
            "The parameter's own name is `metadata.` and the key."
        ),
        "schema": {"type": "object", "additionalProperties": {"type": "string"}},
    },
]


def _list_of_jobs(noun: str) -> dict[str, Any]:
    headers = {
        "Link": {"schema": {"type": "string"}, "description": '`<address>; rel="next"`, where there is more.'},
        "Has-More": {"schema": {"type": "string", "enum": ["true", "false"]}},
        "Limit": {"schema": {"type": "integer"}},
    }
    schema = {"type": "array", "items": {"$ref": "#/components/schemas/JobBody"}}
    answer = {"description": f"The project's {noun}.", "headers": headers, "content": {_JSON: {"schema": schema}}}
    return {
        "operationId": f"list_{noun}",
        "summary": f"List {noun}",
        "tags": ["jobs"],
        "parameters": _JOB_FILTERS,
        "responses": {"200": answer, **_refusals("", "InvalidInput")},
    }


def _create_job(noun: str, summary: str) -> dict[str, Any]:
    return {
        "operationId": f"create_{noun}",
        "summary": summary,
        "tags": ["jobs"],
        "requestBody": {"required": True, "content": _content("JobRequest")},
        "responses": {
            "201": _answer("Accepted and stored: it will be done, and told by webhook.", "JobBody"),
            **_refusals("", "InvalidInput"),
        },
        "callbacks": {"finished": {"{$request.body#/webhook_url}": JOB_WEBHOOK}},
    }


def _get_job(noun: str) -> dict[str, Any]:
    return {
        "operationId": f"get_{noun}",
        "summary": f"Read a {noun}",
        "tags": ["jobs"],
        "parameters": [_JOB_ID],
        "responses": {"200": _answer(f"The {noun} as it is now.", "JobBody"), **_refusals("", "NotFound")},
    }


def _webhook_header(name: str, schema: dict[str, Any], description: str) -> dict[str, Any]:
    return {"name": name, "in": "header", "required": True, "description": description, "schema": schema}


JOB_WEBHOOK: dict[str, Any] = {
    "post": {
        "operationId": "job_finished",
        "summary": "A job succeeded, failed or was cancelled",
        "description": (
            "Sent to the job's `webhook_url` with exactly the JSON that `GET /jobs/{id}` shows then. Any 2xx within "
            "20 seconds is success; redirects are not followed. Otherwise ten attempts: at once, then after 5 s, "
            "5 min, 30 min, 2 h, 5 h, 10 h, 14 h, 20 h and 24 h, each varied by up to 20 %; a longer `Retry-After` is "
            "honoured up to 24 h, and 410 ends it. It may arrive more than once, always with the same `webhook-id`."
        ),
        "tags": ["jobs"],
        "security": [],
        "parameters": [
            _webhook_header("webhook-id", {"type": "string", "pattern": "^msg_"}, "The same on every attempt."),
            _webhook_header("webhook-timestamp", {"type": "integer"}, "When this attempt was made, in Unix seconds."),
            _webhook_header(
                "webhook-signature",
                {"type": "string", "pattern": "^v1,"},
                "Standard Webhooks 1.0.0: `v1,` and base64 of HMAC-SHA256 over `id.timestamp.body`.",
            ),
            _webhook_header(
                "Ittybit-Signature",
                {"type": "string", "pattern": "^[0-9a-f]{64}$"},
                "Hex HMAC-SHA256 of the raw body, keyed by the secret exactly as it is printed.",
            ),
        ],
        "requestBody": {"required": True, "content": _content("JobBody")},
        "responses": {
            "2XX": {"description": "Received."},
            "410": {"description": "Nobody listens here any more: this webhook is not sent again."},
        },
    }
}

_FILE_PATHS = [
    _parameter("project", "path", {"type": "string"}, "`prj_…`"),
    _parameter("path", "path", {"type": "string"}, "Folder and name; may hold slashes."),
]
_BINARY = {"*/*": {"schema": {"type": "string", "format": "binary"}}}


def _health(operation: str, summary: str, responses: dict[str, Any]) -> dict[str, Any]:
    return {
        "get": {
            "operationId": operation,
            "summary": summary,
            "tags": ["health"],
            "security": [],
            "responses": responses,
        }
    }


PATHS: dict[str, Any] = {
    "/jobs": {
        "get": _list_of_jobs("jobs"),
        "post": _create_job("job", "Make one output from one input"),
    },
    "/jobs/{id}": {"get": _get_job("job")},
    "/tasks": {
        "get": _list_of_jobs("tasks"),
        "post": _create_job("task", "The older name of `POST /jobs`: the same body, ids `task_…`"),
    },
    "/tasks/{id}": {"get": _get_job("task")},
    "/media": {
        "get": {
            "operationId": "list_media",
            "summary": "List media items",
            "tags": ["media"],
            "parameters": _MEDIA_FILTERS,
            "responses": {
                "200": _answer("One page of the project's items.", "MediaListEnvelope"),
                **_refusals("Media", "InvalidInput"),
            },
        },
        "post": {
            "operationId": "create_media",
            "summary": "Take a file into the catalog",
            "tags": ["media"],
            "requestBody": {"required": True, "content": _content("MediaRequest")},
            "responses": {
                "200": _answer(
                    "The item; with status `processing` where fetching takes longer than MEDIA_WAIT.", "MediaEnvelope"
                ),
                **_refusals("Media", "InvalidInput"),
            },
        },
    },
    "/media/{id}": {
        "get": {
            "operationId": "get_media",
            "summary": "Read a media item",
            "tags": ["media"],
            "parameters": [_MEDIA_ID],
            "responses": {"200": _answer("The item.", "MediaEnvelope"), **_refusals("Media", "NotFound")},
        }
    },
    "/{project}/{path}": {
        "get": {
            "operationId": "get_file",
            "summary": "Fetch a stored file",
            "description": "At DELIVERY_URL (PUBLIC_URL unless set). Whoever has the address may fetch.",
            "tags": ["files"],
            "security": [],
            "parameters": _FILE_PATHS,
            "responses": {
                "200": {"description": "The file.", "content": _BINARY},
                "206": {"description": "The asked range of it.", "content": _BINARY},
                "304": {"description": "Unchanged since the ETag or time that was sent."},
                "404": _answer("`file_not_found`", "ErrorBody"),
                "416": _answer("`range_not_satisfiable`", "ErrorBody"),
            },
        }
    },
    "/livez": _health("livez", "Is the process alive", {"200": _answer("It is.", "LivenessBody")}),
    "/readyz": _health(
        "readyz",
        "Would a request truly work",
        {"200": _answer("It would.", "ReadinessBody"), "503": _answer("Not now.", "ReadinessBody")},
    ),
    "/metrics": _health(
        "metrics",
        "What is measured",
        {"200": {"description": "Prometheus.", "content": {"text/plain": {"schema": {"type": "string"}}}}},
    ),
}
