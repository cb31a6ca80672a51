"""The first unexpected failure of the demo, found in the log as soon as it is there, and the lines that explain it."""

import asyncio
from collections.abc import Coroutine, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar

import orjson

from cli.errors import CliError

T = TypeVar("T")

_UNEXPECTED = ("error", "critical")
_EXPLAINING = (*_UNEXPECTED, "warning")
_ABOUT = frozenset({"job_failed", "import_rejected", "input_fetch_failed", "webhook_attempt_failed"})
"""Events of level info that say why something failed."""
_LEFT_OUT = frozenset({"time", "level", "event", "logger", "exception", "project", "request_id"})
_LINES = 12
_POLL_SECONDS = 0.25
Event = dict[str, Any]


class DemoFailed(CliError):
    """Why the demo ends; `ids` are those of the job and the media item that failed, if they are known."""

    def __init__(self, message: str, *ids: str | None) -> None:
        super().__init__(message)
        self.ids = tuple(id for id in ids if id)


async def all_or_first_failure(coroutines: Sequence[Coroutine[Any, Any, T]]) -> list[T]:
    """All results, or the first exception, at once; then the others are cancelled."""
    tasks = [asyncio.create_task(coroutine) for coroutine in coroutines]
    try:
        return await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def until_failure(log: Path, work: Coroutine[Any, Any, T]) -> T:
    """The result of `work`, unless it fails or `log` gets an event of an unexpected failure before it ends."""
    working, watching = asyncio.create_task(work), asyncio.create_task(_watch(log))
    try:
        await asyncio.wait((working, watching), return_when=asyncio.FIRST_COMPLETED)
        # The reason that the API gives is better than that of the log, if both are there.
        return await (working if working.done() else watching)
    finally:
        for task in (working, watching):
            task.cancel()
        await asyncio.gather(working, watching, return_exceptions=True)


async def _watch(log: Path) -> Any:
    while True:
        for event in log_events(log):
            if event.get("level") in _UNEXPECTED:
                ids = [str(value) for name, value in event.items() if name in ("job_id", "media_id", "item_id")]
                raise DemoFailed(f"something failed unexpectedly: {_reason(event)}", *ids)
        await asyncio.sleep(_POLL_SECONDS)


def log_events(log: Path) -> Iterator[Event]:
    """The events in a log of JSON lines; its other lines are for the user, and left out."""
    if not log.exists():
        return
    for line in log.read_bytes().splitlines():
        # The last line may be half written.
        with suppress(orjson.JSONDecodeError):
            event = orjson.loads(line) if line.startswith(b"{") else None
            if isinstance(event, dict):
                yield event


def explanation(log: Path, ids: Sequence[str]) -> list[str]:
    """The last lines of the log that say why it failed: those about `ids`, or else about anything."""
    telling = [event for event in log_events(log) if event.get("level") in _EXPLAINING or event.get("event") in _ABOUT]
    about = [event for event in telling if any(value in ids for value in event.values() if isinstance(value, str))]
    return [_line(event) for event in (about or telling)[-_LINES:]]


def _line(event: Event) -> str:
    fields = [f"{name}={value}" for name, value in event.items() if name not in _LEFT_OUT]
    return " ".join([str(event.get("level")), str(event.get("event")), *fields, *_exception(event)])


def _reason(event: Event) -> str:
    reasons = [*_exception(event), *(str(event[name]) for name in ("error", "reason", "fault") if event.get(name))]
    return ", ".join([str(event.get("event")), *reasons[:1]])


def _exception(event: Event) -> list[str]:
    # The last line of a traceback is the exception.
    return str(event.get("exception") or "").strip().splitlines()[-1:]
