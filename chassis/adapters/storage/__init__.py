"""Object storage: one protocol, implemented on a local folder and on S3."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import parse_qs, unquote, urlsplit

from chassis.adapters.storage.base import (
    InvalidKey,
    ListedObject,
    ObjectMissing,
    Stat,
    Storage,
    StorageError,
    StorageFull,
    StorageUnavailable,
)
from chassis.adapters.storage.local import LocalStorage

__all__ = [
    "InvalidKey",
    "ListedObject",
    "ObjectMissing",
    "Stat",
    "Storage",
    "StorageError",
    "StorageFull",
    "StorageUnavailable",
    "open_storage",
]


@asynccontextmanager
async def open_storage(url: str) -> AsyncIterator[Storage]:
    """The storage at `file:///folder` or `s3://bucket/prefix?endpoint=http://…&region=…`.

    S3 credentials come from the usual places of AWS tools (environment, profile, instance role). Raises ValueError for
    other URLs.
    """
    parts = urlsplit(url)
    if parts.scheme == "file" and parts.netloc in ("", "localhost") and parts.path.startswith("/"):
        local = LocalStorage(Path(unquote(parts.path)))
        await asyncio.to_thread(local.prepare)
        yield local
    elif parts.scheme == "s3" and parts.netloc:
        # Imported here, because botocore costs tens of megabytes that a process with a local folder does not need.
        from chassis.adapters.storage.s3 import S3Storage, s3_client

        query = parse_qs(parts.query)
        endpoint, region = query.get("endpoint", [None])[0], query.get("region", ["us-east-1"])[0]
        async with s3_client(endpoint, region) as client:
            yield S3Storage(client, parts.netloc, parts.path.strip("/"))
    else:
        raise ValueError("a storage URL is file:///folder or s3://bucket/prefix?endpoint=http://host&region=name")
