"""The operations that stream events, as OpenAPI writes them."""

from typing import Any, get_args

from devtools.contracts.components import errors, query, shared
from schemas.jobs import JobKind, Status

_FORM = (
    "Server-sent events: `id`, `event` and `data`, which is one line of JSON. `job.queued`, `job.processing`, "
    "`job.retrying`, `job.succeeded`, `job.failed` and `job.cancelled` have the job as `GET /jobs/{id}` shows it "
    "(JobResource); `job.progress` has how far it has got, about once a second: `id`, `object`, `kind`, `status`, "
    "`progress` from 0 to 1, `eta_ms`, `step` and `updated_at`. Events of a job come in order, and each once. Comments "
    "are sent while nothing happens. When the stream breaks off, send the "
    "last `id` as `Last-Event-ID`, to whichever replica: no event is missing and none comes twice for an hour "
    "(RETAIN_EVENTS). A client that does not read is cut off, and so are all when the server stops: `retry` says after "
    "how many milliseconds to connect again. The stream also ends when its key is revoked."
)
_EXAMPLE = (
    "retry: 2000\n\n"
    'id: 4712\nevent: job.progress\ndata: {"id":"job_01h455vb4pex5vsknk084sn02q","object":"job","kind":"video",'
    '"status":"processing","progress":0.5,"eta_ms":8000,"step":"video","updated_at":1790000000000}\n\n'
)
_STREAM = {
    "description": "The stream.",
    "headers": {"X-Request-Id": {"$ref": "#/components/headers/X-Request-Id"}},
    "content": {"text/event-stream": {"schema": {"type": "string"}, "example": _EXAMPLE}},
}

EVENT_PATHS: dict[str, Any] = {
    "/events": {
        "get": {
            "operationId": "stream_events",
            "summary": "What happens to the project's jobs, as it happens",
            "description": (
                f"{_FORM} After an event `stream.reset` the events since `Last-Event-ID` were not kept any more: list "
                "the jobs again."
            ),
            "tags": ["jobs"],
            "parameters": [
                shared("LastEventId"),
                query("kind", {"type": "string", "enum": [*get_args(JobKind)]}, "Only jobs of this kind."),
                query(
                    "status",
                    {"type": "string", "enum": [*get_args(Status)]},
                    "Only events after which the job has this status.",
                ),
            ],
            "responses": {"200": _STREAM, **errors("", "InvalidInput", "TooManyListeners")},
        }
    },
    "/jobs/{id}/events": {
        "get": {
            "operationId": "stream_job_events",
            "summary": "What happens to a job, as it happens, until it has ended",
            "description": f"The first event is the job as it is now, unless the stream goes on. {_FORM}",
            "tags": ["jobs"],
            "parameters": [shared("JobId"), shared("LastEventId")],
            "responses": {
                "200": _STREAM,
                "204": {"description": "The job has ended, and nothing has happened since `Last-Event-ID`."},
                **errors("", "InvalidInput", "NotFound", "TooManyListeners"),
            },
        }
    },
}
