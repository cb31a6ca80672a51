"""The baseline of the demo and the benchmark: ffmpeg alone, without sandbox, checks, network or queue."""

import asyncio
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from cli.errors import CliError
from media import ffmpeg
from media.info import MediaInfo
from media.tools import open_tools
from schemas.options import VideoOptions
from services.transcoder.argv import argv
from services.transcoder.plan import plan


async def seconds_of_ffmpeg(source: Path, job: dict[str, Any], scratch: Path) -> float:
    """Wall time of one run of ffmpeg for a finished job, given as the API shows it.

    For a video it is the worker's own command line, for an image the usual one for a frame.
    """
    target = scratch / f"baseline.{job['output']['format']}"
    async with open_tools(scratch / "tools") as tools:
        info = await tools.prober.probe(source)
        command = _command(job, info, source, target, tone_maps=tools.ffmpeg.tone_maps)
    try:
        return await _timed([str(ffmpeg.binary()), *command[1:]])
    finally:
        target.unlink(missing_ok=True)


def _command(job: dict[str, Any], info: MediaInfo, source: Path, target: Path, *, tone_maps: bool) -> Sequence[str]:
    options = job["options"]
    if job["kind"] == "video":
        return argv(plan(VideoOptions.model_validate(options), info, tone_maps=tone_maps), source, target)
    seek = ("-ss", str(options.get("start", 0)))
    size = ("-frames:v", "1", "-vf", f"scale={options['width']}:-1")
    return ["ffmpeg", "-nostdin", "-loglevel", "error", "-y", *seek, "-i", str(source), *size, str(target)]


async def _timed(command: Sequence[str]) -> float:
    began = time.perf_counter()
    process = await asyncio.create_subprocess_exec(
        *command, stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.PIPE
    )
    _, stderr = await process.communicate()
    if process.returncode:
        raise CliError(f"ffmpeg failed: {stderr.decode(errors='replace')[-500:]}")
    return time.perf_counter() - began
