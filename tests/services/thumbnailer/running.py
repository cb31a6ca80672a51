"""The whole service: jobs go in through Kafka, inputs come over HTTP, results come out through Kafka."""

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from aiohttp import web
from aiokafka import AIOKafkaConsumer, TopicPartition

from chassis.ids import new_id, now_ms
from chassis.kafka import codec
from chassis.kafka.producer import open_producer
from chassis.storage import Storage, open_storage
from schemas.events import CancelRequested, Event, JobCreated, JobEvent, MediaCreated
from schemas.files import File
from schemas.jobs import Job
from schemas.media import MediaItem
from schemas.topics import JOB_RESULTS
from services.thumbnailer.app import Thumbnailer
from services.thumbnailer.settings import Settings

DEADLINE_SECONDS = 30.0


class Uploads:
    """A web server on this machine."""

    def __init__(self) -> None:
        self.address = ""
        self._files: dict[str, Path] = {}
        self._held: dict[str, asyncio.Event] = {}

    def serve(self, path: Path) -> str:
        """The address at which `path` can be fetched from now on."""
        self._files[path.name] = path
        return f"{self.address}/{path.name}"

    def hold(self) -> tuple[str, asyncio.Event]:
        """An address that answers (404) only after the event is set."""
        name = new_id("file")
        self._held[name] = asyncio.Event()
        return f"{self.address}/{name}", self._held[name]

    async def send(self, request: web.Request) -> web.StreamResponse:
        name = request.match_info["name"]
        if name in self._held:
            await self._held[name].wait()
        if name not in self._files:
            raise web.HTTPNotFound
        return web.FileResponse(self._files[name])

    @asynccontextmanager
    async def listening(self) -> AsyncIterator[None]:
        application = web.Application()
        application.router.add_get("/{name}", self.send)
        runner = web.AppRunner(application)
        await runner.setup()
        try:
            await web.TCPSite(runner, "127.0.0.1", 0).start()
            self.address = f"http://127.0.0.1:{runner.addresses[0][1]}"
            yield
        finally:
            await runner.cleanup()


@dataclass
class Running:
    """`uploads` are served at `address`; `heard` are the events about each job, as they came; `work` is its folder."""

    app: Thumbnailer
    work: Path
    storage: Storage
    producer: Any
    uploads: "Uploads"
    heard: dict[str, list[JobEvent]] = field(default_factory=lambda: defaultdict(list))
    news: asyncio.Condition = field(default_factory=asyncio.Condition)

    async def publish(self, event: Event, partition: int | None = None) -> int:
        """Sends the event; the partition that it went to."""
        record = codec.encode(event, id=new_id("evt"), source="/bitmill/ingest", time_ms=now_ms())
        sent = await self.producer.send_and_wait(
            record.topic, record.value, key=record.key, headers=record.headers, partition=partition
        )
        return int(sent.partition)

    async def ask(self, input: str, **options: Any) -> str:
        """Publishes a job; its id."""
        job = queued(input, options)
        await self.publish(JobCreated(job=job))
        return job.id

    async def cancel(self, job_id: str) -> None:
        await self.publish(CancelRequested(job_id=job_id, project="prj_x", at=now_ms()))

    async def started(self, job_id: str) -> None:
        """Waits until a worker has begun."""
        async with asyncio.timeout(DEADLINE_SECONDS), self.news:
            await self.news.wait_for(lambda: bool(self.heard[job_id]))

    async def end(self, job_id: str) -> Job:
        """The job once it has ended."""
        async with asyncio.timeout(DEADLINE_SECONDS), self.news:
            await self.news.wait_for(lambda: any(event.job.finished for event in self.heard[job_id]))
        return self.heard[job_id][-1].job

    async def store(self, path: Path, key: str, content_type: str) -> None:
        await self.storage.put(key, path, content_type)


def queued(input: str, options: dict[str, Any], *, kind: Any = "image", **more: Any) -> Job:
    project = new_id("prj")
    fields = {"project": project, "input": input, "options": options, "metadata": {"user_id": "usr_1"}}
    return Job.queued(id=new_id("job"), kind=kind, at=now_ms(), **(fields | more))


def item_with_jobs(original: File, jobs: list[Job], media_id: str, project: str) -> MediaCreated:
    at = now_ms()
    item = MediaItem(
        id=media_id, project=project, version=2, status="active", original=original, created_at=at, updated_at=at
    )
    return MediaCreated(media=item, jobs=jobs)


@asynccontextmanager
async def running(database_url: str, bootstrap: str, folder: Path) -> AsyncIterator[Running]:
    """The thumbnailer alone, with a server of uploads beside it."""
    settings = Settings(
        database_url=database_url,
        kafka_bootstrap_servers=bootstrap,
        storage_url=(folder / "storage").as_uri(),
        work_dir=folder / "work",
        allow_net="127.0.0.0/8",
    )
    uploads = Uploads()
    app = Thumbnailer(settings)
    async with (
        uploads.listening(),
        app.run(),
        open_storage(settings.storage_url) as storage,
        _producer(bootstrap) as producer,
    ):
        service = Running(app, settings.work_dir, storage, producer, uploads)
        async with _listening(bootstrap, service):
            yield service


@asynccontextmanager
async def _producer(bootstrap: str) -> AsyncIterator[Any]:
    producer = await open_producer(bootstrap, "tests.thumbnailer")
    try:
        yield producer
    finally:
        await producer.stop()


@asynccontextmanager
async def _listening(bootstrap: str, service: Running) -> AsyncIterator[None]:
    consumer = AIOKafkaConsumer(bootstrap_servers=bootstrap)
    await consumer.start()
    partitions = [TopicPartition(JOB_RESULTS.name, number) for number in range(JOB_RESULTS.partitions)]
    consumer.assign(partitions)
    await consumer.seek_to_end()

    async def listen() -> None:
        async for record in consumer:
            event = codec.decode(JOB_RESULTS, record.headers, record.value)
            assert isinstance(event, JobEvent)
            async with service.news:
                service.heard[event.job.id].append(event)
                service.news.notify_all()

    listening = asyncio.create_task(listen())
    try:
        yield
    finally:
        listening.cancel()
        await asyncio.gather(listening, return_exceptions=True)
        await consumer.stop()
