"""What durability costs a plain job: POST to webhook with servers that flush, and with servers that do not, in turn.

The fences of a worker's writes are in the same statements as the writes: they cost on both sides, and no round trip.
"""

import statistics
import time
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path

from chassis.adapters.kafka.admin import create_offsets_topic
from devtools.footage import fetch_footage
from embedded import KafkaServer
from embedded.kafka import OFFSETS_PARTITIONS
from embedded.postgres import PostgresServer
from tests.support.file_server import file_server
from tests.support.processes import clean_environment
from tests.support.system import BitmillUp, bitmill_up
from tests.support.webhook_receiver import webhook_receiver

RUNS = 30
WARM_UP = 3


@dataclass(frozen=True)
class DurabilityCost:
    """Seconds from POST to webhook, with the flush (`durable`) and without it (`plain`), measured in turn."""

    durable: list[float]
    plain: list[float]

    @property
    def median(self) -> float:
        return statistics.median(one - other for one, other in zip(self.durable, self.plain, strict=True))


async def measure(folder: Path, footage: Path, runs: int = RUNS) -> DurabilityCost:
    """Two `bitmill up`, each with a Kafka and a Postgres of its own on the same disk."""
    clips = fetch_footage(footage, print)
    found = DurabilityCost([], [])
    async with AsyncExitStack() as stack:
        uploads = await stack.enter_async_context(file_server())
        photo = uploads.add(clips.chelsea, "photo.png")
        systems: dict[bool, BitmillUp] = {}
        for durable in (True, False):
            home = folder / ("durable" if durable else "plain")
            kafka = await stack.enter_async_context(KafkaServer(home, durable=durable).running(print))
            await create_offsets_topic(kafka, partitions=OFFSETS_PARTITIONS)
            dsn = await stack.enter_async_context(PostgresServer(home, durable=durable).running(print))
            environment = clean_environment() | {"KAFKA_BOOTSTRAP_SERVERS": kafka, "DATABASE_URL": dsn}
            systems[durable] = await stack.enter_async_context(bitmill_up(home / "up", environment))
        for run in range(runs + WARM_UP):
            for durable in (True, False) if run % 2 else (False, True):
                seconds = await _one_job(systems[durable], photo)
                if run >= WARM_UP:
                    (found.durable if durable else found.plain).append(seconds)
    return found


async def _one_job(up: BitmillUp, photo: str) -> float:
    async with webhook_receiver(secret=up.api.secret) as hooks:
        began = time.perf_counter()
        job = await up.api.post("/jobs", {"input": photo, "kind": "image", "webhook_url": hooks.url()})
        done = await hooks.webhook(job["id"])
        seconds = time.perf_counter() - began
    if done["status"] != "succeeded":
        raise RuntimeError(f"the job failed: {done['error']}")
    return seconds
