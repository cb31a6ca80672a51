"""Storage in a bucket of S3 or of a server with the same API. Imported only if one is configured."""

import asyncio
import os
from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from contextlib import aclosing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO
from uuid import uuid4

from aiohttp import ClientError as HttpError
from botocore.exceptions import BotoCoreError, ClientError, FlexibleChecksumError

from chassis.adapters.s3.client import s3_client
from chassis.adapters.s3.parts import upload_parts
from chassis.adapters.storage.base import (
    CHUNK_BYTES,
    ListedObject,
    ObjectMissing,
    Stat,
    StorageError,
    StorageFull,
    StorageUnavailable,
    checked_key,
    open_source,
)
from chassis.adapters.storage.file_ops import os_errors, remove_if_possible

if TYPE_CHECKING:
    from aiobotocore.response import StreamingBody
    from types_aiobotocore_s3 import S3Client
    from types_aiobotocore_s3.type_defs import GetObjectOutputTypeDef

MULTIPART_BYTES = 64 * 1024 * 1024
"""Larger files are uploaded in parts, so that a failure costs one part and not the file."""
PART_BYTES = 16 * 1024 * 1024
"""S3 allows 10 000 parts: 160 GB, far more than the largest accepted input. At least 5 MiB, but for the last."""
__all__ = ["S3Storage", "s3_client"]

READ_ATTEMPTS = 4
"""An interrupted read continues where it stopped, up to this number of attempts."""

_FAILURES = (ClientError, BotoCoreError)
_INTERRUPTIONS = (*_FAILURES, HttpError, TimeoutError, OSError)
"""What reading the body of a response may raise."""
_MISSING_CODES = frozenset({"NoSuchKey", "404", "NotFound"})
_FULL_CODES = frozenset({"QuotaExceeded", "XMinioStorageFull", "InsufficientStorage", "507", "EntityTooLarge"})
_UPLOAD = "?uploadId="
"""Between key and upload in the name of an unfinished upload; no key has a question mark."""
_RANGE_CODES = frozenset({"InvalidRange", "416"})


class S3Storage:
    """Objects are below `prefix` in `bucket`. S3 itself makes a put atomic."""

    def __init__(
        self,
        client: "S3Client",
        bucket: str,
        prefix: str,
        *,
        multipart_bytes: int = MULTIPART_BYTES,
        part_bytes: int = PART_BYTES,
    ) -> None:
        self._client = client
        self._multipart_bytes = multipart_bytes
        self._part_bytes = part_bytes
        self._bucket = bucket
        self._prefix = f"{prefix}/" if prefix else ""

    async def put(self, key: str, path: Path, content_type: str) -> Stat:
        name = self._name(key)
        with open_source(path) as source:
            size = os.fstat(source.fileno()).st_size
            with _s3_errors():
                if size > self._multipart_bytes:
                    await self._put_in_parts(name, source, size, content_type)
                else:
                    await self._client.put_object(
                        Bucket=self._bucket, Key=name, Body=source, ContentType=content_type, ContentLength=size
                    )
        stored = await self.stat(key)
        if stored is None or stored.size != size:
            raise StorageUnavailable("S3 stored an incomplete object")
        return stored

    async def stat(self, key: str) -> Stat | None:
        try:
            head = await self._client.head_object(Bucket=self._bucket, Key=self._name(key))
        except _FAILURES as error:
            if _is_missing(error):
                return None
            raise _storage_error(error) from error
        return Stat(
            size=head["ContentLength"],
            etag=head["ETag"].strip('"'),
            content_type=head["ContentType"],
            modified=head["LastModified"].timestamp(),
        )

    async def read(self, key: str, start: int = 0, end: int | None = None) -> AsyncIterator[bytes]:
        if end is not None and end <= start:
            return
        name, offset, etag = self._name(key), start, ""
        for attempt in range(1, READ_ATTEMPTS + 1):
            try:
                found = await self._get(name, offset, end, etag)
                if found is None:
                    return
                etag = found["ETag"]
                async with aclosing(_chunks(found["Body"])) as chunks:
                    async for chunk in chunks:
                        offset += len(chunk)
                        yield chunk
                return
            except _INTERRUPTIONS as error:
                # A wrong checksum is no interruption: wrong bytes were yielded already, and a retry would hide that.
                if attempt == READ_ATTEMPTS or isinstance(error, FlexibleChecksumError):
                    raise _storage_error(error) from error

    async def download(self, key: str, dest: Path) -> None:
        stored = await self.stat(key)
        if stored is None:
            raise ObjectMissing("no such object")
        temporary = dest.with_name(f".{dest.name}.{uuid4().hex}")
        with os_errors():
            try:
                with temporary.open("xb") as file:
                    async for chunk in self.read(key):
                        await asyncio.to_thread(file.write, chunk)
                if temporary.stat().st_size != stored.size:
                    raise StorageUnavailable("S3 returned an incomplete object")
                temporary.replace(dest)
            finally:
                remove_if_possible(temporary)

    async def delete(self, key: str) -> None:
        with _s3_errors():
            await self._client.delete_object(Bucket=self._bucket, Key=self._name(key))

    async def list_objects(self) -> AsyncIterator[ListedObject]:
        with _s3_errors():
            pages = self._client.get_paginator("list_objects_v2").paginate(Bucket=self._bucket, Prefix=self._prefix)
            async for page in pages:
                for each in page.get("Contents", ()):
                    key = each["Key"].removeprefix(self._prefix)
                    yield ListedObject(key, each["Size"], each["LastModified"].timestamp())

    async def unfinished(self) -> AsyncIterator[ListedObject]:
        with _s3_errors():
            pages = self._client.get_paginator("list_multipart_uploads").paginate(
                Bucket=self._bucket, Prefix=self._prefix
            )
            async for page in pages:
                for each in page.get("Uploads", ()):
                    name = f"{each['Key'].removeprefix(self._prefix)}{_UPLOAD}{each['UploadId']}"
                    yield ListedObject(name, 0, each["Initiated"].timestamp())

    async def delete_unfinished(self, name: str) -> None:
        key, _, upload = name.partition(_UPLOAD)
        try:
            await self._client.abort_multipart_upload(Bucket=self._bucket, Key=self._prefix + key, UploadId=upload)
        except _FAILURES as error:
            if _code(error) != "NoSuchUpload":
                raise _storage_error(error) from error

    def local_path(self, key: str) -> Path | None:
        checked_key(key)
        return None

    async def check(self) -> None:
        with _s3_errors():
            await self._client.head_bucket(Bucket=self._bucket)

    def _name(self, key: str) -> str:
        return self._prefix + checked_key(key)

    async def _get(self, name: str, start: int, end: int | None, etag: str) -> "GetObjectOutputTypeDef | None":
        """The object from `start`; None if it has no bytes there. With `etag`, fails if the object was replaced."""
        options: dict[str, Any] = {"IfMatch": etag} if etag else {}
        if start or end is not None:
            # No range unless it is needed: an empty object has no byte 0.
            options["Range"] = f"bytes={start}-{'' if end is None else end - 1}"
        try:
            return await self._client.get_object(Bucket=self._bucket, Key=name, **options)
        except _FAILURES as error:
            if _is_missing(error):
                raise ObjectMissing("no such object") from error
            if _code(error) in _RANGE_CODES:
                return None
            raise _storage_error(error) from error

    async def _put_in_parts(self, name: str, source: BinaryIO, size: int, content_type: str) -> None:
        started = await self._client.create_multipart_upload(Bucket=self._bucket, Key=name, ContentType=content_type)
        upload = started["UploadId"]
        try:
            parts = await upload_parts(
                self._client, self._bucket, name, upload, source, size, part_bytes=self._part_bytes
            )
            await self._client.complete_multipart_upload(
                Bucket=self._bucket, Key=name, UploadId=upload, MultipartUpload={"Parts": parts}
            )
        except BaseException:
            # S3 stores (and bills) the parts of an unfinished upload for ever. Shielded from a second cancellation.
            await asyncio.shield(self._client.abort_multipart_upload(Bucket=self._bucket, Key=name, UploadId=upload))
            raise


async def _chunks(body: "StreamingBody") -> AsyncGenerator[bytes, None]:
    try:
        async for chunk in body.iter_chunks(CHUNK_BYTES):
            yield chunk
    finally:
        # Returns the connection to the pool, or closes it if it has unread bytes.
        body.close()


@contextmanager
def _s3_errors() -> Iterator[None]:
    """Turns an error of botocore in the block into a StorageError."""
    try:
        yield
    except _FAILURES as error:
        raise _storage_error(error) from error


def _storage_error(error: Exception) -> StorageError:
    """The StorageError, with S3's code but without hosts, buckets or credentials."""
    if isinstance(error, ClientError):
        code = _code(error)
        return (StorageFull if code in _FULL_CODES else StorageUnavailable)(f"S3 responded with {code}")
    return StorageUnavailable(f"S3 cannot be reached: {type(error).__name__}")


def _is_missing(error: Exception) -> bool:
    """Whether the response says that there is no such object (a missing bucket is an outage)."""
    return _code(error) in _MISSING_CODES


def _code(error: Exception) -> str:
    return str(error.response.get("Error", {}).get("Code", "unknown")) if isinstance(error, ClientError) else ""
