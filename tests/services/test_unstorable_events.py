"""Records that no service can store, among good ones, through every handler of every service on a real Postgres.

A record is a dead letter or is handled, at once: no record is delivered again, and no consumer halts.
"""

import json
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pytest
from aiokafka import ConsumerRecord

from chassis.adapters.egress.policy import EgressPolicy
from chassis.adapters.failure_policy import FailurePolicy
from chassis.adapters.kafka.consumer import ServiceBroker
from chassis.adapters.kafka.record_handler import HandlerLimits
from chassis.adapters.kafka.subscription import Subscription
from chassis.adapters.postgres import Pool, migrate, open_pool
from chassis.core.ids import new_id
from chassis.runtime.job_queue import Complete, JobQueue, QueueItem
from chassis.runtime.outbox import Outbox
from schemas.delivery import DeliverySigner
from schemas.events import EVENTS, JOB_SUBMITTED, MEDIA_SUBMITTED
from schemas.topics import Topic
from services.catalog.app import SPEC as CATALOG
from services.catalog.handlers import register as register_catalog
from services.catalog.projection import Projection
from services.catalog.store import Store as CatalogStore
from services.ingest import keys as api_keys
from services.ingest.app import Ingest
from services.ingest.cancellations import Cancellations
from services.ingest.connections import Connections
from services.ingest.handlers import Submissions
from services.ingest.handlers import register as register_ingest
from services.ingest.job_actions import JobActions
from services.ingest.job_purges import JobPurges
from services.ingest.job_stores import JobStores
from services.ingest.jobs import JobWriter
from services.ingest.media_items import MediaWriter
from services.ingest.queue_bounds import QueueBound
from services.ingest.replies import Replies
from services.ingest.reply_store import ReplyStore
from services.ingest.retries import Retries
from services.ingest.store import Store as IngestStore
from services.notifier.app import Notifier
from services.notifier.deliveries import DeliveryQueue
from services.notifier.handlers import register as register_notifier
from services.notifier.store import Store as NotifierStore
from services.transcoder.plan import estimate
from tests.services.ingest.parts import job_results
from tests.support.edge_values import variants
from tests.support.example_events import full_events
from worker.app import worker_service
from worker.handlers import JobIntake
from worker.handlers import register as register_worker

Headers = dict[str, str | bytes]
BATCH = 500
IDS: dict[str, tuple[str, str]] = {
    "job": ("job", "id"),
    "media": ("med", "id"),
    "key": ("key", "id"),
    "project": ("prj", "id"),
}


class Letters:
    """Keeps dead letters in memory."""

    def __init__(self) -> None:
        self.written: dict[int, str] = {}

    async def write(self, topic: Topic, record: ConsumerRecord, reason: str, code: str) -> None:
        self.written[record.offset] = reason


def consumed(topic: Topic, offset: int, value: bytes, headers: Headers) -> ConsumerRecord:
    sent = [(name, text if isinstance(text, bytes) else text.encode()) for name, text in headers.items()]
    return ConsumerRecord(
        topic=topic.name,
        partition=0,
        offset=offset,
        timestamp=0,
        timestamp_type=0,
        key=b"k",
        value=value,
        checksum=None,
        serialized_key_size=1,
        serialized_value_size=len(value),
        headers=tuple(sent),
    )


def fresh(document: Any) -> Any:
    """The document with ids of its own, so that no record is taken for a repetition of another."""
    for name, (prefix, field) in IDS.items():
        if isinstance(document.get(name), dict):
            document[name][field] = new_id(prefix)  # type: ignore[arg-type]  # one of the prefixes above
    if "job_id" in document:
        document["job_id"] = new_id("job")
    for job in document.get("jobs", []):
        job["id"] = new_id("job")
    return document


def id_of(document: Any) -> str:
    return str(
        document.get("job_id") or next(document[name]["id"] for name in IDS if isinstance(document.get(name), dict))
    )


async def handle(subscription: Subscription, records: Sequence[ConsumerRecord]) -> None:
    """As the consumer does it. A redelivery or a halt would be an exception here."""
    for start in range(0, len(records), BATCH):
        await subscription.handler([subscription.decoder.decode(record) for record in records[start : start + BATCH]])
        subscription.handler.check()


@asynccontextmanager
async def opened(dsn: str, service: str, packages: Sequence[str]) -> AsyncIterator[Pool]:
    await migrate(dsn, service, tuple(packages))
    async with await open_pool(dsn, service) as pool:
        yield pool


def broker_of(service: str) -> tuple[ServiceBroker, Letters]:
    """A broker that never connects: only its subscriptions are used. Dead letters of good code are not limited here."""
    letters = Letters()
    limits = HandlerLimits(policy=FailurePolicy(first_delay_s=0.001), dead_letters_per_minute=1_000_000)
    return ServiceBroker("127.0.0.1:1", service, dead_letters=letters, limits=limits), letters


def catalog(broker: ServiceBroker, pool: Pool) -> None:
    register_catalog(broker, Projection(CatalogStore(pool), lambda names: list(names).clear()))


def notifier(broker: ServiceBroker, pool: Pool) -> None:
    queue = JobQueue(pool, Outbox(pool, "notifier"))
    store, signer = NotifierStore(pool), DeliverySigner("https://media.example.com", None, timedelta(hours=1))
    register_notifier(broker, DeliveryQueue(pool, queue, store, signer), store)


def ingest(broker: ServiceBroker, pool: Pool) -> None:
    store, outbox = IngestStore(pool), Outbox(pool, "ingest")
    replies = Replies(ReplyStore(pool))
    media = MediaWriter(store, JobQueue(pool, outbox), outbox)
    jobs_bound = QueueBound("jobs", "LIMIT", 1000, store.unfinished_jobs)
    media_bound = QueueBound("imports", "LIMIT", 1000, store.unfinished_imports)
    egress = EgressPolicy(())
    stores, jobs = JobStores(Connections(store, None, egress), frozenset()), JobWriter(store, outbox)
    submissions = Submissions(store, jobs, media, jobs_bound, media_bound, egress, stores, replies)
    cancellations, retries, purges = Cancellations(store, outbox), Retries(store, outbox), JobPurges(store, outbox)
    actions = JobActions(submissions, cancellations, retries, purges)
    register_ingest(broker, submissions, actions, job_results(pool))


def worker(broker: ServiceBroker, pool: Pool) -> None:
    async def on_cancel(item: QueueItem) -> Complete:
        return Complete("cancelled")

    queue = JobQueue(pool, Outbox(pool, "transcoder"))
    register_worker(broker, JobIntake(pool, queue, ("video",), estimate, on_cancel))


@dataclass(frozen=True)
class Service:
    """`rows` gives the ids of what the service has stored, of the events of `stored`."""

    packages: Sequence[str]
    register: Callable[[ServiceBroker, Pool], None]
    rows: str
    stored: Sequence[str]


SERVICES = {
    "catalog": Service(
        CATALOG.all_migrations,
        catalog,
        "SELECT id FROM jobs UNION SELECT id FROM media UNION SELECT id FROM api_keys UNION SELECT id FROM projects"
        " UNION SELECT id FROM purged_jobs",
        tuple(EVENTS),
    ),
    "notifier": Service(
        Notifier.spec.all_migrations,
        notifier,
        "SELECT job_id FROM deliveries",
        ("bitmill.job.succeeded.v1", "bitmill.job.failed.v1", "bitmill.job.cancelled.v1"),
    ),
    "ingest": Service(Ingest.spec.all_migrations, ingest, "SELECT id FROM jobs", ()),
    "transcoder": Service(
        worker_service("transcoder").all_migrations,
        worker,
        "SELECT id FROM job_queue UNION SELECT id FROM job_queue_cancellations",
        ("bitmill.job.created.v1", "bitmill.job.cancel_requested.v1"),
    ),
}
"""Both workers have the same handlers."""


@pytest.mark.parametrize("name", SERVICES)
async def test_an_event_that_cannot_be_stored_is_a_dead_letter_and_its_neighbours_are_handled(
    name: str, fresh_dsn: str
) -> None:
    service, (broker, letters) = SERVICES[name], broker_of(name)
    async with opened(fresh_dsn, name, service.packages) as pool:
        service.register(broker, pool)
        for subscription in broker.subscriptions:
            topic = subscription.handler.topic
            for type_ in (each for each in topic.types if each in EVENTS):
                letters.written.clear()
                documents = [value for _, _, value in variants(full_events()[type_])]
                neighbours = [fresh(full_events()[type_]) for _ in range(len(documents) // 50)]
                for number, neighbour in enumerate(neighbours):
                    documents.insert(51 * number, json.dumps(neighbour).encode())
                records = [consumed(topic, at, value, {"ce_type": type_}) for at, value in enumerate(documents)]
                await handle(subscription, records)
                read = {record.offset: subscription.decoder.decode(record) for record in records}
                # What can be read can be stored: a handler never gets anything that Postgres refuses.
                assert set(letters.written) == {at for at, found in read.items() if found.unreadable}, type_
                assert len(letters.written) > 10
                if type_ in service.stored:
                    rows = {row[0] for row in await pool.fetch(service.rows)}
                    assert {id_of(neighbour) for neighbour in neighbours} <= rows, type_


@pytest.mark.parametrize("type_", [JOB_SUBMITTED, MEDIA_SUBMITTED])
async def test_a_submission_that_cannot_be_stored_is_a_dead_letter_and_its_neighbours_are_accepted(
    type_: str, fresh_dsn: str
) -> None:
    broker, letters = broker_of("ingest")
    url = "https://example.com/clip.mov"
    job = {"input": url, "kind": "video", "options": {"width": 320}, "metadata": {"a": "b"}, "webhook_url": url}
    media = {"url": url, "title": "t", "filename": "a.mp4", "folder": "clips", "metadata": {"a": "b"}}
    body = job if type_ == JOB_SUBMITTED else media
    async with opened(fresh_dsn, "ingest", Ingest.spec.all_migrations) as pool:
        ingest(broker, pool)
        project = (await api_keys.create_key(pool)).key.project
        subscription = next(each for each in broker.subscriptions if type_ in each.handler.topic.types)
        topic = subscription.handler.topic
        headers: Headers = {"ce_project": project}
        valid = json.dumps(body).encode()
        odd: list[tuple[bytes, Headers]] = [
            *((value, headers) for _, _, value in variants(body)),
            *((b"x" * size, headers) for size in (0, 1_000_000)),
            *((valid, headers | {"ce_id": id}) for id in ("\0", "x" * 3000, "\x85", b"\xff")),
            *((valid, {"ce_project": id}) for id in ("\0", "prj_1", "", "x" * 3000, b"\xff")),
        ]
        good = json.dumps(body | {"metadata": {"good": "1"}} | ({"filename": "good.mp4"} if body is media else {}))
        sent = enumerate([*odd, (good.encode(), headers)])
        records = [consumed(topic, at, value, with_headers) for at, (value, with_headers) in sent]
        await handle(subscription, records)
        assert len(letters.written) > 100
        assert len(odd) not in letters.written
        table, column = ("jobs", "request") if body is job else ("media", "item")
        found = await pool.fetchval(f"SELECT count(*) FROM {table} WHERE {column}::text LIKE '%\"good\"%'")
        assert found == 1
