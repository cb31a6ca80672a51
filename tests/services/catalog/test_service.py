"""The complete service: readiness, dead letters, and its state after a restart."""

from pathlib import Path
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer

from chassis.core.ids import new_id
from schemas.events import JobCreated, MediaCreated
from schemas.topics import MEDIA_CREATED
from services.catalog.app import Catalog
from services.catalog.settings import Settings
from tests.services.catalog import factories
from tests.services.catalog.service import CatalogService, running
from tests.support.waiting import until


async def test_it_is_ready_when_all_that_it_stands_on_answers(catalog: CatalogService) -> None:
    async def ready() -> object | None:
        status, body = await catalog.get("/readyz")
        return body if status == 200 else None

    body = await until(ready)
    assert {check["name"] for check in body["checks"]} == {
        *("catalog.postgres", "catalog.kafka", "catalog.storage", "catalog.revocations"),
    }


async def test_before_it_runs_no_check_passes() -> None:
    stopped = Catalog(Settings(database_url="postgresql://nowhere/x", storage_url="file:///nowhere"))
    for check in stopped.checks().values():
        with pytest.raises(Exception, match="cannot do this just now"):
            await check()


@pytest.mark.parametrize("field", ["media.original.width", "media.title"])
async def test_an_event_that_cannot_be_stored_goes_to_the_dead_letters_and_the_next_is_read(
    catalog: CatalogService, kafka_bootstrap: str, field: str
) -> None:
    who = await catalog.new_customer()
    good = factories.item(who.project, id=new_id("med"))
    assert good.original is not None
    # `model_copy` validates nothing: no writer of this release sends such an event.
    too_wide = good.original.model_copy(update={"width": 2**40})
    unstorable: dict[str, dict[str, Any]] = {
        "media.original.width": {"original": too_wide},
        "media.title": {"title": "a\x00b"},
    }
    bad = good.model_copy(update=unstorable[field])
    await catalog.publish(MediaCreated(media=bad), MediaCreated(media=good))
    body = await catalog.until(f"/media/{good.id}", who, lambda body: True)
    assert body["data"]["id"] == good.id
    consumer = AIOKafkaConsumer(
        MEDIA_CREATED.dead_letter, bootstrap_servers=kafka_bootstrap, auto_offset_reset="earliest"
    )
    await consumer.start()
    try:

        async def letter() -> dict[str, bytes] | None:
            record = await consumer.getone()
            return dict(record.headers) if record.key == good.id.encode() else None

        headers = await until(letter)
    finally:
        await consumer.stop()
    assert field.encode() in headers["reason"]
    assert headers["source_topic"] == b"media.created"


async def test_a_second_replica_on_the_same_tables_answers_alike(
    catalog: CatalogService, database_url: str, kafka_bootstrap: str, tmp_path: Path
) -> None:
    who = await catalog.new_customer()
    job = factories.queued(who.project)
    async with running(database_url, kafka_bootstrap, tmp_path) as replica:
        await catalog.publish(JobCreated(job=job))
        for service in (replica, catalog):
            status, body = await service.get(f"/jobs/{job.id}", who)
            assert (status, body["id"]) == (200, job.id)
    assert (await catalog.get(f"/jobs/{job.id}", who))[0] == 200
