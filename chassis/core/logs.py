"""Logs: one event a line, text on a terminal and JSON otherwise, the same fields in both.

Fields that run through all services: `service`, `request_id`, `job_id`, `media_id`, `project`; they are bound by
`bind_context` and belong to the asyncio task that bound them. Secrets and query strings are taken out of every value,
including exceptions: see `chassis.core.redact`.
"""

import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Literal, TextIO

import orjson
import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

from chassis.core import redact

Format = Literal["auto", "text", "json"]

# What these libraries say at INFO is about themselves (joins, polls, each request), not about anybody's work.
# Access lines are events of ours (chassis.adapters.http), with the request's id; aiohttp's own would repeat them.
_LIBRARY_LEVELS = {
    "aiohttp": logging.WARNING,
    "aiohttp.access": logging.CRITICAL,
    "aiokafka": logging.WARNING,
    "asyncio": logging.WARNING,
    "botocore": logging.WARNING,
    "aiobotocore": logging.WARNING,
    "faststream": logging.WARNING,
    "yoyo": logging.WARNING,
}


def configure(fmt: Format, level: str, *, stream: TextIO | None = None) -> None:
    """Sets up structlog and the standard library's loggers; once per process. `level` is a name such as `info`."""
    out = stream or sys.stderr
    as_text = fmt == "text" or (fmt == "auto" and out.isatty())
    lowest = logging.getLevelNamesMapping()[level.upper()]
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
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
        # `bitmill up` configures after modules made their loggers: a cached one would keep the first settings.
        cache_logger_on_first_use=False,
    )
    ending = _text_ending(out.isatty()) if as_text else _json_ending()
    handler = logging.StreamHandler(out)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[*shared, structlog.stdlib.ExtraAdder()],
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *ending],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(lowest)
    for name, quiet in _LIBRARY_LEVELS.items():
        logging.getLogger(name).setLevel(max(lowest, quiet))
    _take_over("faststream")
    logging.captureWarnings(True)


def get_logger(name: str) -> structlog.stdlib.BoundLogger:
    """The logger of a module; cheap, and without effect until something is logged."""
    return structlog.stdlib.get_logger(name)


@contextmanager
def bind_context(**context: Any) -> Iterator[None]:
    """Adds fields to every line logged inside the block, by whichever module. None is left out."""
    with structlog.contextvars.bound_contextvars(**{key: item for key, item in context.items() if item is not None}):
        yield


def _take_over(name: str) -> None:
    # FastStream gives its loggers handlers of their own, on stdout, when it is imported or makes a broker.
    for known in [name, *(each for each in logging.root.manager.loggerDict if each.startswith(f"{name}."))]:
        logger = logging.getLogger(known)
        logger.handlers[:] = []
        logger.propagate = True


def _redacted(_: WrappedLogger, __: str, fields: EventDict) -> EventDict:
    return {name: redact.value(name, content) for name, content in fields.items()}


def _one_line(_: WrappedLogger, __: str, fields: EventDict) -> EventDict:
    # A line break in a message would let whoever wrote it forge a line of ours.
    fields["event"] = str(fields.get("event", "")).replace("\r", "\\r").replace("\n", "\\n")
    return fields


def _json(_: WrappedLogger, __: str, fields: EventDict) -> str:
    first = {name: fields.pop(name) for name in ("time", "level", "service", "event") if name in fields}
    return orjson.dumps({**first, **fields}, default=str, option=orjson.OPT_NON_STR_KEYS).decode()


def _json_ending() -> list[Processor]:
    return [structlog.processors.format_exc_info, _redacted, _json]


def _text_ending(colours: bool) -> list[Processor]:
    # The traceback is made first, so that it is redacted as well; the renderer prints it below its line.
    return [
        structlog.processors.format_exc_info,
        _redacted,
        _one_line,
        structlog.dev.ConsoleRenderer(colors=colours, timestamp_key="time", pad_event_to=0, pad_level=False),
    ]
