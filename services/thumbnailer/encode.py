"""Encodes one image from a local file to a checked local file. Called by the worker and by the shell's local mode."""

import signal
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from chassis.adapters.sandbox.limits import ChildCpuExceeded, ChildDied, ChildExceeded
from media.faults import MediaFault, OutputMismatch, from_excess
from media.formats import FORMATS
from media.info import MediaInfo
from media.tools import Tools
from schemas.options import ImageOptions
from services.thumbnailer import argv, errors
from services.thumbnailer.plan import FramePlan, ImagePlan, plan

FRAME_CPU_SECONDS = 30 * 60
FRAME_WALL = timedelta(hours=3)
"""For extracting one frame. A video with a single key frame (screen recordings) is decoded up to the frame, which can
take minutes."""


@dataclass(frozen=True)
class EncodedImage:
    """The facts of the file that was made, and its palette where that was asked for."""

    info: MediaInfo
    placeholder: str | None = None
    """A tiny webp as a `data:` URL."""
    background: str | None = None
    """The dominant colour, `#RRGGBB`."""


async def encode(
    source: Path,
    info: MediaInfo,
    options: ImageOptions,
    dest: Path,
    tools: Tools,
    on_progress: Callable[[float], None],
    palette: bool = False,
) -> EncodedImage:
    """Encodes `source`, whose facts are `info`, to `dest`. `dest` appears complete and checked, or not at all.

    Raises MediaFault for a fault of the input; FfmpegFailed, OutputMismatch or SandboxError for one of ours.
    """
    todo = plan(options, info)
    # A folder beside `dest`, so that the last step is a rename. It is the only one that the children may write to.
    with TemporaryDirectory(prefix=".image-", dir=dest.parent) as scratch:
        made = Path(scratch) / f"image.{FORMATS[todo.format].extension}"
        if isinstance(todo, FramePlan):
            pixels = made.with_name("frame.rgb")
            await _extract_frame(source, info, todo, pixels, tools)
            on_progress(0.5)
            frame = {"pixels": str(pixels), "alpha": todo.alpha}
            response = await _call_vips("encode_pixels", frame, pixels, todo, made, palette, tools)
        else:
            # A name of ours: libvips takes brackets at the end of a file name for options.
            link = made.with_name("source")
            link.symlink_to(source.absolute())
            image = {"source": str(link), "source_format": info.format}
            response = await _call_vips("convert", image, source, todo, made, palette, tools)
        result = await _probe_output(made, todo, tools)
        made.replace(dest)
    on_progress(1.0)
    return EncodedImage(result, response.get("placeholder"), response.get("background"))


async def _extract_frame(source: Path, info: MediaInfo, plan: FramePlan, pixels: Path, tools: Tools) -> None:
    """Writes one frame of a video to `pixels`: RGB or RGBA, 8 bits, exactly the plan's size.

    It is the first frame at or after `plan.start`, or the last frame of the file where that is shortly before, or
    is still shown at `plan.start`.
    """
    cpu_seconds = min(FRAME_CPU_SECONDS, tools.limits.cpu_seconds)
    limits = replace(tools.limits, cpu_seconds=cpu_seconds, wall=FRAME_WALL).may(read=(source,), write=(pixels.parent,))
    stands = info.video is not None and info.video.end is not None and plan.start < info.video.end
    for command in (argv.frame, argv.last_frame, *((argv.standing_frame,) if stands else ())):
        line = command(source, info.video, plan, pixels, tone_maps=tools.ffmpeg.tone_maps)
        try:
            await tools.ffmpeg.run(line, limits)
        except ChildCpuExceeded as error:
            raise errors.too_much_work(str(error)) from error
        if pixels.exists() and pixels.stat().st_size == plan.width * plan.height * (4 if plan.alpha else 3):
            return
    if plan.start == 0:
        raise errors.undecodable(plan.start)
    # Audio may be longer than the video; a video without audio and without a frame there was truncated.
    raise errors.start_past_video(plan.start) if info.audio else errors.ended_early(plan.start)


async def _call_vips(
    function: str, source: dict[str, Any], read: Path, plan: ImagePlan, made: Path, palette: bool, tools: Tools
) -> dict[str, Any]:
    """Runs a function of `services.thumbnailer.vips` in the sandbox; the child may read `read`."""
    args = {
        **source,
        "dest": str(made),
        "width": plan.width,
        "height": plan.height,
        "format": plan.format,
        "save": plan.save,
        "background": plan.background,
        "palette": palette,
    }
    limits = tools.image_limits.may(read=(read,), write=(made.parent,))
    try:
        response: dict[str, Any] = await tools.fork_server.call(f"services.thumbnailer.vips:{function}", args, limits)
    except ChildCpuExceeded as error:
        raise errors.too_much_work(str(error)) from error
    except ChildExceeded as error:
        raise from_excess(error) from error
    except ChildDied as error:
        # SIGKILL comes from us or from the kernel (out of memory); any other signal is a decoder that crashed.
        if error.signal in (0, signal.SIGKILL):
            raise
        raise MediaFault("input_damaged", detail=str(error)) from error
    return response


async def _probe_output(made: Path, planned: ImagePlan, tools: Tools) -> MediaInfo:
    """The facts of the output, if it is what was planned."""
    try:
        info = await tools.prober.probe(made)
    except MediaFault as fault:
        raise OutputMismatch(f"the {planned.format} cannot be read: {fault.message}") from fault
    if (info.width, info.height, info.format) != (planned.width, planned.height, planned.format):
        found = f"{info.format} of {info.width}x{info.height}"
        raise OutputMismatch(f"planned a {planned.format} of {planned.width}x{planned.height}, got a {found}")
    return info
