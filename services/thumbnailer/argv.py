"""Pure: FramePlan -> the ffmpeg command that writes that frame as bare RGB pixels of the exact size.

Bare pixels, because libvips then encodes frames and images alike (one table of qualities, one palette), and because
no decoder of an intermediate format has to be trusted. It costs no time against encoding in ffmpeg.
"""

from pathlib import Path
from typing import Any

from media import colour, ffmpeg
from media.colour import Colour
from media.info import VideoStream
from services.thumbnailer.plan import FramePlan

TAIL_SECONDS = 2.0
"""How far before `start` the last frame is looked for when there is none after it (sound often outlasts pictures)."""

# Chroma is interpolated, not repeated, and rounding is exact: flat colours come out within one unit.
_FLAGS = "lanczos+accurate_rnd+full_chroma_int+full_chroma_inp"
# The names that the scale filter takes where they differ from the tags' names; for others it reads the frame itself.
_MATRICES = {
    "bt709": "bt709",
    "fcc": "fcc",
    "bt470bg": "bt470",
    "smpte170m": "smpte170m",
    "smpte240m": "smpte240m",
    "bt2020nc": "bt2020",
    "bt2020c": "bt2020",
}
_SDR_WHITE = 100
"""Nits of the reference white that HDR is brought down to."""


def frame(source: Path, video: VideoStream | None, plan: FramePlan, dest: Path, *, tone_maps: bool) -> list[str]:
    """The first frame at or after `plan.start`. Seeks before it decodes: what lies before the key frame is not read."""
    pixels = _scaled(_from(source, video, plan.start, plan.preroll), video, plan, tone_maps)
    return ffmpeg.command(pixels.output(str(dest), vframes=1, pix_fmt="rgb24", format="rawvideo"))


def last_frame(source: Path, video: VideoStream | None, plan: FramePlan, dest: Path, *, tone_maps: bool) -> list[str]:
    """The last frame of the file, if it lies at most `TAIL_SECONDS` before `plan.start`: each overwrites the last."""
    pixels = _scaled(_from(source, video, max(plan.start - TAIL_SECONDS, 0), plan.preroll), video, plan, tone_maps)
    return ffmpeg.command(pixels.output(str(dest), vcodec="rawvideo", pix_fmt="rgb24", format="image2", update=1))


def _from(source: Path, video: VideoStream | None, start: float, preroll: float) -> Any:
    """The file's picture from `start` on; ffmpeg turns rotated video upright by itself."""
    seek = max(start - preroll, 0)
    node = ffmpeg.source(source, **({"ss": _seconds(seek)} if seek > 0 else {}))
    # "V" leaves out cover art.
    stream = node[str(video.index)] if video is not None else node["V:0"]
    return stream.filter("trim", start=_seconds(start - seek)) if start > seek else stream


def _seconds(value: float) -> str:
    """Microseconds are as fine as ffmpeg counts; it does not read the "1e-05" that Python writes."""
    return f"{value:.6f}"


def _scaled(stream: Any, video: VideoStream | None, plan: FramePlan, tone_maps: bool) -> Any:
    """The graph from the file's picture to pixels of the plan's size."""
    if video is None:
        return stream.filter("scale", plan.width, plan.height, flags=_FLAGS)
    if video.interlaced:
        stream = stream.filter("bwdif", mode="send_frame", deint="interlaced")
    meant = colour.meant(video)
    if tone_maps and colour.wide(meant):
        return _to_ordinary_screen(stream, meant, plan, hdr=video.hdr)
    return stream.filter("scale", plan.width, plan.height, flags=_FLAGS, **_reading(meant))


def _reading(meant: Colour) -> dict[str, str]:
    """How the scale filter is to read the numbers. Left to itself it takes everything for the old television matrix."""
    matrix = _MATRICES.get(meant.matrix)
    return {"in_color_matrix": matrix, "in_range": meant.range} if matrix else {}


def _to_ordinary_screen(stream: Any, meant: Colour, plan: FramePlan, *, hdr: bool) -> Any:
    """Wide or HDR colour -> bt709. In linear light, after scaling: tone mapping is dear per pixel."""
    linear = stream.filter(
        "zscale",
        plan.width,
        plan.height,
        filter="lanczos",
        min=meant.matrix,
        pin=meant.primaries,
        tin=meant.transfer,
        rin=meant.range,
        t="linear",
        npl=_SDR_WHITE,
    ).filter("format", "gbrpf32le")
    narrow = linear.filter("zscale", p="bt709")
    if hdr:
        narrow = narrow.filter("tonemap", "hable", desat=0)
    return narrow.filter("zscale", t="bt709", m="gbr", r="pc").filter("format", "gbrp")
