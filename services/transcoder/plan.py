"""From options and a probed file to a plan (pure): every decision about an encode is made here, none in `argv`."""

from dataclasses import dataclass
from typing import Literal

from media import colour, geometry
from media.colour import BT709, Colour
from media.geometry import Size
from media.info import AudioStream, MediaInfo, VideoStream
from schemas.jobs import Job
from schemas.options import MAX_SIDE, Quality, VideoFormat, VideoOptions
from services.transcoder import errors

_MAX_SAMPLE_RATE = 48_000
_TYPICAL_SECONDS = 20.0
"""Assumed duration of an input that has not been probed yet: a typical upload."""


@dataclass(frozen=True)
class AudioPlan:
    """The one audio track of the output: the number of its stream in the input, and its channels and rate in Hz."""

    stream: int
    channels: int
    sample_rate: int


@dataclass(frozen=True)
class ColourPlan:
    """Colour of input and output, and the conversion: `keep` the values (only the range may change), compute them
    `from_rgb`, convert a `wide_gamut` to BT.709, or `tone_map` HDR to it."""

    conversion: Literal["keep", "from_rgb", "wide_gamut", "tone_map"]
    source: Colour
    target: Colour


@dataclass(frozen=True)
class Plan:
    """One encode. `start` and `end` are seconds of the input; `end` None means its end.

    `length` is the duration of the output in seconds, as far as the input tells its own; None where it does not. The
    headers of recordings that were broken off or joined may tell less than there is: nothing is cut off by them.
    """

    format: VideoFormat
    quality: Quality
    size: Size
    video_stream: int
    audio: AudioPlan | None
    colour: ColourPlan
    deinterlace: bool
    start: float | None
    end: float | None
    length: float | None


def estimate(job: Job, duration: float | None) -> float:
    """Seconds of work of a job: the duration of its output, because encoding runs at about that speed.

    `duration` is that of its input in seconds; None where it is not known yet.
    """
    start, end = _number(job.options.get("start")) or 0.0, _number(job.options.get("end"))
    if end is None or (duration is not None and end > duration):
        end = duration if duration is not None else start + _TYPICAL_SECONDS
    # A start past the input's end encodes nothing, but the job still has to be run to fail.
    return float(max(end - start, 1.0))


def plan(options: VideoOptions, info: MediaInfo, *, tone_maps: bool) -> Plan:
    """The plan for one output. Raises MediaFault where the input does not allow it.

    `tone_maps` says whether ffmpeg can convert HDR; without it HDR keeps its values and its tags, for HDR players.
    """
    if info.video is None:
        raise errors.no_video(info)
    start, end, length = _times(options, info.duration)
    size = geometry.fit(info.display, options.width, options.height, even=True)
    if max(size) > MAX_SIDE:
        raise errors.side_too_long(size.width, size.height, MAX_SIDE)
    return Plan(
        format=options.format,
        quality=options.quality,
        size=size,
        video_stream=info.video.index,
        audio=_audio(info.main_audio()),
        colour=_colour(info.video, tone_maps),
        deinterlace=info.video.interlaced,
        start=start,
        end=end,
        length=length,
    )


def _number(option: object) -> float | None:
    # A job of another release may have options of other types: it fails when it is run, not when it is queued.
    return float(option) if isinstance(option, int | float) else None


def _times(options: VideoOptions, duration: float | None) -> tuple[float | None, float | None, float | None]:
    start, end = options.start or None, options.end
    if duration is None:
        return start, end, end - (start or 0) if end is not None else None
    if start is not None and start >= duration:
        raise errors.start_out_of_range(start, duration)
    # An end past the input's end means its end; it still counts where the input is longer than it says.
    return start, end, min(duration, end if end is not None else duration) - (start or 0)


def _audio(track: AudioStream | None) -> AudioPlan | None:
    if track is None:
        return None
    # All browsers and phones play two channels, and only some play more. Mono stays mono.
    return AudioPlan(track.index, min(track.channels, 2), min(track.sample_rate, _MAX_SAMPLE_RATE))


def _colour(video: VideoStream, tone_maps: bool) -> ColourPlan:
    source = colour.infer(video)
    if video.rgb:
        return ColourPlan("from_rgb", source, BT709)
    if colour.is_wide_gamut(source) and tone_maps:
        return ColourPlan("tone_map" if video.hdr else "wide_gamut", source, BT709)
    return ColourPlan("keep", source, source._replace(range="tv"))
