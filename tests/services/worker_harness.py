"""Runs a worker app: jobs go in through Kafka, inputs come over HTTP, results come out through Kafka.

async with WorkerHarness(Transcoder(settings), settings, "video").running() as worker:
    job_id = await worker.submit(worker.files.add(path), width=320)
    job = await worker.finished(job_id)
"""

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any, Protocol

import psutil
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import CommitFailedError

from chassis.adapters.kafka import codec
from chassis.adapters.kafka.admin import ensure_topics
from chassis.adapters.kafka.errors import RecordUnreadable
from chassis.adapters.kafka.producer import open_producer
from chassis.adapters.postgres import open_pool
from chassis.adapters.storage import Storage, open_storage
from chassis.core.ids import new_id, now_ms
from schemas.events import CancelRequested, Event, JobCreated, JobEvent, MediaCreated
from schemas.files import File
from schemas.jobs import Job, JobKind
from schemas.media import MediaItem
from schemas.topics import JOB_PROGRESS, JOB_RESULTS, TOPICS, Topic, group_id
from tests.support.file_server import FileServer, file_server
from tests.support.waiting import until
from worker.inspection import inspect_job
from worker.settings import FileSettings

DEADLINE_SECONDS = 120.0
"""A safety net, not a claim about speed."""
_READ_TOPICS = (JOB_RESULTS, JOB_PROGRESS)


class App(Protocol):
    """What is started: a worker app, or a process with one."""

    @property
    def name(self) -> str: ...

    def run(self) -> AbstractAsyncContextManager[None]: ...


class WorkerHarness:
    """A running worker. `files` serves inputs, `storage` is the worker's.

    `events` are the events of `job.results` by job in their order, `progress` those of `job.progress`.
    """

    def __init__(self, app: App, settings: FileSettings, kind: JobKind) -> None:
        self.app = app
        self.settings = settings
        self.kind = kind
        self.files: FileServer
        self.storage: Storage
        self.events: dict[str, list[JobEvent]] = defaultdict(list)
        self.progress: dict[str, list[JobEvent]] = defaultdict(list)
        self._projects: dict[str, str] = {}
        self._terminal_ids: dict[str, set[bytes]] = defaultdict(set)
        self._producer: Any = None
        self._reading: asyncio.Task[None] | None = None
        self._received = asyncio.Condition()

    async def publish(self, event: Event, partition: int | None = None) -> int:
        """Sends the event; returns the partition that it went to."""
        if isinstance(event, JobCreated):
            self._projects[event.job.id] = event.job.project
        record = codec.encode(event, id=new_id("evt"), source="/bitmill/ingest", time_ms=now_ms())
        sent = await self._producer.send_and_wait(
            record.topic, record.value, key=record.key, headers=record.headers, partition=partition
        )
        return int(sent.partition)

    def job(self, input: str, **options: Any) -> Job:
        """A job for this worker."""
        return queued_job(self.kind, input, options)

    async def submit(self, input: str, *, project: str | None = None, **options: Any) -> str:
        """Publishes a job, by default of a project that has no other; returns its id."""
        job = queued_job(self.kind, input, options, **({"project": project} if project else {}))
        await self.publish(JobCreated(job=job))
        return job.id

    async def cancel(self, job_id: str, *, project: str | None = None) -> None:
        """Publishes a cancellation, by default by the project of the job."""
        by = project or self._projects[job_id]
        await self.publish(CancelRequested(job_id=job_id, project=by, at=now_ms()))

    async def started(self, job_id: str) -> Job:
        """Waits for the job's first event; returns the job in it."""
        return await self._first(self.events, job_id, lambda _: True)

    async def encoding(self, job_id: str) -> Job:
        """Waits until the job's encoder has reported progress."""
        return await self._first(self.progress, job_id, lambda job: bool(job.progress))

    async def finished(self, job_id: str) -> Job:
        """Waits for the job's terminal event."""
        return await self._first(self.events, job_id, lambda job: job.finished)

    async def _first(self, events: dict[str, list[JobEvent]], job_id: str, matches: Callable[[Job], bool]) -> Job:
        def found() -> Job | None:
            return next((event.job for event in events[job_id] if matches(event.job)), None)

        try:
            async with asyncio.timeout(DEADLINE_SECONDS), self._received:
                await self._received.wait_for(lambda: found() is not None)
        except TimeoutError:
            raise AssertionError(f"not within {DEADLINE_SECONDS:g} s: {await self._seen_of(job_id)}") from None
        job = found()
        assert job is not None
        return job

    async def _seen_of(self, job_id: str) -> str:
        """What the worker's tables have of the job, and whether its events are still read."""
        async with await open_pool(self.settings.database_url, self.app.name, size=1) as pool:
            return f"{await inspect_job(pool, job_id)}; events are read by {self._reading!r}"

    def terminal_events(self, job_id: str) -> int:
        """How many there are with ids of their own: a record may come twice, when a process dies that has sent it."""
        return len(self._terminal_ids[job_id])

    @asynccontextmanager
    async def running(self) -> AsyncIterator["WorkerHarness"]:
        """Starts the worker, the file server, the storage, a producer and a consumer."""
        bootstrap = self.settings.kafka_bootstrap_servers
        async with AsyncExitStack() as stack:
            self.files = await stack.enter_async_context(file_server())
            await ensure_topics(bootstrap)
            await _pass_over_older_records(bootstrap, self.app.name)
            await stack.enter_async_context(self.app.run())
            self.storage = await stack.enter_async_context(open_storage(self.settings.storage_url))
            self._producer = await open_producer(bootstrap, f"tests.{self.app.name}")
            stack.push_async_callback(self._producer.stop)
            await stack.enter_async_context(self._consuming(bootstrap))
            yield self

    @asynccontextmanager
    async def _consuming(self, bootstrap: str) -> AsyncIterator[None]:
        consumer = AIOKafkaConsumer(bootstrap_servers=bootstrap)
        await consumer.start()
        partitions = [
            TopicPartition(topic.name, number) for topic in _READ_TOPICS for number in range(topic.partitions)
        ]
        consumer.assign(partitions)
        await consumer.seek_to_end()
        consuming = self._reading = asyncio.create_task(self._consume(consumer))
        try:
            yield
        finally:
            consuming.cancel()
            await asyncio.gather(consuming, return_exceptions=True)
            await consumer.stop()

    async def _consume(self, consumer: AIOKafkaConsumer) -> None:
        topics = {topic.name: topic for topic in TOPICS}
        async for record in consumer:
            try:
                event = codec.decode(topics[record.topic], record.headers, record.value)
            except RecordUnreadable:
                continue  # of another test
            if not isinstance(event, JobEvent):
                continue
            async with self._received:
                by_job = self.progress if record.topic == JOB_PROGRESS.name else self.events
                by_job[event.job.id].append(event)
                if event.job.finished:
                    self._terminal_ids[event.job.id].add(dict(record.headers)["ce_id"])
                self._received.notify_all()


async def _pass_over_older_records(bootstrap: str, service: str) -> None:
    """Moves the groups of a stopped service to the end of their topics: other tests have published there."""

    async def pass_over(topic: Topic) -> None:
        consumer = AIOKafkaConsumer(
            bootstrap_servers=bootstrap, group_id=group_id(service, topic), enable_auto_commit=False
        )
        await consumer.start()
        try:
            await until(partial(_move_to_end, consumer, topic), within=DEADLINE_SECONDS, poll=0.5)
        finally:
            await consumer.stop()

    await asyncio.gather(*(pass_over(topic) for topic in TOPICS))


async def _move_to_end(consumer: AIOKafkaConsumer, topic: Topic) -> bool:
    """False while the group has members: those of a process that a test has killed stay until their session ends."""
    partitions = [TopicPartition(topic.name, number) for number in range(topic.partitions)]
    consumer.assign(partitions)
    try:
        await consumer.commit(await consumer.end_offsets(partitions))
    except CommitFailedError:
        return False
    return True


def queued_job(kind: JobKind, input: str, options: dict[str, Any], **fields: Any) -> Job:
    """A job as ingest publishes it; `fields` are further ones, or replace the defaults."""
    defaults = {"project": new_id("prj"), "input": input, "options": options, "metadata": {"user_id": "usr_1"}}
    return Job.queued(id=new_id("job"), kind=kind, at=now_ms(), **(defaults | fields))


def media_created(original: File, jobs: list[Job]) -> MediaCreated:
    """The event of a media item with the jobs that belong to it."""
    at, media_id = now_ms(), jobs[0].media_id
    assert media_id is not None
    item = MediaItem(
        id=media_id,
        project=jobs[0].project,
        version=2,
        status="active",
        original=original,
        created_at=at,
        updated_at=at,
    )
    return MediaCreated(media=item, jobs=jobs)


def worker_settings(database_url: str, bootstrap: str, folder: Path) -> dict[str, Any]:
    """Settings of a worker whose files are in `folder` and that may fetch from this machine."""
    return {
        "database_url": database_url,
        "kafka_bootstrap_servers": bootstrap,
        "storage_url": (folder / "storage").as_uri(),
        "work_dir": folder / "work",
        "allow_net": "127.0.0.0/8",
    }


def ffmpeg_processes() -> list[psutil.Process]:
    """The running ffmpeg processes that this process started."""
    found = []
    for process in psutil.Process().children(recursive=True):
        try:
            if "ffmpeg" in process.name() and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
        except psutil.NoSuchProcess:
            continue
    return found
