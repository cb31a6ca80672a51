"""Conditional and range requests: which part of a file to send, if any. RFC 9110, sections 13 and 14 (pure)."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import format_datetime, parsedate_to_datetime

_RANGE = re.compile(r"bytes=\s*(\d*)-(\d*)\s*", re.ASCII | re.IGNORECASE)
_TAG = re.compile(r'(?:W/)?("[^"]*")')
_MAX_DIGITS = 18


@dataclass(frozen=True)
class FullContent:
    """200 with all bytes."""


@dataclass(frozen=True)
class PartialContent:
    """206 with the bytes from `start` to `end`, both included."""

    start: int
    end: int


@dataclass(frozen=True)
class NotModified:
    """304: the client has the current version."""


@dataclass(frozen=True)
class Unsatisfiable:
    """416: the range lies outside the file."""


Decision = FullContent | PartialContent | NotModified | Unsatisfiable


def http_date(at: datetime) -> str:
    """`Sun, 22 Nov 2026 17:06:36 GMT`."""
    return format_datetime(at.astimezone(UTC), usegmt=True)


def decide(method: str, headers: Mapping[str, str], *, size: int, etag: str, modified: datetime) -> Decision:
    """The response to a GET or HEAD with these request headers. `etag` is strong and has its quotes.

    Several ranges, or one that is malformed, get the full content: both are allowed, and players request
    one range.
    """
    if _is_current(headers, etag, modified):
        return NotModified()
    range_header = headers.get("Range")
    if method != "GET" or range_header is None or not _condition_holds(headers.get("If-Range"), etag, modified):
        return FullContent()
    return _range(range_header, size)


def _is_current(headers: Mapping[str, str], etag: str, modified: datetime) -> bool:
    tags = headers.get("If-None-Match")
    if tags is not None:
        return tags.strip() == "*" or etag in _TAG.findall(tags)
    since = _date(headers.get("If-Modified-Since"))
    return since is not None and modified.replace(microsecond=0) <= since


def _condition_holds(condition: str | None, etag: str, modified: datetime) -> bool:
    if condition is None:
        return True
    if condition.strip().startswith(('"', "W/")):
        return condition.strip() == etag
    return _date(condition) == modified.replace(microsecond=0)


def _range(header: str, size: int) -> Decision:
    match = _RANGE.fullmatch(header.strip())
    if not match or match.groups() == ("", "") or max(map(len, match.groups())) > _MAX_DIGITS:
        return FullContent()
    first, last = match.groups()
    if not first:
        length = min(int(last), size)
        return PartialContent(size - length, size - 1) if length else Unsatisfiable()
    start, end = int(first), int(last) if last else size - 1
    if start >= size:
        return Unsatisfiable()
    return PartialContent(start, min(end, size - 1)) if start <= end else FullContent()


def _date(text: str | None) -> datetime | None:
    try:
        at = parsedate_to_datetime(text) if text else None
    except (ValueError, OverflowError):
        return None
    return at if at is None or at.tzinfo else at.replace(tzinfo=UTC)
