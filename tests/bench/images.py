"""`python -m tests.bench.images [jobs]`: processor time of image jobs, over a bare libvips loop.

1600x900 JPEG to a webp 640 wide, eight jobs in flight on `bitmill up`, from POST to webhook. Processor time is that of
`bitmill up` with its children: the five services, the sandboxed forks, Kafka and Postgres. The bare loop decodes,
resizes and encodes the same file with the same options, in one process.
"""

import asyncio
import sys
import tempfile
import time
from asyncio.subprocess import PIPE
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

from tests.bench.figures import Row, print_rows
from tests.bench.idle import process_groups
from tests.support.file_server import file_server
from tests.support.processes import clean_environment
from tests.support.system import BitmillUp, bitmill_up
from tests.support.webhook_receiver import WebhookReceiver, webhook_receiver

JOBS = 120
WARM_UP = 16
IN_FLIGHT = 8
BARE_RUNS = 60
WIDTH, HEIGHT, OUTPUT_WIDTH = 1600, 900, 640
_OPTIONS = {"width": OUTPUT_WIDTH, "format": "webp"}
_MAKE = """
import sys
from media.libvips import pyvips
noise = pyvips.Image.gaussnoise(160, 90, sigma=40, mean=128).resize(10).cast("uchar")
picture = noise.bandjoin([noise.rot180(), noise.fliphor()]).copy(interpretation="srgb")
picture.jpegsave(sys.argv[1], Q=85)
"""
_BARE = """
import sys, time
from media.libvips import pyvips
source, dest, width, runs = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
def once():
    pyvips.Image.thumbnail(source, width).webpsave(dest, keep="none", Q=75, effort=4)
once()
began = time.process_time()
for _ in range(runs):
    once()
print(time.process_time() - began)
"""


@dataclass(frozen=True)
class Rates:
    """What a job takes of the processor, by group of processes, and what the bare loop takes of it for an image."""

    job_ms: dict[str, float]
    bare_ms: float
    jobs_a_second: float

    @property
    def ratio(self) -> float:
        return self.bare_ms / sum(self.job_ms.values())


async def measure(folder: Path, jobs: int = JOBS) -> Rates:
    """Both sides in turn; the bare loop before and after."""
    source = folder / "source.jpg"
    await _python(_MAKE, str(source))
    async with file_server() as uploads, bitmill_up(folder / "up") as up, webhook_receiver() as hooks:
        hooks.secret = up.api.secret
        address = uploads.add(source, "source.jpg")
        await _run(up, hooks, address, WARM_UP)
        bare = [await _bare(source, folder)]
        before, began = _cpu_seconds(up), time.perf_counter()
        await _run(up, hooks, address, jobs)
        used = {name: seconds - before.get(name, 0.0) for name, seconds in _cpu_seconds(up).items()}
        wall = time.perf_counter() - began
        bare.append(await _bare(source, folder))
    return Rates(
        {name: 1000 * seconds / jobs for name, seconds in used.items()},
        1000 * sum(bare) / len(bare) / BARE_RUNS,
        jobs / wall,
    )


async def rows(folder: Path) -> list[Row]:
    rates = await measure(folder)
    parts = ", ".join(f"{name} {ms:.0f} ms" for name, ms in rates.job_ms.items())
    return [
        Row(
            f"Image jobs a second of processor time, {IN_FLIGHT} in flight, over a bare libvips loop",
            f"{rates.ratio:.2f}",
            "≥ 0.7",
            rates.ratio >= 0.7,
            f"{JOBS} jobs, {WIDTH}x{HEIGHT} jpeg to {OUTPUT_WIDTH} webp, from POST to webhook; of a job: {parts}; of "
            f"an image in the loop: {rates.bare_ms:.0f} ms; {rates.jobs_a_second:.1f} jobs a second",
        )
    ]


async def _run(up: BitmillUp, hooks: WebhookReceiver, address: str, jobs: int) -> None:
    left = iter(range(jobs))

    async def client() -> None:
        for _ in left:
            body = {"kind": "image", "input": address, "options": _OPTIONS, "webhook_url": hooks.url()}
            job = await up.api.post("/jobs", body)
            done = await hooks.webhook(job["id"])
            if done["status"] != "succeeded":
                raise RuntimeError(f"the job failed: {done['error']}")

    await asyncio.gather(*(client() for _ in range(IN_FLIGHT)))


def _cpu_seconds(up: BitmillUp) -> dict[str, float]:
    """By group of processes, with their children that have ended."""
    seconds: dict[str, float] = {}
    for name, processes in process_groups(up.process.pid).items():
        for process in processes:
            with suppress(psutil.NoSuchProcess):
                seconds[name] = seconds.get(name, 0.0) + sum(process.cpu_times()[:4])
    return seconds


async def _bare(source: Path, folder: Path) -> float:
    """Seconds of processor time of the loop."""
    out = await _python(_BARE, str(source), str(folder / "bare.webp"), str(OUTPUT_WIDTH), str(BARE_RUNS))
    return float(out)


async def _python(script: str, *args: str) -> bytes:
    # One thread, as in the sandbox: several would take more of the processor for the same image.
    env = {**clean_environment(), "VIPS_CONCURRENCY": "1"}
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", script, *args, stdout=PIPE, env=env)
    out, _ = await process.communicate()
    if process.returncode:
        raise RuntimeError("the bare loop failed")
    return out


async def _main() -> int:
    with tempfile.TemporaryDirectory(prefix="bitmill-bench-") as folder:
        return print_rows(await rows(Path(folder)))


if __name__ == "__main__":
    sys.exit(asyncio.run(_main()))
