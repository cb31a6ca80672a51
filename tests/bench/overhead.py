"""Fixed overhead: from POST to webhook of a small clip on an idle system, over bare ffmpeg with the same arguments."""

import asyncio
import shutil
import statistics
import time
from dataclasses import dataclass
from pathlib import Path

from devtools.demo import darkroom, system
from devtools.demo.bare import seconds_of_bare_ffmpeg
from devtools.demo.story import Made, Upload
from devtools.footage import fetch_footage

RUNS = 9
TEMPLATE = {"kind": "video", "options": {"width": 320, "format": "mp4"}}


@dataclass(frozen=True)
class Overhead:
    """Seconds from POST to webhook, and of bare ffmpeg, run by run in turn."""

    whole: list[float]
    bare: list[float]

    @property
    def median(self) -> float:
        return statistics.median(one - other for one, other in zip(self.whole, self.bare, strict=True))


async def measure(folder: Path, footage: Path) -> Overhead:
    """One job at a time; after each, ffmpeg alone with the arguments that the worker used."""
    clips = fetch_footage(footage, print)
    uploads = folder / "uploads"
    uploads.mkdir()
    shutil.copy(clips.carphone, uploads / "clip.mp4")
    found = Overhead([], [])
    async with darkroom.running(uploads) as room, system.running(folder / "up", print) as bitmill:
        room.secret = bitmill.secret
        for run in range(RUNS + 2):
            began = time.perf_counter()
            body = {"input": room.upload_url("clip.mp4"), **TEMPLATE, "webhook_url": room.webhook_url}
            job = await bitmill.post("/jobs", body)
            async with asyncio.timeout(60):
                done = await room.webhook(job["id"])
            whole = time.perf_counter() - began
            if done["status"] != "succeeded":
                raise RuntimeError(f"the job failed: {done['error']}")
            made = Made(Upload("clip.mp4", "", ""), "small", done)
            bare = await seconds_of_bare_ffmpeg(uploads, made, folder)
            if run >= 2:  # the first ones warm caches on both sides
                found.whole.append(whole)
                found.bare.append(bare)
    return found
