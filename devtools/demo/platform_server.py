"""The example platform's own server: it holds what users uploaded, and receives and verifies webhooks."""

import asyncio
import hashlib
import hmac
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import orjson
from aiohttp import web

from devtools.demo.failures import DemoFailed


class PlatformServer:
    """`webhooks` are the verified ones by job id. Set `secret` before the first."""

    def __init__(self) -> None:
        self.address = ""
        self.secret = ""
        self.webhooks: dict[str, dict[str, Any]] = {}
        self._rejected = False
        self._changed = asyncio.Condition()

    def upload_url(self, name: str) -> str:
        return f"{self.address}/uploads/{name}"

    @property
    def webhook_url(self) -> str:
        return f"{self.address}/webhooks"

    async def receive(self, request: web.Request) -> web.Response:
        """Accept a webhook if its signature fits the exact bytes of the body."""
        body = await request.read()
        expected = hmac.new(self.secret.encode(), body, hashlib.sha256).hexdigest()
        if not hmac.compare_digest(request.headers.get("Ittybit-Signature", ""), expected):
            async with self._changed:
                self._rejected = True
                self._changed.notify_all()
            return web.Response(status=401)
        job = orjson.loads(body)
        async with self._changed:
            self.webhooks[job["id"]] = job
            self._changed.notify_all()
        return web.Response(status=204)

    async def webhook(self, job_id: str) -> dict[str, Any]:
        """The webhook of a job, once it has arrived. Raises `DemoFailed` once any has a wrong signature."""
        async with self._changed:
            await self._changed.wait_for(lambda: self._rejected or job_id in self.webhooks)
        if self._rejected:
            raise DemoFailed("a webhook arrived with a wrong signature")
        return self.webhooks[job_id]


@asynccontextmanager
async def platform_server(uploads: Path) -> AsyncIterator[PlatformServer]:
    """Serve the files of a folder, and the webhook address, on a free loopback port."""
    server = PlatformServer()
    app = web.Application()
    app.router.add_static("/uploads/", uploads)
    app.router.add_post("/webhooks", server.receive)
    runner = web.AppRunner(app)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        server.address = f"http://127.0.0.1:{runner.addresses[0][1]}"
        yield server
    finally:
        await runner.cleanup()
