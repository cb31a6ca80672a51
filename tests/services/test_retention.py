"""Everything that grows has a bound: the declarations against a migrated Postgres, the topics, and the document."""

from datetime import timedelta

import pytest

from chassis.adapters.postgres import migrate, open_pool
from chassis.core.ids import new_id
from chassis.runtime.retention import Purged, tables
from cli.migrate import spec_of
from cli.service_commands import settings_class
from devtools import retention
from schemas.ids import derived
from schemas.stored_keys import FOLDERS, parse_key
from schemas.topics import DEAD_LETTER_RETENTION, SERVICES, TOPICS, Service
from services.ingest import announcements, names
from services.ingest.upload_rows import upload_key
from worker.attempt_object import attempt_key

SMALL = {"outbox_quarantine", "webhook_secrets"}
"""Tables of a few rows, which need no index for their age."""


NEVER_MADE_AGAIN = {"outbox_quarantine", "media", "job_events", "replies"}
"""No event that is read again makes these rows a second time: only a request does, and each makes a new id, or the
change of a job."""


@pytest.mark.parametrize("service", SERVICES)
async def test_every_table_of_a_migrated_schema_has_a_declaration(service: Service, fresh_dsn: str) -> None:
    spec = spec_of(service)
    await migrate(fresh_dsn, service, spec.all_migrations)
    async with await open_pool(fresh_dsn, service, size=1) as pool:
        rows = await pool.fetch(
            "SELECT tablename FROM pg_tables WHERE schemaname = $1 "
            "AND tablename !~ '^_?yoyo' AND tablename <> 'migration_checksums'",
            service,
        )
    assert {row["tablename"] for row in rows} == set(tables(spec.all_retention))


@pytest.mark.parametrize("service", SERVICES)
async def test_every_age_that_rows_are_deleted_by_has_an_index(service: Service, fresh_dsn: str) -> None:
    spec = spec_of(service)
    await migrate(fresh_dsn, service, spec.all_migrations)
    async with await open_pool(fresh_dsn, service, size=1) as pool:
        rows = await pool.fetch(
            "SELECT tablename, (regexp_match(indexdef, '\\((\\w+)'))[1] AS first FROM pg_indexes WHERE schemaname = $1",
            service,
        )
    indexed = {(row["tablename"], row["first"]) for row in rows}
    purged = [each for each in spec.all_retention if isinstance(each, Purged) and each.table not in SMALL]
    assert {(each.table, each.column) for each in purged} - indexed == set()
    dependent = {(each.table, each.column) for one in purged for each in one.dependents}
    assert dependent - indexed == set()


@pytest.mark.parametrize("service", SERVICES)
def test_every_retention_is_a_setting_longer_than_kafka_keeps_events(service: Service) -> None:
    fields = settings_class(service).model_fields
    longest = max(topic.retention for topic in TOPICS if topic.retention is not None)
    for each in spec_of(service).all_retention:
        if isinstance(each, Purged) and each.setting is not None and each.table not in NEVER_MADE_AGAIN:
            least = next(rule.ge for rule in fields[each.setting].metadata if hasattr(rule, "ge"))
            assert least > longest, each.setting


def test_every_topic_has_a_bound() -> None:
    assert [topic.name for topic in TOPICS if topic.retention is None and not topic.compacted] == []
    assert timedelta(days=366) > DEAD_LETTER_RETENTION


def test_jobs_are_announced_again_only_while_workers_remember_their_ends() -> None:
    defaults = settings_class("ingest").model_fields["retain_jobs"]
    shortest = next(rule.ge for rule in defaults.metadata if hasattr(rule, "ge"))
    for keep in (shortest, defaults.get_default()):
        assert timedelta(0) < announcements.announced_for(keep) < keep


def test_the_document_is_that_of_the_code() -> None:
    written = retention.DOCUMENT.read_text(encoding="utf-8")
    assert written == retention.document(), "run `make retention` and read the difference"


def test_every_key_that_services_store_under_is_of_a_documented_folder() -> None:
    project, job, media, upload = new_id("prj"), new_id("job"), new_id("med"), new_id("upl")
    file_id = derived("file", job, "output")
    original = names.storage_key(project, media, derived("file", media, "original"), "mp4", 1)
    output = attempt_key(f"{project}/jobs/{job}", file_id, 1, "mp4")
    parsed = [parse_key(key) for key in (output, original, upload_key(project, upload, 1))]
    expected = [("jobs", job), ("media", media), ("uploads", upload)]
    assert [(each.folder, each.owner) for each in parsed if each] == expected
    assert set(FOLDERS) == {"jobs", "media", "uploads"}
