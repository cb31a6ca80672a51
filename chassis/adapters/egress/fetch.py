"""Downloads one file from a customer's URL to the local disk, within limits and through the egress policy."""

import asyncio
import unicodedata
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import BinaryIO
from urllib.parse import unquote, urlsplit
from uuid import uuid4

from aiohttp import content_disposition_filename, parse_content_disposition

from chassis.adapters.egress.client import Response, request
from chassis.adapters.egress.connection import Pausing
from chassis.adapters.egress.content_coding import decoded
from chassis.adapters.egress.cookies import FetchCookies
from chassis.adapters.egress.errors import FetchError, RequestError, from_request, from_status
from chassis.adapters.egress.exchange import ResponseLimits
from chassis.adapters.egress.hosts import AddressForbidden, redirect_target
from chassis.adapters.egress.policy import EgressPolicy
from chassis.core.concurrency import PausableTimeout
from chassis.core.retry import retry_after_seconds

MAX_REDIRECTS = 5
MAX_NAME_CHARS = 255
MAX_DISPOSITION_CHARS = 4096
BUFFER_BYTES = 1024 * 1024
"""Written to disk at once: one thread round trip per network read would halve the throughput."""
_REDIRECT_STATUSES = frozenset({301, 302, 303, 307, 308})
_FILE_STATUSES = frozenset({200, 203})


@dataclass(frozen=True)
class FetchLimits:
    """Limits of one fetch: size of the file, time in total, and of each response on the way.

    Of the response: time to connect, to the end of its head, between two reads of the body, and the least rate of the
    body in bytes per second, as the mean over each `rate_window`; 0 is none.
    """

    max_bytes: int = 10 * 1024**3
    total: timedelta = timedelta(hours=1)
    connect: timedelta = timedelta(seconds=10)
    head: timedelta = timedelta(seconds=30)
    idle: timedelta = timedelta(seconds=30)
    min_rate: int = 4096
    rate_window: timedelta = timedelta(seconds=30)

    def response(self) -> ResponseLimits:
        """The limits of one response."""
        return ResponseLimits(
            connect_s=self.connect.total_seconds(),
            head_s=self.head.total_seconds(),
            idle_s=self.idle.total_seconds(),
            min_rate=self.min_rate,
            rate_window_s=self.rate_window.total_seconds(),
        )


@dataclass(frozen=True)
class Fetched:
    """Size in bytes, and what server and URL call the file: untrusted, None where they say nothing."""

    filesize: int
    content_type: str | None
    filename: str | None


async def fetch(
    url: str,
    dest: Path,
    policy: EgressPolicy,
    limits: FetchLimits,
    *,
    project: str,
    on_size: Callable[[int], None] = lambda _: None,
) -> Fetched:
    """Downloads `url` to `dest` for a project. The file appears complete or not at all.

    `on_size` is called with the size that the server announces, if it does, and with the bytes received before each
    write to the disk; what it raises ends the fetch and is raised as it is. Time in which the lookup of the host waits
    for other lookups does not count. Raises FetchError, and OSError for errors of the local disk or our name servers.
    """
    try:
        async with PausableTimeout(limits.total.total_seconds()) as total:
            return await _fetch(url, dest, policy, limits, project, on_size, total.paused)
    except TimeoutError:
        if not total.expired():
            raise
        raise FetchError("total_timeout", limit=limits.total.total_seconds()) from None


async def _fetch(
    url: str,
    dest: Path,
    policy: EgressPolicy,
    limits: FetchLimits,
    project: str,
    on_size: Callable[[int], None],
    queued: Pausing,
) -> Fetched:
    temporary = dest.with_name(f".{dest.name}.{uuid4().hex}")
    cookies = FetchCookies()
    try:
        for _ in range(MAX_REDIRECTS + 1):
            headers = cookies.headers(url)
            async with request(
                "GET", url, policy, limits.response(), project=project, headers=headers, queued=queued
            ) as response:
                if response.status in _FILE_STATUSES:
                    fetched = await _save(response, url, temporary, limits.max_bytes, on_size)
                    temporary.replace(dest)
                    return fetched
                if response.status not in _REDIRECT_STATUSES or "location" not in response.headers:
                    raise from_status(response.status, _retry_after_s(response))
                cookies.keep(response.set_cookie, url)
                url = _next_url(url, response.headers["location"])
    except RequestError as error:
        raise from_request(error) from error
    finally:
        temporary.unlink(missing_ok=True)
    raise FetchError("too_many_redirects", limit=MAX_REDIRECTS)


def _retry_after_s(response: Response) -> float | None:
    headers = response.headers
    return retry_after_seconds(headers.get("retry-after"), datetime.now(UTC), date=headers.get("date"))


def _next_url(url: str, location: str) -> str:
    try:
        return redirect_target(url, location)
    except AddressForbidden as error:
        raise FetchError("forbidden", detail=error.reason) from None
    except ValueError:
        raise FetchError("invalid_redirect") from None


async def _save(response: Response, url: str, path: Path, max_bytes: int, on_size: Callable[[int], None]) -> Fetched:
    length = response.content_length
    if length is not None and length > max_bytes:
        raise FetchError("too_large", expected=length, limit=max_bytes)
    if length is not None:
        on_size(length)
    with path.open("xb") as file:
        received = await _receive(response, file, max_bytes, on_size)
    if received == 0:
        raise FetchError("empty", received=0)
    return Fetched(
        received,
        _media_type(response.headers.get("content-type")),
        suggested_name(response.headers.get("content-disposition"), url),
    )


async def _receive(response: Response, file: BinaryIO, max_bytes: int, on_size: Callable[[int], None]) -> int:
    """Writes the body to `file`, without its content coding, and returns its size. Keeps few buffers in memory."""
    received, buffer = 0, bytearray()
    async for chunk in decoded(response.read, response.headers.get("content-encoding")):
        received += len(chunk)
        if received > max_bytes:
            raise FetchError("too_large", received=received, limit=max_bytes)
        buffer += chunk
        if len(buffer) >= BUFFER_BYTES:
            on_size(received)
            await asyncio.to_thread(file.write, buffer)
            buffer = bytearray()
    on_size(received)
    await asyncio.to_thread(file.write, buffer)
    return received


def _media_type(header: str | None) -> str | None:
    if header is None:
        return None
    media_type = header.partition(";")[0].strip().lower()
    return media_type if media_type.count("/") == 1 else "application/octet-stream"


def suggested_name(disposition: str | None, url: str) -> str | None:
    """The file name that the server gives, or else that of the URL, without folders and control characters (pure).

    `disposition` is the header Content-Disposition.
    """
    given = None
    if disposition is not None and len(disposition) <= MAX_DISPOSITION_CHARS:
        given = _given_name(disposition)
    name = (given or unquote(urlsplit(url).path)).replace("\\", "/").rpartition("/")[2]
    # Control and format characters (also those that change the direction of writing) and lone surrogates.
    name = "".join(char for char in name if unicodedata.category(char)[0] != "C").strip()
    return name[:MAX_NAME_CHARS] if name.strip(".") else None


def _given_name(disposition: str) -> str | None:
    # aiohttp warns of what it cannot read, in words of the server that would be a log event.
    with warnings.catch_warnings(action="ignore"):
        try:
            return content_disposition_filename(parse_content_disposition(disposition)[1])
        except ValueError:
            # The server names the encoding of its file name: some of Python's codecs fail in their own ways.
            return None
