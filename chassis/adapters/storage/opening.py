"""From a storage URL to an open store."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import parse_qs, unquote, urlsplit

from chassis.adapters.storage.base import Storage
from chassis.adapters.storage.local import LocalStorage


@asynccontextmanager
async def open_storage(url: str) -> AsyncIterator[Storage]:
    """The store at `file:///folder` or `s3://bucket/prefix?endpoint=http://…&region=…`; ValueError for other URLs.

    Credentials for S3 come from the places where AWS tools look for them (environment, profile, instance role).
    """
    parts = urlsplit(url)
    if parts.scheme == "file" and parts.netloc in ("", "localhost") and parts.path.startswith("/"):
        local = LocalStorage(Path(unquote(parts.path)))
        await asyncio.to_thread(local.prepare)
        yield local
    elif parts.scheme == "s3" and parts.netloc:
        # Here and not above: botocore costs tens of megabytes, which a machine with files on disk need not pay.
        from chassis.adapters.storage.s3 import open_s3

        query = parse_qs(parts.query)
        endpoint, region = query.get("endpoint", [None])[0], query.get("region", ["us-east-1"])[0]
        async with open_s3(parts.netloc, parts.path.strip("/"), endpoint, region) as remote:
            yield remote
    else:
        raise ValueError("a storage URL is file:///folder or s3://bucket/prefix?endpoint=http://host&region=name")
