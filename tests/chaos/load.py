"""Customers under chaos: they host inputs, send requests until these are accepted, and receive webhooks."""

import asyncio
import subprocess
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from random import Random

import aiohttp
import imageio_ffmpeg
from aiohttp import web

from tests.chaos.auditor.records import Customers, Request, Webhook

OwnsPort = Callable[[int], Awaitable[bool]]
PROJECTS = ("anna", "bert", "carla")
"""They send a request now and then, and may not be held up by `PILE`."""
PILE = "pile"
"""Sends many requests at once."""
PILE_REQUESTS = 40
TRY_SECONDS = 20.0
"""For one try of a request; then the customer sends it again, with the same idempotency key."""
PAUSE_SECONDS = 0.7
LONGEST_PAUSE_SECONDS = 10.0
MOST_SENDING = 150
"""Requests that are not accepted yet; beyond it customers send no new ones."""
REFUSED_IN_ORDER = frozenset({409, 429, 503, 507})
_RATE = 2.5
"""Requests a second, of all projects but `PILE`."""
_KINDS = (("image", 60), ("video", 20), ("media", 14), ("broken", 6))


def make_inputs(folder: Path) -> dict[str, Path]:
    """A picture, a clip of a second, and a file that is neither, by what they are for."""
    ffmpeg = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-y", "-f", "lavfi", "-i"]
    picture, clip, broken = folder / "picture.png", folder / "clip.mp4", folder / "broken.mp4"
    subprocess.run([*ffmpeg, "testsrc=s=320x180:d=1", "-frames:v", "1", str(picture)], check=True)
    encoder = ("-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p")
    subprocess.run([*ffmpeg, "testsrc=s=160x90:r=10:d=1", *encoder, str(clip)], check=True)
    broken.write_bytes(b"This is not a film. " * 200)
    return {"image": picture, "video": clip, "broken": broken}


class Load:
    """Use `open`. `customers` is what the auditor reads."""

    def __init__(self, seed: int, ingest: Sequence[str], keys: dict[str, str], inputs: dict[str, Path]) -> None:
        self.customers = Customers()
        self._random = Random(seed)
        self._ingest = ingest
        self._keys = keys
        self._inputs = inputs
        self._address = ""
        self._session: aiohttp.ClientSession | None = None
        self._sending: set[asyncio.Task[None]] = set()
        self._failed_once: set[str] = set()
        self._fetch_waiters: list[tuple[OwnsPort, asyncio.Event]] = []

    @asynccontextmanager
    async def open(self) -> AsyncIterator["Load"]:
        """Listens on a free port of loopback, for inputs and webhooks."""
        application = web.Application()
        application.router.add_get("/input/{number}/{name}", self._give_input)
        application.router.add_post("/hook/{project}", self._take_webhook)
        runner = web.AppRunner(application, access_log=None, shutdown_timeout=0.1)
        await runner.setup()
        try:
            await web.TCPSite(runner, "127.0.0.1", 0).start()
            self._address = f"http://127.0.0.1:{runner.addresses[0][1]}"
            async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=TRY_SECONDS)) as self._session:
                yield self
        finally:
            for task in self._sending:
                task.cancel()
            await asyncio.gather(*self._sending, return_exceptions=True)
            await runner.cleanup()

    async def run(self) -> None:
        """Sends requests until cancelled."""
        names, weights = [name for name, _ in _KINDS], [weight for _, weight in _KINDS]
        next_pile = self._random.uniform(3, 10)
        began = time.monotonic()
        while True:
            if time.monotonic() - began > next_pile:
                next_pile += 60
                for _ in range(PILE_REQUESTS):
                    self._send(PILE, "image")
            if len(self._sending) < MOST_SENDING:
                self._send(self._random.choice(PROJECTS), self._random.choices(names, weights)[0])
            await asyncio.sleep(self._random.expovariate(_RATE))

    async def until_answered(self, seconds: float) -> None:
        """Waits until every request has been accepted, at most so long; the rest is given up."""
        if self._sending:
            _, left = await asyncio.wait(self._sending, timeout=seconds)
            for task in left:
                task.cancel()
            await asyncio.gather(*left, return_exceptions=True)

    async def fetched_by(self, owns: OwnsPort) -> None:
        """Waits until a process that `owns` the client's port requests an input; the response follows at once."""
        waiter = (owns, asyncio.Event())
        self._fetch_waiters.append(waiter)
        try:
            await waiter[1].wait()
        finally:
            self._fetch_waiters.remove(waiter)

    def _send(self, project: str, kind: str) -> None:
        number = len(self.customers.requests)
        broken = kind == "broken"
        if broken:
            kind = "media" if number % 3 == 0 else "video"
        path = "/media" if kind == "media" else "/jobs"
        hook = f"{self._address}/hook/{project}" if path == "/jobs" else None
        request = Request(number, project, kind, path, "failed" if broken else "succeeded", hook)  # type: ignore[arg-type]
        self.customers.requests.append(request)
        source = "broken" if broken else "video" if kind == "video" or number % 5 == 0 else "image"
        url = f"{self._address}/input/{number}/{self._inputs[source].name}"
        body: dict[str, object] = {"metadata": request.metadata}
        if path == "/media":
            body |= {"url": url}
        else:
            body |= {"input": url, "kind": kind, "webhook_url": hook, "options": {"width": 64}}
        task = asyncio.create_task(self._send_until_accepted(request, body))
        self._sending.add(task)
        task.add_done_callback(self._sending.discard)

    async def _send_until_accepted(self, request: Request, body: dict[str, object]) -> None:
        headers = {
            "Authorization": f"Bearer {self._keys[request.project]}",
            "Idempotency-Key": f"request-{request.number}",
        }
        for number in range(1_000_000):
            address = self._ingest[(request.number + number) % len(self._ingest)]
            if await self._try(request, address, body, headers):
                return
            await asyncio.sleep(min(PAUSE_SECONDS * 1.5 ** min(number, 20), LONGEST_PAUSE_SECONDS))

    async def _try(self, request: Request, address: str, body: dict[str, object], headers: dict[str, str]) -> bool:
        assert self._session is not None
        began = time.monotonic()
        try:
            async with self._session.post(address + request.path, json=body, headers=headers) as response:
                if response.status in (200, 201):
                    answer = await response.json()
                    request.id = (answer["data"] if request.path == "/media" else answer)["id"]
                    request.accepted_at = time.monotonic()
                    return True
                if response.status in REFUSED_IN_ORDER:
                    self.customers.unavailable += 1
                    waited = time.monotonic() - began
                    self.customers.slowest_refusal_s = max(self.customers.slowest_refusal_s, waited)
                else:
                    text = await response.text()
                    self.customers.unexpected.append(f"POST {request.path}: {response.status} {text[:300]}")
        except (aiohttp.ClientError, TimeoutError):
            pass  # the process is down or frozen: whether it accepted the request, the next try shows
        return False

    async def _give_input(self, request: web.Request) -> web.StreamResponse:
        number = int(request.match_info["number"])
        self.customers.fetched_at[number].append(time.monotonic())
        transport = request.transport
        for owns, happened in list(self._fetch_waiters):
            if transport is not None and await owns(transport.get_extra_info("peername")[1]):
                happened.set()
        path = next(path for path in self._inputs.values() if path.name == request.match_info["name"])
        return web.FileResponse(path)

    async def _take_webhook(self, request: web.Request) -> web.StreamResponse:
        """A third of the webhooks gets 500 at its first attempt."""
        id = request.headers["webhook-id"]
        job = (await request.json())["id"]
        fails = hash_of(id) % 3 == 0 and id not in self._failed_once
        self._failed_once.add(id)
        status = 500 if fails else 204
        self.customers.webhooks.append(Webhook(id, job, request.path, status))
        return web.Response(status=status)


def hash_of(text: str) -> int:
    """The same in every run (pure)."""
    return sum(text.encode()) * 31 % 997
