"""What the tests of commands share: settings of a user who has none, and a small API."""

import asyncio
import threading
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

_VARIABLES = ("ITTYBIT_API_URL", "ITTYBIT_API_KEY", "ITTYBIT_CONNECTION", "ITTYBIT_WEBHOOK_SECRET")


@pytest.fixture
def own_settings(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of a user who has not logged in, in an environment that names no API."""
    folder = tmp_path_factory.mktemp("ittybit")
    for name in _VARIABLES:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("ITTYBIT_CONFIG_DIR", str(folder))
    return folder


@dataclass
class Api:
    """Answers by the routes of `answers`, others with `status` and `body`, and keeps what was requested."""

    status: int = 200
    body: object = None
    answers: dict[str, list[tuple[int, object]]] = field(default_factory=dict)
    """By method and path: the response of each request; the last one repeats."""
    handlers: dict[str, Callable[[web.Request], Awaitable[web.StreamResponse]]] = field(default_factory=dict)
    """Likewise, for responses of another form."""
    requested: list[tuple[str, str, list[tuple[str, str]]]] = field(default_factory=list)
    bodies: list[Any] = field(default_factory=list)
    address: str = ""

    async def answer(self, request: web.Request) -> web.StreamResponse:
        self.requested.append((request.method, request.path, list(request.query.items())))
        if handler := self.handlers.get(f"{request.method} {request.path}"):
            return await handler(request)
        raw = await request.read()
        self.bodies.append(await request.json() if request.content_type == "application/json" and raw else raw)
        waiting = self.answers.get(f"{request.method} {request.path}", [(self.status, self.body)])
        status, body = waiting.pop(0) if len(waiting) > 1 else waiting[0]
        if isinstance(body, bytes):
            return web.Response(body=body, status=status)
        return web.json_response(body, status=status)


@pytest.fixture
def api(monkeypatch: pytest.MonkeyPatch, own_settings: Path) -> Iterator[Api]:
    """The command has an event loop of its own: the server has one in a thread."""
    answers, loop, started = Api(), asyncio.new_event_loop(), threading.Event()

    async def start() -> web.AppRunner:
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", answers.answer)
        runner = web.AppRunner(app)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        return runner

    def serve() -> None:
        loop.call_soon(started.set)
        loop.run_forever()

    thread = threading.Thread(target=serve)
    thread.start()
    assert started.wait(60)
    runner = asyncio.run_coroutine_threadsafe(start(), loop).result(60)
    host, port = runner.addresses[0][:2]
    answers.address = f"http://{host}:{port}"
    monkeypatch.setenv("ITTYBIT_API_URL", answers.address)
    monkeypatch.setenv("ITTYBIT_API_KEY", "ittybit_live_test")
    yield answers
    asyncio.run_coroutine_threadsafe(runner.cleanup(), loop).result(60)
    loop.call_soon_threadsafe(loop.stop)
    thread.join(60)
    loop.close()
