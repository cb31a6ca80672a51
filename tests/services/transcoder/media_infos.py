"""MediaInfo of files that do not exist, for tests of pure functions."""

from typing import Any

from media.info import AudioStream, MediaInfo, VideoStream

HD = VideoStream(
    index=0,
    codec="h264",
    coded_width=1920,
    coded_height=1080,
    pix_fmt="yuv420p",
    matrix="bt709",
    range="tv",
    primaries="bt709",
    transfer="bt709",
)
STEREO = AudioStream(index=1, codec="aac", channels=2, sample_rate=44_100, default=True, language="und")


def video(
    *,
    display: tuple[int, int] = (1920, 1080),
    audio: tuple[AudioStream, ...] = (STEREO,),
    duration: float | None = 10.0,
    rotation: int = 0,
    sar: float = 1.0,
    **stream: Any,
) -> MediaInfo:
    """A 1080p clip of 10 s with stereo sound, unless given otherwise; keywords change the video stream."""
    return MediaInfo(
        kind="video",
        format="mp4",
        content_type="video/mp4",
        filesize=1_000_000,
        width=display[0],
        height=display[1],
        duration=duration,
        fps=30.0,
        rotation=rotation,
        sar=sar,
        video=HD.model_copy(update=stream),
        audio=audio,
    )


def track(index: int, **changes: Any) -> AudioStream:
    return STEREO.model_copy(update={"index": index, "default": False, **changes})
