"""Which part of a file is asked for, and whether at all: RFC 9110, sections 13 and 14 (pure)."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import format_datetime, parsedate_to_datetime

_RANGE = re.compile(r"bytes=\s*(\d*)-(\d*)\s*", re.ASCII | re.IGNORECASE)
_TAG = re.compile(r'(?:W/)?("[^"]*")')
_MAX_DIGITS = 18


@dataclass(frozen=True)
class Whole:
    """All of it."""


@dataclass(frozen=True)
class Part:
    """The bytes from `start` to `end`, both included."""

    start: int
    end: int


@dataclass(frozen=True)
class NotModified:
    """The asker has it already."""


@dataclass(frozen=True)
class Unsatisfiable:
    """The range lies outside the file."""


Answer = Whole | Part | NotModified | Unsatisfiable


def http_date(at: datetime) -> str:
    """`Sun, 22 Nov 2026 17:06:36 GMT`."""
    return format_datetime(at.astimezone(UTC), usegmt=True)


def decide(method: str, headers: Mapping[str, str], *, size: int, etag: str, modified: datetime) -> Answer:
    """What to answer to a GET or HEAD with these request headers. `etag` is strong and has its quotes.

    Several ranges at once are answered with the whole file, as are ranges that make no sense: both are allowed, and
    players ask for one.
    """
    if _has_it(headers, etag, modified):
        return NotModified()
    asked = headers.get("Range")
    if method != "GET" or asked is None or not _still(headers.get("If-Range"), etag, modified):
        return Whole()
    return _part(asked, size)


def _has_it(headers: Mapping[str, str], etag: str, modified: datetime) -> bool:
    tags = headers.get("If-None-Match")
    if tags is not None:
        return tags.strip() == "*" or etag in _TAG.findall(tags)
    since = _date(headers.get("If-Modified-Since"))
    return since is not None and modified.replace(microsecond=0) <= since


def _still(condition: str | None, etag: str, modified: datetime) -> bool:
    if condition is None:
        return True
    if condition.strip().startswith(('"', "W/")):
        return condition.strip() == etag
    return _date(condition) == modified.replace(microsecond=0)


def _part(asked: str, size: int) -> Answer:
    match = _RANGE.fullmatch(asked.strip())
    if not match or match.groups() == ("", "") or max(map(len, match.groups())) > _MAX_DIGITS:
        return Whole()
    first, last = match.groups()
    if not first:
        length = min(int(last), size)
        return Part(size - length, size - 1) if length else Unsatisfiable()
    start, end = int(first), int(last) if last else size - 1
    if start >= size:
        return Unsatisfiable()
    return Part(start, min(end, size - 1)) if start <= end else Whole()


def _date(text: str | None) -> datetime | None:
    try:
        at = parsedate_to_datetime(text) if text else None
    except (ValueError, OverflowError):
        return None
    return at if at is None or at.tzinfo else at.replace(tzinfo=UTC)
