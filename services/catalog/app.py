"""Builds the catalog: the only module of this service that constructs its parts."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from aiohttp import web

from chassis.adapters.http.auth import CachedKeys, Caller
from chassis.adapters.http.client_address import client_of
from chassis.adapters.http.health import Check
from chassis.adapters.http.rate_limit import RateLimit
from chassis.adapters.postgres.channel import Channel
from chassis.adapters.storage import Storage
from chassis.core.fair_slots import FairSlots
from chassis.runtime.rate_limits import SharedWindows
from chassis.runtime.retention import Dependent, Kept, Purged
from chassis.runtime.service_app import Components, Resources, ServiceApp, ServiceSpec
from schemas.delivery import DeliverySigner
from schemas.keys import REVOKED_CHANNEL, ApiKey
from schemas.topics import OUTBOX_WATERMARK, QUEUE_ORDER
from services.catalog.api import Api
from services.catalog.broadcasts import Broadcasts
from services.catalog.delivery import Delivery
from services.catalog.event_buffers import EventBuffers
from services.catalog.event_history import History
from services.catalog.event_log import EventLog, RecordedEvent
from services.catalog.event_stream import StreamTimes
from services.catalog.event_text import StreamEvent, stream_event
from services.catalog.events_api import EventParts, EventsApi
from services.catalog.files_api import FilesApi
from services.catalog.handlers import register
from services.catalog.listeners import Listeners
from services.catalog.lookup import Lookup
from services.catalog.projection import Projection
from services.catalog.queries import Queries, open_query_pool
from services.catalog.queue_positions import QueuePositions
from services.catalog.rates import RequestRates
from services.catalog.revocations import Revocations
from services.catalog.settings import Settings
from services.catalog.store import Store
from services.catalog.waiting import WaitingRequests
from services.catalog.watermarks import OutboxWatermarks

RETENTION = (
    Purged(
        "jobs",
        "minted",
        "retain_jobs",
        clock="id",
        where="rank = 2 AND updated_at < {cutoff_ms}",
        # The names of files that belong to a media item stay as long as the item.
        dependents=(Dependent("files", "owner", where="media_id IS NULL"),),
        note="jobs that were accepted and have ended before that",
    ),
    Purged(
        "media",
        "updated_at",
        "retain_deleted_media",
        clock="milliseconds",
        where="hidden",
        dependents=(Dependent("files", "media_id"),),
        note="the marks of deleted items",
    ),
    Purged(
        "purged_jobs", "purged_at", "retain_deleted_media", note="the marks of jobs that were purged before RETAIN_JOBS"
    ),
    Kept("media_metadata", "a row for each metadata pair of an item that is not deleted"),
    Kept("job_metadata", "a row for each metadata pair of a job; goes with the job"),
    Kept("job_spans", "a row for 256 jobs of a project; goes with the last of them"),
    Kept("job_positions", "a row for each project"),
    Purged(
        "job_events",
        "recorded_at",
        "retain_events",
        key=("project", "position"),
        note="what streams of events can go on with",
    ),
    Kept("event_positions", "a row for each project"),
    Kept("api_keys", "a row for each key"),
    Kept("projects", "a row for each project that has changed its delivery"),
)

SPEC = ServiceSpec(
    name="catalog",
    migrations=("services.catalog.sql.migrations",),
    # The projection's: one connection for each subscription, two to spare, one of them for the counts of requests.
    # Requests have a pool of their own for their queries.
    pool_size=11,
    temporary_tables=True,
    storage=True,
    rate_limits=True,
    retention=RETENTION,
)


@dataclass(frozen=True)
class Parts:
    """What the HTTP handlers use while the service runs."""

    queries: Queries
    lookup: Lookup
    storage: Storage
    revocations: Revocations
    channel: Channel
    events: EventParts
    queue_positions: QueuePositions
    rates: RequestRates


LOOKUP_SECONDS = 3.0
"""Besides `read_wait`, for the queries of a request that waits for an id."""


class Catalog(ServiceApp[Settings, Parts]):
    """The catalog as an App (see `chassis.runtime.lifecycle`)."""

    spec = SPEC

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings)
        signer = DeliverySigner(settings.delivery_base, settings.derive_keys, settings.signed_url_lifetime)
        delivery = Delivery(self._project_is_signed, signer)
        self._api = Api(
            lambda: self.parts.lookup,
            lambda: self.parts.queries,
            CachedKeys(self._find_key, self._count),
            settings.public_url,
            delivery,
            self._client,
            self._as_it_is_now,
            lambda id: self.parts.queue_positions.find(id),
        )
        self._events_api = EventsApi(
            lambda: self.parts.events,
            self._api.authenticated,
            delivery,
            StreamTimes(heartbeat_s=settings.event_heartbeat.total_seconds()),
        )
        self._delivery = delivery
        self._files_api = FilesApi(lambda: self.parts.lookup, lambda: self.parts.storage, delivery, self._client)
        self.error_styles = {"/media": self._api.media_error}
        self.response_s = max(self.response_s, settings.read_wait.total_seconds() + LOOKUP_SECONDS)

    def routes(self) -> Sequence[web.AbstractRouteDef]:
        return [*self._api.routes(), *self._events_api.routes(), *self._files_api.routes()]

    async def build(self, resources: Resources) -> Components[Parts]:
        settings = self.settings
        pool = await open_query_pool(
            settings.database_url,
            SPEC.name,
            size=settings.catalog_connections,
            timeout=settings.catalog_query_timeout,
        )
        await resources.stack.enter_async_context(pool)
        queries = Queries(pool)
        waiting = WaitingRequests()
        watermarks, positions = OutboxWatermarks(), QueuePositions()
        readers = {OUTBOX_WATERMARK: watermarks.reader, QUEUE_ORDER: positions.reader}
        watermarks.broadcasts = broadcasts = Broadcasts(resources.kafka, f"bitmill.{SPEC.name}.broadcasts", readers)
        lookup = Lookup(
            queries,
            waiting,
            watermarks,
            partial(resources.lag.wait_caught_up, SPEC.name),
            wait=settings.read_wait.total_seconds(),
            anonymous_queries=max(settings.catalog_connections // 2, 1),
        )
        listeners = Listeners(settings.event_listeners, settings.event_listeners_per_project)
        revocations = Revocations(lambda new: projection.revoke_keys(new), listeners.revoke)
        channel = Channel(settings.listen_url or settings.database_url, REVOKED_CHANNEL, revocations.handle)
        event_log = EventLog(pool)
        buffers = EventBuffers(event_log, self._render, channel.confirm)
        turns = FairSlots(max(settings.catalog_connections // 3, 1))
        history = History(event_log, self._render, channel.confirm, turns)
        projection = Projection(Store(resources.pool), waiting.announce, buffers.wake)
        events = EventParts(lookup, buffers, history, listeners, positions.find)
        windows = SharedWindows(resources.pool)
        rate_limit = RateLimit(SPEC.name, windows.take, int(windows.window.total_seconds()))
        rates = RequestRates(rate_limit, queries.project_rates, settings)
        return Components(
            parts=Parts(queries, lookup, resources.storage, revocations, channel, events, positions, rates),
            subscribe=lambda broker: register(broker, projection),
            background={
                "broadcasts": broadcasts.follow(),
                "key revocations": channel.run(),
                "event buffers": buffers.run(),
            },
            checks={"revocations": _check(channel)},
            before_stop=(listeners.stop,),
        )

    async def _render(self, project: str, events: Sequence[RecordedEvent]) -> Sequence[StreamEvent]:
        urls = await self._delivery.urls(project)
        return [stream_event(event, urls) for event in events]

    def _client(self, request: web.Request) -> str:
        return f"client:{client_of(request, self.settings.trusted_proxies)}"

    async def _project_is_signed(self, project: str) -> bool:
        return await self.parts.queries.project_is_signed(project)

    async def _as_it_is_now(self, key: ApiKey) -> ApiKey:
        return await self.parts.revocations.apply(key, self.parts.channel.confirm)

    async def _count(self, caller: Caller) -> Mapping[str, str]:
        return await self.parts.rates.count(caller)

    async def _find_key(self, hash: str) -> ApiKey | None:
        return await self.parts.queries.key(hash)


def _check(channel: Channel) -> Check:
    async def check() -> None:
        channel.check()

    return check
