"""Fixed overhead: POST to webhook of a small clip on an idle system, minus ffmpeg alone with the same arguments."""

import statistics
import time
from dataclasses import dataclass
from pathlib import Path

from devtools.baseline import seconds_of_ffmpeg
from devtools.footage import fetch_footage
from tests.support.file_server import file_server
from tests.support.system import bitmill_up
from tests.support.webhook_receiver import webhook_receiver

RUNS = 9
TEMPLATE = {"kind": "video", "options": {"width": 320, "format": "mp4"}}


@dataclass(frozen=True)
class Overhead:
    """Seconds from POST to webhook (`total`) and of ffmpeg alone (`baseline`), measured in turn."""

    total: list[float]
    baseline: list[float]

    @property
    def median(self) -> float:
        return statistics.median(one - other for one, other in zip(self.total, self.baseline, strict=True))


async def measure(folder: Path, footage: Path) -> Overhead:
    """One job at a time; after each, ffmpeg alone with the arguments that the worker used."""
    clips = fetch_footage(footage, print)
    found = Overhead([], [])
    async with file_server() as uploads, bitmill_up(folder / "up") as up, webhook_receiver() as hooks:
        hooks.secret = up.api.secret
        clip = uploads.add(clips.carphone, "clip.mp4")
        for run in range(RUNS + 2):
            began = time.perf_counter()
            job = await up.api.post("/jobs", {"input": clip, **TEMPLATE, "webhook_url": hooks.url()})
            done = await hooks.webhook(job["id"])
            total = time.perf_counter() - began
            if done["status"] != "succeeded":
                raise RuntimeError(f"the job failed: {done['error']}")
            baseline = await seconds_of_ffmpeg(clips.carphone, done, folder)
            if run >= 2:  # the first runs fill caches on both sides
                found.total.append(total)
                found.baseline.append(baseline)
    return found
