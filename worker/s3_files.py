"""Inputs that come from customers' stores with the API of S3, and outputs that go there.

A store is reached by the connection of the job, within the egress policy; or, for the buckets that the operator lists,
with the installation's own credentials.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from chassis.adapters.egress.fetch import FetchLimits
from chassis.adapters.egress.policy import EgressPolicy
from chassis.adapters.failure_policy import describe, is_outage
from chassis.core import logs
from chassis.core.concurrency import abandon_after
from chassis.core.encryption import Keyring, decrypt, reveal_url
from chassis.core.retry import Backoff
from chassis.runtime.job_queue import LeaseLost, QueueItem
from media.formats import FORMATS
from schemas.connections import secret_context
from schemas.files import Output
from schemas.jobs import Job, url_context
from schemas.s3_addresses import OutputFacts, S3Address, input_address, is_s3, output_address, rendered
from worker.s3_faults import StoreFailed, connection_missing, store_failed

if TYPE_CHECKING:
    from chassis.adapters.s3.client import S3Store
    from chassis.adapters.s3.upload import Writer

STORE_TIMEOUT = timedelta(minutes=10)
"""How long an attempt tries to store its output while the store fails: a new attempt would have to encode again."""
DISCARD_SECONDS = 5.0

IsLost = Callable[[QueueItem], Awaitable[bool]]
"""Whether Postgres says that an attempt has lost its item."""

log = logs.get_logger(__name__)


@dataclass(frozen=True)
class InstallationStore:
    """The buckets that jobs without a connection may use, with the credentials of the installation."""

    buckets: frozenset[str] = frozenset()
    endpoint: str | None = None
    region: str = "us-east-1"


class S3Files:
    """Reads and writes. botocore is imported at the first use, because most workers need none of it."""

    def __init__(
        self,
        policy: EgressPolicy,
        keyring: Keyring | None,
        installation: InstallationStore,
        *,
        store_timeout: timedelta = STORE_TIMEOUT,
        first_pause_s: float = 1.0,
    ) -> None:
        self._policy = policy
        self._keyring = keyring
        self._installation = installation
        self._store_timeout = store_timeout
        self._first_pause_s = first_pause_s

    async def fetch(
        self, job: Job, dest: Path, limits: FetchLimits, on_size: Callable[[int], None] = lambda _: None
    ) -> None:
        """The input of the job as the file `dest`. `on_size` as for `fetch_input`.

        Raises StoreFailed, DecryptionError without the key of the secret, and OSError for outages of ours.
        """
        from chassis.adapters.s3.download import download_object
        from chassis.adapters.s3.errors import S3Error

        located = reveal_url(self._keyring, job.input, job.encrypted_input, url_context(job.project, "input"))
        address = input_address(located)
        try:
            async with self._open(job, address.bucket) as store:
                await download_object(store, address.bucket, address.key, dest, limits, on_size=on_size)
        except S3Error as error:
            raise store_failed(error, "read", address.bucket) from error

    async def store(
        self, job: Job, item: QueueItem, address: S3Address, path: Path, content_type: str, is_lost: IsLost
    ) -> None:
        """Stores the output of an attempt at the address, complete or not at all; tries again while the store fails.

        Raises StoreFailed, LeaseLost where a later attempt has the job, DecryptionError, and OSError.
        """
        from chassis.adapters.s3.upload import Writer

        loop = asyncio.get_running_loop()
        deadline = loop.time() + self._store_timeout.total_seconds()
        backoff = Backoff(log, "storage", first_s=self._first_pause_s, longest_s=15.0)
        writer = Writer(job.id, job.run, item.attempt)
        while True:
            try:
                await self._store_once(job, item, address, path, content_type, writer, is_lost)
                return
            except (StoreFailed, OSError) as error:
                passing = error.retriable if isinstance(error, StoreFailed) else is_outage(error)
                if not passing or loop.time() >= deadline:
                    if isinstance(error, StoreFailed):
                        raise error.given_up() from error
                    raise
                await backoff.sleep(error)

    async def _store_once(
        self,
        job: Job,
        item: QueueItem,
        address: S3Address,
        path: Path,
        content_type: str,
        writer: "Writer",
        is_lost: IsLost,
    ) -> None:
        from chassis.adapters.s3.errors import S3Error
        from chassis.adapters.s3.upload import Superseded, upload_object

        last_write = False

        async def may_write() -> None:
            nonlocal last_write
            if await is_lost(item):
                raise LeaseLost(item)
            last_write = True

        try:
            async with self._open(job, address.bucket) as store:
                try:
                    await upload_object(
                        store, address.bucket, address.key, path, content_type, writer, may_write=may_write
                    )
                except asyncio.CancelledError:
                    # Of a cancelled job nothing may stay, and the store may have taken the last write.
                    if last_write:
                        await asyncio.shield(_discard(store, address, writer, item, is_lost))
                    raise
        except Superseded:
            raise LeaseLost(item) from None
        except S3Error as error:
            raise store_failed(error, "write", address.bucket) from error

    @asynccontextmanager
    async def _open(self, job: Job, bucket: str) -> AsyncIterator["S3Store"]:
        from chassis.adapters.s3.client import S3Access, open_s3

        if job.connection_id is None:
            own = self._installation
            if bucket not in own.buckets:
                raise connection_missing(bucket)
            async with open_s3(S3Access(own.endpoint, own.region), None) as store:
                yield store
        elif job.connection is None:
            raise connection_missing(bucket)
        else:
            given = job.connection
            context = secret_context(job.project, job.connection_id)
            secret = decrypt(self._keyring, given.encrypted_secret, context)
            access = S3Access(given.endpoint, given.region, given.access_key_id, secret)
            async with open_s3(access, self._policy, project=job.project) as store:
                yield store


async def _discard(store: "S3Store", address: S3Address, writer: "Writer", item: QueueItem, is_lost: IsLost) -> None:
    from chassis.adapters.s3.upload import discard_object

    async def discard() -> bool:
        # A later attempt would replace the object: it must not lose its own to this deletion.
        return not await is_lost(item) and await discard_object(store, address.bucket, address.key, writer)

    try:
        if await abandon_after(DISCARD_SECONDS, discard()):
            log.info("attempt_object_discarded", key=str(address))
    except Exception as error:  # noqa: BLE001 - the object is complete; it only should not be there
        log.warning("attempt_object_left", key=str(address), error=describe(error))


def destination_of(job: Job, output: Output, at_ms: int) -> S3Address:
    """Where the output is stored at the customer (pure): the same in each attempt of a run that began `at_ms`."""
    facts = OutputFacts(
        input=job.input,
        job_id=job.id,
        kind=job.kind,
        metadata=job.metadata,
        at_ms=at_ms,
        format=output.format,
        ext=FORMATS[output.format].extension,
        width=output.width,
        height=output.height,
    )
    return rendered(output_address(job.destination or ""), facts)


def server_of(job: Job) -> str | None:
    """The address of the server from which the input of the job comes, as far as it counts for bounds (pure)."""
    if job.source is not None:
        return None
    if not is_s3(job.input):
        return job.input
    if job.connection is None or job.connection.endpoint is None:
        return f"https://{input_address(job.input).bucket}.s3.amazonaws.com/"
    return job.connection.endpoint
