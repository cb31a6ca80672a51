"""Requests without a key ask for names that do not exist, while another project reads what it has just written."""

import asyncio
import os
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp

from schemas import keys
from schemas.ids import typeid, uuid7
from tests.attacks.two_projects import TwoProjects

PARALLEL = 500
ADDRESS = "127.0.0.4"
ROUNDS = 10


def invented_path() -> tuple[str, dict[str, str]]:
    """A file of a project that does not exist, or an id with a key of the right form."""
    if os.urandom(1)[0] % 2:
        return f"/{typeid('prj', uuid7(1_700_000_000_000, os.urandom(10)))}/{uuid.uuid4().hex}.png", {}
    key = keys.generate(os.urandom(keys.RANDOM_BYTES))
    return f"/jobs/{typeid('job', uuid7(1_700_000_000_000, os.urandom(10)))}", {"Authorization": f"Bearer {key}"}


@asynccontextmanager
async def anonymous_requests(address: str) -> AsyncIterator[list[int]]:
    """Always `PARALLEL` requests from one address; the list grows by the status of each response."""
    statuses: list[int] = []
    connector = aiohttp.TCPConnector(local_addr=(ADDRESS, 0), limit=0)

    async def ask(session: aiohttp.ClientSession) -> None:
        while True:
            path, headers = invented_path()
            spoofed = {"X-Forwarded-For": f"198.51.100.{os.urandom(1)[0]}"}
            async with session.get(address + path, headers={**headers, **spoofed}) as response:
                statuses.append(response.status)
            await asyncio.sleep(3)  # a 503 comes at once: many waiting requests are the attack, not many requests

    async with aiohttp.ClientSession(connector=connector) as session:
        asking = [asyncio.create_task(ask(session)) for _ in range(PARALLEL)]
        try:
            yield statuses
        finally:
            for task in asking:
                task.cancel()
            await asyncio.gather(*asking, return_exceptions=True)


async def test_anonymous_requests_never_use_up_the_places_of_a_project(two_projects: TwoProjects) -> None:
    innocent = two_projects.innocent
    body = {"kind": "image", "options": {"width": 16}, "input": innocent.uploads.url("photo.png")}
    async with two_projects.compared() as comparison, anonymous_requests(innocent.api.address) as statuses:
        while len(statuses) < PARALLEL:
            await asyncio.sleep(0.05)
        for _ in range(ROUNDS):
            job = await innocent.api.post("/jobs", body)
            # At once: the catalog may not have read its event yet. Anything but 200 fails.
            assert (await innocent.api.get(f"/jobs/{job['id']}"))["id"] == job["id"]
            item = (await innocent.api.post("/media", {"url": innocent.uploads.url("photo.png")}))["data"]
            async with aiohttp.ClientSession() as visitor, visitor.get(item["original"]) as response:
                assert response.status == 200
        await comparison.under_attack()
    assert set(statuses) <= {401, 404, 503}
