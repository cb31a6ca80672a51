"""`python -m tests.bench.projection [records]`: records a second from Kafka to the catalog's rows, over bare COPY.

The records are in their topic before the catalog starts. Its rate is taken from the committed offsets: from the first
commit to a lag of zero. COPY then writes the same rows into empty tables with the same indexes: of a job those of five
tables, of a media item those of three. In turn, one topic after the other. No job was known before its end: three
events follow from it.
"""

import asyncio
import io
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path

import asyncpg
from aiokafka.admin import AIOKafkaAdminClient

from chassis.adapters.kafka.admin import ensure_topics, wait_for_groups
from chassis.adapters.kafka.codec import encode
from chassis.adapters.kafka.producer import open_producer
from chassis.core.ids import new_id, now_ms
from embedded.kafka import KafkaServer
from embedded.postgres import PostgresServer
from schemas.events import Event, JobSucceeded, MediaCreated
from schemas.files import Codecs
from schemas.topics import JOB_RESULTS, MEDIA_CREATED, Topic, group_id
from tests.bench.rate import child_process
from tests.services.catalog import factories
from tests.support.processes import clean_environment
from tests.support.system import free_port

ROUNDS = 3
RECORDS = 30_000
POLL_SECONDS = 0.02
DEADLINE_SECONDS = 600.0
_PROJECTS = [new_id("prj") for _ in range(50)]
_TABLES = (
    "catalog.jobs, catalog.media, catalog.media_metadata, catalog.files, catalog.job_metadata, catalog.job_spans, "
    "catalog.job_events, catalog.event_positions"
)


@dataclass(frozen=True)
class Case:
    """A topic, the tables with the rows that its records become, and one record of realistic size.

    The first table has one row for each record.
    """

    topic: Topic
    tables: tuple[str, ...]
    event: Callable[[int], Event]


@dataclass(frozen=True)
class Rates:
    """Records a second of the projection and of COPY, round by round in turn."""

    projected: list[float]
    copied: list[float]
    copied_alone: list[float]
    """COPY of the first table's rows only."""

    @property
    def ratios(self) -> list[float]:
        return [one / other for one, other in zip(self.projected, self.copied, strict=True)]

    @property
    def ratio(self) -> float:
        return statistics.median(self.ratios)

    @property
    def ratio_alone(self) -> float:
        return statistics.median(one / other for one, other in zip(self.projected, self.copied_alone, strict=True))


def _job_result(number: int) -> Event:
    """A video job that has ended, with its three tasks and its output."""
    job = factories.queued(
        _PROJECTS[number % len(_PROJECTS)],
        input=f"https://uploads.example.com/2026/11/{number:08}/clip.mov",
        options={"width": 1280, "height": 720, "format": "mp4", "quality": "high"},
        metadata={"user_id": f"usr_{number % 1000:06}", "campaign": "summer-launch", "source": "YourApp/iOS"},
        webhook_url="https://example.com/webhooks/media",
    )
    ended = factories.snapshots(job)[-1]
    assert ended.output is not None
    output = ended.output.model_copy(update={"codecs": Codecs(video="h264", audio="aac")})
    return JobSucceeded(job=ended.model_copy(update={"output": output}))


def _media_created(number: int) -> Event:
    """A stored video with four metadata keys."""
    id = new_id("med")
    file = {"codecs": Codecs(video="hevc", audio="aac"), "filesize": 7_000_000 + number, "duration": number % 900 + 0.5}
    metadata = {
        "user_id": f"usr_{number % 1000:06}",
        "post": f"pst_{number:08}",
        "source": "YourApp/iOS",
        "campaign": "summer-launch",
    }
    at = now_ms()
    project = _PROJECTS[number % len(_PROJECTS)]
    return MediaCreated(
        media=factories.item(project, id=id, version=2, file=file, metadata=metadata, created_at=at, updated_at=at)
    )


CASES = (
    Case(MEDIA_CREATED, ("media", "media_metadata", "files"), _media_created),
    Case(JOB_RESULTS, ("jobs", "job_metadata", "job_spans", "files", "job_events"), _job_result),
)


async def measure(folder: Path, records: int = RECORDS) -> dict[str, Rates]:
    """The catalog alone as its own process, on a durable Postgres and an embedded Kafka; the rates by topic."""
    rates = {case.topic.name: Rates([], [], []) for case in CASES}
    async with AsyncExitStack() as stack:
        dsn = await stack.enter_async_context(PostgresServer(folder).running(print))
        kafka = await stack.enter_async_context(KafkaServer(folder).running(print))
        await ensure_topics(kafka)
        await wait_for_groups(kafka)
        for round_ in range(ROUNDS + 1):
            for case in CASES:
                await _fill(kafka, case, records)
                projected = await _project(dsn, kafka, folder, case, records)
                copied, alone = await _copy(dsn, case.tables, records)
                if round_:  # the first round also creates tables and warms caches
                    rates[case.topic.name].projected.append(projected)
                    rates[case.topic.name].copied.append(copied)
                    rates[case.topic.name].copied_alone.append(alone)
    return rates


async def _fill(kafka: str, case: Case, records: int) -> None:
    producer = await open_producer(kafka, "bench")
    try:
        acknowledgements = []
        for number in range(records):
            record = encode(case.event(number), id=new_id("evt"), source="/bitmill/bench", time_ms=now_ms())
            sent = await producer.send(record.topic, record.value, key=record.key, headers=record.headers)
            acknowledgements.append(sent)
        await asyncio.gather(*acknowledgements)
    finally:
        await producer.stop()


async def _project(dsn: str, kafka: str, folder: Path, case: Case, records: int) -> float:
    """Starts the catalog, which finds `records` new records in the topic; stops it when it has handled them."""
    env = {
        **clean_environment(),
        "DATABASE_URL": dsn,
        "KAFKA_BOOTSTRAP_SERVERS": kafka,
        "STORAGE_URL": folder.as_uri(),
        "HTTP_PORT": str(free_port()),
        "LOG_LEVEL": "warning",
    }
    admin = AIOKafkaAdminClient(bootstrap_servers=kafka)
    await admin.start()
    try:
        group = group_id("catalog", case.topic)
        before = await _committed(admin, group)
        async with child_process(sys.executable, "-m", "cli", "serve", "catalog", env=env):
            samples: list[tuple[float, int]] = []
            async with asyncio.timeout(DEADLINE_SECONDS):
                while not samples or samples[-1][1] < records:
                    await asyncio.sleep(POLL_SECONDS)
                    done = await _committed(admin, group) - before
                    if done:
                        samples.append((time.perf_counter(), done))
            (first_at, first), (last_at, last) = samples[0], samples[-1]
            return (last - first) / (last_at - first_at)
    finally:
        await admin.close()


async def _committed(admin: AIOKafkaAdminClient, group: str) -> int:
    offsets = await admin.list_consumer_group_offsets(group)
    return sum(max(0, found.offset) for found in offsets.values())


async def _copy(dsn: str, tables: Sequence[str], records: int) -> tuple[float, float]:
    """Records a second of COPY into tables like these, and into the first of them alone; leaves the tables empty."""
    connection = await asyncpg.connect(dsn, server_settings={"search_path": "catalog"})
    try:
        seconds = [await _copy_table(connection, table) for table in tables]
        count = await connection.fetchval(f"SELECT count(*) FROM {tables[0]}")
        if count != records:
            raise RuntimeError(f"{count} rows of {records} records")
        await connection.execute(f"TRUNCATE {_TABLES}; CHECKPOINT")
        return records / sum(seconds), records / seconds[0]
    finally:
        await connection.close()


async def _copy_table(connection: asyncpg.Connection, table: str) -> float:
    """Copies the table's rows into one like it; the seconds of writing them."""
    columns = [row["attname"] for row in await connection.fetch(_COLUMNS, f"catalog.{table}")]
    rows = io.BytesIO()
    await connection.copy_from_query(f"SELECT {', '.join(columns)} FROM {table}", output=rows)
    rows.seek(0)
    await connection.execute(f"DROP TABLE IF EXISTS copied; CREATE TABLE copied (LIKE {table} INCLUDING ALL)")
    began = time.perf_counter()
    await connection.copy_to_table("copied", source=rows, columns=columns)
    seconds = time.perf_counter() - began
    await connection.execute("DROP TABLE copied")
    return seconds


_COLUMNS = """
    SELECT attname FROM pg_attribute
    WHERE attrelid = $1::regclass AND attnum > 0 AND NOT attisdropped AND attgenerated = ''
    ORDER BY attnum
"""


def _figures(values: Sequence[float]) -> str:
    return " ".join(f"{value:.2f}" if value < 100 else f"{value:.0f}" for value in values)


async def main(records: int) -> None:
    with tempfile.TemporaryDirectory(prefix="bitmill-bench-") as name:
        found = await measure(Path(name), records)
    for topic, rates in found.items():
        print(
            f"{topic}: ratio {rates.ratio:.2f} ({_figures(rates.ratios)}); projected {_figures(rates.projected)}/s, "
            f"copied {_figures(rates.copied)}/s; over the first table alone {rates.ratio_alone:.2f}"
        )


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]) if len(sys.argv) > 1 else RECORDS))
