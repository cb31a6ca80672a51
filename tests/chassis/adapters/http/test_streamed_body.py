"""Bodies that are files: bounded by their size and rate, and not by the time that other bodies have."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web

from chassis.adapters.http.connection import HttpLimits
from chassis.adapters.http.health import State
from chassis.adapters.http.json_body import json_response
from chassis.adapters.http.listener import listening
from chassis.adapters.http.server import make_web_app
from chassis.adapters.http.streamed_body import BodyLimits, receive_body
from tests.chassis.adapters.http.small_service import Small

SHORT = HttpLimits(idle_s=600, body_s=0.2, write_s=600)
"""Other bodies have to arrive within 0.2 s."""


@asynccontextmanager
async def receiver(folder: Path, limits: BodyLimits) -> AsyncIterator[str]:
    async def receive(request: web.Request) -> web.Response:
        size = await receive_body(request, folder / "file", limits)
        return json_response({"size": size})

    service = Small(web.put("/file", receive))
    app = make_web_app([service], State(running={service.name}), SHORT.body_s)
    async with listening(app, "127.0.0.1", 0, SHORT) as address:
        yield f"{address}/file"


async def send(address: str, data: object) -> tuple[int, dict[str, object]]:
    async with aiohttp.ClientSession() as session, session.put(address, data=data) as response:
        return response.status, await response.json()


async def slowly(*pieces: bytes, pause_s: float) -> AsyncIterator[bytes]:
    for piece in pieces:
        yield piece
        await asyncio.sleep(pause_s)


async def test_a_body_may_take_longer_than_others_while_it_comes_fast_enough(tmp_path: Path) -> None:
    limits = BodyLimits(100, stall_s=60, min_rate=1, window_s=0.2)
    async with receiver(tmp_path, limits) as address:
        # 0.6 s: three times as long as other bodies may take.
        assert await send(address, slowly(*[b"12345"] * 6, pause_s=0.1)) == (200, {"size": 30})
    assert (tmp_path / "file").read_bytes() == b"12345" * 6


@pytest.mark.parametrize("stall_s", [0.2, 60])
async def test_a_client_that_is_too_slow_is_refused(tmp_path: Path, stall_s: float) -> None:
    limits = BodyLimits(1000, stall_s=stall_s, min_rate=1000, window_s=0.3)
    async with receiver(tmp_path, limits) as address:
        status, body = await send(address, slowly(*[b"1"] * 5, pause_s=0.4))
    assert (status, body["kind"]) == (408, "request_timeout")


async def test_a_body_beyond_the_limit_is_refused_whether_announced_or_not(tmp_path: Path) -> None:
    async with receiver(tmp_path, BodyLimits(10)) as address:
        status, body = await send(address, b"12345678901")
        assert (status, body["kind"]) == (413, "payload_too_large")
        assert not (tmp_path / "file").exists()
        status, body = await send(address, slowly(b"12345678901", pause_s=0))
        assert (status, body["kind"]) == (413, "payload_too_large")
