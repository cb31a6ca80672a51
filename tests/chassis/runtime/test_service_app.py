"""A whole service from one declaration, on real Kafka and Postgres: what a sixth service would be."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import ClassVar, cast

import aiohttp
import pytest
from aiohttp import web
from faststream.kafka import KafkaBroker

from chassis.adapters.http.json_body import json_response
from chassis.adapters.kafka.admin import ensure_topics
from chassis.adapters.kafka.consumer import subscribe
from chassis.adapters.postgres import Pool
from chassis.core.ids import new_id, now_ms
from chassis.core.settings import CommonSettings
from chassis.runtime.job_queue import Runner
from chassis.runtime.lifecycle import serve
from chassis.runtime.service_app import Components, Resources, ServiceApp, ServiceSpec
from schemas.events import CancelRequested, JobCreated
from schemas.jobs import Job
from schemas.topics import JOB_CONTROL, JOB_CREATED

PROJECT = "prj_01h455vb4pex5vsknk084sn02q"


@dataclass
class Counted:
    """What the service remembers; `closed` says that its Postgres pool was closed only after everything else."""

    seen: list[str] = field(default_factory=list)
    order: list[str] = field(default_factory=list)


class Counter(ServiceApp[CommonSettings, Counted]):
    """Reads created jobs, asks for the cancellation of each, and says over HTTP which it has seen."""

    spec: ClassVar[ServiceSpec] = ServiceSpec(name="catalog", outbox=True, storage=True)

    def routes(self) -> Sequence[web.AbstractRouteDef]:
        return [web.get("/seen", self.list_seen)]

    async def list_seen(self, _: web.Request) -> web.Response:
        return json_response(self.parts.seen)

    async def build(self, resources: Resources) -> Components[Counted]:
        counted = Counted()

        def register(broker: KafkaBroker) -> None:
            @subscribe(broker, JOB_CREATED)
            async def on_job_created(events: Sequence[JobCreated]) -> None:
                cancellations = [
                    CancelRequested(job_id=event.job.id, project=event.job.project, at=now_ms()) for event in events
                ]
                counted.seen.extend(event.job.id for event in events)
                async with resources.pool.acquire() as conn, conn.transaction():
                    await resources.outbox.put(conn, *cancellations)
                resources.outbox.wake()

        async def background() -> None:
            try:
                await asyncio.Event().wait()
            finally:
                counted.order.append(f"background, pool open: {not _closing(resources.pool)}")

        resources.stack.callback(lambda: counted.order.append("resources of build"))
        return Components(
            parts=counted,
            subscribe=register,
            background={"background": background()},
            before_stop=[lambda: counted.order.append("before stop")],
        )


def _closing(pool: Pool) -> bool:
    return pool.is_closing()


@asynccontextmanager
async def serving(app: Counter) -> AsyncIterator[str]:
    stop, ready = asyncio.Event(), asyncio.Event()
    address: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    running = asyncio.create_task(
        serve([app], host="127.0.0.1", port=0, stop=stop, started=address.set_result, ready=ready.set)
    )
    waiting = asyncio.create_task(ready.wait())
    try:
        await asyncio.wait([running, waiting], return_when=asyncio.FIRST_COMPLETED, timeout=60)
        if running.done():
            await running
        assert ready.is_set()
        yield address.result()
    finally:
        waiting.cancel()
        stop.set()
        await running


@pytest.fixture
def settings(fresh_dsn: str, kafka_bootstrap: str, tmp_path: Path) -> CommonSettings:
    return CommonSettings(
        database_url=fresh_dsn, kafka_bootstrap_servers=kafka_bootstrap, storage_url=(tmp_path / "files").as_uri()
    )


def job() -> Job:
    return Job.queued(
        id=new_id("job"),
        project=PROJECT,
        kind="video",
        input="https://example.com/a.mov",
        options={},
        metadata={},
        at=now_ms(),
    )


async def test_a_service_is_built_from_its_declaration_and_closed_in_the_reverse_order(
    settings: CommonSettings, kafka_bootstrap: str
) -> None:
    from chassis.adapters.kafka.codec import encode
    from chassis.adapters.kafka.producer import open_producer
    from tests.chassis.adapters.kafka.examples import read_any

    await ensure_topics(kafka_bootstrap)  # it publishes to a topic that is not one of the catalog's
    app = Counter(settings)
    wanted = job()
    async with serving(app) as address, aiohttp.ClientSession() as session:
        counted = app.parts
        producer = await open_producer(kafka_bootstrap, "tests")
        try:
            sent = encode(JobCreated(job=wanted), id="evt_1", source="/bitmill/test", time_ms=now_ms())
            await producer.send_and_wait(sent.topic, sent.value, key=sent.key, headers=sent.headers)
        finally:
            await producer.stop()
        published = await read_any(kafka_bootstrap, JOB_CONTROL.name, key=wanted.id.encode())
        assert dict(published.headers)["ce_source"] == b"/bitmill/catalog"
        async with session.get(f"{address}/seen") as response:
            assert wanted.id in await response.json()
        async with session.get(f"{address}/readyz") as response:
            body = await response.json()
        checks = {check["name"]: check for check in body["checks"]}
        assert {name: check["state"] for name, check in checks.items()} == dict.fromkeys(
            ("catalog.postgres", "catalog.kafka", "catalog.storage"), "ok"
        )
        assert checks["catalog.kafka"]["details"]["lag"].keys() == {"job.created"}
        async with session.get(f"{address}/metrics") as response:
            assert 'bitmill_kafka_lag_records{service="catalog",topic="job.created"}' in await response.text()
    assert counted.order == ["before stop", "background, pool open: True", "resources of build"]


async def test_parts_and_undeclared_resources_are_refused_in_a_sentence(settings: CommonSettings) -> None:
    from chassis.adapters.http.errors import ApiError

    class WithoutQueue(Counter):
        async def build(self, resources: Resources) -> Components[Counted]:
            with pytest.raises(RuntimeError, match="does not declare job_queue"):
                _ = resources.job_queue
            return Components(parts=Counted())

    app = WithoutQueue(settings)
    with pytest.raises(ApiError) as raised:
        _ = app.parts
    assert raised.value.status == 503
    async with app.run():
        assert app.parts == Counted()


class FakeRunner:
    """A runner without work; `drained` is set by `drain`."""

    def __init__(self) -> None:
        self.drained = asyncio.Event()

    async def run(self) -> None:
        await asyncio.Event().wait()

    async def drain(self, timeout: timedelta) -> None:
        self.drained.set()

    async def check(self) -> None:
        return


@pytest.mark.parametrize("kafka", ["away", "silent"])
async def test_the_work_is_drained_also_when_the_consumers_cannot_be_stopped(
    settings: CommonSettings, kafka: str
) -> None:
    runner, kafka_is_back = FakeRunner(), asyncio.Event()

    class Draining(Counter):
        drain_timeout = timedelta(minutes=5)

        async def build(self, resources: Resources) -> Components[Counted]:
            return Components(parts=Counted(), subscribe=self._cannot_be_stopped, runner=cast(Runner, runner))

        def _cannot_be_stopped(self, broker: KafkaBroker) -> None:
            stop = broker.stop

            async def stop_later() -> None:
                if not kafka_is_back.is_set():
                    if kafka == "away":
                        raise ConnectionError("Kafka is away")
                    await kafka_is_back.wait()
                await stop()

            broker.stop = stop_later  # type: ignore[method-assign, assignment]

    app = Draining(settings)
    async with app.run():
        draining = asyncio.create_task(app.drain())
        await asyncio.wait_for(runner.drained.wait(), 60)
        kafka_is_back.set()
        await draining
