"""Builds ingest: the only module of this service that constructs its parts."""

from collections.abc import Coroutine, Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

from aiohttp import web

from chassis.adapters.egress.policy import egress_policy
from chassis.adapters.http.auth import CachedKeys, Caller
from chassis.adapters.http.rate_limit import RateLimit
from chassis.adapters.http.response_deadline import RESPONSE_SECONDS
from chassis.adapters.http.streamed_body import BodyLimits
from chassis.adapters.kafka.producer import replaceable_producer
from chassis.adapters.postgres import Pool
from chassis.adapters.sandbox import self_test
from chassis.core import logs
from chassis.core.retry import run_periodically
from chassis.runtime.job_queue import JobQueue, Runner, WorkSlots
from chassis.runtime.outbox import Outbox
from chassis.runtime.rate_limits import SharedWindows
from chassis.runtime.retention import Dependent, Kept, Purged
from chassis.runtime.service_app import Components, Resources, ServiceApp, ServiceSpec
from media.probe import Prober, open_fork_server
from media.strip import TagRemover
from schemas.delivery import DeliverySigner
from schemas.keys import ApiKey
from services.ingest import announcements, handlers, revocations
from services.ingest.announcements import Announcements
from services.ingest.api import JobApi
from services.ingest.api_parts import ApiParts
from services.ingest.cancellations import Cancellations
from services.ingest.connection_keys import LOOK_EVERY, encrypt_anew
from services.ingest.connections import Connections
from services.ingest.connections_api import ConnectionApi
from services.ingest.deleted_media import deleted_media
from services.ingest.handlers import Submissions
from services.ingest.idempotency import IdempotentResponses
from services.ingest.import_waiter import VISIBILITY_TIMEOUT, CatalogVisibility, ImportWaiter
from services.ingest.imports import Imports
from services.ingest.inputs import Inputs
from services.ingest.job_actions import JobActions
from services.ingest.job_batches import JobBatchApi
from services.ingest.job_purges import JobPurges
from services.ingest.job_results import Attachments, JobResults
from services.ingest.job_stores import JobStores
from services.ingest.jobs import JobWriter
from services.ingest.media_api import MediaApi, media_error_style
from services.ingest.media_changes import MediaChanges
from services.ingest.media_items import MediaWriter
from services.ingest.name_takeover import NameTakeover
from services.ingest.project_limits import ProjectLimits
from services.ingest.queue_bounds import QueueBound
from services.ingest.replies import Replies
from services.ingest.reply_sender import ReplySender
from services.ingest.reply_store import ReplyStore
from services.ingest.retries import Retries
from services.ingest.settings import Settings
from services.ingest.store import DEADLINE_S, Store
from services.ingest.upload_api import UploadApi
from services.ingest.upload_inputs import UploadInputs
from services.ingest.uploads import UploadLimits, Uploads, expired_uploads
from worker.settings import scratch_dir

UNUSED = (
    "NOT EXISTS (SELECT FROM upload_uses AS use JOIN jobs ON jobs.id = use.user_id "
    "WHERE use.upload_id = uploads.id AND jobs.ended IS NULL) "
    "AND NOT EXISTS (SELECT FROM upload_uses AS use JOIN media ON media.id = use.user_id "
    "WHERE use.upload_id = uploads.id AND media.status = 'processing')"
)
"""Of uploads: no unfinished job or import uses them."""
RETENTION = (
    Purged(
        "jobs", "ended_at", "retain_jobs", clock="milliseconds", where="ended IS NOT NULL", note="jobs that have ended"
    ),
    Purged(
        "idempotency_keys",
        "expires_at",
        None,
        clock="milliseconds",
        key=("project", "scope", "key"),
        note="24 hours; the ids of submissions 14 days",
    ),
    Purged(
        "media",
        "deleted_at",
        "retain_deleted_files",
        clock="milliseconds",
        where="deleted_at IS NOT NULL",
        note="deleted items, with their stored files; others are kept",
    ),
    Purged(
        "uploads",
        "expires_at",
        None,
        clock="milliseconds",
        where=UNUSED,
        dependents=(Dependent("upload_uses", "upload_id", cascades=True),),
        note="UPLOAD_LIFETIME without a file; with it RETAIN_UPLOADS, and while unfinished jobs use it",
    ),
    Purged(
        "replies",
        "created_at",
        "retain_quarantined_events",
        note="replies to producers that Kafka does not take; others until they are sent",
    ),
    Kept("names", "a row for each name of a media item"),
    Kept("connections", "a row for each connection of a project"),
    Kept("projects", "a row for each project"),
    Kept("api_keys", "a row for each key"),
)

RESTORE_MARGIN = timedelta(minutes=2)
"""An item cannot be restored any more so long before its files are removed."""

log = logs.get_logger(__name__)


class Ingest(ServiceApp[Settings, ApiParts]):
    """Ingest as an App.

    `deadline_s` is for one piece of the database work of a request, `response_s` for all of it; `visibility_timeout` is
    for the wait until the catalog has read the events of an imported item.
    """

    spec = ServiceSpec(
        name="ingest",
        migrations=("services.ingest.sql.migrations",),
        pool_size=12,
        watermark=True,
        outbox=True,
        job_queue=True,
        storage=True,
        rate_limits=True,
        retention=RETENTION,
    )

    def __init__(
        self,
        settings: Settings,
        *,
        deadline_s: float = DEADLINE_S,
        response_s: float = RESPONSE_SECONDS,
        visibility_timeout: timedelta = VISIBILITY_TIMEOUT,
    ) -> None:
        super().__init__(settings)
        self.response_s = response_s
        self._deadline_s = deadline_s
        self._visibility_timeout = visibility_timeout
        self._egress = egress_policy(settings)
        self._keys = CachedKeys(self._find_key, self._count)
        self.error_styles = {"/media": media_error_style(settings.public_url)}

    def routes(self) -> Sequence[web.AbstractRouteDef]:
        apis = (JobApi, JobBatchApi, MediaApi, UploadApi, ConnectionApi)
        return [route for api in apis for route in api(lambda: self.parts).routes(self._keys)]

    async def build(self, resources: Resources) -> Components[ApiParts]:
        settings, outbox, queue = self.settings, resources.outbox, resources.job_queue
        store = Store(resources.pool, deadline_s=self._deadline_s)
        inputs, attachments = Inputs(outbox, settings.delivery_base), Attachments(store, outbox)
        upload_inputs = UploadInputs(store, settings.delivery_base)
        jobs, media = (
            JobWriter(store, outbox, inputs=inputs, deadline_s=self._deadline_s),
            MediaWriter(store, queue, outbox, settings.keyring, upload_inputs),
        )
        waiter = ImportWaiter(store.media_item, timeout=settings.media_wait)
        sandbox = await self_test.require(settings.sandbox)
        scratch = resources.stack.enter_context(scratch_dir(settings.work_dir))
        imports = await self._imports(resources, store, waiter, scratch, inputs, attachments)
        limits = ProjectLimits(store.project, settings)
        reply_store = ReplyStore(resources.pool)
        windows, replies = SharedWindows(resources.pool), Replies(reply_store, settings.reply_topics)
        job_bound = QueueBound("jobs", "MAX_UNFINISHED_JOBS", limits.unfinished_jobs, store.unfinished_jobs)
        media_bound = QueueBound(
            "imports", "MAX_UNFINISHED_IMPORTS", limits.unfinished_imports, store.unfinished_imports
        )
        connections = Connections(store, settings.keyring, self._egress)
        job_stores = JobStores(connections, frozenset(settings.default_s3_buckets))
        purges = JobPurges(store, outbox)
        submissions, results = (
            Submissions(
                store,
                jobs,
                media,
                job_bound,
                media_bound,
                self._egress,
                job_stores,
                replies,
                settings.keyring,
                upload_inputs,
                settings.delivery_base,
            ),
            JobResults(store, outbox, attachments, inputs, replies),
        )
        cancellations, retries = Cancellations(store, outbox), Retries(store, outbox)
        actions = JobActions(submissions, cancellations, retries, purges)
        parts = ApiParts(
            jobs=jobs,
            media=media,
            changes=MediaChanges(
                store,
                queue,
                outbox,
                NameTakeover(store, outbox),
                inputs,
                settings.retain_deleted_files - RESTORE_MARGIN,
            ),
            cancellations=cancellations,
            retries=retries,
            purges=purges,
            job_bound=job_bound,
            media_bound=media_bound,
            uploads=self._uploads(resources, store, scratch),
            upload_inputs=upload_inputs,
            upload_bound=QueueBound("uploads", "MAX_UPLOADS", settings.max_uploads, store.unexpired_uploads),
            responses=IdempotentResponses(store, settings.media_wait),
            waiter=waiter,
            visibility=CatalogVisibility(outbox, resources.lag, timeout=self._visibility_timeout),
            egress=self._egress,
            public_base=settings.public_url,
            signer=DeliverySigner(settings.delivery_base, settings.derive_keys, settings.signed_url_lifetime),
            keyring=settings.keyring,
            connections=connections,
            job_stores=job_stores,
            find_key=store.key_by_hash,
            find_project=store.project,
            limits=limits,
            rate_limit=RateLimit("ingest", windows.take, int(windows.window.total_seconds())),
        )
        return Components(
            parts=parts,
            subscribe=lambda broker: handlers.register(broker, submissions, actions, results),
            runner=Runner(
                queue,
                imports.work,
                exhausted=imports.exhausted,
                on_cancel=imports.on_cancel,
                **settings.runner_slots(settings.import_slots),
            ),
            checks={"sandbox": sandbox.check},
            background=await self._reply_sender(resources, replies)
            | {
                "key revocations": _announce_revocations(resources.pool),
                "connection keys": run_periodically(
                    lambda: encrypt_anew(store, settings.keyring), LOOK_EVERY, log, "connection_keys"
                ),
                "announcements": _announce_again(store, queue, outbox, inputs, settings),
                "job retention": run_periodically(purges.expired, settings.purge_interval, log, "job_retention"),
            },
            report_dead_letter=replies.refused,
            before_stop=(waiter.close,),
            purge_hooks={
                "media": deleted_media(resources.storage, store, outbox),
                "uploads": expired_uploads(resources.storage),
            },
        )

    def _uploads(self, resources: Resources, store: Store, scratch: Path) -> Uploads:
        settings = self.settings
        limits = UploadLimits(
            body=BodyLimits(settings.upload_max_bytes),
            lifetime=settings.upload_lifetime,
            keep=settings.retain_uploads,
            slots=settings.upload_slots,
        )
        return Uploads(store, resources.storage, scratch, limits, settings.public_url, settings.delivery_base)

    async def _imports(
        self,
        resources: Resources,
        store: Store,
        waiter: ImportWaiter,
        scratch: Path,
        inputs: Inputs,
        attachments: Attachments,
    ) -> Imports:
        settings = self.settings
        fork_server = await resources.stack.enter_async_context(open_fork_server(scratch))
        prober = Prober(fork_server)
        return Imports(
            store=store,
            takeover=NameTakeover(store, resources.outbox),
            attachments=attachments,
            inputs=inputs,
            waiter=waiter,
            storage=resources.storage,
            egress=self._egress,
            prober=prober,
            remover=TagRemover(fork_server, prober),
            limits=settings.fetch_limits,
            bounds=settings.fetch_bounds(settings.import_slots),
            slots=WorkSlots(resources.job_queue, settings.import_slots),
            scratch_dir=scratch,
            media_jobs=settings.media_jobs,
            delivery_base=settings.delivery_base,
            retries=settings.fetch_retries,
            keyring=settings.keyring,
        )

    async def _reply_sender(self, resources: Resources, replies: Replies) -> dict[str, Coroutine[Any, Any, None]]:
        if not replies.allowed:
            return {}
        reopen = await resources.stack.enter_async_context(
            replaceable_producer(resources.kafka, "bitmill.ingest.replies")
        )
        return {"replies": ReplySender(replies.store, reopen, replies.added).run()}

    async def _find_key(self, hash: str) -> ApiKey | None:
        return await self.parts.find_key(hash)

    async def _count(self, caller: Caller) -> Mapping[str, str]:
        return await self.parts.count(caller)


async def _announce_again(store: Store, queue: JobQueue, outbox: Outbox, inputs: Inputs, settings: Settings) -> None:
    after = settings.announce_again_after
    total = announcements.announced_for(settings.retain_jobs)
    again = Announcements(store, queue, outbox, inputs, announcements.pauses(after, total=total))
    await run_periodically(again.repeat, announcements.interval(after), log, "announcements")


async def _announce_revocations(pool: Pool) -> None:
    await run_periodically(lambda: revocations.repeat(pool), revocations.REPEAT_EVERY, log, "key_revocations")
