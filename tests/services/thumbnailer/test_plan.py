"""Plans: sizes, formats, faults."""

from typing import Any

import pytest

from media.faults import MediaFault
from media.info import AudioStream, ImageInfo, MediaInfo, VideoStream
from schemas.options import ImageFormat, ImageOptions, Quality
from services.thumbnailer.plan import FramePlan, ImagePlan, plan
from services.thumbnailer.quality import saver_options


def video(width: int = 1280, height: int = 720, duration: float | None = 10.0) -> MediaInfo:
    stream = VideoStream(index=0, codec="h264", coded_width=width, coded_height=height, pix_fmt="yuv420p")
    facts: dict[str, Any] = {"kind": "video", "format": "mp4", "content_type": "video/mp4", "filesize": 1000}
    return MediaInfo(**facts, width=width, height=height, duration=duration, fps=25, video=stream)


def image(format: str = "png", width: int = 600, height: int = 400) -> MediaInfo:
    facts: dict[str, Any] = {"kind": "image", "format": format, "content_type": f"image/{format}", "filesize": 1000}
    return MediaInfo(**facts, width=width, height=height, image=ImageInfo())


def audio() -> MediaInfo:
    track = AudioStream(index=0, codec="mp3", channels=2, sample_rate=44100)
    return MediaInfo(kind="audio", format="mp3", content_type="audio/mpeg", filesize=1000, duration=3.0, audio=(track,))


def fault(options: ImageOptions, info: MediaInfo) -> str:
    with pytest.raises(MediaFault) as caught:
        plan(options, info)
    return f"{caught.value.kind}: {caught.value.message}"


@pytest.mark.parametrize(
    ("options", "size"),
    [
        ({}, (1280, 720)),
        ({"width": 640}, (640, 360)),
        ({"height": 100}, (178, 100)),
        ({"width": 333}, (333, 187)),
        ({"width": 100, "height": 100}, (100, 100)),
        ({"width": 1921}, (1921, 1081)),
        ({"width": 2}, (2, 1)),
    ],
)
def test_the_requested_size_is_exact_and_a_missing_side_follows(options: dict[str, Any], size: tuple[int, int]) -> None:
    planned = plan(ImageOptions(**options), video())
    assert (planned.width, planned.height) == size


@pytest.mark.parametrize(
    ("own", "expected"),
    [("png", "png"), ("jpeg", "jpeg"), ("webp", "webp"), ("avif", "avif"), ("gif", "jpeg"), ("tiff", "jpeg")],
)
def test_an_image_keeps_its_format_where_that_can_be_written(own: str, expected: str) -> None:
    assert plan(ImageOptions(), image(own)).format == expected


def test_a_frame_becomes_a_jpeg_unless_another_format_is_asked() -> None:
    assert plan(ImageOptions(), video()).format == "jpeg"
    assert plan(ImageOptions(format="webp"), video()).format == "webp"


def test_a_video_gives_a_frame_at_start_and_an_image_gives_itself() -> None:
    assert plan(ImageOptions(start=2.5, width=640, format="webp"), video()) == FramePlan(
        width=640, height=360, format="webp", save={"Q": 75, "effort": 4}, start=2.5, aspect=16 / 9, sar=False
    )
    assert plan(ImageOptions(quality="high"), image()) == ImagePlan(
        width=600, height=400, format="png", save={"compression": 6}
    )


def test_files_without_an_index_are_decoded_from_before_start() -> None:
    stream = video().model_copy(update={"format": "ts"})
    planned = plan(ImageOptions(start=3), stream)
    assert isinstance(planned, FramePlan) and planned.preroll == 10


def test_start_must_lie_inside_the_video() -> None:
    assert plan(ImageOptions(start=9.999), video())
    assert fault(ImageOptions(start=10), video()) == "start_out_of_range: start is 10 s, but the video ends at 10 s."
    assert fault(ImageOptions(start=3600), video(duration=10.04)).endswith("the video ends at 10.04 s.")


def test_start_zero_is_always_inside() -> None:
    assert plan(ImageOptions(), video(duration=0.0))


def test_a_video_of_unknown_duration_is_tried() -> None:
    planned = plan(ImageOptions(start=5), video(duration=None))
    assert isinstance(planned, FramePlan) and planned.start == 5


def test_a_still_image_has_no_later_frame() -> None:
    assert fault(ImageOptions(start=2), image()) == (
        "start_out_of_range: The input is an image: it has no picture at 2 s."
    )


def test_audio_has_no_picture() -> None:
    assert fault(ImageOptions(), audio()).startswith("input_kind_mismatch: The input is audio")


def test_a_side_that_follows_from_the_aspect_may_not_grow_beyond_the_limit() -> None:
    assert fault(ImageOptions(width=8000), video(100, 1000)).startswith(
        "output_too_large: The image would be 8000x80000 pixels"
    )


@pytest.mark.parametrize("format", ["jpeg", "webp", "avif"])
def test_each_word_is_better_than_the_one_before_it(format: ImageFormat) -> None:
    words: tuple[Quality, ...] = ("very_low", "low", "medium", "high", "very_high")
    levels = [int(saver_options(format, word)["Q"]) for word in words]
    assert levels == sorted(set(levels))


def test_png_is_lossless_at_every_word() -> None:
    assert saver_options("png", "very_low") == saver_options("png", "very_high")
