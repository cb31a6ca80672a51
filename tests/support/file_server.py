"""An HTTP server on loopback for the files that jobs and media items are made from.

    async with file_server(folder) as files:
        files.url("clip.mov")                 # a file of `folder`; any query string may follow; 404 without such a file
        files.add(path)                       # another file, under its own name or a given one
        files.answer("gone", status(410))     # an answer of your own at an address: see `status`, `redirect`, `content`
        files.answer("x.png", fails_first(file(path), times=1))
        held = files.hold("slow.mp4", file(path))
        await held.requested.wait()           # a request has arrived ...
        held.release.set()                    # ... and is answered now, as are all later ones
        files.requests["clip.mov"]            # how many requests came for a name

`add`, `answer` and `Held.url` give the address. An answer is a coroutine function from a request to a response.
"""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from aiohttp import web

Answer = Callable[[web.Request], Awaitable[web.StreamResponse]]


def file(path: Path) -> Answer:
    """The file, with ranges and conditional requests."""

    async def answer(request: web.Request) -> web.StreamResponse:
        return web.FileResponse(path)

    return answer


def content(body: bytes, content_type: str) -> Answer:
    """These bytes."""

    async def answer(request: web.Request) -> web.StreamResponse:
        return web.Response(body=body, content_type=content_type)

    return answer


def status(code: int) -> Answer:
    """An empty answer with this status."""

    async def answer(request: web.Request) -> web.StreamResponse:
        return web.Response(status=code)

    return answer


def redirect(location: str) -> Answer:
    """302 to another address."""

    async def answer(request: web.Request) -> web.StreamResponse:
        return web.Response(status=302, headers={"Location": location})

    return answer


def fails_first(then: Answer, *, times: int, code: int = 503) -> Answer:
    """`code` for so many requests, then the other answer."""
    left = times

    async def answer(request: web.Request) -> web.StreamResponse:
        nonlocal left
        if left > 0:
            left -= 1
            return web.Response(status=code)
        return await then(request)

    return answer


@dataclass
class Held:
    """An answer that waits for `release`; `requested` is set by the first request."""

    url: str
    requested: asyncio.Event = field(default_factory=asyncio.Event)
    release: asyncio.Event = field(default_factory=asyncio.Event)


class FileServer:
    """See the module. `address` has no slash at its end."""

    def __init__(self, folder: Path | None) -> None:
        self.address = ""
        self.requests: Counter[str] = Counter()
        self._folder = folder
        self._answers: dict[str, Answer] = {}

    def url(self, name: str) -> str:
        """The address of a file of the folder, or of an answer."""
        return f"{self.address}/{name}"

    def path(self, name: str) -> Path:
        """A file of the folder, for a test that needs a copy."""
        assert self._folder is not None
        return self._folder / name

    def add(self, path: Path, name: str | None = None) -> str:
        """Serve a file from now on; returns its address."""
        return self.answer(name or path.name, file(path))

    def answer(self, name: str, answer: Answer) -> str:
        """Answer requests for `name` like this from now on; returns the address."""
        self._answers[name] = answer
        return self.url(name)

    def hold(self, name: str, then: Answer) -> Held:
        """Keep requests for `name` waiting until the result's `release` is set."""
        held = Held(self.url(name))

        async def wait(request: web.Request) -> web.StreamResponse:
            held.requested.set()
            await held.release.wait()
            return await then(request)

        self.answer(name, wait)
        return held

    async def respond(self, request: web.Request) -> web.StreamResponse:
        """The handler of every request."""
        name = request.match_info["name"]
        self.requests[name] += 1
        if name in self._answers:
            return await self._answers[name](request)
        path = self._folder / name if self._folder else None
        if path is None or ".." in path.parts or not path.is_file():
            return web.Response(status=404)
        return web.FileResponse(path)


@asynccontextmanager
async def file_server(folder: Path | None = None, *, host: str = "127.0.0.1") -> AsyncIterator[FileServer]:
    """Listen on a free port of an address of loopback."""
    server = FileServer(folder)
    application = web.Application()
    application.router.add_get("/{name:.+}", server.respond)
    runner = web.AppRunner(application, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    try:
        await web.TCPSite(runner, host, 0).start()
        server.address = f"http://{host}:{runner.addresses[0][1]}"
        yield server
    finally:
        await runner.cleanup()
