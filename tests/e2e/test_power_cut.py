"""A power cut under load: what was accepted before it ends after it, once.

The disk image of a machine without power is what its processes have written at one moment: here a copy of the data
folder, made while all of them are stopped. A flush cannot be shown by that, because the page cache is copied as well;
`tests/embedded/test_kafka.py` shows that it is set. Kafka's disk is lost altogether in the second case.
"""

import asyncio
import shutil
import signal
from collections import Counter
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.support.file_server import FileServer, file
from tests.support.system import BitmillUp, bitmill_up, clean_environment, shell
from tests.support.waiting import until
from tests.support.webhook_receiver import WebhookReceiver, webhook_receiver

ENVIRONMENT = {"ANNOUNCE_AGAIN_AFTER": "2s"}
JOBS = 16
DEADLINE_SECONDS = 180


async def post_jobs(up: BitmillUp, input: str, hook: str) -> list[str]:
    """Posts jobs at the same time; their ids."""
    job: Mapping[str, Any] = {"input": input, "kind": "image", "options": {"width": 64}, "webhook_url": hook}
    return [answer["id"] for answer in await asyncio.gather(*[up.api.post("/jobs", job) for _ in range(JOBS)])]


async def post_media(up: BitmillUp, input: str) -> list[str]:
    answers = await asyncio.gather(*[up.api.post("/media", {"url": input}) for _ in range(2)])
    return [answer["data"]["id"] for answer in answers]


async def cut_power(up: BitmillUp, image: Path) -> None:
    """Stops all processes of `up` at once, copies its data folder, and kills them."""
    processes = [psutil.Process(up.process.pid), *up.children()]
    for process in processes:
        process.suspend()
    try:
        # The owners stay: Postgres refuses a folder of somebody else.
        copied = await shell(["cp", "-a", str(up.data), str(image)], cwd=image.parent, env=clean_environment())
        assert copied.returncode == 0, copied.stderr
    finally:
        for process in reversed(processes):
            process.kill()
    await up.stop(signal.SIGKILL)


async def until_ended(up: BitmillUp, jobs: list[str], media: list[str], hooks: WebhookReceiver) -> None:
    """Waits until everything has ended for those who read and those who get webhooks; checks that it has so once."""
    for job in jobs:
        found = await up.api.finished(job)
        assert found["status"] == "succeeded", found

    async def poster(media_id: str) -> bool:
        item = (await up.api.get(f"/media/{media_id}"))["data"]
        return item["status"] == "active" and "poster" in item

    for media_id in media:
        await until(partial(poster, media_id), within=DEADLINE_SECONDS, poll=0.1)
    await until(lambda: all(hooks.of(job) for job in jobs), within=DEADLINE_SECONDS)
    for job in jobs:
        assert len({request.headers["webhook-id"] for request in hooks.of(job)}) == 1
    assert set(Counter(job["id"] for job in await up.api.get("/jobs", limit="100")).values()) == {1}


@pytest.mark.parametrize("kafka_survives", [True, False], ids=["image of the disk", "without that of Kafka"])
async def test_what_was_accepted_before_a_power_cut_ends_after_it(
    uploads: FileServer, tmp_path: Path, kafka_survives: bool
) -> None:
    image = tmp_path / "image"
    held = uploads.hold(f"held-{kafka_survives}.png", file(uploads.path("photo.png")))
    environment = clean_environment() | ENVIRONMENT
    async with webhook_receiver() as hooks:
        async with bitmill_up(tmp_path / "data", environment) as before:
            media = await post_media(before, uploads.url("photo.png"))
            jobs = await post_jobs(before, uploads.url("photo.png"), hooks.url())
            if not kafka_survives:
                # An end that ingest has read and the catalog has not would be lost with Kafka: see the decision page.
                await until_ended(before, jobs, media, hooks)
            jobs += await post_jobs(before, held.url, hooks.url())
            await cut_power(before, image)
        held.release.set()
        if not kafka_survives:
            shutil.rmtree(image / "kafka")
        async with bitmill_up(image, environment) as after:
            await until_ended(after, jobs, media, hooks)
