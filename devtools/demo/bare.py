"""The yardstick: what ffmpeg alone takes for the same output, without sandbox, checks, network or queue."""

import asyncio
import time
from collections.abc import Sequence
from pathlib import Path

from cli.errors import CliError
from devtools.demo.story import Made
from media import ffmpeg
from media.info import MediaInfo
from media.tools import open_tools
from schemas.options import VideoOptions
from services.transcoder.argv import argv
from services.transcoder.plan import plan


async def seconds_of_bare_ffmpeg(uploads: Path, made: Made, work: Path) -> float:
    """Wall time of one plain run: of the worker's own command line for a video, of the usual one for a frame."""
    source, target = uploads / made.upload.name, work / f"bare.{made.job['output']['format']}"
    async with open_tools(work / "tools") as tools:
        info = await tools.prober.probe(source)
        command = _command(made, info, source, target, tone_maps=tools.ffmpeg.tone_maps)
    try:
        return await _timed([str(ffmpeg.binary()), *command[1:]])
    finally:
        target.unlink(missing_ok=True)


def _command(made: Made, info: MediaInfo, source: Path, target: Path, *, tone_maps: bool) -> Sequence[str]:
    options = made.job["options"]
    if made.job["kind"] == "video":
        return argv(plan(VideoOptions.model_validate(options), info, tone_maps=tone_maps), source, target)
    seek = ("-ss", str(options.get("start", 0)))
    size = ("-frames:v", "1", "-vf", f"scale={options['width']}:-1")
    return ["ffmpeg", "-nostdin", "-loglevel", "error", "-y", *seek, "-i", str(source), *size, str(target)]


async def _timed(command: Sequence[str]) -> float:
    began = time.perf_counter()
    process = await asyncio.create_subprocess_exec(
        *command, stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.PIPE
    )
    _, said = await process.communicate()
    if process.returncode:
        raise CliError(f"bare ffmpeg failed: {said.decode(errors='replace')[-500:]}")
    return time.perf_counter() - began
