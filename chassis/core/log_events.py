"""Every log event of the product: its code, level, fields and meaning.

An event is logged as `log.info("http_request", status=200)`: a stable code and fields, never a sentence. The fields
that `logs.bind_context` adds (`service`, `request_id`, `project`, ids of jobs and media items) are not repeated here.
The meaning is for an operator: what happened, whether an action is needed, and which. A test compares this table with
the code of all packages, in both directions.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

Level = Literal["debug", "info", "warning", "error", "critical"]


@dataclass(frozen=True)
class LogEvent:
    """One code. `fields` are the names of its own fields, separated by spaces."""

    level: Level
    fields: str
    meaning: str


_CORE = {
    "background_task_failed": LogEvent(
        "error",
        "task",
        "A task of the service raised an exception (a bug, with its traceback), so that the service stops.",
    ),
    "retry_started": LogEvent(
        "warning",
        "operation error",
        "The operation failed and is repeated with growing pauses. No action if retry_succeeded follows soon; "
        "otherwise look at the dependency that the error names.",
    ),
    "retry_succeeded": LogEvent(
        "info",
        "operation failures seconds",
        "The operation of an earlier retry_started works again, after this many failures and seconds.",
    ),
}

_ADAPTERS = {
    "http_request": LogEvent(
        "info",
        "method path status ms",
        "The access log: one line per request. Probes and scrapes are at level debug; 499 is a client that left.",
    ),
    "http_request_failed": LogEvent(
        "error", "", "A request ended in a 500: a bug, with its traceback. The request_id is in the response."
    ),
    "http_request_unavailable": LogEvent(
        "warning",
        "error",
        "A request ended in a 503, because Postgres, storage or Kafka did not work. Look at /readyz.",
    ),
    "http_response_aborted": LogEvent(
        "error", "", "An exception ended a response that had been sent in part; the client saw the connection break."
    ),
    "postgres_connection_discarded": LogEvent(
        "warning",
        "error",
        "A connection did not answer a ping or could not be reset; the pool replaces it. Many in a row: Postgres or "
        "the network is silent.",
    ),
    "postgres_pool_terminated": LogEvent(
        "warning",
        "seconds",
        "At the stop of a service, connections were still in use or silent after this many seconds, and were cut.",
    ),
}

LOG_EVENTS: Mapping[str, LogEvent] = MappingProxyType({**_CORE, **_ADAPTERS})
