"""From options and a probed file to a plan (pure): every decision about an encode is made here, none in `argv`."""

from dataclasses import dataclass
from typing import Literal

from media import colour, geometry
from media.allowlists import ALPHA_DECODERS
from media.colour import BT709, Colour
from media.geometry import Size
from media.info import AudioStream, CutContent, MediaInfo, VideoStream
from schemas.jobs import Job
from schemas.options import MAX_SIDE, Quality, VideoFormat, VideoOptions
from services.transcoder import errors

_SAMPLE_RATES = (8_000, 11_025, 12_000, 16_000, 22_050, 24_000, 32_000, 44_100, 48_000)
"""In Hz: those of AAC (ISO/IEC 14496-3, 1.6.3.3) that every player has."""
_SEEK_MARGIN = 0.001
"""Seconds: rounded times never lie behind the frame that they are about."""
_TYPICAL_SECONDS = 20.0
"""Assumed duration of an input that has not been probed yet: a typical upload."""


@dataclass(frozen=True)
class AudioPlan:
    """The one audio track of the output: the number of its stream in the input, and its channels and rate in Hz.

    It begins at the second `start` of the input. Of the input's `source_channels` the first `ambisonic` are ambisonic,
    0 for other layouts; the others are stereo.
    """

    stream: int
    channels: int
    sample_rate: int
    source_channels: int
    start: float
    ambisonic: int = 0


@dataclass(frozen=True)
class Cut:
    """Where the output begins. Decoding begins at the second `seek` of the input; from there, the first frame of the
    output begins after `shown` seconds, and the output after `start` seconds: the frame is shown already by then."""

    seek: float
    shown: float
    start: float


@dataclass(frozen=True)
class Alpha:
    """A transparent input. `background` `#RRGGBB` is what it is laid on; None keeps the transparency. `decoder` is the
    one that decodes it, where the codec's usual decoder does not."""

    background: str | None
    decoder: str | None


@dataclass(frozen=True)
class ColourPlan:
    """Colour of input and output, and the conversion: `keep` the values (only the range may change), compute them
    `from_rgb`, convert a `wide_gamut` to BT.709, or `tone_map` HDR to it."""

    conversion: Literal["keep", "from_rgb", "wide_gamut", "tone_map"]
    source: Colour
    target: Colour


@dataclass(frozen=True)
class Plan:
    """One encode. `cut` is None for an output that begins with the input. `limit` is the longest that the output may
    be in seconds, None up to the input's end.

    `length` is the duration of the output in seconds, as far as the input tells its own; None where it does not. The
    headers of recordings that were broken off or joined may tell less than there is: nothing is cut off by them.

    `aspect` is the input's width over height as shown. A frame in mid stream with another one gets bars; `sar` False
    means that pixels are square whatever the input says. With `uneven` the last frame needs a duration of its own: it
    is shown up to `picture_end`, in seconds of the output, where that is known. With `from_zero` the first frame that
    can be decoded is shown from the beginning, for the damaged ones before it. A `joined` input's clock starts again.
    """

    format: VideoFormat
    quality: Quality
    size: Size
    video_stream: int
    video_start: float
    audio: AudioPlan | None
    colour: ColourPlan
    alpha: Alpha | None
    deinterlace: bool
    aspect: float
    sar: bool
    uneven: bool
    from_zero: bool
    joined: bool
    cut: Cut | None
    limit: float | None
    length: float | None
    picture_end: float | None


def estimate(job: Job, duration: float | None) -> float:
    """Seconds of work of a job: the duration of its output, because encoding runs at about that speed.

    `duration` is that of its input in seconds; None where it is not known yet.
    """
    start, end = _number(job.options.get("start")) or 0.0, _number(job.options.get("end"))
    if end is None or (duration is not None and end > duration):
        end = duration if duration is not None else start + _TYPICAL_SECONDS
    # A start past the input's end encodes nothing, but the job still has to be run to fail.
    return float(max(end - start, 1.0))


def plan(options: VideoOptions, info: MediaInfo, *, tone_maps: bool, content: CutContent | None = None) -> Plan:
    """The plan for one output. Raises MediaFault where the input does not allow it.

    `tone_maps` says whether ffmpeg can convert HDR; without it HDR keeps its values and its tags, for HDR players.
    `content` is what the input holds between `options.start` and `options.end`, where that is known.
    """
    if info.video is None:
        raise errors.no_video(info)
    if info.unsupported_audio is not None:
        raise errors.sound_unsupported(info.unsupported_audio)
    start, limit, length = _times(options, info)
    size = geometry.fit(info.display, options.width, options.height, even=True)
    if max(size) > MAX_SIDE:
        raise errors.side_too_long(size.width, size.height, MAX_SIDE)
    alpha = _alpha(options, info.video)
    ends = [end for end in (info.video.end, limit + start if limit is not None else None) if end is not None]
    return Plan(
        format=options.format,
        quality=options.quality,
        size=size,
        video_stream=info.video.index,
        video_start=info.video.start,
        audio=_audio(info.main_audio()) if content is None or content.sound else None,
        colour=_colour(info.video, tone_maps, alpha is not None),
        alpha=alpha,
        deinterlace=info.video.interlaced,
        aspect=info.aspect,
        sar=info.sar != 1,
        uneven=info.video.uneven or (content is not None and content.uneven),
        from_zero=info.damaged,
        joined=info.joined,
        cut=_cut(start, content, from_the_beginning=info.joined) if start else None,
        limit=limit,
        length=length,
        picture_end=max(min(ends) - start, 0) if ends else None,
    )


def _number(option: object) -> float | None:
    # A job of another release may have options of other types: it fails when it is run, not when it is queued.
    return float(option) if isinstance(option, int | float) else None


def _times(options: VideoOptions, info: MediaInfo) -> tuple[float, float | None, float | None]:
    """Where the output begins, the longest that it may be, and its probable duration, in seconds."""
    start, end = options.start or 0.0, options.end
    limit = end - start if end is not None else None
    if info.duration is not None and start >= info.duration > 0:
        raise errors.start_out_of_range(start, info.duration)
    if info.video is not None and info.video.end is not None and start >= info.video.end > 0:
        raise errors.start_after_picture(start, info.video.end)
    if info.duration is None:
        return start, limit, limit
    # An end past the input's end means its end; it still counts where the input is longer than it says.
    return start, limit, min(info.duration, end if end is not None else info.duration) - start


def _cut(start: float, content: CutContent | None, *, from_the_beginning: bool) -> Cut:
    """Where it is not known which frame is shown at `start`, the first one after it begins the output.

    The clock of joined files starts again: they are decoded `from_the_beginning`, because a seek may end in another
    part.
    """
    if from_the_beginning:
        return Cut(0.0, start, start)
    if content is None or content.shown is None or content.seek is None:
        return Cut(start, 0.0, 0.0)
    seek = max(content.seek - _SEEK_MARGIN, 0.0)
    return Cut(seek, max(content.shown - seek, 0.0), start - seek)


def _alpha(options: VideoOptions, video: VideoStream) -> Alpha | None:
    if not video.alpha:
        return None
    decoder = ALPHA_DECODERS.get(video.codec)
    keeps = options.format in ("webm", "mov") and options.background is None
    return Alpha(None if keeps else options.background or "#FFFFFF", decoder)


def _audio(track: AudioStream | None) -> AudioPlan | None:
    if track is None:
        return None
    rate = next((rate for rate in _SAMPLE_RATES if rate >= track.sample_rate), _SAMPLE_RATES[-1])
    # All browsers and phones play two channels, and only some play more. Mono stays mono.
    return AudioPlan(track.index, min(track.channels, 2), rate, track.channels, track.start, _ambisonic_channels(track))


def _ambisonic_channels(track: AudioStream) -> int:
    """By ffmpeg's name of the layout, `ambisonic ORDER`."""
    words = track.layout.split("+")[0].split()
    if len(words) != 2 or words[0] != "ambisonic" or not words[1].isdecimal():
        return 0
    return min((int(words[1]) + 1) ** 2, track.channels)


def _colour(video: VideoStream, tone_maps: bool, transparent: bool) -> ColourPlan:
    source = colour.infer(video)
    wide = colour.is_wide_gamut(source) and tone_maps
    if video.rgb or (transparent and not wide):
        return ColourPlan("from_rgb", source, BT709)
    if wide:
        return ColourPlan("tone_map" if video.hdr else "wide_gamut", source, BT709)
    return ColourPlan("keep", source, source._replace(range="tv"))
