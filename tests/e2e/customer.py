"""A customer who sends requests during outages, and checks that every accepted job ends in exactly one way."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from itertools import cycle
from pathlib import Path
from typing import Any

import aiohttp
import orjson

from tests.support.file_server import FileServer, Held, file, file_server
from tests.support.system import ApiClient
from tests.support.waiting import until
from tests.support.webhook_receiver import WebhookReceiver, held, webhook_receiver

INTERVAL_SECONDS = 0.4
ANSWER_SECONDS = 60.0
"""No request may hang for longer, whatever is unavailable."""
SETTLE_SECONDS = 300.0

JOBS: tuple[Mapping[str, Any], ...] = (
    {"kind": "image", "upload": "photo.png", "options": {"width": 200}},
    {"kind": "video", "upload": "short.mp4", "options": {"width": 160, "quality": "low"}},
    {"kind": "image", "upload": "short.mp4", "options": {"start": 1, "width": 120}},
)
_TIMEOUT = aiohttp.ClientTimeout(total=ANSWER_SECONDS)


class Customer:
    """Hosts uploads, receives webhooks, posts jobs. `accepted` are the ids of jobs that were answered with 2xx.

    `release` lets held uploads and webhooks go on. `unavailable` counts the orderly 503 answers.
    """

    def __init__(self, api: ApiClient, uploads: FileServer, hooks: WebhookReceiver) -> None:
        self.accepted: list[str] = []
        self.unavailable = 0
        self.release = asyncio.Event()
        self._api = api
        self._uploads = uploads
        self._hooks = hooks
        self._held: dict[str, Held] = {}
        self._traffic: asyncio.Task[None] | None = None

    async def post(self, path: str, body: Mapping[str, Any]) -> dict[str, Any] | None:
        """The body of the answer, or None for an orderly 503."""
        async with self._api.session.post(self._api.address + path, json=body, timeout=_TIMEOUT) as response:
            if await self._is_unavailable(response):
                return None
            answer: dict[str, Any] = await response.json()
            return answer

    async def get(self, path: str) -> Any:
        """The body of the answer, or None for an orderly 503."""
        async with self._api.session.get(self._api.address + path, timeout=_TIMEOUT) as response:
            return None if await self._is_unavailable(response) else await response.json()

    async def post_job(self, job: Mapping[str, Any]) -> str | None:
        """The id of the job if it was accepted. `upload` in `job` names the file that is its input."""
        fields = {name: value for name, value in job.items() if name != "upload"}
        body = {"webhook_url": self._hooks.url(), **fields, "input": self._uploads.url(job["upload"])}
        answer = await self.post("/jobs", body)
        if answer is None:
            return None
        self.accepted.append(answer["id"])
        return str(answer["id"])

    def hold_upload(self, name: str, upload: str) -> Held:
        """Serve an upload under another name, but answer only after `release`."""
        self._held[name] = held_answer = self._uploads.hold(name, file(self._uploads.path(upload)))
        return held_answer

    def hold_webhooks(self) -> str:
        """An address whose webhooks are answered only after `release`."""
        return self._hooks.on("/held", held(self.release))

    def let_go(self) -> None:
        """Answer everything that is held."""
        self.release.set()
        for held_answer in self._held.values():
            held_answer.release.set()

    def webhook_requests(self, job: str) -> int:
        """How many requests have arrived about a job."""
        return len(self._hooks.of(job))

    def upload_url(self, name: str) -> str:
        return self._uploads.url(name)

    @asynccontextmanager
    async def traffic(self) -> AsyncIterator[None]:
        """Post jobs and read them for the duration of the block; a wrong answer fails the block."""
        self._traffic = task = asyncio.create_task(self._send())
        try:
            yield
            self._check_traffic()
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def until_accepted(self, more: int) -> None:
        """Wait until that many further jobs have been accepted."""
        goal = len(self.accepted) + more

        def reached() -> bool:
            self._check_traffic()
            return len(self.accepted) >= goal

        await until(reached, within=SETTLE_SECONDS)

    async def until_settled(self, within: float = SETTLE_SECONDS) -> None:
        """Wait until every accepted job has its webhook; check that it is one, and what GET shows."""
        jobs = tuple(self.accepted)
        try:
            await until(lambda: all(self._hooks.of(job) for job in jobs), within=within)
        except AssertionError:
            missing = [job for job in jobs if not self._hooks.of(job)]
            states = [(job, await self.get(f"/jobs/{job}")) for job in missing[:5]]
            raise AssertionError(f"{len(missing)} of {len(jobs)} webhooks did not arrive: {states}") from None
        for job in jobs:
            distinct = {(request.headers["webhook-id"], request.body) for request in self._hooks.of(job)}
            assert len(distinct) == 1, f"{job} has {len(distinct)} different webhooks: {distinct}"
            (_, body), shown = next(iter(distinct)), await self._ended(job)
            assert orjson.loads(body) == shown
            assert shown["status"] == "succeeded", shown

    async def until_active(self, media_id: str) -> None:
        """Wait until the media item's file is stored."""

        async def active() -> bool:
            found = await self.get(f"/media/{media_id}")
            return found is not None and bool(found["data"]["status"] == "active")

        await until(active, within=SETTLE_SECONDS)

    def _check_traffic(self) -> None:
        if self._traffic is not None and self._traffic.done():
            self._traffic.result()

    async def _ended(self, job: str) -> Any:
        async def ended() -> Any:
            found = await self.get(f"/jobs/{job}")
            return found if found and found["status"] not in ("queued", "processing") else None

        return await until(ended, within=SETTLE_SECONDS, poll=0.05)

    async def _send(self) -> None:
        for job in cycle(JOBS):
            await self.post_job(job)
            if self.accepted:
                await self.get(f"/jobs/{self.accepted[-1]}")
            await self.get("/jobs")
            async with self._api.session.get(f"{self._api.address}/livez", timeout=_TIMEOUT) as response:
                assert response.status == 200
            await asyncio.sleep(INTERVAL_SECONDS)

    async def _is_unavailable(self, response: aiohttp.ClientResponse) -> bool:
        if response.status == 503:
            assert int(response.headers["Retry-After"]) > 0
            self.unavailable += 1
            return True
        answer = f"{response.method} {response.url.path} was answered {response.status}: {await response.text()}"
        assert response.status in (200, 201), answer
        return False


@asynccontextmanager
async def customer(api: ApiClient, folder: Path) -> AsyncIterator[Customer]:
    """A customer with the uploads in `folder`."""
    async with file_server(folder) as uploads, webhook_receiver(secret=api.secret) as hooks:
        yield Customer(api, uploads, hooks)
