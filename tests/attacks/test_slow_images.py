"""Images whose encoding takes long: calls of the same fork server as those of another project."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from tests.attacks.two_projects import Project, TwoProjects
from tests.support.waiting import until

_OPTIONS = {"format": "avif", "quality": "very_high", "width": 1600}
"""Seconds of work for one call; the innocent project's take some hundredths."""
_AT_A_TIME = 4
"""More than the thumbnailer has work slots on a small machine."""


@asynccontextmanager
async def slow_images(attacker: Project) -> AsyncIterator[list[dict[str, Any]]]:
    """Keeps `_AT_A_TIME` such jobs in the system; yields the finished ones."""
    finished: list[dict[str, Any]] = []

    async def repeat() -> None:
        while True:
            body = {"kind": "image", "input": attacker.uploads.url("photo.png"), "options": _OPTIONS}
            job = await attacker.api.post("/jobs", body)
            finished.append(await attacker.api.finished(job["id"]))

    repeating = [asyncio.create_task(repeat()) for _ in range(_AT_A_TIME)]
    try:
        yield finished
    finally:
        for task in repeating:
            task.cancel()
        await asyncio.gather(*repeating, return_exceptions=True)


async def _one_is_processing(attacker: Project) -> bool:
    listed = await attacker.api.get("/jobs?status=processing")
    return bool(listed)


async def test_long_calls_in_every_work_slot_do_not_delay_another_project(two_projects: TwoProjects) -> None:
    attacker = two_projects.attacker
    async with two_projects.compared() as comparison, slow_images(attacker) as finished:
        await until(lambda: _one_is_processing(attacker), within=120)
        await comparison.under_attack()
        # It was under attack all the time: with results in order, not with refused jobs.
        await until(lambda: bool(finished), within=300)
        assert {job["status"] for job in finished} == {"succeeded"}
