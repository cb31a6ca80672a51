"""The end of imports that have no attempt left, and of those whose item is deleted meanwhile."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import pytest

from chassis.adapters.egress.fetch import FetchLimits
from chassis.adapters.egress.policy import EgressPolicy
from chassis.adapters.postgres import Connection, Pool
from chassis.adapters.storage import open_storage
from chassis.runtime.job_queue import Cause, JobQueue, LastAttempt, Poisoned, WorkSlots
from chassis.runtime.outbox import Outbox
from media.info import MediaInfo
from schemas.api import MediaRequest
from schemas.faults import Fault
from schemas.ids import typeid, uuid7
from services.ingest import keys, transitions
from services.ingest.import_waiter import ImportWaiter
from services.ingest.imports import Imports
from services.ingest.media_items import MediaWriter
from services.ingest.name_takeover import NameTakeover
from services.ingest.store import Store
from tests.services.ingest.parts import attachments, inputs, media_changes
from tests.support.waiting import until
from worker.fetch_bounds import FetchBounds
from worker.input_space import InputSpace

MEDIA = typeid("med", uuid7(1, b"0123456789"))
PROJECT = typeid("prj", uuid7(1, b"0123456789"))


class NeverCalled:
    """The prober, and the remover of tags, of imports that do not get that far."""

    async def probe(self, path: Path) -> MediaInfo:
        raise AssertionError(f"{path} was probed")

    async def strip(self, path: Path, info: MediaInfo) -> MediaInfo:
        raise AssertionError(f"{path} was changed: {info}")


@pytest.fixture
async def pool(fresh_dsn: str) -> AsyncIterator[Pool]:
    async with keys.database(fresh_dsn, migrate_first=True) as pool:
        yield pool


UNREACHABLE = Fault(kind="input_unreachable", message="The server answered 503.")


@dataclass(frozen=True)
class AcceptedImport:
    """The import of one accepted item, `MEDIA`, which is still in the queue."""

    store: Store
    queue: JobQueue
    outbox: Outbox
    imports: Imports


@pytest.fixture
async def accepted(pool: Pool, tmp_path: Path) -> AsyncIterator[AcceptedImport]:
    store, outbox = Store(pool), Outbox(pool, "ingest")
    queue = JobQueue(pool, outbox)
    waiter = ImportWaiter(store.media_item, timeout=timedelta(0))
    request = MediaRequest(url="https://example.com/a.mp4", filename="a.mp4")
    item = transitions.accepted(request, id=MEDIA, project=PROJECT, at=1)
    assert await MediaWriter(store, queue, outbox).accept(item, request)
    async with open_storage(tmp_path.as_uri()) as storage:
        imports = Imports(
            store,
            NameTakeover(store, outbox),
            attachments(pool),
            inputs(pool),
            waiter,
            storage,
            EgressPolicy(),
            NeverCalled(),
            NeverCalled(),
            FetchLimits(),
            FetchBounds(InputSpace(1, 1), per_host=1),
            WorkSlots(queue, 1),
            tmp_path,
            (),
            "http://cdn",
        )
        yield AcceptedImport(store, queue, outbox, imports)


@pytest.mark.parametrize(
    ("cause", "kind"),
    [
        (Poisoned(), "poisoned"),
        (LastAttempt("disk on fire"), "internal_error"),
        (LastAttempt("503", UNREACHABLE), "input_unreachable"),
    ],
)
async def test_the_item_fails_and_its_name_is_free_again(
    pool: Pool, accepted: AcceptedImport, cause: Cause, kind: str
) -> None:
    store, queue, imports = accepted.store, accepted.queue, accepted.imports
    claimed = await queue.claim("worker")
    assert claimed is not None
    done = await imports.exhausted(claimed, cause)
    await queue.finish(claimed, done.state, *done.events, also=done.also)
    failed = await store.media_item(MEDIA)
    assert failed is not None
    assert failed.error is not None
    assert (failed.status, failed.version, failed.error.kind) == ("failed", 2, kind)
    assert await pool.fetchval("SELECT count(*) FROM names") == 0
    # A second worker with the same item changes nothing.
    again = await imports.work(claimed)
    assert (getattr(again, "state", None), getattr(again, "events", None)) == ("done", ())


async def test_an_item_that_is_deleted_after_the_claim_ends_its_import_as_cancelled(
    pool: Pool, accepted: AcceptedImport
) -> None:
    claimed = await accepted.queue.claim("worker")
    assert claimed is not None
    await media_changes(pool).delete(MEDIA, PROJECT)
    for ended in (await accepted.imports.work(claimed), await accepted.imports.exhausted(claimed, LastAttempt("503"))):
        assert (getattr(ended, "state", None), getattr(ended, "events", None)) == ("cancelled", ())


async def test_a_deletion_and_the_end_of_the_import_lock_in_the_same_order(
    pool: Pool, accepted: AcceptedImport
) -> None:
    claimed = await accepted.queue.claim("worker")
    assert claimed is not None
    failed = await accepted.imports.exhausted(claimed, LastAttempt("503", UNREACHABLE))
    deletions: list[asyncio.Task[None]] = []

    async def begin_deletion_then_end(conn: Connection) -> None:
        # The queue row is locked by now.
        deletions.append(asyncio.create_task(media_changes(pool).delete(MEDIA, PROJECT)))
        await until(lambda: another_waits(conn))
        assert failed.also is not None
        await failed.also(conn)

    await accepted.queue.finish(claimed, failed.state, *failed.events, also=begin_deletion_then_end)
    await asyncio.gather(*deletions)
    item = await accepted.store.media_item(MEDIA)
    assert item is not None
    assert (item.status, item.error) == ("deleted", UNREACHABLE)


async def another_waits(conn: Connection) -> bool:
    """Whether another transaction waits for what this one has locked."""
    waiting = await conn.fetchval(
        "SELECT count(*) FROM pg_locks WHERE NOT granted AND transactionid = pg_current_xact_id()::xid"
    )
    return bool(waiting)
