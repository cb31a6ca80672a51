"""Fetches one file from an address that a customer gave, within limits, onto the local disk."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import BinaryIO
from uuid import uuid4

import aiohttp
from yarl import URL

from chassis.adapters.egress.errors import FetchError, broken_off, from_error, from_status, too_large
from chassis.adapters.egress.naming import next_hop, suggested_name
from chassis.adapters.egress.policy import AddressForbidden, EgressPolicy

MAX_REDIRECTS = 5
BUFFER_BYTES = 1024 * 1024
"""Written to disk at once: a thread's round trip for each packet would halve the speed."""
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_FILE = frozenset({200, 203})


@dataclass(frozen=True)
class FetchLimits:
    """What one fetch may cost: bytes on disk; for everything, for a connection, and between two packets."""

    max_bytes: int = 10 * 1024**3
    total: timedelta = timedelta(hours=1)
    connect: timedelta = timedelta(seconds=10)
    idle: timedelta = timedelta(seconds=30)


@dataclass(frozen=True)
class Fetched:
    """What arrived: bytes, and what the server and the address call it (untrusted, None where they say nothing)."""

    filesize: int
    content_type: str | None
    filename: str | None


async def fetch(
    url: str, dest: Path, guard: EgressPolicy, limits: FetchLimits, session: aiohttp.ClientSession | None = None
) -> Fetched:
    """The file at `url` as the file `dest`, whole or not at all; FetchError says why not.

    `session` is one of `guard.session`, kept by callers that fetch often. Errors of the local disk are OSError.
    """
    if session is None:
        async with guard.session() as own:
            return await fetch(url, dest, guard, limits, own)
    try:
        async with asyncio.timeout(limits.total.total_seconds()) as total:
            return await _fetch(url, dest, guard, limits, session)
    except TimeoutError:
        if not total.expired():
            raise
        seconds = limits.total.total_seconds()
        raise FetchError("input_timeout", f"The file did not arrive within {seconds:g} seconds.") from None


async def _fetch(
    url: str, dest: Path, guard: EgressPolicy, limits: FetchLimits, session: aiohttp.ClientSession
) -> Fetched:
    async with _opened(url, guard, limits, session) as response:
        length = response.content_length
        if length is not None and length > limits.max_bytes:
            raise too_large(limits.max_bytes)
        temporary = dest.with_name(f".{dest.name}.{uuid4().hex}")
        try:
            with temporary.open("xb") as file:
                received = await _receive(response, file, limits.max_bytes)
            if length is not None and received != length:
                raise broken_off(received, length)
            if received == 0:
                raise FetchError("input_empty", "The file has no bytes.")
            temporary.replace(dest)
        finally:
            temporary.unlink(missing_ok=True)
        content_type = response.content_type if "Content-Type" in response.headers else None
        return Fetched(received, content_type, suggested_name(response.content_disposition, str(response.url)))


@asynccontextmanager
async def _opened(
    url: str, guard: EgressPolicy, limits: FetchLimits, session: aiohttp.ClientSession
) -> AsyncIterator[aiohttp.ClientResponse]:
    """The answer that holds the file, behind at most five redirects. Each hop is checked like the first address."""
    for _ in range(MAX_REDIRECTS + 1):
        async with _answer(url, guard, limits, session) as response:
            if response.status in _FILE:
                yield response
                return
            if response.status not in _REDIRECTS or "Location" not in response.headers:
                raise from_status(response.status)
            url = _next(url, response.headers["Location"])
    raise FetchError("input_unreachable", f"The address redirects more than {MAX_REDIRECTS} times.")


@asynccontextmanager
async def _answer(
    url: str, guard: EgressPolicy, limits: FetchLimits, session: aiohttp.ClientSession
) -> AsyncIterator[aiohttp.ClientResponse]:
    timeout = aiohttp.ClientTimeout(
        total=None, sock_connect=limits.connect.total_seconds(), sock_read=limits.idle.total_seconds()
    )
    try:
        guard.check_url(url)
        # As it was written, where it can be: signatures are over the very characters.
        target = URL(url, encoded=url.isascii())
        response = await session.get(target, allow_redirects=False, timeout=timeout, read_bufsize=BUFFER_BYTES)
    except (AddressForbidden, aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
        raise from_error(error) from error
    try:
        yield response
    finally:
        # Closed and not released: what is left of the body is nothing that we wait for.
        response.close()


def _next(url: str, location: str) -> str:
    try:
        return next_hop(url, location)
    except AddressForbidden as error:
        raise from_error(error) from None
    except ValueError:
        raise FetchError("input_unreachable", "The address redirects to something that is no URL.") from None


async def _receive(response: aiohttp.ClientResponse, file: BinaryIO, max_bytes: int) -> int:
    """Writes the body to the file; the number of bytes. What is waiting to be written never passes two buffers."""
    received, waiting = 0, bytearray()
    try:
        async for chunk in response.content.iter_any():
            received += len(chunk)
            if received > max_bytes:
                raise too_large(max_bytes)
            waiting += chunk
            if len(waiting) >= BUFFER_BYTES:
                await asyncio.to_thread(file.write, waiting)
                waiting = bytearray()
    except TimeoutError as error:
        message = f"The server that holds the file stopped sending after {received} bytes."
        raise FetchError("input_timeout", message, retriable=True) from error
    except (aiohttp.ClientError, ConnectionError) as error:
        raise broken_off(received, response.content_length) from error
    await asyncio.to_thread(file.write, waiting)
    return received
