"""From a plan to ffmpeg's command line (pure). ffmpeg-python compiles it; no value comes from the customer as text."""

from pathlib import Path
from typing import Any

import ffmpeg as graph

from media import ffmpeg
from media.colour import DIFFUSE_WHITE_NITS, TONE_CURVE, Colour
from services.transcoder.plan import AudioPlan, ColourPlan, Plan
from services.transcoder.quality import EncoderSettings, encoder_settings


def argv(plan: Plan, source: Path, dest: Path) -> list[str]:
    """The command line that encodes `source` to `dest`. The format is the plan's, whatever the extension of `dest`."""
    # Input seeking: ffmpeg jumps to the key frame before `start` and decodes from there; the cut is still frame-exact.
    file = ffmpeg.input_node(source, **({"ss": _seconds(plan.start)} if plan.start is not None else {}))
    streams = [_video(file[str(plan.video_stream)], plan)]
    if plan.audio is not None:
        streams.append(file[str(plan.audio.stream)])
    settings = encoder_settings(plan.format, plan.quality)
    options: dict[str, str | int] = {
        **dict(settings.video),
        "pix_fmt": "yuv420p",
        # Frames keep their timestamps: a variable rate stays variable, no frame is duplicated or dropped.
        "fps_mode": "vfr",
        "enc_time_base": "demux",
        **_audio(plan.audio, settings),
        # Metadata holds private facts: place, device and person.
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


def _video(stream: Any, plan: Plan) -> Any:
    """The filters of the video stream. ffmpeg applies the rotation itself (autorotate). Output pixels are square."""
    if plan.deinterlace:
        stream = stream.filter("bwdif", mode="send_frame", deint="interlaced")
    stream = _scale_and_convert(stream, plan.colour, plan.size)
    # Tagged once more at the end: some filters drop the tags, and some inputs never had them.
    return _tag(stream, plan.colour.target).filter("setsar", "1")


def _scale_and_convert(stream: Any, plan: ColourPlan, size: tuple[int, int]) -> Any:
    source, target = plan.source, plan.target
    match plan.conversion:
        case "keep":
            scaled = stream.filter("scale", *size, in_range=source.range, out_range=target.range)
            return scaled.filter("format", "yuv420p")
        case "from_rgb":
            scaled = stream.filter("scale", *size, out_color_matrix=target.matrix, out_range=target.range)
            return scaled.filter("format", "yuv420p")
    stream = _tag(stream, source).filter("scale", *size)
    if plan.conversion == "tone_map":
        stream = stream.filter("zscale", transfer="linear", npl=DIFFUSE_WHITE_NITS).filter("format", "gbrpf32le")
        stream = stream.filter("zscale", primaries=target.primaries)
        stream = stream.filter("tonemap", **TONE_CURVE)
    stream = stream.filter(
        "zscale", matrix=target.matrix, primaries=target.primaries, transfer=target.transfer, range=target.range
    )
    return stream.filter("format", "yuv420p")


def _tag(stream: Any, colour: Colour) -> Any:
    return stream.filter(
        "setparams",
        range=colour.range,
        colorspace=colour.matrix,
        color_primaries=colour.primaries,
        color_trc=colour.transfer,
    )


def _audio(audio: AudioPlan | None, settings: EncoderSettings) -> dict[str, str | int]:
    if audio is None:
        return {}
    return {
        "c:a": settings.audio_codec,
        "b:a": settings.audio_bits // 2 * audio.channels,
        "ac": audio.channels,
        "ar": audio.sample_rate if settings.audio_codec != "libopus" else 48_000,
    }
