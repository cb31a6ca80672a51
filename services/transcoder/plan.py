"""From options and a probed file to a plan (pure): every decision about an encode is taken here, none in the argv."""

from dataclasses import dataclass
from typing import Literal

from media import colour, geometry
from media.colour import BT709, Colour
from media.geometry import Size
from media.info import AudioStream, MediaInfo, VideoStream
from schemas.options import MAX_SIDE, Quality, VideoFormat, VideoOptions
from services.transcoder import errors

_MAX_SAMPLE_RATE = 48_000


@dataclass(frozen=True)
class Sound:
    """The one track that is kept: its stream's number, and channels and rate (Hz) of the output."""

    stream: int
    channels: int
    sample_rate: int


@dataclass(frozen=True)
class ColourPlan:
    """What the numbers mean before and after. `way`: `keep` them (the range alone may change), compute them `from_rgb`,
    convert a `wide` gamut to BT.709, or `tone_map` HDR to it."""

    way: Literal["keep", "from_rgb", "wide", "tone_map"]
    source: Colour
    target: Colour


@dataclass(frozen=True)
class Plan:
    """An encode, decided. Times in seconds of the source; `end` None runs to its end; `length` is what comes out.

    `length` is None where the source does not say how long it is.
    """

    format: VideoFormat
    quality: Quality
    size: Size
    video_stream: int
    sound: Sound | None
    colour: ColourPlan
    deinterlace: bool
    start: float | None
    end: float | None
    length: float | None


def plan(options: VideoOptions, info: MediaInfo, *, tone_maps: bool) -> Plan:
    """The plan for one output. Raises MediaFault where this input cannot give it.

    `tone_maps` says whether this ffmpeg can; without it HDR keeps its numbers and its tags, for players that can.
    """
    if info.video is None:
        raise errors.no_picture(info)
    start, end, length = _times(options, info.duration)
    size = geometry.fit(info.display, options.width, options.height, even=True)
    if max(size) > MAX_SIDE:
        raise errors.too_wide(size.width, size.height, MAX_SIDE)
    return Plan(
        format=options.format,
        quality=options.quality,
        size=size,
        video_stream=info.video.index,
        sound=_sound(info.main_audio()),
        colour=_colour(info.video, tone_maps),
        deinterlace=info.video.interlaced,
        start=start,
        end=end,
        length=length,
    )


def _times(options: VideoOptions, duration: float | None) -> tuple[float | None, float | None, float | None]:
    start, end = options.start or None, options.end
    if duration is None:
        return start, end, end - (start or 0) if end is not None else None
    if start is not None and start >= duration:
        raise errors.start_out_of_range(start, duration)
    if end is not None and end >= duration:
        end = None  # an end behind the end is the end
    return start, end, (end if end is not None else duration) - (start or 0)


def _sound(track: AudioStream | None) -> Sound | None:
    if track is None:
        return None
    # Browsers and phones play two channels everywhere, and more only sometimes; one stays one.
    return Sound(track.index, min(track.channels, 2), min(track.sample_rate, _MAX_SAMPLE_RATE))


def _colour(video: VideoStream, tone_maps: bool) -> ColourPlan:
    source = colour.meant(video)
    if video.rgb:
        return ColourPlan("from_rgb", source, BT709)
    if colour.wide(source) and tone_maps:
        return ColourPlan("tone_map" if video.hdr else "wide", source, BT709)
    return ColourPlan("keep", source, source._replace(range="tv"))
