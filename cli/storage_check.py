"""Objects in storage that no row of any service refers to. Each service is asked by functions of its own.

An object is unreferenced if its key is of our form, it is older than a safe age, and no service needs it. Safe while
services work: an attempt stores its object under a key of its own while its job is unended in the worker's queue, and
everything of an unended job or import counts as referred to. The services are asked after the object was seen.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field

from chassis.adapters.postgres import Pool, open_pool
from chassis.adapters.storage import ListedObject, Storage
from cli.database import CONNECT_TIMEOUT_SECONDS
from schemas.stored_keys import StoredKey, parse_key
from schemas.topics import Service
from services.catalog import inspection as catalog
from services.ingest import inspection as ingest
from worker import inspection as worker

BATCH = 500
MAX_UNREFERENCED = 100_000
"""In one run, which keeps them in memory; the next run finds further ones."""

UPLOAD_SECONDS = 24 * 3600.0
"""An unfinished upload that is younger may be running, whatever the age asked for."""

Ask = Callable[[Pool, Sequence[StoredKey]], Awaitable[set[str]]]
ASKED: Mapping[Service, Ask] = {
    "ingest": ingest.referenced,
    "transcoder": worker.referenced,
    "thumbnailer": worker.referenced,
    "catalog": catalog.referenced,
}
"""The services that store objects or refer to them."""


@dataclass
class StorageReport:
    """What a run has found. `young` were not looked at; `foreign` have keys that are not ours, and are left alone."""

    objects: int = 0
    bytes: int = 0
    young: int = 0
    referenced: int = 0
    foreign: list[str] = field(default_factory=list)
    unreferenced: list[ListedObject] = field(default_factory=list)
    unfinished: list[ListedObject] = field(default_factory=list)

    @property
    def complete(self) -> bool:
        return len(self.unreferenced) < MAX_UNREFERENCED

    @property
    def knows_nothing(self) -> bool:
        """Objects exist and no row refers to any: probably the database of another system."""
        return bool(self.unreferenced) and not self.referenced


class References:
    """The tables of all services that refer to objects."""

    def __init__(self, pools: Mapping[Service, Pool]) -> None:
        self._pools = pools

    async def unreferenced(self, objects: Sequence[StoredKey]) -> set[str]:
        """Those keys that nothing refers to."""
        answers = await asyncio.gather(*(ask(self._pools[service], objects) for service, ask in ASKED.items()))
        left = {each.key for each in objects}.difference(*answers)
        if any(each.folder == "jobs" and each.key in left for each in objects):
            left -= await ingest.taken_over(self._pools["ingest"], sorted(left))
        return left


@asynccontextmanager
async def open_references(addresses: Mapping[Service, str]) -> AsyncIterator[References]:
    """Connections that can only read. Raises what `open_pool` raises."""
    read_only = {"default_transaction_read_only": "on"}
    async with AsyncExitStack() as stack:
        pools: dict[Service, Pool] = {}
        for service in ASKED:
            opened = open_pool(addresses[service], service, size=1, wait=CONNECT_TIMEOUT_SECONDS, settings=read_only)
            pools[service] = await stack.enter_async_context(await opened)
        yield References(pools)


async def check_storage(storage: Storage, references: References, before: float) -> StorageReport:
    """Lists the whole storage; objects of `before` (Unix seconds) and older are looked up."""
    report = StorageReport()
    batch: dict[str, ListedObject] = {}
    async for each in storage.list_objects():
        report.objects += 1
        report.bytes += each.size
        if each.modified > before:
            report.young += 1
        elif parse_key(each.key) is None:
            report.foreign.append(each.key)
        else:
            batch[each.key] = each
        if len(batch) >= BATCH:
            await _look_up(batch, references, report)
            if not report.complete:
                break
    await _look_up(batch, references, report)
    async for each in storage.unfinished():
        # One that runs would fail; its rows say nothing about it.
        if each.modified <= min(before, time.time() - UPLOAD_SECONDS):
            report.unfinished.append(each)
    return report


async def delete_unreferenced(
    storage: Storage, references: References, report: StorageReport
) -> AsyncIterator[ListedObject]:
    """Deletes what was found, if nothing refers to it still; yields what was deleted."""
    for batch in _batches(report.unreferenced):
        left = await references.unreferenced(_parsed(batch))
        for each in batch:
            if each.key in left:
                await storage.delete(each.key)
                yield each
    for each in report.unfinished:
        await storage.delete_unfinished(each.key)
        yield each


async def _look_up(batch: dict[str, ListedObject], references: References, report: StorageReport) -> None:
    left = await references.unreferenced(_parsed(batch.values())) if batch else set()
    report.referenced += len(batch) - len(left)
    report.unreferenced += [batch[key] for key in sorted(left)]
    batch.clear()


def _parsed(objects: Iterable[ListedObject]) -> list[StoredKey]:
    return [key for each in objects if (key := parse_key(each.key)) is not None]


def _batches(objects: Sequence[ListedObject]) -> Iterator[Sequence[ListedObject]]:
    for start in range(0, len(objects), BATCH):
        yield objects[start : start + BATCH]
