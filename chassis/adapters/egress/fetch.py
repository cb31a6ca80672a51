"""Downloads one file from a customer's URL to the local disk, within limits and through the egress policy."""

import asyncio
import unicodedata
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import BinaryIO
from urllib.parse import unquote, urlsplit
from uuid import uuid4

import aiohttp
from aiohttp.client_reqrep import ContentDisposition
from yarl import URL

from chassis.adapters.egress.errors import FetchError, from_exception, from_status
from chassis.adapters.egress.hosts import redirect_target
from chassis.adapters.egress.policy import AddressForbidden, EgressPolicy

MAX_REDIRECTS = 5
MAX_NAME_CHARS = 255
BUFFER_BYTES = 1024 * 1024
"""Written to disk at once: one thread round trip per network read would halve the throughput."""
_REDIRECT_STATUSES = frozenset({301, 302, 303, 307, 308})
_FILE_STATUSES = frozenset({200, 203})


@dataclass(frozen=True)
class FetchLimits:
    """Limits of one fetch: size of the file, time in total, time to connect, time between two reads."""

    max_bytes: int = 10 * 1024**3
    total: timedelta = timedelta(hours=1)
    connect: timedelta = timedelta(seconds=10)
    idle: timedelta = timedelta(seconds=30)


@dataclass(frozen=True)
class Fetched:
    """Size in bytes, and what server and URL call the file: untrusted, None where they say nothing."""

    filesize: int
    content_type: str | None
    filename: str | None


async def fetch(
    url: str, dest: Path, policy: EgressPolicy, limits: FetchLimits, session: aiohttp.ClientSession | None = None
) -> Fetched:
    """Downloads `url` to `dest`. The file appears complete or not at all.

    `session` comes from `policy.session()`; callers that fetch often keep one. Raises FetchError, and OSError for
    errors of the local disk.
    """
    if session is None:
        async with policy.session() as own:
            return await fetch(url, dest, policy, limits, own)
    try:
        async with asyncio.timeout(limits.total.total_seconds()) as total:
            return await _fetch(url, dest, policy, limits, session)
    except TimeoutError:
        if not total.expired():
            raise
        raise FetchError("total_timeout", limit=limits.total.total_seconds()) from None


async def _fetch(
    url: str, dest: Path, policy: EgressPolicy, limits: FetchLimits, session: aiohttp.ClientSession
) -> Fetched:
    async with _follow_redirects(url, policy, limits, session) as response:
        length = response.content_length
        if length is not None and length > limits.max_bytes:
            raise FetchError("too_large", expected=length, limit=limits.max_bytes)
        temporary = dest.with_name(f".{dest.name}.{uuid4().hex}")
        try:
            with temporary.open("xb") as file:
                received = await _receive(response, file, limits.max_bytes)
            if length is not None and received != length:
                raise FetchError("truncated", received=received, expected=length)
            if received == 0:
                raise FetchError("empty", received=0)
            temporary.replace(dest)
        finally:
            temporary.unlink(missing_ok=True)
        content_type = response.content_type if "Content-Type" in response.headers else None
        return Fetched(received, content_type, suggested_name(response.content_disposition, str(response.url)))


@asynccontextmanager
async def _follow_redirects(
    url: str, policy: EgressPolicy, limits: FetchLimits, session: aiohttp.ClientSession
) -> AsyncIterator[aiohttp.ClientResponse]:
    """The response with the file, after at most `MAX_REDIRECTS`. Each hop is checked like the first URL."""
    for _ in range(MAX_REDIRECTS + 1):
        async with _get(url, policy, limits, session) as response:
            if response.status in _FILE_STATUSES:
                yield response
                return
            if response.status not in _REDIRECT_STATUSES or "Location" not in response.headers:
                raise from_status(response.status)
            url = _next_url(url, response.headers["Location"])
    raise FetchError("too_many_redirects", limit=MAX_REDIRECTS)


@asynccontextmanager
async def _get(
    url: str, policy: EgressPolicy, limits: FetchLimits, session: aiohttp.ClientSession
) -> AsyncIterator[aiohttp.ClientResponse]:
    timeout = aiohttp.ClientTimeout(
        total=None, sock_connect=limits.connect.total_seconds(), sock_read=limits.idle.total_seconds()
    )
    try:
        policy.check_url(url)
        # Not normalised where that is possible: signatures are computed over the exact characters.
        target = URL(url, encoded=url.isascii())
        response = await session.get(target, allow_redirects=False, timeout=timeout, read_bufsize=BUFFER_BYTES)
    except (AddressForbidden, aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
        raise from_exception(error) from error
    try:
        yield response
    finally:
        # `close` and not `release`: the rest of the body is not waited for.
        response.close()


def _next_url(url: str, location: str) -> str:
    try:
        return redirect_target(url, location)
    except AddressForbidden as error:
        raise from_exception(error) from None
    except ValueError:
        raise FetchError("invalid_redirect") from None


async def _receive(response: aiohttp.ClientResponse, file: BinaryIO, max_bytes: int) -> int:
    """Writes the body to `file` and returns its size. Keeps at most two buffers in memory."""
    received, buffer = 0, bytearray()
    try:
        async for chunk in response.content.iter_any():
            received += len(chunk)
            if received > max_bytes:
                raise FetchError("too_large", received=received, limit=max_bytes)
            buffer += chunk
            if len(buffer) >= BUFFER_BYTES:
                await asyncio.to_thread(file.write, buffer)
                buffer = bytearray()
    except TimeoutError as error:
        raise FetchError("stalled", received=received) from error
    except (aiohttp.ClientError, ConnectionError) as error:
        raise FetchError("truncated", received=received, expected=response.content_length) from error
    await asyncio.to_thread(file.write, buffer)
    return received


def suggested_name(disposition: ContentDisposition | None, url: str) -> str | None:
    """The file name that the server gives, or else that of the URL, without folders and control characters (pure)."""
    given = disposition.filename if disposition is not None else None
    name = (given or unquote(urlsplit(url).path)).replace("\\", "/").rpartition("/")[2]
    # Control and format characters (also those that change the direction of writing) and lone surrogates.
    name = "".join(char for char in name if unicodedata.category(char)[0] != "C").strip()
    return name[:MAX_NAME_CHARS] if name.strip(".") else None
