"""No index holds text that may be longer than an entry of a btree, which takes 2704 bytes.

Each indexed column of text or bytes is listed here with the most bytes that it can have, and what bounds it. A column
that is not listed, or an index whose columns are too long together, fails; `md5(…)`, `uuid` and numbers need no bound.
"""

from collections.abc import Sequence

import pytest

from chassis.adapters.postgres import migrate, open_pool
from schemas.connections import MAX_NAME_CHARS as MAX_CONNECTION_NAME_CHARS
from schemas.storable import MAX_ID_CHARS, MAX_PATH_CHARS
from services.catalog.app import Catalog
from services.ingest.app import Ingest
from services.ingest.idempotency import MAX_KEY_CHARS
from services.ingest.keys import MAX_NAME_CHARS
from services.notifier.app import Notifier
from worker.app import worker_service

BTREE_ENTRY_BYTES = 2704
_UTF8 = 4
_ENUM = 32
"""Values of ours."""
_QUEUE = {
    "job_queue.id": MAX_ID_CHARS,
    "job_queue.project": MAX_ID_CHARS,
    "job_queue_cancellations.id": MAX_ID_CHARS,
    "job_queue_projects.project": MAX_ID_CHARS,
}
SERVICES: dict[str, tuple[Sequence[str], dict[str, int]]] = {
    "ingest": (
        Ingest.spec.all_migrations,
        _QUEUE
        | {
            "projects.id": MAX_ID_CHARS,
            "projects.name": MAX_NAME_CHARS * _UTF8,
            "api_keys.id": MAX_ID_CHARS,
            "api_keys.hash": MAX_ID_CHARS,
            "jobs.id": MAX_ID_CHARS,
            "jobs.project": MAX_ID_CHARS,
            "jobs.media_id": MAX_ID_CHARS,
            "jobs.waits_for": MAX_ID_CHARS,
            "media.id": MAX_ID_CHARS,
            "media.project": MAX_ID_CHARS,
            "names.project": MAX_ID_CHARS,
            "names.path": MAX_PATH_CHARS,
            "names.media_id": MAX_ID_CHARS,
            "uploads.id": MAX_ID_CHARS,
            "uploads.project": MAX_ID_CHARS,
            "upload_uses.upload_id": MAX_ID_CHARS,
            "upload_uses.user_id": MAX_ID_CHARS,
            "rate_windows.subject": MAX_ID_CHARS,
            "connections.id": MAX_ID_CHARS,
            "connections.project": MAX_ID_CHARS,
            "connections.name": MAX_CONNECTION_NAME_CHARS,
            "idempotency_keys.project": MAX_ID_CHARS,
            "idempotency_keys.scope": 64,  # the path of a route, or the name of a topic
            "idempotency_keys.key": MAX_KEY_CHARS * _UTF8,
        },
    ),
    "catalog": (
        Catalog.spec.all_migrations,
        {
            "jobs.id": MAX_ID_CHARS,
            "purged_jobs.id": MAX_ID_CHARS,
            "rate_windows.subject": MAX_ID_CHARS,
            "jobs.project": MAX_ID_CHARS,
            "jobs.minted": 26,
            "jobs.kind": _ENUM,
            "jobs.status": _ENUM,
            "job_positions.project": MAX_ID_CHARS,
            "job_metadata.minted": 26,
            "job_spans.project": MAX_ID_CHARS,
            "job_events.project": MAX_ID_CHARS,
            "job_events.job_id": MAX_ID_CHARS,
            "event_positions.project": MAX_ID_CHARS,
            "projects.id": MAX_ID_CHARS,
            "media.id": MAX_ID_CHARS,
            "media.project": MAX_ID_CHARS,
            "media.kind": _ENUM,
            "media.filename": MAX_PATH_CHARS,
            "media_metadata.media_id": MAX_ID_CHARS,
            "media_metadata.kind": _ENUM,
            "files.project": MAX_ID_CHARS,
            "files.path": MAX_PATH_CHARS,
            "files.media_id": MAX_ID_CHARS,
            "files.owner": MAX_ID_CHARS,
            "api_keys.id": MAX_ID_CHARS,
            "api_keys.hash": MAX_ID_CHARS,
        },
    ),
    "notifier": (
        Notifier.spec.all_migrations,
        _QUEUE
        | {
            "deliveries.id": MAX_ID_CHARS,
            "delivery_attempts.delivery_id": MAX_ID_CHARS,
            "webhook_secrets.project": MAX_ID_CHARS,
            "projects.id": MAX_ID_CHARS,
        },
    ),
    "transcoder": (worker_service("transcoder").all_migrations, _QUEUE),
}
INDEXED_TEXT = """
SELECT index.relname AS index, "table".relname || '.' || attribute.attname AS column
FROM pg_index
JOIN pg_class AS index ON index.oid = pg_index.indexrelid
JOIN pg_class AS "table" ON "table".oid = pg_index.indrelid
JOIN pg_namespace ON pg_namespace.oid = "table".relnamespace
JOIN pg_attribute AS attribute ON attribute.attrelid = "table".oid AND attribute.attnum = ANY (pg_index.indkey)
WHERE pg_namespace.nspname = $1 AND attribute.atttypid IN ('text'::regtype, 'bytea'::regtype, 'varchar'::regtype)
    AND "table".relname !~ '^_?yoyo|^migration_checksums$'
"""
INDEXED_EXPRESSIONS = """
SELECT pg_get_indexdef(indexrelid) FROM pg_index
JOIN pg_class ON pg_class.oid = indrelid
JOIN pg_namespace ON pg_namespace.oid = relnamespace
WHERE nspname = $1 AND indexprs IS NOT NULL
"""


@pytest.mark.parametrize("service", SERVICES)
async def test_every_entry_of_every_index_fits_whatever_customers_write(service: str, fresh_dsn: str) -> None:
    packages, bounds = SERVICES[service]
    await migrate(fresh_dsn, service, tuple(packages))
    async with await open_pool(fresh_dsn, service) as pool:
        rows = await pool.fetch(INDEXED_TEXT, service)
        expressions = [row[0] for row in await pool.fetch(INDEXED_EXPRESSIONS, service)]
    columns = {row["column"] for row in rows}
    assert columns <= set(bounds), f"without a bound: {columns - set(bounds)}"
    sizes: dict[str, int] = {}
    for row in rows:
        sizes[row["index"]] = sizes.get(row["index"], 0) + bounds[row["column"]]
    # 200 bytes are left for numbers, headers and alignment.
    assert {index: size for index, size in sizes.items() if size > BTREE_ENTRY_BYTES - 200} == {}
    # The second is ten characters of an id.
    short = ("md5(", '"left"("right"(id, 26), 10)')
    assert all(any(each in expression for each in short) for expression in expressions), expressions
