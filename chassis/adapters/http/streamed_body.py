"""A body that is a file: written to the disk as it arrives, bounded in size, and by its rate instead of a total time.

Bodies of other requests have to arrive within a minute (`HttpLimits.body_s`); a large file takes longer. A client that
sends nothing for `stall_s`, or fewer than `min_rate` bytes a second, is refused all the same.
"""

import asyncio
import errno
from dataclasses import dataclass
from pathlib import Path

from aiohttp import web

from chassis.adapters.http.body_deadline import lift_body_deadline
from chassis.adapters.http.errors import ApiError, invalid_input
from chassis.adapters.http.response_deadline import begin_response_deadline

WRITE_BYTES = 1024 * 1024
"""Written at a time: a thread for each piece from the network would cost more than the write."""
_LONGEST_S = 7 * 24 * 3600.0
_DISK_FULL = frozenset({errno.ENOSPC, errno.EDQUOT})


@dataclass(frozen=True)
class BodyLimits:
    """`min_rate` in bytes a second, on average over each `window_s` seconds."""

    max_bytes: int
    stall_s: float = 30.0
    min_rate: int = 16 * 1024
    window_s: float = 30.0


class NoSpace(Exception):
    """The disk is full."""


async def receive_body(request: web.Request, dest: Path, limits: BodyLimits) -> int:
    """Writes the body to the new file `dest`; returns its size in bytes.

    Raises ApiError 413 for more than `max_bytes`, 408 for a client that is too slow, 400 for an encoded body, NoSpace,
    and what aiohttp raises of a connection that breaks off. `dest` is then incomplete.
    """
    if (request.content_length or 0) > limits.max_bytes:
        raise too_large(limits.max_bytes)
    if request.headers.get("Content-Encoding", "identity").lower() != "identity":
        raise invalid_input("body must have no Content-Encoding: the bytes are stored as they come")
    lift_body_deadline(request)
    begin_response_deadline(request, _LONGEST_S)
    loop = asyncio.get_running_loop()
    received, pieces = 0, bytearray()
    window_end, window_bytes = loop.time() + limits.window_s, 0
    try:
        with dest.open("xb") as file:
            while chunk := await _next(request, limits.stall_s):
                received += len(chunk)
                if received > limits.max_bytes:
                    raise too_large(limits.max_bytes)
                window_bytes += len(chunk)
                if (now := loop.time()) >= window_end:
                    if window_bytes < limits.min_rate * limits.window_s:
                        raise too_slow(f"fewer than {limits.min_rate} bytes a second arrived")
                    window_end, window_bytes = now + limits.window_s, 0
                pieces += chunk
                if len(pieces) >= WRITE_BYTES:
                    await asyncio.to_thread(file.write, pieces)
                    pieces = bytearray()
            await asyncio.to_thread(file.write, pieces)
    except OSError as error:
        if error.errno in _DISK_FULL:
            raise NoSpace from error
        raise
    if request.content_length is not None and received != request.content_length:
        raise web.RequestPayloadError("the body is shorter than its Content-Length")
    return received


def too_large(most: int) -> ApiError:
    """413: the body has more than `most` bytes."""
    return ApiError(413, "payload_too_large", f"The body of the request is larger than the limit of {most} bytes.")


def too_slow(reason: str) -> ApiError:
    """408: the body does not arrive fast enough."""
    return ApiError(408, "request_timeout", f"The body of the request came too slowly: {reason}.")


async def _next(request: web.Request, stall_s: float) -> bytes:
    try:
        async with asyncio.timeout(stall_s):
            return await request.content.readany()
    except TimeoutError:
        raise too_slow(f"no byte arrived for {stall_s:g} seconds") from None
