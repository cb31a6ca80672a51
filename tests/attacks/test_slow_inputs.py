"""Inputs that arrive a byte at a time."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from aiohttp import web

from devtools.footage import Footage
from tests.attacks.two_projects import Project, TwoProjects
from tests.support.file_server import FileServer
from tests.support.waiting import until

_BYTE_SECONDS = 1.0
_IMPORTS, _IMAGES, _VIDEOS = 20, 20, 10


class Drip:
    """Serves a file a byte per second until `stop` is set, and then the rest of it at once."""

    def __init__(self, files: FileServer, path: Path) -> None:
        self.stop = asyncio.Event()
        self.open = 0
        self._body = path.read_bytes()
        self.url = files.answer("drip.png", self._answer)

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Length": str(len(self._body))})
        await response.prepare(request)
        self.open += 1
        sent = 0
        try:
            while not self.stop.is_set():
                await response.write(self._body[sent : sent + 1])
                sent += 1
                try:
                    await asyncio.wait_for(self.stop.wait(), _BYTE_SECONDS)
                except TimeoutError:
                    continue
            await response.write(self._body[sent:])
        finally:
            self.open -= 1
        return response


@asynccontextmanager
async def dripping_inputs(attacker: Project, drip: Drip) -> AsyncIterator[list[str]]:
    """Jobs and imports of the drip; yields the ids of the jobs. Afterwards every input is served at full speed."""
    imports = [asyncio.create_task(attacker.api.post("/media", {"url": drip.url})) for _ in range(_IMPORTS)]
    try:
        bodies = [{"kind": "image", "input": drip.url}] * _IMAGES + [{"kind": "video", "input": drip.url}] * _VIDEOS
        yield [(await attacker.api.post("/jobs", body))["id"] for body in bodies]
    finally:
        drip.stop.set()
        await asyncio.gather(*imports, return_exceptions=True)


async def test_inputs_of_a_byte_a_second_do_not_delay_another_project(
    two_projects: TwoProjects, footage: Footage
) -> None:
    attacker = two_projects.attacker
    drip = Drip(attacker.uploads, footage.chelsea)
    async with two_projects.compared() as comparison, dripping_inputs(attacker, drip) as jobs:
        await until(lambda: drip.open >= 6, within=60)
        await comparison.under_attack()
        drip.stop.set()
        for job in jobs:
            # A PNG is no input of a video job.
            ended = await attacker.api.finished(job)
            assert ended["status"] == "succeeded" or ended["kind"] == "video", ended
