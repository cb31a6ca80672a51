"""A power cut under load: what was accepted before it ends after it, once.

What a power cut leaves is what the disk has at that moment, without the page cache. The data folder is therefore on a
disk of its own, a file with a file system in it: all processes are stopped, the file is copied, and `bitmill up` is
started from the copy. Where no disk can be mounted, only the second case is shown: Kafka's disk is lost altogether.
"""

import asyncio
import os
import shutil
import signal
import subprocess
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.support.file_server import FileServer, file
from tests.support.processes import clean_environment, shell
from tests.support.system import BitmillUp, bitmill_up
from tests.support.waiting import until
from tests.support.webhook_receiver import WebhookReceiver, webhook_receiver

ENVIRONMENT = {**clean_environment(), "ANNOUNCE_AGAIN_AFTER": "2s"}
DISK_BYTES = 2 * 1024**3
"""The file is sparse: it takes what is written."""
JOBS = 16
DEADLINE_SECONDS = 180


async def post_jobs(up: BitmillUp, input: str, hook: str) -> list[str]:
    """Posts jobs at the same time; their ids."""
    job: Mapping[str, Any] = {"input": input, "kind": "image", "options": {"width": 64}, "webhook_url": hook}
    return [answer["id"] for answer in await asyncio.gather(*[up.api.post("/jobs", job) for _ in range(JOBS)])]


async def post_media(up: BitmillUp, input: str) -> list[str]:
    answers = await asyncio.gather(*[up.api.post("/media", {"url": input}) for _ in range(2)])
    return [answer["data"]["id"] for answer in answers]


@contextmanager
def mounted(image: Path, folder: Path) -> Iterator[bool]:
    """The file system in the file `image` at `folder`, made if there is none; False if the test may not mount one."""
    folder.mkdir()
    allowed = os.geteuid() == 0 and shutil.which("mkfs.ext4") is not None
    if allowed and not image.exists():
        with image.open("wb") as file:
            file.truncate(DISK_BYTES)
        subprocess.run(["mkfs.ext4", "-q", "-F", str(image)], check=True)
    allowed = allowed and subprocess.run(["mount", "-o", "loop", str(image), str(folder)], check=False).returncode == 0
    try:
        yield allowed
    finally:
        if allowed:
            subprocess.run(["umount", "--lazy", str(folder)], check=True)


async def cut_power(up: BitmillUp, disk: Path, copy: Path) -> None:
    """Stops all processes of `up` at once, copies the disk (a file or a folder), and kills them."""
    processes = [psutil.Process(up.process.pid), *up.children()]
    for process in processes:
        process.suspend()
    try:
        # The owners stay: Postgres refuses a folder of somebody else.
        command = ["cp", "-a", "--sparse=always", str(disk), str(copy)]
        copied = await shell(command, cwd=copy.parent, env=clean_environment())
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


async def test_what_was_accepted_before_a_power_cut_ends_after_it(uploads: FileServer, tmp_path: Path) -> None:
    disk, copy = tmp_path / "disk", tmp_path / "copy"
    held = uploads.hold("held-in-a-power-cut.png", file(uploads.path("photo.png")))
    async with webhook_receiver() as hooks:
        with mounted(disk, tmp_path / "before") as allowed:
            if not allowed:
                pytest.skip("this user may not mount a disk")
            async with bitmill_up(tmp_path / "before" / "data", ENVIRONMENT) as before:
                media = await post_media(before, uploads.url("photo.png"))
                jobs = await post_jobs(before, uploads.url("photo.png"), hooks.url())
                jobs += await post_jobs(before, held.url, hooks.url())
                await cut_power(before, disk, copy)
        held.release.set()
        with mounted(copy, tmp_path / "after"):
            async with bitmill_up(tmp_path / "after" / "data", ENVIRONMENT) as after:
                await until_ended(after, jobs, media, hooks)


async def test_what_was_accepted_before_kafka_lost_its_disk_ends_on_an_empty_one(
    uploads: FileServer, tmp_path: Path
) -> None:
    data, copy = tmp_path / "data", tmp_path / "copy"
    held = uploads.hold("held-until-kafka-is-lost.png", file(uploads.path("photo.png")))
    async with webhook_receiver() as hooks:
        async with bitmill_up(data, ENVIRONMENT) as before:
            media = await post_media(before, uploads.url("photo.png"))
            jobs = await post_jobs(before, uploads.url("photo.png"), hooks.url())
            # An end that ingest has read and the catalog has not would be lost with Kafka: see the decision page.
            await until_ended(before, jobs, media, hooks)
            jobs += await post_jobs(before, held.url, hooks.url())
            await cut_power(before, data, copy)
        held.release.set()
        shutil.rmtree(copy / "kafka")
        async with bitmill_up(copy, ENVIRONMENT) as after:
            await until_ended(after, jobs, media, hooks)
