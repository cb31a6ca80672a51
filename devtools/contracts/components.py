"""What the operations of the OpenAPI document share: parameters, headers, success and error responses."""

from typing import Any

from schemas.versions import ACCEPTED, DEFAULT, LATEST, NEWEST, VERSION_HEADER

JSON = "application/json"


def content(schema: str) -> dict[str, Any]:
    """A JSON body that is one of the document's schemas."""
    return {JSON: {"schema": {"$ref": f"#/components/schemas/{schema}"}}}


def response(description: str, schema: str, *headers: str) -> dict[str, Any]:
    """A response with such a body. `headers` are names of `HEADERS`, beside the request id."""
    referred = {name: {"$ref": f"#/components/headers/{name}"} for name in ("X-Request-Id", *headers)}
    return {"description": description, "headers": referred, "content": content(schema)}


def listed(answer: dict[str, Any]) -> dict[str, Any]:
    """The response with an array of what it had."""
    schema = answer["content"][JSON]["schema"]
    return {**answer, "content": {JSON: {"schema": {"type": "array", "items": schema}}}}


def either(answer: dict[str, Any], schema: str) -> dict[str, Any]:
    """The request or response, which with another version of the API has this body."""
    today = answer["content"][JSON]["schema"]
    other = {"$ref": f"#/components/schemas/{schema}"}
    return {**answer, "content": {JSON: {"schema": {"anyOf": [today, other]}}}}


def errors(style: str, *names: str) -> dict[str, Any]:
    """References to error responses by status. An operation that needs a key can also respond with 401, 429, 500 and
    503.

    One with a body names `*BODY` as well. `style` is `Media` for those below `/media`, which have an envelope, and
    empty for the others.
    """
    wanted = {*names, "TokenMissingOrInvalid", "RateLimited", "InternalError", "Unavailable"}
    found = {_ERRORS[name][0]: name for name in _ERRORS if name in wanted}
    return {status: {"$ref": f"#/components/responses/{style}{name}"} for status, name in sorted(found.items())}


BODY = ("TooLarge", "NotJson", "BodyTimeout")
"""What can be wrong with any body."""

_ERRORS: dict[str, tuple[str, str]] = {
    "InvalidInput": (
        "400",
        "`invalid_input`: each field that broke a rule, the rule, and the value seen. Nothing was stored.",
    ),
    "TokenMissingOrInvalid": (
        "401",
        "`token_missing` or `token_invalid`: no key, or one that is wrong or revoked.",
    ),
    "TooLarge": ("413", "`payload_too_large`: the body has more than 1 MiB."),
    "NotJson": (
        "415",
        "`unsupported_media_type`: the body is not JSON, as its `Content-Type` says, or has an unknown "
        "`Content-Encoding`.",
    ),
    "NotFound": ("404", "It does not exist, or it is another project's."),
    "Conflict": (
        "409",
        "`conflict`, `connection_name_taken`: the name is taken. `connection_missing`: the connection of the job was "
        "deleted. `connection_limit`: the project has as many connections as it may have. `request_in_progress`: the "
        "first request with this Idempotency-Key has no response yet; the same request may be sent again after "
        "`Retry-After` seconds.",
    ),
    "IdempotencyMismatch": (
        "422",
        "`idempotency_mismatch`: this Idempotency-Key came with another body within the last 24 hours.",
    ),
    "VersionMismatch": (
        "412",
        "`version_mismatch`: `If-Match` names another version of the item; nothing was changed. `ETag` is its version.",
    ),
    "RateLimited": (
        "429",
        "`rate_limited`: the project or the key has sent as many requests as it may in a minute. Nothing was done; the "
        "same request may be sent again after `Retry-After` seconds.",
    ),
    "QueueFull": (
        "429",
        "`rate_limited`: the project or the key has sent as many requests as it may in a minute. `queue_full`: the "
        "project has as much unfinished work as it may have; the sentence names the bound. Nothing was stored; the "
        "same request may be sent again after `Retry-After` seconds.",
    ),
    "TooManyListeners": (
        "429",
        "`rate_limited`: the project or the key has sent as many requests as it may in a minute. "
        "`too_many_listeners`: as many streams of events are open as the project, or the process, may have; the "
        "sentence says which.",
    ),
    "BodyTimeout": ("408", "`request_timeout`: the body did not arrive in time."),
    "InternalError": ("500", "`internal_error`: a fault of ours; the log has it under the request id."),
    "Unavailable": (
        "503",
        "`unavailable`: nothing was stored; the same request may be sent again after `Retry-After` seconds.",
    ),
}


def _error(name: str, schema: str) -> dict[str, Any]:
    _, sentence = _ERRORS[name]
    limited = ("Retry-After", "RateLimit-Policy", "RateLimit")
    headers = {
        "Unavailable": ("Retry-After",),
        "Conflict": ("Retry-After",),
        "RateLimited": limited,
        "QueueFull": limited,
        "TooManyListeners": limited,
        "VersionMismatch": ("ETag",),
    }
    return response(sentence, schema, *headers.get(name, ()))


_MEDIA_ONLY = frozenset({"VersionMismatch"})
_JOBS_ONLY = frozenset({"TooManyListeners"})
RESPONSES: dict[str, Any] = {name: _error(name, "ErrorResource") for name in _ERRORS if name not in _MEDIA_ONLY} | {
    # Without the envelope in version 2025-08-20.
    f"Media{name}": either(_error(name, "MediaErrorEnvelope"), "ErrorResource")
    for name in _ERRORS
    if name not in _JOBS_ONLY
}
HEADERS: dict[str, Any] = {
    "X-Request-Id": {"schema": {"type": "string", "pattern": "^req_"}, "description": "Leads to the logs."},
    "Retry-After": {"schema": {"type": "integer"}, "description": "Seconds to wait before the request is sent again."},
    "RateLimit-Policy": {
        "schema": {"type": "string"},
        "description": (
            "The quotas, in every response to a request with a key (draft-ietf-httpapi-ratelimit-headers-10): "
            '`"project";q=60000;w=60` is 60,000 requests in 60 seconds.'
        ),
    },
    "RateLimit": {
        "schema": {"type": "string"},
        "description": 'What is left of them: `"project";r=59990;t=42` is 59,990 requests in the next 42 seconds.',
    },
    "Idempotent-Replayed": {
        "schema": {"type": "string", "const": "true"},
        "description": "Present if this repeats the response to an earlier request with the same Idempotency-Key.",
    },
    "Link": {
        "schema": {"type": "string"},
        "description": '`<address>; rel="next"` and `<address>; rel="prev"`, as far as there are such pages.',
    },
    "Has-More": {
        "schema": {"type": "string", "enum": ["true", "false"]},
        "description": "Whether a page follows.",
    },
    "ETag": {
        "schema": {"type": "string"},
        "description": "The version of the item: see `If-Match`.",
    },
    "Links": {"schema": {"type": "string"}, "description": "The name of `Link` in version 2025-08-20."},
    "Limit": {"schema": {"type": "integer"}, "description": "The greatest number of jobs on a page."},
}


ORDER = {"type": "string", "enum": ["desc", "asc"], "default": "desc"}
"""Of a list."""


def parameter(
    name: str, where: str, schema: dict[str, Any], description: str, example: Any | None = None
) -> dict[str, Any]:
    """A parameter; those in the path are required. A free text needs an `example`."""
    return {
        "name": name,
        "in": where,
        "required": where == "path",
        "description": description,
        "schema": schema,
        **({} if example is None else {"example": example}),
    }


def query(name: str, schema: dict[str, Any], description: str, example: Any | None = None) -> dict[str, Any]:
    """A parameter of the query string."""
    return parameter(name, "query", schema, description, example)


def integer(default: int, maximum: int | None = None) -> dict[str, Any]:
    """The schema of an integer from 1."""
    return {"type": "integer", "minimum": 1, **({"maximum": maximum} if maximum else {}), "default": default}


PARAMETERS: dict[str, Any] = {
    "JobId": parameter(
        "id",
        "path",
        {"type": "string"},
        "`job_…`, or `task_…` of one made by `POST /tasks`.",
        "job_01h455vb4pex5vsknk084sn02q",
    ),
    "MediaId": parameter("id", "path", {"type": "string"}, "`med_…`", "med_01h455vb4pex5vsknk084sn02q"),
    "ConnectionId": parameter("id", "path", {"type": "string"}, "`conn_…`", "conn_01h455vb4pex5vsknk084sn02q"),
    "IfMatch": parameter(
        "If-Match",
        "header",
        {"type": "string", "maxLength": 255},
        "The `ETag` of the version that was read: the item is changed only if it still has this version.",
        '"3"',
    ),
    "IfNoneMatch": parameter(
        "If-None-Match",
        "header",
        {"type": "string", "maxLength": 255},
        "The `ETag` of the version that the client has: 304 if the item still has it. Not with signed delivery.",
        '"3"',
    ),
    "AcceptVersion": parameter(
        VERSION_HEADER,
        "header",
        {"type": "string", "enum": [*ACCEPTED]},
        f"The version of the shapes of request and response; {DEFAULT} without it. Published clients send the one that "
        f"they are made for; `{LATEST}` is {NEWEST}.",
    ),
    "LastEventId": parameter(
        "Last-Event-ID",
        "header",
        {"type": "string", "pattern": "^[0-9]{1,18}$", "examples": ["4711"]},
        "The `id` of the last event that was received: the stream goes on after it.",
    ),
    "IdempotencyKey": parameter(
        "Idempotency-Key",
        "header",
        {"type": "string", "minLength": 1, "maxLength": 255},
        "A repetition with the same key within 24 hours changes nothing: it gets the first response, with status 200.",
        "order-4711",
    ),
}


def shared(name: str) -> dict[str, Any]:
    """A reference to one of `PARAMETERS`."""
    return {"$ref": f"#/components/parameters/{name}"}
