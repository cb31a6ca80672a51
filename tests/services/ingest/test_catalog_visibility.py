"""POST /media waits until its events are published and the catalog has read them, for a bounded time."""

from collections.abc import Sequence
from datetime import timedelta

from schemas.topics import Topic
from services.ingest.catalog_visibility import CatalogVisibility


class Pipeline:
    """An outbox and a consumer group whose answers the test chooses."""

    def __init__(self, *, published: bool = True, read: bool = True, error: Exception | None = None) -> None:
        self.published = published
        self.read = read
        self.error = error
        self.calls: list[str] = []
        self.timeouts: list[float] = []

    async def wait_published(self, *, timeout: timedelta) -> bool:
        self.calls.append("published")
        self.timeouts.append(timeout.total_seconds())
        if self.error is not None:
            raise self.error
        return self.published

    async def wait_caught_up(self, service: str, topics: Sequence[Topic], timeout: float) -> bool:
        self.calls.append(f"{service} {' '.join(sorted(topic.name for topic in topics))}")
        self.timeouts.append(timeout)
        return self.read


async def visible(pipeline: Pipeline) -> bool:
    return await CatalogVisibility(pipeline, pipeline, timeout=timedelta(seconds=2)).wait()


async def test_published_first_then_read_by_the_catalog_within_one_timeout() -> None:
    pipeline = Pipeline()
    assert await visible(pipeline)
    assert pipeline.calls == ["published", "catalog media.changed media.created"]
    assert all(0 <= timeout <= 2 for timeout in pipeline.timeouts)


async def test_events_that_are_not_published_are_not_waited_for_at_the_catalog() -> None:
    pipeline = Pipeline(published=False)
    assert not await visible(pipeline)
    assert pipeline.calls == ["published"]


async def test_a_catalog_that_is_behind_does_not_fail_the_request() -> None:
    assert not await visible(Pipeline(read=False))


async def test_an_outage_of_the_database_does_not_fail_the_request() -> None:
    assert not await visible(Pipeline(error=ConnectionError("Postgres is away")))
