"""A server that answers every request of an S3 client alike: for errors that real servers give only now and then."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from aiohttp import web


@dataclass
class Answers:
    """The answer, which may be changed, and the requests that came."""

    url: str = ""
    status: int = 200
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)
    requests: list[web.BaseRequest] = field(default_factory=list)

    async def respond(self, request: web.BaseRequest) -> web.StreamResponse:
        self.requests.append(request)
        return web.Response(status=self.status, body=self.body, headers=self.headers)

    def error(self, status: int, code: str, extra: str = "", **headers: str) -> None:
        body = f'<?xml version="1.0"?><Error><Code>{code}</Code><Message>m</Message>{extra}</Error>'
        self.status, self.body = status, body.encode()
        self.headers = {name.replace("_", "-"): value for name, value in headers.items()}


@asynccontextmanager
async def s3_answers() -> AsyncIterator[Answers]:
    """The running server."""
    found = Answers()
    runner = web.ServerRunner(web.Server(found.respond))
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        found.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        yield found
    finally:
        await runner.cleanup()
