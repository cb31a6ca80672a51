"""The tools for files, opened together: fork server, prober and ffmpeg. Used by workers and local commands."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path

from chassis.adapters.sandbox.fork_server import ForkServer
from chassis.adapters.sandbox.limits import GIB, Limits
from chassis.adapters.sandbox.usage import machine_memory
from media import ffmpeg
from media.ffmpeg import Ffmpeg
from media.probe import PROBE_LIMITS, Prober, child_environment, open_fork_server

ENCODE_LIMITS = Limits(
    # Address space: x264 at 8192 pixels with one thread per core maps several GiB.
    memory_bytes=16 * GIB,
    resident_bytes=12 * GIB,
    cpu_seconds=24 * 3600,
    file_bytes=20 * GIB,
    wall=timedelta(days=2),
    stall=timedelta(minutes=2),
)
IMAGE_LIMITS = replace(PROBE_LIMITS, cpu_seconds=120, file_bytes=GIB, wall=timedelta(minutes=30))


@dataclass(frozen=True)
class Tools:
    """`limits` are those of one encode, `image_limits` those of one call that processes an image.

    `workdir` is the folder for temporary files.
    """

    fork_server: ForkServer
    prober: Prober
    ffmpeg: Ffmpeg
    limits: Limits
    image_limits: Limits
    workdir: Path


@asynccontextmanager
async def open_tools(
    workdir: Path, *, preload: Sequence[str] = (), limits: Limits = ENCODE_LIMITS
) -> AsyncIterator[Tools]:
    """Starts the fork server and finds ffmpeg; on exit no child process is left.

    `preload` names further modules that calls need (`services.thumbnailer.vips`).
    """
    async with open_fork_server(workdir, preload=preload) as fork_server:
        yield Tools(
            fork_server=fork_server,
            prober=Prober(fork_server),
            ffmpeg=await ffmpeg.find(child_environment(workdir)),
            limits=_fitting(limits),
            image_limits=_fitting(IMAGE_LIMITS),
            workdir=workdir,
        )


def _fitting(limits: Limits) -> Limits:
    """The limits on this machine: one child that takes most of its memory would end other processes of it."""
    return replace(limits, resident_bytes=min(limits.resident_bytes, machine_memory() * 3 // 4))
