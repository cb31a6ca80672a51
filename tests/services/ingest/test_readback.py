"""POST /media answers once the catalog shows the item; a catalog that cannot be asked costs nothing but that."""

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
from aiohttp import web

from schemas.media import MediaItem
from services.ingest.readback import Readback

ITEM = MediaItem(
    id="med_01h455vb4pex5vsknk084sn02q", project="prj_x", version=2, status="active", created_at=1, updated_at=2
)


@asynccontextmanager
async def catalog(*answers: tuple[int, str]) -> AsyncIterator[tuple[str, list[str]]]:
    """A catalog that gives these answers (HTTP status, item status) in turn, the last one for ever."""
    asked: list[str] = []

    async def show(request: web.Request) -> web.Response:
        status, shown = answers[min(len(asked), len(answers) - 1)]
        asked.append(request.headers["Authorization"])
        body: dict[str, Any] = {"data": {"id": request.match_info["id"], "status": shown}}
        return web.json_response(body, status=status)

    app = web.Application()
    app.router.add_get("/media/{id}", show)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}", asked
    finally:
        await runner.cleanup()


async def test_it_waits_until_the_item_is_shown_in_its_state_and_asks_with_the_customers_key() -> None:
    async with (
        catalog((200, "processing"), (200, "processing"), (200, "active")) as (base, asked),
        aiohttp.ClientSession() as session,
    ):
        assert await Readback(session, base).visible(ITEM, "Bearer theirs")
    assert asked == ["Bearer theirs"] * 3


async def test_a_catalog_that_does_not_know_the_item_or_is_away_does_not_hold_up_the_answer() -> None:
    async with catalog((404, "")) as (base, _), aiohttp.ClientSession() as session:
        assert not await Readback(session, base).visible(ITEM, "Bearer theirs")
    async with aiohttp.ClientSession() as session:
        assert not await Readback(session, base).visible(ITEM, "Bearer theirs")


async def test_it_gives_up_after_its_time() -> None:
    async with catalog((200, "processing")) as (base, _), aiohttp.ClientSession() as session:
        began = time.monotonic()
        assert not await Readback(session, base).visible(ITEM, "Bearer theirs", seconds=0.1)
    assert time.monotonic() - began < 1
