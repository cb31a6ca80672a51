"""The tools that work on files, opened together: what both workers need, and the shell without any service."""

import os
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path

from chassis.sandbox import child
from chassis.sandbox.confine import Report
from chassis.sandbox.limits import GIB, Limits
from chassis.sandbox.warm import Warm
from media import ffmpeg
from media.faults import from_child
from media.ffmpeg import Ffmpeg
from media.probe import Prober

PROBE_LIMITS = Limits(memory_bytes=4 * GIB, cpu_seconds=30, file_bytes=0, wall=timedelta(seconds=60))
ENCODE_LIMITS = Limits(
    # Address space, not resident memory: x264 at 8192 pixels with a thread per core maps several GiB.
    memory_bytes=16 * GIB,
    cpu_seconds=24 * 3600,
    file_bytes=20 * GIB,
    wall=timedelta(hours=6),
    stall=timedelta(minutes=2),
)
_WARM_ENV = {
    # The loaders that libvips itself calls unfit for untrusted input (SVG, PDF, ImageMagick …) stay off.
    "VIPS_BLOCK_UNTRUSTED": "1",
    "OMP_NUM_THREADS": "1",
}


@dataclass(frozen=True)
class Tools:
    """`warm` runs functions in confined forks, `prober` asks it for facts, `ffmpeg` is the program, `limits` bound an
    encode, `image_limits` a call that works on one picture. Temporary files belong below `workdir`."""

    prober: Prober
    warm: Warm
    ffmpeg: Ffmpeg
    limits: Limits
    image_limits: Limits
    workdir: Path
    protections: Report


@asynccontextmanager
async def open_tools(
    workdir: Path,
    *,
    preload: Sequence[str] = (),
    limits: Limits = ENCODE_LIMITS,
    mark: str | None = None,
) -> AsyncIterator[Tools]:
    """Opens the tools; on exit no child is left.

    `preload` names further modules that calls will need (`services.thumbnailer.vips`). `mark` is how children of a
    killed process are recognised (environment variable BITMILL_CHILD): by default our own mark, or the folder.
    """
    workdir.mkdir(parents=True, exist_ok=True)
    env = {child.MARK: mark or os.environ.get(child.MARK) or str(workdir)}
    async with Warm("media.inside", ("pyvips", *preload), fault=from_child, env={**_WARM_ENV, **env}) as warm:
        yield Tools(
            prober=Prober(warm, PROBE_LIMITS),
            warm=warm,
            ffmpeg=await ffmpeg.find(env),
            limits=limits,
            image_limits=replace(PROBE_LIMITS, cpu_seconds=120, file_bytes=GIB, wall=timedelta(seconds=180)),
            workdir=workdir,
            protections=await warm.report(),
        )
