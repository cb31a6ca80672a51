"""Stores a local file as an object of a customer's store, which appears complete or not at all, and is fenced.

Several attempts at the same work write the same key, and one that was given up may go on: it must not replace what a
later one has stored. So an object carries who wrote it (`Writer`), and it is stored by a conditional write, compared
with what is there (`If-Match`, `If-None-Match`): a writer that finds a later attempt of its work gives up, and one that
was overtaken between looking and writing is refused by the store. Where a store does not know conditions (or does not
let us look), `may_write` alone decides, right before the write.
"""

import asyncio
import os
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, TypedDict

from botocore.exceptions import BotoCoreError, ClientError

from chassis.adapters.failure_policy import describe
from chassis.adapters.s3.client import S3Store
from chassis.adapters.s3.errors import S3Error, s3_errors
from chassis.adapters.s3.parts import crc32, part_size, upload_parts
from chassis.adapters.storage.base import open_source
from chassis.core import logs
from chassis.core.concurrency import abandon_after

PART_BYTES = 8 * 1024 * 1024
"""Larger files are uploaded in parts of this size, `PARTS_AT_ONCE` of them at a time."""
SWAPS = 5
"""How often a conditional write is tried while others write the same object."""
ABORT_SECONDS = 10.0
_WRITER = "bitmill-writer"
_NO_CONDITIONS = frozenset({"NotImplemented", "501", "InvalidArgument", "InvalidRequest"})

MayWrite = Callable[[], Awaitable[None]]
"""Raises where the caller may not write any more."""

log = logs.get_logger(__name__)


class Condition(TypedDict, total=False):
    """Arguments of a conditional write."""

    IfMatch: str
    IfNoneMatch: str


class Superseded(Exception):
    """A later attempt at the same work has stored the object."""


@dataclass(frozen=True)
class Writer:
    """Who stores an object: an attempt of a run of some work. Of the same work, the later pair counts."""

    work: str
    run: int
    attempt: int

    def __str__(self) -> str:
        return f"{self.work}/{self.run}/{self.attempt}"

    def is_before(self, other: str | None) -> bool:
        """Whether `other`, as text, is a later writer of the same work."""
        work, _, numbers = (other or "").partition("/")
        run, _, attempt = numbers.partition("/")
        if work != self.work or not (run.isdigit() and attempt.isdigit()):
            return False
        return (int(run), int(attempt)) > (self.run, self.attempt)


@dataclass(frozen=True)
class _Found:
    """What is at the key: the condition that it is still there, none where we may not look, and who wrote it."""

    unchanged: Condition
    writer: str | None


async def upload_object(
    store: S3Store,
    bucket: str,
    key: str,
    path: Path,
    content_type: str,
    writer: Writer,
    *,
    may_write: MayWrite,
    part_bytes: int = PART_BYTES,
) -> None:
    """Stores the file. Raises S3Error, Superseded, what `may_write` raises, and OSError for outages of ours."""
    upload = _Upload(store, bucket, key, content_type, writer, may_write)
    with open_source(path) as source:
        size = os.fstat(source.fileno()).st_size
        if size > part_bytes:
            await upload.in_parts(source, size, part_size(size, part_bytes))
        else:
            await upload.at_once(await asyncio.to_thread(source.read))


async def discard_object(store: S3Store, bucket: str, key: str, writer: Writer) -> bool:
    """Deletes the object if this writer has stored it; whether it had. Raises S3Error."""
    found = await _look(store, bucket, key)
    if found.writer != str(writer):
        return False
    with s3_errors(store.guard):
        await store.client.delete_object(Bucket=bucket, Key=key)
    return True


@dataclass(frozen=True)
class _Upload:
    store: S3Store
    bucket: str
    key: str
    content_type: str
    writer: Writer
    may_write: MayWrite

    @property
    def metadata(self) -> dict[str, str]:
        return {_WRITER: str(self.writer)}

    async def at_once(self, data: bytes) -> None:
        async def put(condition: Condition) -> None:
            with s3_errors(self.store.guard):
                await self.store.client.put_object(
                    Bucket=self.bucket,
                    Key=self.key,
                    Body=data,
                    ContentType=self.content_type,
                    Metadata=self.metadata,
                    ChecksumCRC32=crc32(data),
                    **condition,
                )

        await self._swap(put)

    async def in_parts(self, source: BinaryIO, size: int, part_bytes: int) -> None:
        client, guard = self.store.client, self.store.guard
        with s3_errors(guard):
            started = await client.create_multipart_upload(
                Bucket=self.bucket, Key=self.key, ContentType=self.content_type, Metadata=self.metadata
            )
        upload = started["UploadId"]
        try:
            with s3_errors(guard):
                parts = await upload_parts(client, self.bucket, self.key, upload, source, size, part_bytes=part_bytes)

            async def complete(condition: Condition) -> None:
                with s3_errors(guard):
                    await client.complete_multipart_upload(
                        Bucket=self.bucket,
                        Key=self.key,
                        UploadId=upload,
                        MultipartUpload={"Parts": parts},
                        **condition,
                    )

            await self._swap(complete)
        except BaseException:
            # A store keeps (and bills) the parts of an unfinished upload for ever. Shielded from a second cancellation.
            await asyncio.shield(self._abort(upload))
            raise

    async def _abort(self, upload: str) -> None:
        aborting = self.store.client.abort_multipart_upload(Bucket=self.bucket, Key=self.key, UploadId=upload)
        try:
            await abandon_after(ABORT_SECONDS, aborting)
        except (BotoCoreError, ClientError, OSError, TimeoutError) as error:
            code = error.response.get("Error", {}).get("Code") if isinstance(error, ClientError) else None
            if code != "NoSuchUpload":
                log.warning("s3_upload_left", bucket=self.bucket, error=describe(error))

    async def _swap(self, write: Callable[[Condition], Awaitable[None]]) -> None:
        """Writes on the condition that nothing else was written since we looked; looks again if something was."""
        last = S3Error("conflict")
        for _ in range(SWAPS):
            found = await _look(self.store, self.bucket, self.key)
            if found.writer == str(self.writer):
                return  # an earlier try was taken, whose response was lost
            if self.writer.is_before(found.writer):
                raise Superseded(f"{found.writer} has stored the object")
            await self.may_write()
            try:
                await write(found.unchanged)
            except S3Error as error:
                if error.code in _NO_CONDITIONS and found.unchanged:
                    await write({})
                    return
                if error.reason not in ("object_changed", "object_not_found") and not error.retriable:
                    raise
                last = error if error.retriable else last
            else:
                return
        raise last


async def _look(store: S3Store, bucket: str, key: str) -> _Found:
    try:
        with s3_errors(store.guard):
            head = await store.client.head_object(Bucket=bucket, Key=key)
    except S3Error as error:
        if error.reason == "object_not_found":
            return _Found({"IfNoneMatch": "*"}, None)
        if error.reason == "denied":
            return _Found({}, None)
        raise
    return _Found({"IfMatch": head["ETag"]}, head["Metadata"].get(_WRITER))
