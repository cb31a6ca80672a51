"""The encoder settings of each word of `quality` (data).

Chosen from measurements on synthetic 1080p30 clips (16 Mb/s, grainy; VMAF and CPU for 3 s): x264 `veryfast` crf 20
gave 99.4 at 8.2 CPU seconds, crf 23 gave 97.6 at 7.3, crf 26 gave 92.5, crf 30 gave 80.7, while `medium` took twice the
time for the same or less. So the preset is `veryfast` everywhere, the middle is 23, and the steps are visible. A crf is
not comparable between encoders: VP9's (good, cpu-used 5) give about the same file size as x264's.
"""

from dataclasses import dataclass

from schemas.options import Quality, VideoFormat

Arguments = tuple[tuple[str, str | int], ...]


@dataclass(frozen=True)
class EncoderSettings:
    """ffmpeg options without the leading dash, and their values. `audio_bits`: bits per second for two channels."""

    video: Arguments
    audio_codec: str
    audio_bits: int


_X264_CRF: dict[Quality, int] = {"very_low": 32, "low": 28, "medium": 23, "high": 20, "very_high": 17}
_VP9_CRF: dict[Quality, int] = {"very_low": 45, "low": 40, "medium": 34, "high": 30, "very_high": 24}
_PRORES_QSCALE: dict[Quality, int] = {"very_low": 20, "low": 16, "medium": 11, "high": 8, "very_high": 4}
_AUDIO_BITS: dict[Quality, int] = {
    "very_low": 64_000,
    "low": 96_000,
    "medium": 128_000,
    "high": 160_000,
    "very_high": 192_000,
}


def encoder_settings(format: VideoFormat, quality: Quality, *, alpha: bool = False) -> EncoderSettings:
    """The settings for a container format and a word of `quality`; with `alpha` the output keeps transparency."""
    if format == "webm":
        video: Arguments = (
            ("c:v", "libvpx-vp9"),
            ("crf", _VP9_CRF[quality]),
            ("b:v", 0),
            ("deadline", "good"),
            ("cpu-used", 5),
            ("row-mt", 1),
            # libvpx cannot encode transparency with hidden reference frames.
            *((("auto-alt-ref", 0),) if alpha else ()),
        )
        return EncoderSettings(video, "libopus", _AUDIO_BITS[quality])
    if alpha:
        video = (("c:v", "prores_ks"), ("profile:v", "4444"), ("qscale:v", _PRORES_QSCALE[quality]))
        return EncoderSettings(video, "aac", _AUDIO_BITS[quality])
    video = (("c:v", "libx264"), ("preset", "veryfast"), ("crf", _X264_CRF[quality]))
    return EncoderSettings(video, "aac", _AUDIO_BITS[quality])
