"""Imports: the file of an accepted media item is fetched, probed and stored, and published with the jobs it gets.

A fault of the customer ends the item as failed, with a published code and a sentence. Faults of ours are raised, and
the job queue retries them.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Protocol

from chassis.adapters.egress.errors import FetchError
from chassis.adapters.egress.fetch import FetchLimits, fetch
from chassis.adapters.egress.policy import EgressPolicy
from chassis.adapters.postgres import Connection
from chassis.adapters.storage import Storage
from chassis.core import logs, tracing
from chassis.core.encryption import Keyring, reveal_url
from chassis.core.ids import now_ms
from chassis.core.metrics import counter
from chassis.runtime.job_queue import (
    Cause,
    Complete,
    FinalState,
    LastAttempt,
    Outcome,
    Poisoned,
    QueueItem,
    Retry,
    WorkSlots,
)
from media.faults import MediaFault
from media.info import MediaInfo
from schemas.events import MediaCreated, MediaFailed, MediaUpdated
from schemas.faults import FAULTS, Fault
from schemas.files import File
from schemas.ids import derived
from schemas.jobs import url_context
from schemas.media import MediaItem
from services.ingest import names, transitions
from services.ingest.automations import MediaJob, jobs_for
from services.ingest.import_waiter import ImportWaiter
from services.ingest.inputs import Inputs
from services.ingest.job_results import Attachments
from services.ingest.name_takeover import NameTakeover
from services.ingest.store import Store
from worker.attempt_object import AttemptObject, attempt_object
from worker.fetch_bounds import FetchBounds, HostAtLimit
from worker.fetch_retries import FetchRetries
from worker.input import fetch_fault

log = logs.get_logger(__name__)
imports_total = counter("bitmill_imports", "Imports of media items that ended, by result.", ("service", "result"))


class Prober(Protocol):
    """Probes a file in the sandbox; raises MediaFault."""

    async def probe(self, path: Path) -> MediaInfo: ...


class TagRemover(Protocol):
    """Removes tags of place and device from a file in the sandbox; raises MediaFault."""

    async def strip(self, path: Path, info: MediaInfo) -> MediaInfo: ...


@dataclass(frozen=True)
class Imports:
    """The functions of the import queue's Runner. The id of a queue item is the media item's."""

    store: Store
    takeover: NameTakeover
    attachments: Attachments
    inputs: Inputs
    waiter: ImportWaiter
    storage: Storage
    egress: EgressPolicy
    prober: Prober
    remover: TagRemover
    limits: FetchLimits
    bounds: FetchBounds
    slots: WorkSlots
    scratch_dir: Path
    media_jobs: tuple[MediaJob, ...]
    delivery_base: str
    retries: FetchRetries = field(default_factory=FetchRetries)
    keyring: Keyring | None = None

    async def work(self, item: QueueItem) -> Outcome:
        """One attempt."""
        media = await self.store.media_item(item.id)
        if media is None or media.status != "processing":
            return _already_ended(media, "done")
        with logs.bind_context(media_id=item.id, project=item.project):
            try:
                async with attempt_object(self.storage) as stored:
                    original = await self._fetch(media, self._url(item), item, stored)
            except HostAtLimit as error:
                return error.retry()
            except FetchError as error:
                return self._not_fetched(media, item, error)
            except MediaFault as error:
                log.info("import_rejected", fault=error.kind, detail=error.detail)
                return self._failed(media, error.fault())
            # Rows of release 0.1 do not say it.
            return self._stored(media, original, stored, overwrite=bool(item.payload.get("overwrite")))

    async def exhausted(self, item: QueueItem, cause: Cause) -> Complete:
        """The end of an import without a further attempt."""
        media = await self.store.media_item(item.id)
        if media is None or media.status != "processing":
            return _already_ended(media, "failed")
        match cause:
            case Poisoned():
                fault = Fault(kind="poisoned", message=FAULTS["poisoned"])
            case LastAttempt(reason, known):
                fault = known or Fault(kind="internal_error", message=FAULTS["internal_error"])
                if known is None:
                    log.error("import_given_up", media_id=item.id, project=item.project, reason=reason)
        return self._failed(media, fault)

    async def on_cancel(self, _: QueueItem) -> Complete:
        """The import of a cancelled item; the cancellation has changed the item already."""
        return Complete("cancelled")

    def _url(self, item: QueueItem) -> str:
        # Rows of release 0.1 have no encrypted address.
        encrypted = item.payload.get("encrypted_url")
        return reveal_url(self.keyring, item.payload["url"], encrypted, url_context(item.project, "media_url"))

    async def _fetch(self, media: MediaItem, url: str, item: QueueItem, stored: AttemptObject) -> File:
        """Fetches and probes the original, and puts it into storage. Raises FetchError, MediaFault and HostAtLimit."""
        strips, stored_key = await self._strips(item), item.payload.get("stored_key")
        with (
            self.bounds.input(media.project, None if stored_key else url) as place,
            TemporaryDirectory(prefix="import-", dir=self.scratch_dir, ignore_cleanup_errors=True) as folder,
        ):
            path = Path(folder) / "original"
            async with self.slots.attempt(item) as attempt:
                with tracing.span("fetch", kind="client", attributes={"url.full": item.payload["url"]}):
                    await place.fetch(
                        lambda on_size: (
                            self.storage.download(stored_key, path)
                            if stored_key
                            else self._download(url, path, media.project, on_size)
                        )
                    )
                async with attempt.work():
                    with tracing.span("probe"):
                        info = await self.prober.probe(path)
                    if strips:
                        with tracing.span("strip"):
                            info = await self.remover.strip(path, info)
                file_id = derived("file", media.id, "original")
                key = names.storage_key(media.project, media.id, file_id, info.format, item.attempt)
                file = info.to_file(file_id, key)
                with tracing.span("store"):
                    await stored.put(key, path, file.content_type)
            return file

    async def _download(self, url: str, path: Path, project: str, on_size: Callable[[int], None]) -> None:
        await fetch(url, path, self.egress, self.limits, project=project, on_size=on_size)

    async def _strips(self, item: QueueItem) -> bool:
        """Whether tags are removed: as the request says, otherwise as the project is set now."""
        asked: bool | None = item.payload.get("strip")
        if asked is not None:
            return asked
        project = await self.store.project(item.project)
        return project is not None and project.strip

    def _stored(self, media: MediaItem, original: File, stored: AttemptObject, *, overwrite: bool) -> Complete:
        at = now_ms()
        active = transitions.stored(media, original, at)
        jobs = jobs_for(active, self.media_jobs, base=self.delivery_base, at=at)

        async def write(conn: Connection) -> None:
            if overwrite:
                await self.takeover.take(conn, active)
            elif active.original_path is not None:
                await self.store.reserve_name(conn, active.project, active.original_path, active.id)
            await self.store.add_jobs(conn, jobs)
            await self._write(conn, active)
            await self._go_on(conn, active)

        ended = partial(self._ended, active.id, "stored")
        created = MediaCreated(media=active, jobs=jobs)
        return Complete("done", (created,), write, ended, discard=stored.discard)

    def _not_fetched(self, media: MediaItem, item: QueueItem, error: FetchError) -> Outcome:
        fault = fetch_fault(error)
        pause = self.retries.pause(error, item.deferrals, item.deferred_s, item.deferral_reasons)
        if pause is None:
            return self._failed(media, fault)
        log.info("input_fetch_failed", error=str(error), retry_in_s=round(pause.total_seconds(), 1))
        at = now_ms()
        retrying = transitions.retrying(media, fault, at, at + round(pause.total_seconds() * 1000))
        write = partial(self._write, item=retrying)
        return Retry.defer(pause, error.reason, str(error), [MediaUpdated(media=retrying)], write)

    def _failed(self, media: MediaItem, error: Fault) -> Complete:
        failed = transitions.failed(media, error, now_ms())

        async def write(conn: Connection) -> None:
            # The name is free again: the customer will probably retry under the same one.
            await self.store.release_names(conn, failed.id)
            await self._write(conn, failed)
            await self._go_on(conn, failed)

        ended = partial(self._ended, failed.id, str(error.kind))
        return Complete("failed", (MediaFailed(media=failed),), write, ended)

    async def _go_on(self, conn: Connection, ended: MediaItem) -> None:
        """What has waited for the end of the import: outputs of jobs for the item, and jobs whose input it is."""
        await self.attachments.of_item(conn, ended, now_ms())
        await self.inputs.release(conn, [ended.id])

    async def _write(self, conn: Connection, item: MediaItem) -> None:
        if not await self.store.update_media(conn, item):
            raise RuntimeError(f"{item.id} was changed while it was imported")

    def _ended(self, media_id: str, result: str) -> None:
        imports_total.labels("ingest", result).inc()
        self.waiter.notify(media_id)


def _already_ended(media: MediaItem | None, state: FinalState) -> Complete:
    """The end of an import whose media item has ended: deleted after the claim, or ended by an earlier attempt."""
    return Complete("cancelled" if media is not None and media.status == "deleted" else state)
