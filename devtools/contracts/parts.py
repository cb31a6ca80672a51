"""What the operations of the API document are put together from: parameters, headers, answers and refusals."""

from typing import Any

JSON = "application/json"


def content(model: str) -> dict[str, Any]:
    """A JSON body of one of the document's schemas."""
    return {JSON: {"schema": {"$ref": f"#/components/schemas/{model}"}}}


def answer(description: str, model: str, *headers: str) -> dict[str, Any]:
    """An answer with such a body; `headers` are names of `HEADERS`, beside the request id."""
    shown = {name: {"$ref": f"#/components/headers/{name}"} for name in ("X-Request-Id", *headers)}
    return {"description": description, "headers": shown, "content": content(model)}


def refusals(style: str, *names: str) -> dict[str, Any]:
    """References to refusals by status; every operation that needs a key can also say 401 and 503."""
    return {
        status: {"$ref": f"#/components/responses/{style}{name}"}
        for name, (status, _) in _REFUSALS.items()
        if name in (*names, "TokenMissingOrInvalid", "Unavailable")
    }


_REFUSALS: dict[str, tuple[str, str]] = {
    "InvalidInput": (
        "400",
        "`invalid_input`: each field that broke a rule, the rule, and the value seen. Nothing was stored.",
    ),
    "TokenMissingOrInvalid": (
        "401",
        "`token_missing` or `token_invalid`: no key, or one that is wrong or revoked.",
    ),
    "NotFound": ("404", "There is no such thing, or it is another project's."),
    "Conflict": (
        "409",
        "`conflict`: the name is taken, or the first request with this Idempotency-Key is still being answered.",
    ),
    "IdempotencyMismatch": (
        "422",
        "`idempotency_mismatch`: this Idempotency-Key came with another body within the last 24 hours.",
    ),
    "Unavailable": (
        "503",
        "`unavailable`: nothing was stored; the same request may be sent again after `Retry-After` seconds.",
    ),
}


def _refusal(name: str, model: str) -> dict[str, Any]:
    _, sentence = _REFUSALS[name]
    return answer(sentence, model, *(("Retry-After",) if name in ("Unavailable", "Conflict") else ()))


RESPONSES: dict[str, Any] = {name: _refusal(name, "ErrorBody") for name in _REFUSALS} | {
    f"Media{name}": _refusal(name, "MediaErrorEnvelope") for name in _REFUSALS
}
HEADERS: dict[str, Any] = {
    "X-Request-Id": {"schema": {"type": "string", "pattern": "^req_"}, "description": "Leads to the logs."},
    "Retry-After": {"schema": {"type": "integer"}, "description": "Seconds, where asking again helps."},
    "Idempotent-Replayed": {
        "schema": {"type": "string", "const": "true"},
        "description": "There where this is the answer to an earlier request with the same Idempotency-Key.",
    },
    "Link": {
        "schema": {"type": "string"},
        "description": '`<address>; rel="next"` and `<address>; rel="prev"`, as far as there are such pages.',
    },
    "Has-More": {
        "schema": {"type": "string", "enum": ["true", "false"]},
        "description": "Whether a page follows.",
    },
    "Limit": {"schema": {"type": "integer"}, "description": "How many a page holds at most."},
}


def parameter(name: str, where: str, schema: dict[str, Any], description: str) -> dict[str, Any]:
    """A parameter; those in the path are required."""
    return {
        "name": name,
        "in": where,
        "required": where == "path",
        "description": description,
        "schema": schema,
    }


def query(name: str, schema: dict[str, Any], description: str) -> dict[str, Any]:
    """A parameter of the query string."""
    return parameter(name, "query", schema, description)


def whole(default: int, maximum: int | None = None) -> dict[str, Any]:
    """A whole number from 1."""
    return {"type": "integer", "minimum": 1, **({"maximum": maximum} if maximum else {}), "default": default}


PARAMETERS: dict[str, Any] = {
    "JobId": parameter("id", "path", {"type": "string"}, "`job_…`, or `task_…` of one made by `POST /tasks`."),
    "MediaId": parameter("id", "path", {"type": "string"}, "`med_…`"),
    "IdempotencyKey": parameter(
        "Idempotency-Key",
        "header",
        {"type": "string", "minLength": 1, "maxLength": 255},
        "The same key within 24 hours does nothing again: it gives the first answer, with status 200.",
    ),
}


def shared(name: str) -> dict[str, Any]:
    """A reference to one of `PARAMETERS`."""
    return {"$ref": f"#/components/parameters/{name}"}
