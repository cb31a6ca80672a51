"""The warm server that opens customers' files in the sandbox. Needs no ffmpeg: reading is all that ingest does."""

import os
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from chassis.adapters.sandbox import child
from chassis.adapters.sandbox.fork_server import ForkServer
from media.faults import from_child
from media.probe import PROBE_LIMITS, Prober

_LOADERS: Mapping[str, str] = {
    # The loaders that libvips itself calls unfit for untrusted input (SVG, PDF, ImageMagick …) stay off.
    "VIPS_BLOCK_UNTRUSTED": "1",
    "OMP_NUM_THREADS": "1",
}


def environment(workdir: Path, mark: str | None = None) -> dict[str, str]:
    """The environment of every child: the mark by which children of a killed process are recognised."""
    return {child.CHILD_ENV_VAR: mark or os.environ.get(child.CHILD_ENV_VAR) or str(workdir)}


@asynccontextmanager
async def open_fork_server(
    workdir: Path, *, preload: Sequence[str] = (), mark: str | None = None
) -> AsyncIterator[ForkServer]:
    """The server, with what probing needs and `preload` loaded; on exit it is gone. Makes the folder `workdir`."""
    workdir.mkdir(parents=True, exist_ok=True)
    env = {**_LOADERS, **environment(workdir, mark)}
    async with ForkServer("media.sandbox_probe", ("pyvips", *preload), fault=from_child, env=env) as warm:
        yield warm


@asynccontextmanager
async def open_prober(workdir: Path) -> AsyncIterator[Prober]:
    """A prober by itself, for a service that reads files and makes none."""
    async with open_fork_server(workdir) as warm:
        yield Prober(warm, PROBE_LIMITS)
