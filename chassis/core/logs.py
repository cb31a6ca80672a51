"""Logs: one event per line, as text on a terminal and as JSON otherwise, with the same fields.

Events are codes with fields, listed in `chassis.core.log_events`. Fields that `bind_context` adds to all events of an
asyncio task: `service`, `request_id`, `project`, and the id of the item that the task works on. Work that belongs to a
trace also has its `trace_id`. Secrets and query strings are removed from every value, exceptions included: see
`chassis.core.redact`.
"""

import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Literal, TextIO

import orjson
import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

from chassis.core import redact, tracing

Format = Literal["auto", "text", "json"]

# At INFO these libraries log their internals (joins, polls, each request).
# `http_request` (chassis.adapters.http) is the access log, with the request id; aiohttp's own would duplicate it.
_LIBRARY_LEVELS = {
    "aiohttp": logging.WARNING,
    "aiohttp.access": logging.CRITICAL,
    "aiokafka": logging.WARNING,
    "asyncio": logging.WARNING,
    "botocore": logging.WARNING,
    "aiobotocore": logging.WARNING,
    "faststream": logging.WARNING,
    # `trace_export_failed` says it once a minute.
    "opentelemetry": logging.CRITICAL,
    "urllib3": logging.CRITICAL,
    "yoyo": logging.WARNING,
}


def configure(fmt: Format, level: str, *, stream: TextIO | None = None) -> None:
    """Configures structlog and the standard library's loggers, once per process. `level` is a name such as `info`."""
    out = stream or sys.stderr
    as_text = fmt == "text" or (fmt == "auto" and out.isatty())
    lowest = logging.getLevelNamesMapping()[level.upper()]
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        _add_trace,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True, key="time"),
    ]
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *shared,
            structlog.stdlib.PositionalArgumentsFormatter(),
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        # `bitmill up` configures after modules have made their loggers: cached ones would keep the first configuration.
        cache_logger_on_first_use=False,
    )
    renderers = _text_renderers(out.isatty()) if as_text else _json_renderers()
    handler = logging.StreamHandler(out)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[*shared, structlog.stdlib.ExtraAdder()],
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *renderers],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(lowest)
    for name, library_level in _LIBRARY_LEVELS.items():
        logging.getLogger(name).setLevel(max(lowest, library_level))
    _remove_handlers("faststream")
    logging.captureWarnings(True)


def get_logger(name: str) -> structlog.stdlib.BoundLogger:
    """The logger of a module."""
    return structlog.stdlib.get_logger(name)


@contextmanager
def bind_context(**context: Any) -> Iterator[None]:
    """Adds fields to every event logged inside the block, by any module. Fields that are None are left out."""
    with structlog.contextvars.bound_contextvars(**{key: item for key, item in context.items() if item is not None}):
        yield


def bind_task(**context: Any) -> None:
    """Adds fields to every event that the running task logs from now on: `bind_context` for a task of its own, at a
    fifth of its cost."""
    structlog.contextvars.bind_contextvars(**context)


def service() -> str:
    """The service that the running code belongs to, as `bind_context` has it; `unknown` outside of services."""
    return str(structlog.contextvars.get_contextvars().get("service", "unknown"))


def _remove_handlers(name: str) -> None:
    # FastStream adds handlers that write to stdout when it is imported and when it makes a broker.
    for known in [name, *(each for each in logging.root.manager.loggerDict if each.startswith(f"{name}."))]:
        logger = logging.getLogger(known)
        logger.handlers[:] = []
        logger.propagate = True


def _add_trace(_: WrappedLogger, __: str, fields: EventDict) -> EventDict:
    if (context := tracing.current()) is not None:
        fields["trace_id"] = context.trace_id
    return fields


def _redacted(_: WrappedLogger, __: str, fields: EventDict) -> EventDict:
    return {name: redact.value(name, content) for name, content in fields.items()}


def _one_line(_: WrappedLogger, __: str, fields: EventDict) -> EventDict:
    # A line break in a message would allow to forge a log line.
    fields["event"] = str(fields.get("event", "")).replace("\r", "\\r").replace("\n", "\\n")
    return fields


def _json(_: WrappedLogger, __: str, fields: EventDict) -> str:
    first = {name: fields.pop(name) for name in ("time", "level", "service", "event") if name in fields}
    return orjson.dumps({**first, **fields}, default=str, option=orjson.OPT_NON_STR_KEYS).decode()


def _json_renderers() -> list[Processor]:
    return [structlog.processors.format_exc_info, _redacted, _json]


def _text_renderers(colours: bool) -> list[Processor]:
    # The traceback is rendered before redaction, so that it is redacted too.
    return [
        structlog.processors.format_exc_info,
        _redacted,
        _one_line,
        structlog.dev.ConsoleRenderer(colors=colours, timestamp_key="time", pad_event_to=0, pad_level=False),
    ]
