"""One import: the file of an accepted media item is fetched, probed, stored, and announced with the jobs it gets.

The customer's fault ends the item as failed, with a sentence. Ours is tried again by the queue.
"""

from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Protocol

from chassis.adapters.egress.errors import FetchError
from chassis.adapters.egress.fetch import FetchLimits, fetch
from chassis.adapters.egress.policy import EgressPolicy
from chassis.adapters.postgres import Connection
from chassis.adapters.storage import Storage
from chassis.core import logs
from chassis.core.ids import now_ms
from chassis.core.metrics import counter
from chassis.runtime.job_queue import Cause, Complete, LastAttempt, Outcome, Poisoned, QueueItem, Retry
from media.faults import MediaFault
from media.info import MediaInfo
from schemas.events import MediaCreated, MediaFailed
from schemas.faults import FAULTS, Fault
from schemas.files import File
from schemas.ids import derived
from schemas.jobs import Job
from schemas.media import MediaItem
from services.ingest import names, transitions
from services.ingest.automations import MediaJob, jobs_for
from services.ingest.import_waiter import ImportWaiter
from services.ingest.store import Store
from worker.input import fetch_fault, fetch_retry_delay, retry_while_full

log = logs.get_logger(__name__)
imports_total = counter("bitmill_imports", "Imports of media items that ended, by result.", ("service", "result"))


class Prober(Protocol):
    """Looks at a file inside the sandbox; raises MediaFault."""

    async def probe(self, path: Path) -> MediaInfo: ...


@dataclass(frozen=True)
class Imports:
    """The work of the import runner."""

    store: Store
    waiter: ImportWaiter
    storage: Storage
    guard: EgressPolicy
    prober: Prober
    limits: FetchLimits
    workdir: Path
    media_jobs: tuple[MediaJob, ...]
    delivery_base: str

    async def work(self, item: QueueItem) -> Outcome:
        """One attempt. Anything raised from here is our fault."""
        media = await self.store.media_item(item.id)
        if media is None or media.status != "processing":
            return Complete("done", ())
        with logs.bind_context(media_id=item.id, project=item.project):
            try:
                original = await self._fetched(media, item.payload["url"])
            except FetchError as error:
                if error.retriable:
                    return Retry(fetch_retry_delay(item.failures + 1), str(error), fetch_fault(error))
                return self._failed(media, fetch_fault(error))
            except MediaFault as fault:
                log.info("file refused", fault=fault.kind, detail=fault.detail)
                return self._failed(media, fault.fault())
            return self._stored(media, original)

    async def exhausted(self, item: QueueItem, cause: Cause) -> Complete:
        """The end of an import without a further attempt."""
        media = await self.store.media_item(item.id)
        if media is None or media.status != "processing":
            return Complete("failed", ())
        match cause:
            case Poisoned():
                fault = Fault(kind="poisoned", message=FAULTS["poisoned"])
            case LastAttempt(reason, shown):
                fault = shown or Fault(kind="internal_error", message=FAULTS["internal_error"])
                if shown is None:
                    log.error("import given up", media_id=item.id, project=item.project, reason=reason)
        return self._failed(media, fault)

    async def on_cancel(self, _: QueueItem) -> Complete:
        """Nobody wants the file any more; whoever said so has already changed the item."""
        return Complete("cancelled")

    async def _fetched(self, media: MediaItem, url: str) -> File:
        """The original, in storage."""
        with TemporaryDirectory(prefix="import-", dir=self.workdir, ignore_cleanup_errors=True) as folder:
            path = Path(folder) / "original"
            await retry_while_full(lambda: fetch(url, path, self.guard, self.limits))
            info = await self.prober.probe(path)
            file_id = derived("file", media.id, "original")
            key = names.storage_key(media.project, media.id, file_id, info.format)
            file = info.to_file(file_id, key)
            await retry_while_full(lambda: self.storage.put(key, path, file.content_type))
            return file

    def _stored(self, media: MediaItem, original: File) -> Complete:
        at = now_ms()
        active = transitions.stored(media, original, at)
        jobs = jobs_for(active, self.media_jobs, base=self.delivery_base, at=at)

        async def also(conn: Connection) -> None:
            await self._write_stored(conn, active, jobs)

        imports_total.labels("ingest", "stored").inc()
        return Complete("done", (MediaCreated(media=active, jobs=jobs),), also)

    def _failed(self, media: MediaItem, error: Fault) -> Complete:
        failed = transitions.failed(media, error, now_ms())

        async def also(conn: Connection) -> None:
            # The name is free again: the customer will want to try once more under the same one.
            await self.store.release_names(conn, failed.id)
            await self._write(conn, failed)

        imports_total.labels("ingest", error.kind).inc()
        return Complete("failed", (MediaFailed(media=failed),), also)

    async def _write_stored(self, conn: Connection, active: MediaItem, jobs: list[Job]) -> None:
        if active.original_path is not None:
            await self.store.reserve_name(conn, active.project, active.original_path, active.id)
        await self.store.add_jobs(conn, jobs)
        await self._write(conn, active)

    async def _write(self, conn: Connection, item: MediaItem) -> None:
        if not await self.store.update_media(conn, item):
            raise RuntimeError(f"{item.id} was changed while it was imported")
        self.waiter.notify(item.id)
