"""Darkroom's own servers: one that holds what its users uploaded, one that receives webhooks and checks them."""

import asyncio
import hashlib
import hmac
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson
from aiohttp import web


@dataclass
class Darkroom:
    """What the platform knows: where its uploads are, and the webhooks that came, by job id."""

    address: str
    secret: str
    uploads: Path
    webhooks: dict[str, dict[str, Any]] = field(default_factory=dict)
    refused: int = 0
    _news: asyncio.Condition = field(default_factory=asyncio.Condition)

    def upload_url(self, name: str) -> str:
        return f"{self.address}/uploads/{name}"

    @property
    def webhook_url(self) -> str:
        return f"{self.address}/hooks/bitmill"

    async def receive(self, request: web.Request) -> web.Response:
        """A webhook: genuine if the signature over the exact bytes is."""
        body = await request.read()
        expected = hmac.new(self.secret.encode(), body, hashlib.sha256).hexdigest()
        if not hmac.compare_digest(request.headers.get("Ittybit-Signature", ""), expected):
            self.refused += 1
            return web.Response(status=401)
        job = orjson.loads(body)
        async with self._news:
            self.webhooks[job["id"]] = job
            self._news.notify_all()
        return web.Response(status=204)

    async def webhook(self, job_id: str) -> dict[str, Any]:
        """The webhook of a job, once it has come."""
        async with self._news:
            await self._news.wait_for(lambda: job_id in self.webhooks)
        return self.webhooks[job_id]


@asynccontextmanager
async def running(uploads: Path) -> AsyncIterator[Darkroom]:
    """Serve the folder and the receiver on a free loopback port."""
    app = web.Application()
    runner = web.AppRunner(app)
    darkroom = Darkroom(address="", secret="", uploads=uploads)
    app.router.add_static("/uploads/", uploads)
    app.router.add_post("/hooks/bitmill", darkroom.receive)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        darkroom.address = f"http://127.0.0.1:{runner.addresses[0][1]}"
        yield darkroom
    finally:
        await runner.cleanup()
