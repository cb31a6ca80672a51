"""A catalog that is behind, or does not know whether it is, never says that an accepted id does not exist."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from chassis.core.ids import new_id
from embedded.kafka import KafkaServer
from schemas.events import JobCreated, KeyChanged, MediaAccepted
from tests.services.catalog import factories
from tests.services.catalog.service import CatalogService, Customer, customer, ingest, running
from tests.support.waiting import until

JOBS = 4_000
ITEMS = 1_000
CLIENTS = 10


@pytest.fixture(scope="module")
async def own_kafka(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[str]:
    """A broker of this module's own: no other catalog is in its groups, no other ingest sends watermarks."""
    async with KafkaServer(tmp_path_factory.mktemp("kafka")).running(print) as bootstrap:
        yield bootstrap


async def ask_until_found(service: CatalogService, who: Customer, paths: list[str], seen: Counter[int]) -> None:
    """Asks for each path until the answer is 200; counts the statuses."""
    for path in paths:
        status = 0
        while status != 200:
            status, _ = await service.get(path, who)
            seen[status] += 1


async def test_after_a_long_absence_every_accepted_id_is_found_and_none_is_denied(
    fresh_dsn: str, own_kafka: str, tmp_path: Path
) -> None:
    """Two replicas, which were both away while thousands of ids were accepted, from their start on."""
    who = customer(1)
    jobs = [factories.queued(who.project) for _ in range(JOBS)]
    items = [
        factories.item(who.project, id=new_id("med"), status="processing", original=None, original_path=None)
        for _ in range(ITEMS)
    ]
    seen: Counter[int] = Counter()
    async with ingest(own_kafka) as player:
        await player.publish(
            KeyChanged(key=who.key),
            *(JobCreated(job=job) for job in jobs),
            *(MediaAccepted(media=item) for item in items),
        )
        async with (
            running(fresh_dsn, own_kafka, tmp_path, beside=player) as first,
            running(fresh_dsn, own_kafka, tmp_path, beside=player) as second,
        ):
            # The newest first: they are projected last.
            paths = [*(f"/jobs/{job.id}" for job in jobs[::-100]), *(f"/media/{item.id}" for item in items[::-50])]
            async with asyncio.timeout(120):
                await asyncio.gather(
                    *(
                        ask_until_found(service, who, paths[number::CLIENTS], seen)
                        for number in range(CLIENTS)
                        for service in (first, second)
                    )
                )
            assert seen.keys() <= {200, 503}
            status, body = await first.get(f"/jobs/{new_id('job')}", who)
            assert (status, body["kind"]) == (404, "job_not_found")


async def test_while_the_outbox_of_ingest_is_not_published_an_unknown_id_is_unavailable(
    fresh_dsn: str, own_kafka: str, tmp_path: Path
) -> None:
    async with running(fresh_dsn, own_kafka, tmp_path, read_wait="1s") as catalog:
        who = await catalog.new_customer()
        path = f"/jobs/{new_id('job')}"
        with catalog.ingest.unpublished_row():
            async with catalog.session.get(catalog.url + path, headers=who.headers) as response:
                assert response.status == 503
                assert int(response.headers["Retry-After"]) >= 1
        catalog.ingest.watermarks_paused = True
        status, body = await catalog.get(f"/media/{new_id('med')}", who)
        assert (status, body["error"]["kind"]) == (503, "unavailable")
        catalog.ingest.watermarks_paused = False

        async def not_found() -> bool:
            status, _ = await catalog.get(path, who)
            assert status in (404, 503)
            return status == 404

        await until(not_found)
