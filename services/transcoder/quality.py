"""What the five words of `quality` mean for each encoder. Data; the argv follows from it.

Chosen from measurements on synthetic 1080p30 clips (16 Mb/s, grainy; VMAF and CPU for 3 s): x264 `veryfast` crf 20
gave 99.4 at 8.2 CPU seconds, crf 23 gave 97.6 at 7.3, crf 26 gave 92.5, crf 30 gave 80.7, while `medium` took twice the
time for the same or less. So `veryfast` everywhere, 23 in the middle, and steps that can be seen. A crf is not
comparable between encoders: VP9's (good, cpu-used 5) are set to come out at about the same size of file as x264's.
To be tuned again on real footage.
"""

from dataclasses import dataclass

from schemas.options import Quality, VideoFormat

Arguments = tuple[tuple[str, str | int], ...]


@dataclass(frozen=True)
class Encoding:
    """One encoder's settings as option and value, without the leading dash. Audio in bits a second for two channels."""

    video: Arguments
    audio_codec: str
    audio_bits: int


_X264_CRF: dict[Quality, int] = {"very_low": 32, "low": 28, "medium": 23, "high": 20, "very_high": 17}
_VP9_CRF: dict[Quality, int] = {"very_low": 45, "low": 40, "medium": 34, "high": 30, "very_high": 24}
_AUDIO_BITS: dict[Quality, int] = {
    "very_low": 64_000,
    "low": 96_000,
    "medium": 128_000,
    "high": 160_000,
    "very_high": 192_000,
}


def encoding(format: VideoFormat, quality: Quality) -> Encoding:
    """The settings for a container and a word."""
    if format == "webm":
        video: Arguments = (
            ("c:v", "libvpx-vp9"),
            ("crf", _VP9_CRF[quality]),
            ("b:v", 0),
            ("deadline", "good"),
            ("cpu-used", 5),
            ("row-mt", 1),
        )
        return Encoding(video, "libopus", _AUDIO_BITS[quality])
    video = (("c:v", "libx264"), ("preset", "veryfast"), ("crf", _X264_CRF[quality]))
    return Encoding(video, "aac", _AUDIO_BITS[quality])
