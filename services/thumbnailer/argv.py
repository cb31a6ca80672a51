"""From a plan to ffmpeg's command line (pure). It writes one frame as raw RGB pixels of the exact size,
or RGBA with the colours multiplied by alpha, so that nothing of hidden colours comes out.

Raw pixels, so that libvips encodes frames and images alike (one quality table, one palette) and no decoder of an
intermediate format is needed. Encoding in ffmpeg would not be faster.
"""

from dataclasses import replace
from pathlib import Path
from typing import Any

from media import colour, ffmpeg, geometry
from media.allowlists import ALPHA_DECODERS
from media.colour import Colour
from media.geometry import Size
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
_SRGB = "iec61966-2-1"


def frame(source: Path, video: VideoStream | None, plan: FramePlan, dest: Path, *, tone_maps: bool) -> list[str]:
    """Writes the first frame at or after `plan.start`. Input seeking: data before the key frame is not read."""
    pixels = _scaled(_from(source, video, plan, plan.start), video, plan, tone_maps)
    return ffmpeg.command(pixels.output(str(dest), vframes=1, pix_fmt=_pix_fmt(plan), format="rawvideo"))


def last_frame(source: Path, video: VideoStream | None, plan: FramePlan, dest: Path, *, tone_maps: bool) -> list[str]:
    """Writes the last frame of the file if it is at most `TAIL_SECONDS` before `plan.start`: each frame overwrites the
    one before."""
    pixels = _scaled(_from(source, video, plan, max(plan.start - TAIL_SECONDS, 0)), video, plan, tone_maps)
    pix_fmt = _pix_fmt(plan)
    return ffmpeg.command(pixels.output(str(dest), vcodec="rawvideo", pix_fmt=pix_fmt, format="image2", update=1))


def standing_frame(
    source: Path, video: VideoStream | None, plan: FramePlan, dest: Path, *, tone_maps: bool
) -> list[str]:
    """The same where the last frame stands for long: from the key frame before `plan.start`, without dropping any."""
    stream = _from(source, video, replace(plan, preroll=0.0), plan.start, noaccurate_seek=None)
    pixels = _scaled(stream, video, plan, tone_maps)
    pix_fmt = _pix_fmt(plan)
    return ffmpeg.command(pixels.output(str(dest), vcodec="rawvideo", pix_fmt=pix_fmt, format="image2", update=1))


def _pix_fmt(plan: FramePlan) -> str:
    return "rgba" if plan.alpha else "rgb24"


def _from(source: Path, video: VideoStream | None, plan: FramePlan, start: float, **flags: Any) -> Any:
    """The video stream from `start` on; ffmpeg applies the rotation itself."""
    seek = max(start - plan.preroll, 0)
    options: dict[str, Any] = {"ss": _seconds(seek)} if seek > 0 else {}
    if plan.alpha and video is not None and video.codec in ALPHA_DECODERS:
        options["vcodec"] = ALPHA_DECODERS[video.codec]
    node = ffmpeg.input_node(source, **options, **flags)
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
    if not plan.sar:
        stream = stream.filter("setsar", "1")
    size = geometry.sides_in_mid_stream(Size(plan.width, plan.height), plan.aspect, step=1)
    converts = tone_maps and (colour.is_wide_gamut(source) or colour.has_other_primaries(source))
    if plan.alpha:
        # Scaled after the colours were multiplied: otherwise those of hidden pixels get into their neighbours.
        stream = _to_srgb(stream, video, source, "gbrap") if converts else _to_rgb(stream, source, "gbrap")
        scaled = stream.filter("premultiply", inplace=1).filter("scale", *size, flags=_FLAGS)
        return _with_bars(scaled.filter("format", "rgba"), plan, "black@0")
    if converts:
        return _with_bars(_to_srgb(stream, video, source, "gbrp", size), plan, "black")
    scaled = stream.filter("scale", *size, flags=_FLAGS, **_input_colour(source))
    # In RGB, because bars of subsampled colours have even sides.
    return _with_bars(scaled.filter("format", "rgb24"), plan, "black")


def _with_bars(stream: Any, plan: FramePlan, colour: str) -> Any:
    return stream.filter("pad", plan.width, plan.height, "trunc((ow-iw)/2)", "trunc((oh-ih)/2)", color=colour)


def _to_rgb(stream: Any, source: Colour, pix_fmt: str) -> Any:
    return stream.filter("scale", flags=_FLAGS, **_input_colour(source)).filter("format", pix_fmt)


def _input_colour(source: Colour) -> dict[str, str]:
    """Options of the scale filter; without them it assumes BT.601."""
    matrix = _MATRICES.get(source.matrix)
    return {"in_color_matrix": matrix, "in_range": source.range} if matrix else {}


def _to_srgb(stream: Any, video: VideoStream, source: Colour, pix_fmt: str, size: tuple[str, ...] = ()) -> Any:
    """Converts wide gamut or HDR in linear light; after scaling, because that is slow per pixel.

    Without HDR the curve is the same before and after, so that greys stay what they are.
    """
    options = {"min": source.matrix, "pin": source.primaries, "rin": source.range, "npl": colour.DIFFUSE_WHITE_NITS}
    # Display P3 is defined with the curve of sRGB, other colours of film for displays of ITU-R BT.1886.
    curve = _SRGB if source.transfer == _SRGB or source.primaries == "smpte432" else "bt709"
    options["tin"] = source.transfer if video.hdr else curve
    linear = stream.filter("zscale", *size, filter="lanczos", t="linear", **options)
    narrow = linear.filter("format", f"{pix_fmt}f32le").filter("zscale", p="bt709")
    if video.hdr:
        narrow = narrow.filter("tonemap", **colour.TONE_CURVE)
    return narrow.filter("zscale", t=curve, m="gbr", r="pc").filter("format", pix_fmt)
