"""`python -m tests.bench.cancel`: seconds from `POST /jobs/{id}/cancel` of a running encode until its child is gone."""

import asyncio
import statistics
import sys
import tempfile
import time
from pathlib import Path

import psutil

from tests.bench.figures import Row, print_rows
from tests.support.file_server import file_server
from tests.support.films import Films, picture
from tests.support.system import BitmillUp, bitmill_up
from tests.support.waiting import until

ROUNDS = 30
BOUND_S = 2.0
POLL_SECONDS = 0.005
_SLOW = {"kind": "video", "options": {"format": "webm", "quality": "very_high"}}


def film(folder: Path) -> Path:
    """One that takes a minute and more to encode."""
    argv = (*picture(seconds=60, size="1280x720"), "-c:v", "libx264", "-preset", "ultrafast")
    return Films(folder).make("long.mp4", *argv)


def encoders(up: BitmillUp) -> list[psutil.Process]:
    """Its ffmpeg processes that run."""
    found = []
    for child in up.children():
        try:
            if "ffmpeg" in child.name() and child.status() != psutil.STATUS_ZOMBIE:
                found.append(child)
        except psutil.NoSuchProcess:
            continue
    return found


async def cancelled(up: BitmillUp, job: str) -> float:
    """Cancels the job, whose encode runs; seconds until no encoder is left."""
    began = time.perf_counter()
    await up.api.post(f"/jobs/{job}/cancel", {})
    while encoders(up):
        await asyncio.sleep(POLL_SECONDS)
    return time.perf_counter() - began


async def measure(folder: Path, rounds: int = ROUNDS) -> list[float]:
    """The seconds of each round."""
    found = []
    async with file_server() as uploads, bitmill_up(folder / "up") as up:
        input = uploads.add(film(folder))
        for round_ in range(rounds):
            job = await up.api.post("/jobs", {"input": input, **_SLOW})
            await until(lambda: encoders(up), within=60, poll=0.02)
            # At another moment of the encode in each round.
            await asyncio.sleep(0.3 + round_ * 0.05)
            found.append(await cancelled(up, job["id"]))
            ended = await up.api.finished(job["id"])
            if ended["status"] != "cancelled":
                raise RuntimeError(f"the job ended as {ended['status']}")
    return found


async def rows(folder: Path) -> list[Row]:
    took = await measure(folder)
    p99 = statistics.quantiles(took, n=100, method="inclusive")[98]
    return [
        Row(
            "Cancel of a running encode until its child process is gone, p99",
            f"{p99:.2f} s",
            f"≤ {BOUND_S:g} s",
            p99 <= BOUND_S,
            f"{len(took)} encodes, one at a time; median {statistics.median(took):.2f} s, longest {max(took):.2f} s",
        )
    ]


if __name__ == "__main__":
    with tempfile.TemporaryDirectory(prefix="bitmill-bench-") as name:
        sys.exit(print_rows(asyncio.run(rows(Path(name)))))
