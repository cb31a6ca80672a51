"""Multipart uploads: parts in parallel, each with its checksum."""

import asyncio
import os
import zlib
from base64 import b64encode
from typing import TYPE_CHECKING, BinaryIO

if TYPE_CHECKING:
    from types_aiobotocore_s3 import S3Client
    from types_aiobotocore_s3.type_defs import CompletedPartTypeDef

MAX_PARTS = 10_000
"""The limit of S3."""
PARTS_AT_ONCE = 4


def part_size(size: int, least: int) -> int:
    """The bytes of each part but the last, so that there are not too many."""
    return max(least, -(-size // MAX_PARTS))


def crc32(data: bytes) -> str:
    """The checksum as S3 writes it. A server that knows it compares; others ignore it."""
    return b64encode(zlib.crc32(data).to_bytes(4, "big")).decode()


async def upload_parts(
    client: "S3Client",
    bucket: str,
    key: str,
    upload: str,
    source: BinaryIO,
    size: int,
    *,
    part_bytes: int,
    at_once: int = PARTS_AT_ONCE,
) -> "list[CompletedPartTypeDef]":
    """Uploads `size` bytes of `source`; at most `at_once` parts are in memory. Raises the errors of aiobotocore."""
    slots = asyncio.Semaphore(at_once)

    def read(number: int) -> tuple[bytes, str]:
        data = os.pread(source.fileno(), part_bytes, (number - 1) * part_bytes)
        return data, crc32(data)

    async def put_part(number: int) -> "CompletedPartTypeDef":
        async with slots:
            data, checksum = await asyncio.to_thread(read, number)
            response = await client.upload_part(
                Bucket=bucket, Key=key, UploadId=upload, PartNumber=number, Body=data, ChecksumCRC32=checksum
            )
        part: CompletedPartTypeDef = {"ETag": response["ETag"], "PartNumber": number}
        if "ChecksumCRC32" in response:
            part["ChecksumCRC32"] = response["ChecksumCRC32"]
        return part

    try:
        async with asyncio.TaskGroup() as group:
            numbers = range(1, -(-size // part_bytes) + 1)
            tasks = [group.create_task(put_part(number)) for number in numbers]
    except BaseExceptionGroup as failed:
        # The group cancelled the others because of the first, which has the cause.
        raise failed.exceptions[0] from failed
    return [task.result() for task in tasks]
