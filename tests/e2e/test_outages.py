"""Accepted means done: Postgres and Kafka go away, processes are killed, the disk is full, and no 2xx is broken."""

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

from devtools.demo import system
from devtools.footage import Footage
from embedded import KafkaServer, PostgresServer, processes
from schemas.events import JobCancelled, JobFailed, JobSucceeded
from schemas.topics import JOB_RESULTS, SERVICES
from tests.e2e.customer import Customer, customer
from tests.e2e.processes import Deployment, deployment
from tests.e2e.switches import Disk, Switch, small_disk
from tests.support.footage import Material
from tests.support.waiting import until

NOTICED_SECONDS = 10
BACK_SECONDS = 45
MEDIA_WAIT_SECONDS = 1
"""So that a POST /media is answered while its file is still on its way."""
SOAK_SECONDS = 60
_LENGTHS = [8, pytest.param(60, marks=pytest.mark.slow)]
_ENDS = {kind.TYPE.encode() for kind in (JobSucceeded, JobFailed, JobCancelled)}


@dataclass(frozen=True)
class World:
    """The deployment, its customer, and what both stand on."""

    deployed: Deployment
    customer: Customer
    postgres: Switch
    kafka: Switch
    disk: Disk
    dsn: str
    bootstrap: str

    async def ends_told_once(self) -> None:
        """On Kafka, too, each accepted job ends once: an event may come twice, but it is the same one."""
        ends = await self._ends()
        for job in self.customer.accepted:
            assert len(ends.get(job, ())) == 1, f"{job}: {ends.get(job)}"

    async def attempts(self, service: str, id: str) -> int:
        return int(await self.ask(f"SELECT attempt FROM {service}.ledger WHERE id = $1", id))

    async def ask(self, query: str, *arguments: Any) -> Any:
        connection = await asyncpg.connect(self.dsn)
        try:
            return await connection.fetchval(query, *arguments)
        finally:
            await connection.close()

    async def _ends(self) -> dict[str, set[bytes]]:
        """The ids of the events by which jobs ended, by job."""
        found: dict[str, set[bytes]] = {}
        consumer = AIOKafkaConsumer(bootstrap_servers=self.bootstrap, auto_offset_reset="earliest")
        await consumer.start()
        try:
            places = [TopicPartition(JOB_RESULTS.name, number) for number in range(JOB_RESULTS.partitions)]
            consumer.assign(places)
            last = await consumer.end_offsets(places)
            while any([await consumer.position(place) < last[place] for place in places]):
                for records in (await consumer.getmany(timeout_ms=1000)).values():
                    for record in records:
                        headers = dict(record.headers)
                        if headers["ce_type"] in _ENDS:
                            found.setdefault(record.key.decode(), set()).add(headers["ce_id"])
        finally:
            await consumer.stop()
        return found


@pytest.fixture(scope="module")
async def uploads(footage: Footage, material: Material, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("uploads")
    shutil.copy(footage.chelsea, folder / "photo.png")
    shutil.copy(footage.carphone, folder / "short.mp4")
    shutil.copy(footage.bunny, folder / "clip.mp4")
    return folder


@pytest.fixture(scope="module")
async def world(uploads: Path, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[World]:
    folder = tmp_path_factory.mktemp("outages")
    postgres, kafka = Switch(PostgresServer(folder)), Switch(KafkaServer(folder))
    try:
        dsn, bootstrap = await asyncio.gather(postgres.on(), kafka.on())
        with small_disk(folder / "files") as disk:
            wait = f"{MEDIA_WAIT_SECONDS}s"
            async with (
                deployment(dsn, bootstrap, folder, MEDIA_WAIT=wait) as deployed,
                customer(deployed.api.session, deployed.api.address, uploads) as asking,
            ):
                yield World(deployed, asking, postgres, kafka, disk, dsn, bootstrap)
    finally:
        await asyncio.gather(kafka.off(), postgres.off())


async def _gone(children: Sequence[psutil.Process]) -> None:
    """Whatever a killed process had running ends by itself."""
    await until(lambda: all(processes.gone(child) for child in children))


async def _outage(world: World, server: Switch, check: str, seconds: float) -> float:
    """Takes the server away for a while under load; how long it then took until everything was ready again."""
    deployed, asking = world.deployed, world.customer
    async with asking.asking():
        await asking.accepts(3)
        await server.off()

        async def noticed() -> bool:
            return all([f"{name}.{check}" in (await deployed.failing(name) or ()) for name in SERVICES])

        await until(noticed, within=NOTICED_SECONDS)
        async with deployed.api.session.get(f"{deployed.api.address}/readyz") as response:
            assert response.status == 503
            assert check in await response.text(), "one look at the gateway says what is missing"
        await asyncio.sleep(seconds)  # the outage itself
        began = time.monotonic()
        await server.on()
        await deployed.ready(BACK_SECONDS)
        took = time.monotonic() - began
        await asking.accepts(3)
    await asking.settled()
    await world.ends_told_once()
    return took


@pytest.mark.parametrize("seconds", _LENGTHS)
async def test_postgres_may_be_away(world: World, seconds: int) -> None:
    took = await _outage(world, world.postgres, "postgres", seconds)
    assert world.customer.refused, "an accepted job needs Postgres"
    print(f"ready {took:.1f} s after Postgres was started")


@pytest.mark.parametrize("seconds", _LENGTHS)
async def test_kafka_may_be_away(world: World, seconds: int) -> None:
    took = await _outage(world, world.kafka, "kafka", seconds)
    print(f"ready {took:.1f} s after Kafka was started")


async def test_every_process_may_be_killed_in_the_middle_of_its_work(world: World) -> None:
    asking, members = world.customer, world.deployed.members
    video = await asking.post_job(
        {"kind": "video", "upload": "uploads/clip.mp4", "options": {"width": 1920, "quality": "very_high"}}
    )
    image = await asking.post_job({"kind": "image", "upload": "held/photo.png", "options": {"width": 100}})
    told = await asking.post_job(
        {"kind": "image", "upload": "uploads/photo.png", "options": {}, "webhook_url": f"{asking.site}/held"}
    )
    media = await asking.post("/media", {"url": f"{asking.site}/held/short.mp4"})
    assert video and image and told and media
    item = media["data"]
    assert item["status"] == "processing"
    await until(lambda: {"photo.png", "short.mp4", told} <= asking.holding, within=30)
    await until(members["transcoder"].encoding, within=30)
    accepted = await asking.post_job({"kind": "image", "upload": "uploads/photo.png", "options": {"width": 50}})
    children = await members["ingest"].kill()
    assert accepted
    for name in ("transcoder", "thumbnailer", "notifier", "catalog"):
        children += await members[name].kill()
    await _gone(children)
    asking.let_go.set()
    began = time.monotonic()
    for name in SERVICES:
        await members[name].start()
    await world.deployed.ready()
    ready = time.monotonic() - began
    await asking.settled()

    await asking.stored(item["id"])
    print(f"ready {ready:.1f} s and done {time.monotonic() - began:.1f} s after the restart")
    await world.ends_told_once()
    assert await world.attempts("transcoder", video) == 2
    assert await world.attempts("thumbnailer", image) == 2
    assert await world.attempts("ingest", item["id"]) == 2
    delivery = (
        "SELECT count(*) FROM notifier.attempts JOIN notifier.deliveries d ON d.id = delivery_id WHERE job_id = $1"
    )
    assert await world.ask(delivery, told) == 2


@pytest.mark.parametrize("seconds", [3, pytest.param(60, marks=pytest.mark.slow)])
async def test_the_disk_may_be_full(world: World, seconds: int) -> None:
    asking, members = world.customer, world.deployed.members
    marks = {name: members[name].log.stat().st_size for name in ("ingest", "transcoder", "thumbnailer")}

    def waits(name: str) -> bool:
        with members[name].log.open() as log:
            log.seek(marks[name])
            return "waiting for room" in log.read()

    world.disk.fill()
    try:
        jobs = [
            await asking.post_job({"kind": "video", "upload": "uploads/short.mp4", "options": {"width": 160}}),
            await asking.post_job({"kind": "image", "upload": "uploads/photo.png", "options": {"width": 100}}),
        ]
        media = await asking.post("/media", {"url": f"{asking.site}/uploads/photo.png"})
        await until(lambda: all(waits(name) for name in marks), within=30)
        assert await world.deployed.failing("thumbnailer") == {"thumbnailer.storage"}
        await asyncio.sleep(seconds)  # the outage itself
    finally:
        world.disk.make_room()
    began = time.monotonic()
    assert all(jobs) and media
    await world.deployed.ready(BACK_SECONDS)
    await asking.settled()
    await asking.stored(media["data"]["id"])
    print(f"done {time.monotonic() - began:.1f} s after there was room")


async def test_servers_of_bitmill_up_that_are_killed_come_back_and_nothing_is_lost(
    uploads: Path, tmp_path: Path
) -> None:
    data = tmp_path / "data"
    async with system.running(data, print) as api, customer(api.session, api.address, uploads) as asking:

        async def answers(status: int) -> bool:
            async with api.session.get(f"{api.address}/readyz") as response:
                return response.status == status

        async with asking.asking():
            for name in ("kafka", "postgres"):
                await asking.accepts(2)
                began = time.monotonic()
                # Twice, so that it is away for long enough to be seen: the second restart is not at once.
                await _kill_server(data, name, await _kill_server(data, name))
                if name == "kafka":
                    await until(partial(answers, 503))
                await until(partial(_says_back, data, name), within=BACK_SECONDS)
                await until(partial(answers, 200), within=BACK_SECONDS)
                print(f"ready {time.monotonic() - began:.1f} s after {name} was killed")
            await asking.accepts(2)
        await asking.settled()


async def _kill_server(data: Path, name: str, previous: int | None = None) -> int:
    """SIGKILL to an embedded server, once it is another process than the previous; its number."""

    def noted() -> int | None:
        try:
            pid = int(json.loads((data / "run" / f"{name}.json").read_text())["pid"])
        except (FileNotFoundError, ValueError):
            return None  # between two
        return pid if pid != previous else None

    pid: int = await until(noted)
    os.kill(pid, signal.SIGKILL)
    return pid


def _says_back(data: Path, name: str) -> bool:
    lines = [json.loads(line) for line in (data / "log").read_text().splitlines() if line.startswith("{")]
    return any(line["event"] == "server is back" and line["server"].lower() == name for line in lines)


@pytest.mark.slow
async def test_a_minute_of_random_kills(world: World) -> None:
    asking, deployed = world.customer, world.deployed
    chosen = random.Random(7)
    kills, before = 0, len(asking.accepted)
    async with asking.asking():
        until_then = time.monotonic() + SOAK_SECONDS
        while time.monotonic() < until_then:
            # Only who works is killed: who is still starting has nothing to lose.
            working = [name for name in SERVICES if await deployed.failing(name) == set()]
            if working:
                victim = deployed.members[chosen.choice(working)]
                await _gone(await victim.kill())
                await victim.start()
                kills += 1
            await asyncio.sleep(1.0)  # the pace of the kills
        await deployed.ready()
        await asking.accepts(3)
    print(f"{kills} kills, {len(asking.accepted) - before} jobs accepted, {asking.refused} requests refused")
    await asking.settled(within=180)
    await world.ends_told_once()
