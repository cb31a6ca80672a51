"""A store in a bucket of S3, or of something that speaks like it. Imported only where one is configured."""

import asyncio
import os
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing, asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO
from uuid import uuid4

from aiobotocore.config import AioConfig
from aiobotocore.session import get_session
from aiohttp import ClientError as HttpError
from botocore.exceptions import FlexibleChecksumError

from chassis.adapters.storage.base import CHUNK_BYTES, Stat, checked_key, open_source
from chassis.adapters.storage.errors import ObjectMissing, StorageUnavailable
from chassis.adapters.storage.file_ops import os_errors, remove_quietly
from chassis.adapters.storage.s3_errors import FAILURES, is_missing, s3_errors, typed

if TYPE_CHECKING:
    from aiobotocore.response import StreamingBody
    from types_aiobotocore_s3 import S3Client
    from types_aiobotocore_s3.type_defs import CompletedPartTypeDef, GetObjectOutputTypeDef

MULTIPART_BYTES = 64 * 1024 * 1024
"""Files above this go up in parts, so that a failure costs one part and not the file."""
PART_BYTES = 16 * 1024 * 1024
"""10 000 parts of this size are 160 GB, far above what is accepted as an input."""
PARTS_AT_ONCE = 4
READ_ATTEMPTS = 4
"""A download that breaks goes on where it stopped, so often."""

_BROKEN = (*FAILURES, HttpError, TimeoutError, OSError)
"""What the body of an answer can break with."""


class S3Storage:
    """Keys lie below `prefix`. A put is visible whole or not at all, by S3's own promise."""

    def __init__(self, client: "S3Client", bucket: str, prefix: str) -> None:
        self._client = client
        self._bucket = bucket
        self._prefix = f"{prefix}/" if prefix else ""

    async def put(self, key: str, path: Path, content_type: str) -> Stat:
        name = self._name(key)
        with open_source(path) as source:
            size = os.fstat(source.fileno()).st_size
            with s3_errors():
                if size > MULTIPART_BYTES:
                    await self._put_in_parts(name, source, size, content_type)
                else:
                    await self._client.put_object(
                        Bucket=self._bucket, Key=name, Body=source, ContentType=content_type, ContentLength=size
                    )
        stored = await self.stat(key)
        if stored is None or stored.size != size:
            raise StorageUnavailable("the store did not keep the whole object")
        return stored

    async def stat(self, key: str) -> Stat | None:
        try:
            head = await self._client.head_object(Bucket=self._bucket, Key=self._name(key))
        except FAILURES as error:
            if is_missing(error):
                return None
            raise typed(error) from error
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
            except _BROKEN as error:
                # A wrong checksum is no interruption: the bytes are out, and asking for the rest would hide it.
                if attempt == READ_ATTEMPTS or isinstance(error, FlexibleChecksumError):
                    raise typed(error) from error

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
                    raise StorageUnavailable("the store did not give the whole object")
                temporary.replace(dest)
            finally:
                remove_quietly(temporary)

    async def delete(self, key: str) -> None:
        with s3_errors():
            await self._client.delete_object(Bucket=self._bucket, Key=self._name(key))

    def local_path(self, key: str) -> Path | None:
        checked_key(key)
        return None

    async def check(self) -> None:
        with s3_errors():
            await self._client.head_bucket(Bucket=self._bucket)

    def _name(self, key: str) -> str:
        return self._prefix + checked_key(key)

    async def _get(self, name: str, start: int, end: int | None, etag: str) -> "GetObjectOutputTypeDef | None":
        """The object from `start`; None where it has no bytes there. `etag` holds a resumed read to the same object."""
        wanted: dict[str, Any] = {"IfMatch": etag} if etag else {}
        if start or end is not None:
            # No range where none is needed: an empty object has no byte 0 to ask for.
            wanted["Range"] = f"bytes={start}-{'' if end is None else end - 1}"
        try:
            return await self._client.get_object(Bucket=self._bucket, Key=name, **wanted)
        except FAILURES as error:
            if is_missing(error):
                raise ObjectMissing("no such object") from error
            if getattr(error, "response", {}).get("Error", {}).get("Code") in ("InvalidRange", "416"):
                return None
            raise typed(error) from error

    async def _put_in_parts(self, name: str, source: BinaryIO, size: int, content_type: str) -> None:
        begun = await self._client.create_multipart_upload(Bucket=self._bucket, Key=name, ContentType=content_type)
        upload = begun["UploadId"]
        try:
            parts = await self._put_parts(name, source, size, upload)
            await self._client.complete_multipart_upload(
                Bucket=self._bucket, Key=name, UploadId=upload, MultipartUpload={"Parts": parts}
            )
        except BaseException:
            # Parts of an upload that nobody ends are kept, and paid for, for ever; shielded, for we may be cancelled.
            await asyncio.shield(self._client.abort_multipart_upload(Bucket=self._bucket, Key=name, UploadId=upload))
            raise

    async def _put_parts(self, name: str, source: BinaryIO, size: int, upload: str) -> "list[CompletedPartTypeDef]":
        slots = asyncio.Semaphore(PARTS_AT_ONCE)

        async def put_part(number: int) -> "CompletedPartTypeDef":
            async with slots:
                data = await asyncio.to_thread(os.pread, source.fileno(), PART_BYTES, (number - 1) * PART_BYTES)
                answer = await self._client.upload_part(
                    Bucket=self._bucket, Key=name, UploadId=upload, PartNumber=number, Body=data
                )
            return {"ETag": answer["ETag"], "PartNumber": number}

        count = -(-size // PART_BYTES)
        try:
            async with asyncio.TaskGroup() as group:
                tasks = [group.create_task(put_part(number)) for number in range(1, count + 1)]
        except BaseExceptionGroup as failed:
            # The others were cancelled because of the first: it is the one that says why.
            raise failed.exceptions[0] from failed
        return [task.result() for task in tasks]


async def _chunks(body: "StreamingBody") -> AsyncGenerator[bytes, None]:
    try:
        async for chunk in body.iter_chunks(CHUNK_BYTES):
            yield chunk
    finally:
        # The connection goes back to the pool, or is closed where bytes are left on it.
        body.close()


@asynccontextmanager
async def open_s3(bucket: str, prefix: str, endpoint: str | None, region: str) -> AsyncIterator[S3Storage]:
    """A store in the bucket; `endpoint` names a server that is not AWS itself."""
    config = AioConfig(
        signature_version="s3v4",
        connect_timeout=5,
        read_timeout=30,
        max_pool_connections=32,
        retries={"mode": "standard", "max_attempts": 3},
        # Servers that are not AWS seldom have a host name per bucket.
        s3={"addressing_style": "path" if endpoint else "auto"},
    )
    async with get_session().create_client("s3", region_name=region, endpoint_url=endpoint, config=config) as client:
        yield S3Storage(client, bucket, prefix)
