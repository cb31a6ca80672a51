"""From a plan to ffmpeg's command line (pure). It writes one frame as raw RGB pixels of the exact size.

Raw pixels, so that libvips encodes frames and images alike (one quality table, one palette) and no decoder of an
intermediate format is needed. Encoding in ffmpeg would not be faster.
"""

from pathlib import Path
from typing import Any

from media import colour, ffmpeg
from media.colour import Colour
from media.info import VideoStream
from services.thumbnailer.plan import FramePlan

TAIL_SECONDS = 2.0
"""How far before `start` the last frame is looked for when there is none after it (audio is often longer)."""

# Chroma is interpolated, not repeated, and rounding is exact: flat colours are off by one unit at most.
_FLAGS = "lanczos+accurate_rnd+full_chroma_int+full_chroma_inp"
# The scale filter's names of matrices. For a matrix that is not listed, it takes the frame's tag.
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
"""Nits of SDR reference white for tone mapping."""


def frame(source: Path, video: VideoStream | None, plan: FramePlan, dest: Path, *, tone_maps: bool) -> list[str]:
    """Writes the first frame at or after `plan.start`. Input seeking: data before the key frame is not read."""
    pixels = _scaled(_from(source, video, plan.start, plan.preroll), video, plan, tone_maps)
    return ffmpeg.command(pixels.output(str(dest), vframes=1, pix_fmt="rgb24", format="rawvideo"))


def last_frame(source: Path, video: VideoStream | None, plan: FramePlan, dest: Path, *, tone_maps: bool) -> list[str]:
    """Writes the last frame of the file if it is at most `TAIL_SECONDS` before `plan.start`: each frame overwrites the
    one before."""
    pixels = _scaled(_from(source, video, max(plan.start - TAIL_SECONDS, 0), plan.preroll), video, plan, tone_maps)
    return ffmpeg.command(pixels.output(str(dest), vcodec="rawvideo", pix_fmt="rgb24", format="image2", update=1))


def _from(source: Path, video: VideoStream | None, start: float, preroll: float) -> Any:
    """The video stream from `start` on; ffmpeg applies the rotation itself."""
    seek = max(start - preroll, 0)
    node = ffmpeg.input_node(source, **({"ss": _seconds(seek)} if seek > 0 else {}))
    # "V" is a video stream that is not cover art.
    stream = node[str(video.index)] if video is not None else node["V:0"]
    return stream.filter("trim", start=_seconds(start - seek)) if start > seek else stream


def _seconds(value: float) -> str:
    """ffmpeg counts microseconds, and does not parse the "1e-05" that `str` would give."""
    return f"{value:.6f}"


def _scaled(stream: Any, video: VideoStream | None, plan: FramePlan, tone_maps: bool) -> Any:
    """The filters from the video stream to pixels of the plan's size."""
    if video is None:
        return stream.filter("scale", plan.width, plan.height, flags=_FLAGS)
    if video.interlaced:
        stream = stream.filter("bwdif", mode="send_frame", deint="interlaced")
    source = colour.infer(video)
    if tone_maps and colour.is_wide_gamut(source):
        return _to_bt709(stream, source, plan, hdr=video.hdr)
    return stream.filter("scale", plan.width, plan.height, flags=_FLAGS, **_input_colour(source))


def _input_colour(source: Colour) -> dict[str, str]:
    """Options of the scale filter; without them it assumes BT.601."""
    matrix = _MATRICES.get(source.matrix)
    return {"in_color_matrix": matrix, "in_range": source.range} if matrix else {}


def _to_bt709(stream: Any, source: Colour, plan: FramePlan, *, hdr: bool) -> Any:
    """Converts wide gamut or HDR to BT.709 in linear light; after scaling, because tone mapping is slow per pixel."""
    linear = stream.filter(
        "zscale",
        plan.width,
        plan.height,
        filter="lanczos",
        min=source.matrix,
        pin=source.primaries,
        tin=source.transfer,
        rin=source.range,
        t="linear",
        npl=_SDR_WHITE,
    ).filter("format", "gbrpf32le")
    narrow = linear.filter("zscale", p="bt709")
    if hdr:
        narrow = narrow.filter("tonemap", "hable", desat=0)
    return narrow.filter("zscale", t="bt709", m="gbr", r="pc").filter("format", "gbrp")
