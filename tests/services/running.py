"""A whole worker: jobs go in through Kafka, inputs come over HTTP, results come out through Kafka."""

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import psutil
from aiohttp import web
from aiokafka import AIOKafkaConsumer, TopicPartition

from chassis.adapters.kafka import codec
from chassis.adapters.kafka.producer import open_producer
from chassis.adapters.storage import Storage, open_storage
from chassis.core.ids import new_id, now_ms
from schemas.events import CancelRequested, Event, JobCreated, JobEvent, MediaCreated
from schemas.files import File
from schemas.jobs import Job, JobKind
from schemas.media import MediaItem
from schemas.topics import JOB_PROGRESS, JOB_RESULTS
from worker.app import WorkerApp
from worker.settings import FileSettings

DEADLINE_SECONDS = 40.0


class Site:
    """A web server on this machine: serves files, answers with a status where there is none, or keeps one waiting."""

    def __init__(self) -> None:
        self.address = ""
        self.asked: dict[str, int] = defaultdict(int)
        self._files: dict[str, Path] = {}
        self._held: dict[str, asyncio.Event] = {}

    def serve(self, path: Path) -> str:
        """The address at which `path` can be fetched from now on."""
        self._files[path.name] = path
        return f"{self.address}/200/{path.name}"

    def refuse(self, status: int, name: str) -> str:
        """An address that answers with this status."""
        return f"{self.address}/{status}/{name}"

    def hold(self) -> tuple[str, asyncio.Event]:
        """An address that answers (404) only after the event is set."""
        name = new_id("file")
        self._held[name] = asyncio.Event()
        return self.refuse(404, name), self._held[name]

    async def answer(self, request: web.Request) -> web.StreamResponse:
        status, name = int(request.match_info["status"]), request.match_info["name"]
        self.asked[name] += 1
        if name in self._held:
            await self._held[name].wait()
        return web.FileResponse(self._files[name]) if status == 200 else web.Response(status=status)

    @asynccontextmanager
    async def listening(self) -> AsyncIterator["Site"]:
        application = web.Application()
        application.router.add_get("/{status}/{name}", self.answer)
        runner = web.AppRunner(application)
        await runner.setup()
        try:
            await web.TCPSite(runner, "127.0.0.1", 0).start()
            self.address = f"http://127.0.0.1:{runner.addresses[0][1]}"
            yield self
        finally:
            await runner.cleanup()


class Running:
    """`site` serves inputs, `storage` is the worker's; `heard` are the events about each job, as they came."""

    def __init__(self, app: WorkerApp, settings: FileSettings, kind: JobKind) -> None:
        self.app = app
        self.settings = settings
        self.kind = kind
        self.site = Site()
        self.heard: dict[str, list[JobEvent]] = defaultdict(list)
        self.storage: Storage
        self._producer: Any = None
        self._news = asyncio.Condition()

    async def publish(self, event: Event, partition: int | None = None) -> int:
        """Sends the event; the partition that it went to."""
        record = codec.encode(event, id=new_id("evt"), source="/bitmill/ingest", time_ms=now_ms())
        sent = await self._producer.send_and_wait(
            record.topic, record.value, key=record.key, headers=record.headers, partition=partition
        )
        return int(sent.partition)

    def job(self, input: str, **options: Any) -> Job:
        """A job for this worker."""
        return queued(self.kind, input, options)

    async def ask(self, input: str, **options: Any) -> str:
        """Publishes a job; its id."""
        job = self.job(input, **options)
        await self.publish(JobCreated(job=job))
        return job.id

    async def cancel(self, job_id: str) -> None:
        await self.publish(CancelRequested(job_id=job_id, project="prj_x", at=now_ms()))

    async def hears(self, job_id: str, of: Callable[[JobEvent], bool]) -> Job:
        """The job of the first event that is such, once it has come."""

        def found() -> JobEvent | None:
            return next((event for event in self.heard[job_id] if of(event)), None)

        async with asyncio.timeout(DEADLINE_SECONDS), self._news:
            await self._news.wait_for(lambda: found() is not None)
        event = found()
        assert event is not None
        return event.job

    async def started(self, job_id: str) -> None:
        """Waits until the worker has begun."""
        await self.hears(job_id, lambda _: True)

    async def end(self, job_id: str) -> Job:
        """The job once it has ended."""
        return await self.hears(job_id, lambda event: event.job.finished)

    @asynccontextmanager
    async def working(self) -> AsyncIterator["Running"]:
        """The worker, and around it the site, the storage, and Kafka in both directions."""
        bootstrap = self.settings.kafka_bootstrap_servers
        async with AsyncExitStack() as stack:
            await stack.enter_async_context(self.site.listening())
            await stack.enter_async_context(self.app.run())
            self.storage = await stack.enter_async_context(open_storage(self.settings.storage_url))
            self._producer = await open_producer(bootstrap, f"tests.{self.app.name}")
            stack.push_async_callback(self._producer.stop)
            await stack.enter_async_context(self._listening(bootstrap))
            yield self

    @asynccontextmanager
    async def _listening(self, bootstrap: str) -> AsyncIterator[None]:
        consumer = AIOKafkaConsumer(bootstrap_servers=bootstrap)
        await consumer.start()
        topics = (JOB_RESULTS, JOB_PROGRESS)
        consumer.assign([TopicPartition(topic.name, number) for topic in topics for number in range(topic.partitions)])
        await consumer.seek_to_end()
        listening = asyncio.create_task(self._listen(consumer))
        try:
            yield
        finally:
            listening.cancel()
            await asyncio.gather(listening, return_exceptions=True)
            await consumer.stop()

    async def _listen(self, consumer: AIOKafkaConsumer) -> None:
        async for record in consumer:
            topic = JOB_PROGRESS if record.topic == JOB_PROGRESS.name else JOB_RESULTS
            event = codec.decode(topic, record.headers, record.value)
            assert isinstance(event, JobEvent)
            async with self._news:
                self.heard[event.job.id].append(event)
                self._news.notify_all()


def queued(kind: JobKind, input: str, options: dict[str, Any], **more: Any) -> Job:
    """A job as ingest would publish it; `more` are further fields."""
    project = new_id("prj")
    fields = {"project": project, "input": input, "options": options, "metadata": {"user_id": "usr_1"}}
    return Job.queued(id=new_id("job"), kind=kind, at=now_ms(), **(fields | more))


def item_with_jobs(original: File, jobs: list[Job]) -> MediaCreated:
    """The event of a media item, with the jobs that come with it."""
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


def surroundings(database_url: str, bootstrap: str, folder: Path) -> dict[str, Any]:
    """The settings of a worker that stands alone in this folder, and may fetch from this machine."""
    return {
        "database_url": database_url,
        "kafka_bootstrap_servers": bootstrap,
        "storage_url": (folder / "storage").as_uri(),
        "work_dir": folder / "work",
        "allow_net": "127.0.0.0/8",
    }


def encoders() -> list[psutil.Process]:
    """The ffmpegs that this process has started and that still run."""
    found = []
    for process in psutil.Process().children(recursive=True):
        try:
            if "ffmpeg" in process.name() and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
        except psutil.NoSuchProcess:
            continue
    return found
