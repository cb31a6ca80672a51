"""`s3://` addresses of jobs on this machine: with a connection of this user, or the environment of AWS' tools."""

import os
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from chassis.adapters.egress.fetch import FetchLimits
from cli import local_connections
from cli.connection_names import CONNECTION
from cli.errors import UsageError
from media.formats import FORMATS
from media.info import MediaInfo
from schemas.ids import typeid, uuid7
from schemas.s3_addresses import OutputFacts, input_address, output_address, rendered
from worker.s3_faults import store_failed

if TYPE_CHECKING:
    from chassis.adapters.s3.client import S3Access, S3Store


def check_output(address: str) -> None:
    """Before any work. Raises `UsageError` with the rule that the address of an output breaks."""
    try:
        output_address(address)
    except ValueError as error:
        raise UsageError(f"--output {address} {error}") from None


async def fetch_object(address: str, dest: Path, connection: str | None, on_size: Callable[[int], None]) -> None:
    """Writes the object to `dest`. Raises StoreFailed, with the sentence of the API, and `UsageError`."""
    from chassis.adapters.s3.download import download_object
    from chassis.adapters.s3.errors import S3Error

    try:
        place = input_address(address)
    except ValueError as error:
        raise UsageError(f"--input {address} {error}") from None
    try:
        async with _store(connection) as store:
            await download_object(store, place.bucket, place.key, dest, FetchLimits(), on_size=on_size)
    except S3Error as error:
        raise store_failed(error, "read", place.bucket) from error


async def store_object(
    path: Path, address: str, connection: str | None, *, input: str, kind: str, info: MediaInfo
) -> str:
    """Stores the file, complete or not at all; returns its address, with all templates replaced. Raises StoreFailed."""
    from chassis.adapters.s3.errors import S3Error
    from chassis.adapters.s3.upload import Writer, upload_object

    at_ms = time.time_ns() // 1_000_000
    work = typeid("job", uuid7(at_ms, os.urandom(10)))
    facts = OutputFacts(
        input=input,
        job_id=work,
        kind=kind,
        metadata={},
        at_ms=at_ms,
        format=info.format,
        ext=FORMATS[info.format].extension,
        width=info.width,
        height=info.height,
    )
    try:
        place = rendered(output_address(address), facts)
    except ValueError as error:
        raise UsageError(f"--output {address} {error}") from None

    async def may_write() -> None:
        return

    try:
        async with _store(connection) as store:
            await upload_object(
                store,
                place.bucket,
                place.key,
                path,
                FORMATS[info.format].content_type,
                Writer(work, 1, 1),
                may_write=may_write,
            )
    except S3Error as error:
        raise store_failed(error, "write", place.bucket) from error
    return str(place)


@asynccontextmanager
async def _store(connection: str | None) -> "AsyncIterator[S3Store]":
    from chassis.adapters.s3.client import open_s3
    from chassis.adapters.s3.errors import NoCredentials

    try:
        # No egress policy: on their own machine users may reach what they like.
        async with open_s3(access(connection), None) as store:
            yield store
    except NoCredentials:
        raise UsageError(
            "there are no credentials for s3:// addresses: name a connection with --connection (`ittybit connections "
            "add s3 --local` makes one), or set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
        ) from None


def access(connection: str | None) -> "S3Access":
    """By `--connection`, ITTYBIT_CONNECTION or the default connection; else as AWS' tools do. Raises `UsageError`."""
    from chassis.adapters.s3.client import S3Access

    name = connection or os.environ.get(CONNECTION)
    found = local_connections.secret(name) if name else local_connections.default()
    if found is None:
        endpoint = os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL")
        region = os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION") or "us-east-1"
        return S3Access(endpoint, region)
    return S3Access(
        found.get("endpoint"), found.get("region") or "us-east-1", found["access_key_id"], found["secret_access_key"]
    )
