"""Reads an object of a customer's store to a local file, within limits.

The store gives one version of the object for one request. A read that breaks off goes on where it stopped, only with
the same version: `If-Match` with the entity tag of the first response.
"""

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Any, BinaryIO
from uuid import uuid4

from chassis.adapters.egress.exchange import RateWindow
from chassis.adapters.egress.fetch import BUFFER_BYTES, FetchLimits
from chassis.adapters.s3.client import S3Store
from chassis.adapters.s3.errors import S3Error, s3_errors
from chassis.core.retry import backoff_seconds

if TYPE_CHECKING:
    from aiobotocore.response import StreamingBody
    from types_aiobotocore_s3.type_defs import GetObjectOutputTypeDef

CHUNK_BYTES = 256 * 1024
RESUMED = 4
"""How often in a row a read goes on that broke off without a byte."""


@dataclass
class _Read:
    """What has been read: bytes, and the size and entity tag of the object, which the first response says."""

    received: int = 0
    size: int = -1
    etag: str = ""

    @property
    def begun(self) -> bool:
        return self.size >= 0


async def download_object(
    store: S3Store,
    bucket: str,
    key: str,
    dest: Path,
    limits: FetchLimits,
    *,
    on_size: Callable[[int], None] = lambda _: None,
    first_pause_s: float = 0.5,
) -> int:
    """Writes the object to `dest`, complete or not at all, and returns its size in bytes.

    `on_size` is called with the object's size; what it raises is raised. Raises S3Error, OSError for errors of the
    local disk or our name servers, NoCredentials.
    """
    temporary = dest.with_name(f".{dest.name}.{uuid4().hex}")
    try:
        async with asyncio.timeout(limits.total.total_seconds()) as total:
            with temporary.open("xb") as file:
                size = await _read(store, bucket, key, file, limits, on_size, first_pause_s)
    except TimeoutError:
        if not total.expired():
            raise
        raise S3Error("timeout", limit=limits.total.total_seconds()) from None
    else:
        temporary.replace(dest)
        return size
    finally:
        temporary.unlink(missing_ok=True)


async def _read(
    store: S3Store,
    bucket: str,
    key: str,
    file: BinaryIO,
    limits: FetchLimits,
    on_size: Callable[[int], None],
    first_pause_s: float,
) -> int:
    read, failures = _Read(), 0
    while True:
        before = read.received
        try:
            found = await _get(store, bucket, key, read)
            if not read.begun:
                _begin(read, found, limits)
                on_size(read.size)
            with s3_errors(store.guard):
                await _write(found["Body"], file, read, limits)
            if read.received == read.size:
                return read.size
            raise S3Error("unreachable", code="truncated", received=read.received)
        except S3Error as error:
            # Of bytes with a wrong checksum nobody knows which are wrong. A first response had its attempts already.
            failures = 1 if read.received > before else failures + 1
            if not error.retriable or error.reason == "damaged" or not read.begun or failures > RESUMED:
                raise
            await asyncio.sleep(backoff_seconds(failures, first_s=first_pause_s, longest_s=10.0))


def _begin(read: _Read, found: "GetObjectOutputTypeDef", limits: FetchLimits) -> None:
    size = found["ContentLength"]
    if not 0 < size <= limits.max_bytes:
        found["Body"].close()
        raise S3Error("too_large", limit=limits.max_bytes) if size else S3Error("empty")
    read.size, read.etag = size, found["ETag"]


async def _get(store: S3Store, bucket: str, key: str, read: _Read) -> "GetObjectOutputTypeDef":
    options: dict[str, Any] = {"IfMatch": read.etag} if read.etag else {}
    if read.received:
        options["Range"] = f"bytes={read.received}-"
    try:
        with s3_errors(store.guard):
            found = await store.client.get_object(Bucket=bucket, Key=key, **options)
    except S3Error as error:
        if read.begun and error.reason == "object_not_found":
            raise S3Error("object_vanished", received=read.received) from None
        # A range that lies outside: what is there now is shorter.
        if read.begun and error.code in ("InvalidRange", "416"):
            raise S3Error("object_changed", received=read.received) from None
        raise
    if read.etag and found["ETag"] != read.etag:
        found["Body"].close()
        raise S3Error("object_changed", received=read.received)
    if read.received and "ContentRange" not in found:
        found["Body"].close()
        raise S3Error("refused", code="a range was asked for, and the whole object came")
    return found


async def _write(body: "StreamingBody", file: BinaryIO, read: _Read, limits: FetchLimits) -> None:
    """Writes the body; what has been read is on the disk, also where it breaks off."""
    buffer = bytearray()
    try:
        async with aclosing(_chunks(body, limits)) as chunks:
            async for chunk in chunks:
                if read.received + len(buffer) + len(chunk) > read.size:
                    raise S3Error("refused", code="more bytes than the announced size")
                buffer += chunk
                if len(buffer) >= BUFFER_BYTES:
                    await asyncio.to_thread(file.write, buffer)
                    read.received += len(buffer)
                    buffer = bytearray()
    finally:
        file.write(buffer)
        read.received += len(buffer)


async def _chunks(body: "StreamingBody", limits: FetchLimits) -> AsyncGenerator[bytes, None]:
    rate = RateWindow(limits.min_rate, limits.rate_window.total_seconds())
    try:
        while True:
            started = perf_counter()
            async with asyncio.timeout(limits.idle.total_seconds()):
                chunk = await body.read(CHUNK_BYTES)
            if not chunk:
                return
            if rate.too_slow(perf_counter() - started, len(chunk)):
                raise S3Error("timeout", limit=limits.min_rate)
            yield chunk
    finally:
        # Returns the connection to the pool, or closes it if it has unread bytes.
        body.close()
