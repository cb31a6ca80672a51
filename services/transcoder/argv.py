"""From a plan to ffmpeg's command line (pure). ffmpeg-python compiles it; values come from tables and numbers."""

from pathlib import Path
from typing import Any

import ffmpeg as graph

from media import ffmpeg
from media.colour import Colour
from services.transcoder.plan import ColourPlan, Plan, Sound
from services.transcoder.quality import Encoding, encoding

# Nits of the white that HDR's brightness is measured against: the usual reference, and what ffmpeg's guides use.
_REFERENCE_WHITE = 100


def argv(plan: Plan, source: Path, dest: Path) -> list[str]:
    """The whole command line that writes `plan` from `source` to `dest`, whatever the name of `dest` ends in."""
    # Seeking before opening: ffmpeg jumps to the key frame before and decodes from there; still exact to the frame.
    file = ffmpeg.source(source, **({"ss": _seconds(plan.start)} if plan.start is not None else {}))
    streams = [_picture(file[str(plan.video_stream)], plan)]
    if plan.sound is not None:
        streams.append(file[str(plan.sound.stream)])
    settings = encoding(plan.format, plan.quality)
    options: dict[str, str | int] = {
        **dict(settings.video),
        "pix_fmt": "yuv420p",
        # Frames keep their own times: a variable rate stays one, nothing is doubled or dropped.
        "fps_mode": "vfr",
        "enc_time_base": "demux",
        **_sound(plan.sound, settings),
        # Where it was filmed, with what and by whom is nobody else's business.
        "map_metadata": -1,
        "map_chapters": -1,
        "f": plan.format,
    }
    if plan.end is not None:
        options["t"] = _seconds(plan.end - (plan.start or 0))
    if plan.format != "webm":
        options["movflags"] = "+faststart"
    return ffmpeg.command(graph.output(*streams, f"file:{dest}", **options))


def _seconds(value: float) -> str:
    return f"{value:.6f}".rstrip("0").rstrip(".")


def _picture(stream: Any, plan: Plan) -> Any:
    """Turned upright by ffmpeg itself (autorotate), then scaled from its display size to square pixels."""
    if plan.deinterlace:
        stream = stream.filter("bwdif", mode="send_frame", deint="interlaced")
    stream = _coloured(stream, plan.colour, plan.size)
    # Said at the end as well: tags that the filters before lose or the source never had.
    return _tagged(stream, plan.colour.target).filter("setsar", "1")


def _coloured(stream: Any, plan: ColourPlan, size: tuple[int, int]) -> Any:
    source, target = plan.source, plan.target
    match plan.way:
        case "keep":
            scaled = stream.filter("scale", *size, in_range=source.range, out_range=target.range)
            return scaled.filter("format", "yuv420p")
        case "from_rgb":
            scaled = stream.filter("scale", *size, out_color_matrix=target.matrix, out_range=target.range)
            return scaled.filter("format", "yuv420p")
    stream = _tagged(stream, source).filter("scale", *size)
    if plan.way == "tone_map":
        stream = stream.filter("zscale", transfer="linear", npl=_REFERENCE_WHITE).filter("format", "gbrpf32le")
        stream = stream.filter("zscale", primaries=target.primaries)
        stream = stream.filter("tonemap", tonemap="hable", desat=0)
    stream = stream.filter(
        "zscale", matrix=target.matrix, primaries=target.primaries, transfer=target.transfer, range=target.range
    )
    return stream.filter("format", "yuv420p")


def _tagged(stream: Any, colour: Colour) -> Any:
    return stream.filter(
        "setparams",
        range=colour.range,
        colorspace=colour.matrix,
        color_primaries=colour.primaries,
        color_trc=colour.transfer,
    )


def _sound(sound: Sound | None, settings: Encoding) -> dict[str, str | int]:
    if sound is None:
        return {}
    return {
        "c:a": settings.audio_codec,
        "b:a": settings.audio_bits // 2 * sound.channels,
        "ac": sound.channels,
        "ar": sound.sample_rate if settings.audio_codec != "libopus" else 48_000,
    }
