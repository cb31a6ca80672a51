"""Two projects of one `bitmill up`, and the latency that one of them sees."""

import asyncio
import statistics
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, fields
from uuid import uuid4

import aiohttp
import orjson

from devtools.footage import Footage
from tests.support.file_server import FileServer, file_server
from tests.support.processes import shell
from tests.support.system import ApiClient, BitmillUp
from tests.support.webhook_receiver import WebhookReceiver, webhook_receiver

FACTOR = 3.0
"""How many times longer than alone the innocent project may wait."""
NOISE_SECONDS = 1.0
"""Latencies below it count as this long: where other programs keep the machine busy, chance decides about less."""
ROUNDS = 5
_PHOTO = "photo.png"
_PING_SECONDS = 0.05
_TIMEOUT = aiohttp.ClientTimeout(total=180)


@dataclass(frozen=True)
class Project:
    """A customer: `api` sends its key; `uploads` and `hooks` listen on an address of their own."""

    name: str
    api: ApiClient
    uploads: FileServer
    hooks: WebhookReceiver


@dataclass(frozen=True)
class Latency:
    """Seconds, each the median of `ROUNDS`."""

    post: float
    """POST /jobs to its answer."""
    webhook: float
    """POST /jobs to the webhook of the finished job."""
    media: float
    """POST /media to its answer, which has the stored item."""
    livez: float
    """GET /livez, asked all the time: the longest of all, since it shows whether the event loop stands still."""

    def slower(self, alone: "Latency") -> list[str]:
        """What is more than `FACTOR` times as long as alone; empty if nothing is."""
        return [
            f"{field.name}: {now:.2f} s, alone {before:.2f} s"
            for field in fields(self)
            if (now := getattr(self, field.name)) > FACTOR * max(before := getattr(alone, field.name), NOISE_SECONDS)
        ]


class Comparison:
    """The innocent project's latency alone, to be compared with that under attack."""

    def __init__(self, innocent: Project, alone: Latency) -> None:
        self.alone = alone
        self._innocent = innocent

    async def under_attack(self) -> Latency:
        """Measure now; every job must succeed, and no latency may be more than `FACTOR` times that of before."""
        now = await latency(self._innocent)
        print(f"alone {self.alone}\nunder attack {now}")
        assert not now.slower(self.alone), now.slower(self.alone)
        return now


@dataclass(frozen=True)
class TwoProjects:
    """The running system and its two customers."""

    system: BitmillUp
    attacker: Project
    innocent: Project

    @asynccontextmanager
    async def compared(self) -> AsyncIterator[Comparison]:
        """Measures the innocent project alone; afterwards the system must be ready."""
        yield Comparison(self.innocent, await latency(self.innocent))
        await self.innocent.api.get("/readyz")


async def latency(project: Project, rounds: int = ROUNDS) -> Latency:
    """Jobs and media items one after the other, as a customer sends them; fails unless every one succeeds."""
    livez: list[float] = []
    pinging = asyncio.create_task(_ping(project.api, livez))
    try:
        measured = [await _round(project) for _ in range(rounds)]
    finally:
        pinging.cancel()
        await asyncio.gather(pinging, return_exceptions=True)
    post, webhook, media = zip(*measured, strict=True)
    return Latency(statistics.median(post), statistics.median(webhook), statistics.median(media), max(livez))


async def _round(project: Project) -> tuple[float, float, float]:
    api, begin = project.api, time.monotonic()
    body = {"kind": "image", "options": {"width": 64}, "input": project.uploads.url(_PHOTO)}
    job = await api.post("/jobs", {**body, "webhook_url": project.hooks.url()})
    posted = time.monotonic()
    webhook = await project.hooks.webhook(job["id"])
    arrived = time.monotonic()
    assert webhook["status"] == "succeeded", webhook
    assert await api.finished(job["id"]) == webhook
    media_begin = time.monotonic()
    item = await api.post("/media", {"url": project.uploads.url(_PHOTO)})
    media_seconds = time.monotonic() - media_begin
    assert item["data"]["status"] == "active", item
    return posted - begin, arrived - begin, media_seconds


async def _ping(api: ApiClient, livez: list[float]) -> None:
    """Appends the seconds of each GET /livez; one that is under way at the end counts as well."""
    while True:
        begin = time.monotonic()
        try:
            await api.get("/livez")
        finally:
            livez.append(time.monotonic() - begin)
        await asyncio.sleep(_PING_SECONDS)


@asynccontextmanager
async def two_projects_of(system: BitmillUp, footage: Footage) -> AsyncIterator[TwoProjects]:
    """Two new customers of a running system."""
    async with AsyncExitStack() as stack:
        projects = []
        for name, host in (("attacker", "127.0.0.2"), ("innocent", "127.0.0.3")):
            created = await shell(
                ["bitmill", "keys", "create", "--project", f"{name} {uuid4().hex[:8]}", "--json"],
                cwd=system.data,
                env=system.env,
            )
            assert created.returncode == 0, created.stderr
            printed = orjson.loads(created.stdout)
            headers, secret = {"Authorization": f"Bearer {printed['key']}"}, printed["webhook_secret"]
            session = await stack.enter_async_context(aiohttp.ClientSession(headers=headers, timeout=_TIMEOUT))
            uploads = await stack.enter_async_context(file_server(host=host))
            uploads.add(footage.chelsea, _PHOTO)
            hooks = await stack.enter_async_context(webhook_receiver(secret=secret, host=host))
            projects.append(Project(name, ApiClient(system.api.address, secret, session), uploads, hooks))
        yield TwoProjects(system, *projects)
