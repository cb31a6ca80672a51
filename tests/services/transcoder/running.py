"""The whole service: jobs go in through Kafka, inputs come over HTTP, results come out through Kafka."""

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

from aiohttp import web
from aiokafka import AIOKafkaConsumer, TopicPartition

from chassis.ids import new_id, now_ms
from chassis.kafka import codec
from chassis.kafka.producer import open_producer
from chassis.storage import Storage, open_storage
from schemas.events import CancelRequested, Event, JobCreated, JobEvent
from schemas.jobs import Job
from schemas.topics import JOB_RESULTS
from services.transcoder.app import Transcoder
from services.transcoder.settings import Settings

DEADLINE_SECONDS = 40.0


class Site:
    """A web server on this machine: serves files, and answers with a status where there is none."""

    def __init__(self) -> None:
        self.address = ""
        self.asked: dict[str, int] = defaultdict(int)
        self._files: dict[str, Path] = {}

    def serve(self, path: Path) -> str:
        """The address at which `path` can be fetched from now on."""
        self._files[path.name] = path
        return f"{self.address}/200/{path.name}"

    async def answer(self, request: web.Request) -> web.StreamResponse:
        status, name = int(request.match_info["status"]), request.match_info["name"]
        self.asked[name] += 1
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
    """`site` serves inputs; `heard` are the events about each job, as they came; `work` is the service's folder."""

    def __init__(self, app: Transcoder, settings: Settings, storage: Storage, site: Site, producer: Any) -> None:
        self.app = app
        self.settings = settings
        self.storage = storage
        self.site = site
        self.heard: dict[str, list[JobEvent]] = defaultdict(list)
        self._producer = producer
        self._news = asyncio.Condition()

    async def publish(self, event: Event, partition: int | None = None) -> int:
        """Sends the event; the partition that it went to."""
        record = codec.encode(event, id=new_id("evt"), source="/bitmill/ingest", time_ms=now_ms())
        sent = await self._producer.send_and_wait(
            record.topic, record.value, key=record.key, headers=record.headers, partition=partition
        )
        return int(sent.partition)

    async def ask(self, input: str, **options: Any) -> str:
        """Publishes a job; its id."""
        job = queued(input, **options)
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

    async def end(self, job_id: str) -> Job:
        """The job once it has ended."""
        return await self.hears(job_id, lambda event: event.job.finished)

    async def listen(self, consumer: AIOKafkaConsumer) -> None:
        async for record in consumer:
            event = codec.decode(JOB_RESULTS, record.headers, record.value)
            assert isinstance(event, JobEvent)
            async with self._news:
                self.heard[event.job.id].append(event)
                self._news.notify_all()


def queued(input: str, **options: Any) -> Job:
    return Job.queued(
        id=new_id("job"),
        project=new_id("prj"),
        kind="video",
        input=input,
        options=options,
        metadata={"user_id": "usr_1"},
        at=now_ms(),
    )


@asynccontextmanager
async def running(database_url: str, bootstrap: str, folder: Path) -> AsyncIterator[Running]:
    """The transcoder alone, with a server of inputs beside it."""
    settings = Settings(
        database_url=database_url,
        kafka_bootstrap_servers=bootstrap,
        storage_url=(folder / "storage").as_uri(),
        work_dir=folder / "work",
        allow_net="127.0.0.0/8",
    )
    app = Transcoder(settings)
    async with AsyncExitStack() as stack:
        site = await stack.enter_async_context(Site().listening())
        await stack.enter_async_context(app.run())
        storage = await stack.enter_async_context(open_storage(settings.storage_url))
        producer = await open_producer(bootstrap, "tests.transcoder")
        stack.push_async_callback(producer.stop)
        service = Running(app, settings, storage, site, producer)
        await stack.enter_async_context(_listening(bootstrap, service))
        yield service


@asynccontextmanager
async def _listening(bootstrap: str, service: Running) -> AsyncIterator[None]:
    consumer = AIOKafkaConsumer(bootstrap_servers=bootstrap)
    await consumer.start()
    consumer.assign([TopicPartition(JOB_RESULTS.name, number) for number in range(JOB_RESULTS.partitions)])
    await consumer.seek_to_end()
    listening = asyncio.create_task(service.listen(consumer))
    try:
        yield
    finally:
        listening.cancel()
        await asyncio.gather(listening, return_exceptions=True)
        await consumer.stop()
