"""Postgres: one row for each job in every table that is to have one, and nothing left to do.

The auditor reads the tables of all services, which no service does.
"""

import asyncio
import time
from collections import Counter
from collections.abc import Sequence

import asyncpg

from tests.chaos.auditor.records import Audit, Customers, Target

QUEUES = ("transcoder", "thumbnailer")
ALL_QUEUES = ("ingest", *QUEUES, "notifier")
DISK_FULL_SECONDS = 30.0
"""Before and after a full disk: an attempt that finds no space waits for it, and then fetches its input again."""
PUBLISH_SECONDS = 30.0
OUTBOXES = ("ingest", *QUEUES)


async def check_tables(
    target: Target, customers: Customers, audit: Audit, disk_full: Sequence[tuple[float, float]]
) -> dict[str, str | None]:
    """Returns all jobs that ingest has accepted, with the end that it knows of.

    `disk_full`: (begin, end) on the clock of the downloads.
    """
    connection = await asyncpg.connect(target.dsn)
    try:
        rows = await connection.fetch(
            "SELECT id, ended, media_id, request -> 'metadata' ->> 'request' AS number FROM ingest.jobs"
        )
        jobs = {row["id"]: row["ended"] for row in rows}
        _check_requests(customers, [row for row in rows if row["media_id"] is None], audit)
        audit.report("stuck", [id for id, end in jobs.items() if end is None], "without an end in ingest.jobs")
        await _check_catalog(connection, jobs, audit)
        await _check_queues(connection, jobs, customers, audit, disk_full)
        await _check_deliveries(connection, customers, audit)
        await _check_media(connection, customers, audit)
    finally:
        await connection.close()
    return jobs


def _check_requests(customers: Customers, rows: list[asyncpg.Record], audit: Audit) -> None:
    """A request that was repeated with its idempotency key, or whose answer was lost, made at most one job."""
    made = Counter(row["number"] for row in rows)
    doubled = [str(number) for number, count in made.items() if count > 1]
    audit.report("doubled", doubled, "requests that made more than one job, in spite of the idempotency key")
    known = {row["id"] for row in rows}
    lost = [request.id for request in customers.accepted if request.path == "/jobs" and request.id not in known]
    audit.report("lost", [str(id) for id in lost], "accepted, and not in ingest.jobs")


async def _check_catalog(connection: asyncpg.Connection, jobs: dict[str, str | None], audit: Audit) -> None:
    rows = await connection.fetch("SELECT id, status, rank FROM catalog.jobs")
    shown = {row["id"]: row["status"] for row in rows}
    audit.report("lost", [id for id in jobs if id not in shown], "in ingest.jobs and not in catalog.jobs")
    stuck = [f"{row['id']} ({row['status']})" for row in rows if row["rank"] != 2]
    audit.report("stuck", stuck, "not ended in catalog.jobs")
    audit.report("doubled", [id for id in shown if id not in jobs], "in catalog.jobs and not in ingest.jobs")
    other = [f"{id}: {end}, {shown[id]}" for id, end in jobs.items() if end and shown.get(id, end) != end]
    audit.report("wrong end", other, "ingest and catalog know different ends")


async def _check_queues(
    connection: asyncpg.Connection,
    jobs: dict[str, str | None],
    customers: Customers,
    audit: Audit,
    disk_full: Sequence[tuple[float, float]],
) -> None:
    seen: Counter[str] = Counter()
    numbers = {request.id: request.number for request in customers.accepted}
    for name in QUEUES:
        for row in await connection.fetch(f"SELECT id, state, attempt, crashed, last_error FROM {name}.job_queue"):
            seen[row["id"]] += 1
            audit.counts["attempts"] += row["attempt"]
            fetched_at = customers.fetched_at.get(numbers.get(row["id"], -1), [])
            if len(fetched_at) > row["attempt"] and not _disk_was_full(fetched_at, disk_full):
                evidence = f"{name}: its input was fetched {len(fetched_at)} times in {row['attempt']} counted attempts"
                audit.report("uncounted attempts", [row["id"]], evidence)
    audit.report("doubled", [id for id, count in seen.items() if count > 1], "in the queues of two workers")
    audit.report("lost", [id for id in jobs if id not in seen], "in no worker's queue")
    for name in ALL_QUEUES:
        rows = await connection.fetch(
            f"SELECT id, state, worker, lease_until < now() AS expired, last_error FROM {name}.job_queue "
            "WHERE state IN ('queued', 'running')"
        )
        running = [f"{row['id']} by {row['worker']}" for row in rows if row["state"] == "running"]
        audit.report("leased", running, f"{name}.job_queue still has claimed items")
        waiting = [f"{row['id']} ({row['last_error']})" for row in rows if row["state"] == "queued"]
        audit.report("stuck", waiting, f"{name}.job_queue still has queued items")
    for name in OUTBOXES:
        for table in ("outbox", "outbox_quarantine"):
            left = await _still_there(connection, f"{name}.{table}")
            audit.report("unpublished", left, f"events in {name}.{table}")


async def _still_there(connection: asyncpg.Connection, table: str) -> list[str]:
    """Ids of events that are not published after a while: new announcements may be written at any moment."""
    query = f"SELECT id FROM {table} WHERE id <= $1"
    newest = await connection.fetchval(f"SELECT max(id) FROM {table}")
    end = time.monotonic() + PUBLISH_SECONDS
    while (left := await connection.fetch(query, newest)) and time.monotonic() < end:
        await asyncio.sleep(0.5)
    return [str(row["id"]) for row in left]


def _disk_was_full(fetched_at: Sequence[float], disk_full: Sequence[tuple[float, float]]) -> bool:
    """Around one of the downloads (pure): then an attempt may make several, because no space is not its fault."""
    return any(
        begin - DISK_FULL_SECONDS <= at <= end + DISK_FULL_SECONDS for at in fetched_at for begin, end in disk_full
    )


async def _check_deliveries(connection: asyncpg.Connection, customers: Customers, audit: Audit) -> None:
    rows = await connection.fetch("SELECT id, job_id, url, state FROM notifier.deliveries")
    by_address = Counter((row["job_id"], row["url"]) for row in rows)
    doubled = [job for (job, _), count in by_address.items() if count > 1]
    audit.report("webhooks doubled", doubled, "more than one row for one job and address in notifier.deliveries")
    expected = {(request.id, request.webhook_url) for request in customers.accepted if request.webhook_url}
    missing = [str(job) for job, url in expected if (job, url) not in by_address]
    audit.report("webhooks missing", missing, "no row in notifier.deliveries")
    undelivered = [f"{row['id']} ({row['state']})" for row in rows if row["state"] != "delivered"]
    audit.report("webhooks missing", undelivered, "not delivered, by notifier.deliveries")


async def _check_media(connection: asyncpg.Connection, customers: Customers, audit: Audit) -> None:
    rows = await connection.fetch(
        "SELECT id, status, item -> 'metadata' ->> 'request' AS number FROM ingest.media WHERE status <> 'purged'"
    )
    made = Counter(row["number"] for row in rows if row["number"] is not None)
    audit.report("doubled", [n for n, count in made.items() if count > 1], "requests that made two media items")
    known = {row["id"] for row in rows}
    lost = [str(each.id) for each in customers.accepted if each.path == "/media" and each.id not in known]
    audit.report("lost", lost, "accepted, and not in ingest.media")
    processing = [row["id"] for row in rows if row["status"] == "processing"]
    audit.report("stuck", processing, "processing in ingest.media")
