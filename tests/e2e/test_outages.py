"""Postgres or Kafka is stopped, processes are killed, the disk is full: every accepted job still succeeds."""

import asyncio
import json
import os
import random
import shutil
import signal
import time
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import asyncpg
import psutil
import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition

from devtools.footage import Footage
from embedded import KafkaServer, PostgresServer
from embedded.data_folder import has_ended
from schemas.events import JobCancelled, JobFailed, JobSucceeded
from schemas.topics import JOB_RESULTS, SERVICES
from tests.e2e.customer import Customer, customer
from tests.e2e.processes import Deployment, deployment
from tests.e2e.switches import Disk, Switch, small_disk
from tests.support.footage import Material
from tests.support.system import BitmillUp, bitmill_up
from tests.support.waiting import until

DEADLINE_SECONDS = 180
MEDIA_WAIT_SECONDS = 1
"""So short that POST /media is answered while the file is still being fetched."""
SOAK_SECONDS = 60
_OUTAGE_SECONDS = [8, pytest.param(60, marks=pytest.mark.slow)]
_TERMINAL_TYPES = {event.TYPE.encode() for event in (JobSucceeded, JobFailed, JobCancelled)}


@dataclass(frozen=True)
class System:
    """The deployment, its customer, and the servers and the disk that it uses."""

    deployment: Deployment
    customer: Customer
    postgres: Switch
    kafka: Switch
    disk: Disk
    dsn: str
    bootstrap: str

    async def check_terminal_events(self) -> None:
        """On Kafka, too, each accepted job ends once: an event may be published twice, but with the same id."""
        ids = await self._terminal_event_ids()
        for job in self.customer.accepted:
            assert len(ids.get(job, ())) == 1, f"{job}: {ids.get(job)}"

    async def attempts(self, service: str, id: str) -> int:
        return int(await self.query(f"SELECT attempt FROM {service}.job_queue WHERE id = $1", id))

    async def query(self, statement: str, *arguments: Any) -> Any:
        connection = await asyncpg.connect(self.dsn)
        try:
            return await connection.fetchval(statement, *arguments)
        finally:
            await connection.close()

    async def _terminal_event_ids(self) -> dict[str, set[bytes]]:
        """The ids of the events that ended each job."""
        found: dict[str, set[bytes]] = {}
        consumer = AIOKafkaConsumer(bootstrap_servers=self.bootstrap, auto_offset_reset="earliest")
        await consumer.start()
        try:
            partitions = [TopicPartition(JOB_RESULTS.name, number) for number in range(JOB_RESULTS.partitions)]
            consumer.assign(partitions)
            last = await consumer.end_offsets(partitions)
            while any([await consumer.position(partition) < last[partition] for partition in partitions]):
                for records in (await consumer.getmany(timeout_ms=1000)).values():
                    for record in records:
                        headers = dict(record.headers)
                        if headers["ce_type"] in _TERMINAL_TYPES:
                            found.setdefault(record.key.decode(), set()).add(headers["ce_id"])
        finally:
            await consumer.stop()
        return found


@pytest.fixture(scope="module")
async def folder(footage: Footage, material: Material, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The customer's uploads."""
    folder = tmp_path_factory.mktemp("uploads")
    shutil.copy(footage.chelsea, folder / "photo.png")
    shutil.copy(footage.carphone, folder / "short.mp4")
    shutil.copy(footage.bunny, folder / "clip.mp4")
    return folder


@pytest.fixture(scope="module")
async def system(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[System]:
    data = tmp_path_factory.mktemp("outages")
    postgres, kafka = Switch(PostgresServer(data)), Switch(KafkaServer(data))
    try:
        dsn, bootstrap = await postgres.on(), await kafka.on()
        with small_disk(data / "files") as disk:
            wait = f"{MEDIA_WAIT_SECONDS}s"
            async with (
                deployment(dsn, bootstrap, data, MEDIA_WAIT=wait) as deployed,
                customer(deployed.api, folder) as sender,
            ):
                yield System(deployed, sender, postgres, kafka, disk, dsn, bootstrap)
    finally:
        await asyncio.gather(kafka.off(), postgres.off())


async def _until_ended(children: Sequence[psutil.Process]) -> None:
    """The child processes of a killed process end by themselves."""
    await until(lambda: all(has_ended(child) for child in children), within=DEADLINE_SECONDS)


async def _outage(system: System, server: Switch, check: str, seconds: float) -> None:
    """Stop the server for a while under load; every process notices, recovers, and no job is lost."""
    deployed, sender = system.deployment, system.customer
    async with sender.traffic():
        await sender.until_accepted(3)
        await server.off()

        async def noticed() -> bool:
            return all([f"{name}.{check}" in (await deployed.failing_checks(name) or ()) for name in SERVICES])

        await until(noticed, within=DEADLINE_SECONDS)
        async with deployed.api.session.get(f"{deployed.api.address}/readyz") as response:
            assert response.status == 503
            assert check in await response.text(), "the gateway's /readyz names what is missing"
        await asyncio.sleep(seconds)  # the length of the outage
        began = time.monotonic()
        await server.on()
        await deployed.until_ready(DEADLINE_SECONDS)
        print(f"ready {time.monotonic() - began:.1f} s after {check} was started")
        await sender.until_accepted(3)
    await sender.until_settled()
    await system.check_terminal_events()


@pytest.mark.parametrize("seconds", _OUTAGE_SECONDS)
async def test_no_job_is_lost_while_postgres_is_stopped(system: System, seconds: int) -> None:
    await _outage(system, system.postgres, "postgres", seconds)
    assert system.customer.unavailable, "accepting a job needs Postgres"


@pytest.mark.parametrize("seconds", _OUTAGE_SECONDS)
async def test_no_job_is_lost_while_kafka_is_stopped(system: System, seconds: int) -> None:
    await _outage(system, system.kafka, "kafka", seconds)


async def test_no_work_is_lost_when_every_service_is_killed(system: System) -> None:
    sender, processes = system.customer, system.deployment.processes
    held_photo = sender.hold_upload("held/photo.png", "photo.png")
    held_video = sender.hold_upload("held/short.mp4", "short.mp4")
    video = await sender.post_job(
        {"kind": "video", "upload": "clip.mp4", "options": {"width": 1920, "quality": "very_high"}}
    )
    image = await sender.post_job({"kind": "image", "upload": "held/photo.png", "options": {"width": 100}})
    delivered = await sender.post_job(
        {"kind": "image", "upload": "photo.png", "options": {}, "webhook_url": sender.hold_webhooks()}
    )
    media = await sender.post("/media", {"url": held_video.url})
    assert video and image and delivered and media
    item = media["data"]
    assert item["status"] == "processing"
    for held in (held_photo, held_video):
        await asyncio.wait_for(held.requested.wait(), DEADLINE_SECONDS)
    await until(lambda: sender.webhook_requests(delivered) == 1, within=DEADLINE_SECONDS)
    await until(processes["transcoder"].is_encoding, within=DEADLINE_SECONDS)
    accepted = await sender.post_job({"kind": "image", "upload": "photo.png", "options": {"width": 50}})
    children = await processes["ingest"].kill()
    assert accepted
    for name in ("transcoder", "thumbnailer", "notifier", "catalog"):
        children += await processes[name].kill()
    await _until_ended(children)
    sender.let_go()
    for name in SERVICES:
        await processes[name].start()
    await system.deployment.until_ready()
    await sender.until_settled()
    await sender.until_active(item["id"])
    await until(lambda: sender.webhook_requests(delivered) == 2, within=DEADLINE_SECONDS)
    await system.check_terminal_events()
    assert await system.attempts("transcoder", video) == 2
    assert await system.attempts("thumbnailer", image) == 2
    assert await system.attempts("ingest", item["id"]) == 2


@pytest.mark.parametrize("seconds", [3, pytest.param(60, marks=pytest.mark.slow)])
async def test_no_job_is_lost_while_the_disk_is_full(system: System, seconds: int) -> None:
    sender, processes = system.customer, system.deployment.processes
    log_sizes = {name: processes[name].log.stat().st_size for name in ("ingest", "transcoder", "thumbnailer")}

    def waits(name: str) -> bool:
        with processes[name].log.open() as log:
            log.seek(log_sizes[name])
            events = _log_events(log.read())
        return any(event["event"] == "retry_started" and event["operation"] == "storage" for event in events)

    system.disk.fill()
    try:
        jobs = [
            await sender.post_job({"kind": "video", "upload": "short.mp4", "options": {"width": 160}}),
            await sender.post_job({"kind": "image", "upload": "photo.png", "options": {"width": 100}}),
        ]
        media = await sender.post("/media", {"url": sender.upload_url("photo.png")})
        await until(lambda: all(waits(name) for name in log_sizes), within=DEADLINE_SECONDS)
        assert await system.deployment.failing_checks("thumbnailer") == {"thumbnailer.storage"}
        await asyncio.sleep(seconds)  # the length of the outage
    finally:
        system.disk.free_space()
    assert all(jobs) and media
    await system.deployment.until_ready(DEADLINE_SECONDS)
    await sender.until_settled()
    await sender.until_active(media["data"]["id"])


async def test_no_job_is_lost_when_the_embedded_servers_of_bitmill_up_are_killed(folder: Path, tmp_path: Path) -> None:
    async with bitmill_up(tmp_path / "data") as up, customer(up.api, folder) as sender:

        async def answers(status: int) -> bool:
            async with up.api.session.get(f"{up.api.address}/readyz") as response:
                return response.status == status

        async with sender.traffic():
            for name in ("kafka", "postgres"):
                await sender.until_accepted(2)
                began = time.monotonic()
                # Twice, so that the outage lasts long enough to be noticed: the second restart comes after a delay.
                await _kill_server(up.data, name, await _kill_server(up.data, name))
                if name == "kafka":
                    await until(partial(answers, 503), within=DEADLINE_SECONDS)
                await until(partial(_has_restarted, up, name), within=DEADLINE_SECONDS)
                await until(partial(answers, 200), within=DEADLINE_SECONDS)
                print(f"ready {time.monotonic() - began:.1f} s after {name} was killed")
            await sender.until_accepted(2)
        await sender.until_settled()


async def _kill_server(data: Path, name: str, previous: int | None = None) -> int:
    """SIGKILL to an embedded server once it is another process than `previous`; returns its pid."""

    def current() -> int | None:
        try:
            pid = int(json.loads((data / "run" / f"{name}.json").read_text())["pid"])
        except (FileNotFoundError, ValueError):
            return None  # between two processes
        return pid if pid != previous else None

    pid: int = await until(current, within=DEADLINE_SECONDS)
    os.kill(pid, signal.SIGKILL)
    return pid


def _has_restarted(up: BitmillUp, name: str) -> bool:
    events = _log_events(up.log)
    return any(event["event"] == "embedded_server_restarted" and event["server"].lower() == name for event in events)


def _log_events(output: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in output.splitlines() if line.startswith("{") and line.endswith("}")]


@pytest.mark.slow
async def test_no_job_is_lost_in_a_minute_of_random_kills(system: System) -> None:
    sender, deployed = system.customer, system.deployment
    random_service = random.Random(7)
    kills, before = 0, len(sender.accepted)
    async with sender.traffic():
        end = time.monotonic() + SOAK_SECONDS
        while time.monotonic() < end:
            # Only a ready process is killed: one that is starting has no work to lose.
            ready = [name for name in SERVICES if await deployed.failing_checks(name) == set()]
            if ready:
                victim = deployed.processes[random_service.choice(ready)]
                await _until_ended(await victim.kill())
                await victim.start()
                kills += 1
            await asyncio.sleep(1.0)  # the interval between kills
        await deployed.until_ready()
        await sender.until_accepted(3)
    print(f"{kills} kills, {len(sender.accepted) - before} jobs accepted, {sender.unavailable} requests answered 503")
    await sender.until_settled()
    await system.check_terminal_events()
