"""From a plan to ffmpeg's command line (pure). ffmpeg-python compiles it; no value comes from the customer as text."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import ffmpeg as graph

from media import ffmpeg, geometry
from media.colour import DIFFUSE_WHITE_NITS, TONE_CURVE, Colour
from schemas.options import red_green_blue
from services.transcoder.plan import AudioPlan, ColourPlan, Cut, Plan
from services.transcoder.quality import EncoderSettings, encoder_settings

_ROUNDING = 0.0005
"""Seconds: more than times are rounded by, less than between two frames."""
_EXACT = "accurate_rnd+full_chroma_int+full_chroma_inp"
_MAX_WAITING_PACKETS = 1_000_000


def argv(plan: Plan, source: Path, dest: Path) -> list[str]:
    """The command line that encodes `source` to `dest`. The format is the plan's, whatever the extension of `dest`."""
    file = sounding = ffmpeg.input_node(source, **_input(plan))
    if plan.joined and plan.audio is not None:
        # Where the clock starts again, ffmpeg moves all tracks of an input at the first that it sees: around the joint,
        # where packets of both parts are mixed, it would move them twice. Each track gets an input of its own.
        file = ffmpeg.input_node(source, **_input(plan), an=None, itsoffset=_seconds(plan.video_start))
        sounding = ffmpeg.input_node(source, **_input(plan), vn=None, itsoffset=_seconds(plan.audio.start))
    streams = [_video(file[str(plan.video_stream)], plan)]
    if plan.audio is not None:
        streams.append(_sound(sounding[str(plan.audio.stream)], plan.audio, plan.cut))
    alpha = plan.alpha is not None and plan.alpha.background is None
    settings = encoder_settings(plan.format, plan.quality, alpha=alpha)
    options: dict[str, str | int] = {
        **dict(settings.video),
        **_pixels(plan, alpha=alpha),
        # Frames keep their timestamps: a variable rate stays variable, no frame is duplicated or dropped.
        "fps_mode": "vfr",
        # Not of the sound: AVI counts it in packets.
        "enc_time_base:v": "demux",
        **_audio(plan.audio, settings),
        # Packets wait for the first one of the other track, which may come late.
        "max_muxing_queue_size": _MAX_WAITING_PACKETS,
        # Metadata holds private facts: place, device and person.
        "map_metadata": -1,
        "map_chapters": -1,
        "f": plan.format,
    }
    if plan.uneven:
        options |= _frame_durations(plan)
    if plan.limit is not None:
        options["t"] = _seconds(plan.limit)
    if plan.format != "webm":
        options["movflags"] = "+faststart"
    return ffmpeg.command(graph.output(*streams, f"file:{dest}", **options))


def _input(plan: Plan) -> dict[str, str | float]:
    """Options of the input. Damage is skipped, however much it is: the output is checked."""
    options: dict[str, str | float] = {"max_error_rate": 1}
    if plan.cut is not None and plan.cut.seek > 0:
        # Input seeking: ffmpeg jumps to the key frame before this second and decodes from there.
        options["ss"] = _seconds(plan.cut.seek)
    if plan.alpha is not None and plan.alpha.decoder is not None:
        options[f"c:{plan.video_stream}"] = plan.alpha.decoder
    return options


def _pixels(plan: Plan, *, alpha: bool) -> dict[str, str | int]:
    if not alpha:
        return {"pix_fmt": "yuv420p"}
    return {"pix_fmt": "yuva420p" if plan.format == "webm" else "yuva444p10le"}


def _frame_durations(plan: Plan) -> dict[str, str | int]:
    """Each frame lasts until the next one, and the last one until the picture's end.

    x264's packets lose the durations of frames if it reorders them, so that it must not: it would save 10 to 20 %.
    """
    last = "DURATION"
    if plan.picture_end is not None:
        end = f"{_seconds(plan.picture_end)}/TB"
        last = f"if(gt({end},PTS),{end}-PTS,DURATION)"
    expression = f"if(eq(NEXT_PTS,NOPTS),{last},NEXT_PTS-PTS)".replace(",", r"\,")
    keeps_alpha = plan.alpha is not None and plan.alpha.background is None
    order: dict[str, str | int] = {} if plan.format == "webm" or keeps_alpha else {"bf": 0}
    return {**order, "bsf:v": f"setts=duration={expression}"}


def _seconds(value: float) -> str:
    return f"{value:.6f}".rstrip("0").rstrip(".")


def _video(stream: Any, plan: Plan) -> Any:
    """The filters of the video stream. ffmpeg applies the rotation itself (autorotate). Output pixels are square."""
    if plan.cut is not None:
        stream = stream.filter("trim", start=_seconds(max(plan.cut.shown - _ROUNDING, 0)))
        stream = stream.filter("setpts", f"max(round(PTS-{_seconds(plan.cut.start)}/TB),0)")
    elif plan.from_zero:
        stream = stream.filter("setpts", "if(eq(N,0),min(PTS,0),PTS)")
    if plan.deinterlace:
        stream = stream.filter("bwdif", mode="send_frame", deint="interlaced")
    if not plan.sar:
        stream = stream.filter("setsar", "1")
    colours, form = plan.colour, "yuv420p"
    if plan.alpha is not None:
        stream = _tag(stream, colours.source).filter("scale", flags=_EXACT).filter("format", "gbrap")
        colours = replace(colours, source=colours.source._replace(matrix="gbr", range="pc"))
        if plan.alpha.background is None:
            # Colours of transparent parts must not bleed into the others, nor come out at all.
            stream, form = stream.filter("premultiply", inplace=1), "gbrap"
        else:
            stream = _laid_on(stream, plan.alpha.background)
    if form == "gbrap":
        stream = _sized(stream, plan, flags=_EXACT).filter("format", form).filter("unpremultiply", inplace=1)
        stream = _with_bars(stream, plan, "black@0")
        stream = stream.filter(
            "scale", out_color_matrix=colours.target.matrix, out_range=colours.target.range, flags=_EXACT
        )
    else:
        stream = _with_bars(_scale_and_convert(stream, colours, plan), plan, "black")
    # Tagged once more at the end: some filters drop the tags, and some inputs never had them.
    return _tag(stream, colours.target).filter("setsar", "1")


def _laid_on(stream: Any, background: str) -> Any:
    """A transparent stream, `gbrap`, on a colour."""
    parts = stream.filter_multi_output("split")
    red, green, blue = red_green_blue(background)
    canvas = parts[0].filter("lutrgb", r=red, g=green, b=blue, a=255)
    return graph.overlay(canvas, parts[1], format="gbrp").filter("format", "gbrp")


def _sized(stream: Any, plan: Plan, **options: str) -> Any:
    """Scaled to the plan's size, or smaller: see `geometry.sides_in_mid_stream`."""
    return stream.filter("scale", *geometry.sides_in_mid_stream(plan.size, plan.aspect, step=2), **options)


def _with_bars(stream: Any, plan: Plan, colour: str) -> Any:
    # At even positions, because of the colour's resolution.
    return stream.filter("pad", *plan.size, "2*trunc((ow-iw)/4)", "2*trunc((oh-ih)/4)", color=colour)


def _scale_and_convert(stream: Any, colours: ColourPlan, plan: Plan) -> Any:
    source, target = colours.source, colours.target
    match colours.conversion:
        case "keep":
            scaled = _sized(stream, plan, in_range=source.range, out_range=target.range)
            return scaled.filter("format", "yuv420p")
        case "from_rgb":
            scaled = _sized(stream, plan, out_color_matrix=target.matrix, out_range=target.range)
            return scaled.filter("format", "yuv420p")
    stream = _sized(_tag(stream, source), plan)
    if colours.conversion == "tone_map":
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


def _sound(stream: Any, audio: AudioPlan, cut: Cut | None) -> Any:
    """The filters of the audio stream. ffmpeg's conversion knows every layout but ambisonic ones."""
    if cut is not None and cut.start > 0:
        stream = stream.filter("atrim", start=_seconds(cut.start))
        stream = stream.filter("asetpts", f"round(PTS-{_seconds(cut.start)}/TB)")
    if audio.ambisonic < 2:
        return stream
    # Two cardioids to the sides, of the first two channels (W and Y, ambiX order and gains); stereo may follow.
    left, right = "0.5*val(0)+0.5*val(1)", "0.5*val(0)-0.5*val(1)"
    if audio.ambisonic + 2 <= audio.source_channels:
        left, right = f"{left}+val({audio.ambisonic})", f"{right}+val({audio.ambisonic + 1})"
    return stream.filter("aeval", f"{left}|{right}", channel_layout="stereo")


def _audio(audio: AudioPlan | None, settings: EncoderSettings) -> dict[str, str | int]:
    if audio is None:
        return {}
    return {
        "c:a": settings.audio_codec,
        "b:a": settings.audio_bits // 2 * audio.channels,
        "ac": audio.channels,
        "ar": audio.sample_rate if settings.audio_codec != "libopus" else 48_000,
    }
