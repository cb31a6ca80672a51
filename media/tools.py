"""The tools that work on files, opened together: what both workers need, and the shell without any service."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path

from chassis.adapters.sandbox.confine import SandboxReport
from chassis.adapters.sandbox.fork_server import ForkServer
from chassis.adapters.sandbox.limits import GIB, Limits
from media import ffmpeg
from media.ffmpeg import Ffmpeg
from media.fork_server import environment, open_fork_server
from media.probe import PROBE_LIMITS, Prober

ENCODE_LIMITS = Limits(
    # Address space, not resident memory: x264 at 8192 pixels with a thread per core maps several GiB.
    memory_bytes=16 * GIB,
    cpu_seconds=24 * 3600,
    file_bytes=20 * GIB,
    wall=timedelta(hours=6),
    stall=timedelta(minutes=2),
)


@dataclass(frozen=True)
class Tools:
    """`warm` runs functions in confined forks, `prober` asks it for facts, `ffmpeg` is the program, `limits` bound an
    encode, `image_limits` a call that works on one picture. Temporary files belong below `workdir`."""

    prober: Prober
    warm: ForkServer
    ffmpeg: Ffmpeg
    limits: Limits
    image_limits: Limits
    workdir: Path
    protections: SandboxReport


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
    env = environment(workdir, mark)
    async with open_fork_server(workdir, preload=preload, mark=mark) as warm:
        yield Tools(
            prober=Prober(warm, PROBE_LIMITS),
            warm=warm,
            ffmpeg=await ffmpeg.find(env),
            limits=limits,
            image_limits=replace(PROBE_LIMITS, cpu_seconds=120, file_bytes=GIB, wall=timedelta(seconds=180)),
            workdir=workdir,
            protections=await warm.report(),
        )
