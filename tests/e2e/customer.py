"""A customer who goes on asking whatever happens, and who keeps the system to its word about every 2xx."""

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from itertools import cycle
from pathlib import Path
from typing import Any

import aiohttp
import orjson
from aiohttp import web

from tests.support.waiting import until

EVERY_SECONDS = 0.4
ANSWER_SECONDS = 30.0
"""No request may hang for longer, whatever is away."""
SETTLE_SECONDS = 90.0

WORK: tuple[Mapping[str, Any], ...] = (
    {"kind": "image", "upload": "uploads/photo.png", "options": {"width": 200}},
    {"kind": "video", "upload": "uploads/short.mp4", "options": {"width": 160, "quality": "low"}},
    {"kind": "image", "upload": "uploads/short.mp4", "options": {"start": 1, "width": 120}},
)


@dataclass
class Customer:
    """Hosts uploads, receives webhooks, posts jobs. `accepted` are the ids that came with a 2xx."""

    session: aiohttp.ClientSession
    api: str
    site: str = ""
    accepted: list[str] = field(default_factory=list)
    refused: int = 0
    webhooks: dict[str, set[tuple[str, bytes]]] = field(default_factory=lambda: defaultdict(set))
    """By job: the different (webhook-id, body) that came."""
    let_go: asyncio.Event = field(default_factory=asyncio.Event)
    """Uploads below /held are served, and webhooks for /held are answered, once it is set."""
    holding: set[str] = field(default_factory=set)
    """What waits for that: names of uploads and ids of jobs."""
    uploads: Path = Path()
    _asking: "asyncio.Task[None] | None" = None

    async def post(self, path: str, body: Mapping[str, Any]) -> dict[str, Any] | None:
        """The answer's body, or None for an orderly 503."""
        async with self.session.post(self.api + path, json=body, timeout=_TIMEOUT) as response:
            if await self._refused(response):
                return None
            answer: dict[str, Any] = await response.json()
            return answer

    async def get(self, path: str) -> Any:
        """The answer's body, or None for an orderly 503."""
        async with self.session.get(self.api + path, timeout=_TIMEOUT) as response:
            return None if await self._refused(response) else await response.json()

    async def post_job(self, work: Mapping[str, Any]) -> str | None:
        """The id of the job, if it was accepted."""
        asked = {name: value for name, value in work.items() if name != "upload"}
        body = {"webhook_url": f"{self.site}/hooks", **asked, "input": f"{self.site}/{work['upload']}"}
        job = await self.post("/jobs", body)
        if job is None:
            return None
        self.accepted.append(job["id"])
        return str(job["id"])

    @asynccontextmanager
    async def asking(self) -> AsyncIterator[None]:
        """Posts jobs and looks at them all the while; whatever is answered wrongly fails the block."""
        self._asking = task = asyncio.create_task(self._ask())
        try:
            yield
            self._still_asks()
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def accepts(self, more: int) -> None:
        """Waits until that many further jobs were accepted."""
        goal = len(self.accepted) + more

        def reached() -> bool:
            self._still_asks()
            return len(self.accepted) >= goal

        await until(reached, within=60)

    async def settled(self, *jobs: str, within: float = SETTLE_SECONDS) -> None:
        """Waits until each accepted job (or those named) has its webhook, and says what the system made of them."""
        wanted = jobs or tuple(self.accepted)
        try:
            await until(lambda: all(job in self.webhooks for job in wanted), within=within)
        except AssertionError:
            missing = [job for job in wanted if job not in self.webhooks]
            states = [(job, await self.get(f"/jobs/{job}")) for job in missing[:5]]
            raise AssertionError(f"{len(missing)} of {len(wanted)} webhooks did not come: {states}") from None
        for job in wanted:
            told = self.webhooks[job]
            assert len(told) == 1, f"{job} was told in {len(told)} ways: {told}"
            (_, body), shown = next(iter(told)), await self._shown(job)
            assert orjson.loads(body) == shown
            assert shown["status"] == "succeeded", shown

    async def stored(self, item: str) -> None:
        """Waits until the media item's file is there."""

        async def active() -> bool:
            found = await self.get(f"/media/{item}")
            return found is not None and bool(found["data"]["status"] == "active")

        await until(active, within=SETTLE_SECONDS)

    def _still_asks(self) -> None:
        if self._asking is not None and self._asking.done():
            self._asking.result()

    async def _shown(self, job: str) -> Any:
        async def finished() -> Any:
            found = await self.get(f"/jobs/{job}")
            return found if found and found["status"] not in ("queued", "processing") else None

        return await until(finished)

    async def _ask(self) -> None:
        for work in cycle(WORK):
            await self.post_job(work)
            if self.accepted:
                await self.get(f"/jobs/{self.accepted[-1]}")
            await self.get("/jobs")
            async with self.session.get(f"{self.api}/livez", timeout=_TIMEOUT) as response:
                assert response.status == 200
            await asyncio.sleep(EVERY_SECONDS)

    async def _refused(self, response: aiohttp.ClientResponse) -> bool:
        if response.status == 503:
            assert int(response.headers["Retry-After"]) > 0
            self.refused += 1
            return True
        said = f"{response.method} {response.url.path} was answered {response.status}: {await response.text()}"
        assert response.status in (200, 201), said
        return False

    async def receive(self, request: web.Request) -> web.Response:
        body = await request.read()
        job = orjson.loads(body)["id"]
        if request.path.startswith("/held"):
            await self._held(job)
        self.webhooks[job].add((request.headers["webhook-id"], body))
        return web.Response(status=204)

    async def serve_late(self, request: web.Request) -> web.FileResponse:
        name = request.match_info["name"]
        await self._held(name)
        return web.FileResponse(self.uploads / name)

    async def _held(self, what: str) -> None:
        self.holding.add(what)
        await self.let_go.wait()


_TIMEOUT = aiohttp.ClientTimeout(total=ANSWER_SECONDS)


@asynccontextmanager
async def customer(session: aiohttp.ClientSession, api: str, uploads: Path) -> AsyncIterator[Customer]:
    """A customer whose uploads and webhooks live on a free port; `session` carries the key."""
    found = Customer(session, api, uploads=uploads)
    app = web.Application()
    app.router.add_static("/uploads/", uploads)
    app.router.add_get("/held/{name}", found.serve_late)
    app.router.add_post("/hooks", found.receive)
    app.router.add_post("/held", found.receive)
    runner = web.AppRunner(app, shutdown_timeout=1.0)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        found.site = f"http://127.0.0.1:{runner.addresses[0][1]}"
        yield found
    finally:
        await runner.cleanup()
