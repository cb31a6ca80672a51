from typing import Any

import pytest

from media.faults import MediaFault, OutputMismatch
from media.geometry import Size
from media.info import CutContent, ImageInfo, MediaInfo
from schemas.options import VideoOptions
from services.transcoder.encode import check_output
from services.transcoder.plan import Cut, Plan, plan
from tests.services.transcoder.media_infos import track, video


def planned(info: MediaInfo, tone_maps: bool = True, **options: Any) -> Plan:
    return plan(VideoOptions.model_validate(options), info, tone_maps=tone_maps)


def fault(info: MediaInfo, **options: Any) -> MediaFault:
    with pytest.raises(MediaFault) as fault:
        planned(info, **options)
    return fault.value


@pytest.mark.parametrize(
    ("display", "options", "size"),
    [
        ((1920, 1080), {}, (1920, 1080)),
        ((1920, 1080), {"width": 640}, (640, 360)),
        ((1920, 1080), {"height": 480}, (854, 480)),
        ((1920, 1080), {"width": 300, "height": 300}, (300, 300)),
        ((320, 180), {"width": 1920}, (1920, 1080)),
        ((1279, 719), {}, (1278, 718)),
        ((1279, 719), {"width": 640}, (640, 360)),
        ((1080, 1920), {"width": 480}, (480, 854)),
        ((1024, 576), {"width": 480}, (480, 270)),
        ((1, 1), {}, (2, 2)),
        ((4000, 10), {"width": 40}, (40, 2)),
    ],
)
def test_the_size_follows_from_the_display_aspect_and_is_even(
    display: tuple[int, int], options: dict[str, Any], size: tuple[int, int]
) -> None:
    assert planned(video(display=display), **options).size == Size(*size)


def test_a_side_that_would_be_too_long_is_refused() -> None:
    assert fault(video(display=(100, 1000)), width=1920).kind == "output_too_large"


def test_times_within_the_input_are_kept() -> None:
    made = planned(video(), start=2.5, end=4)
    assert (made.cut, made.limit, made.length) == (Cut(2.5, 0, 0), 1.5, 1.5)


def test_an_end_past_the_input_means_its_end() -> None:
    made = planned(video(), start=8, end=100)
    assert (made.cut, made.length) == (Cut(8, 0, 0), 2.0)


def test_an_end_past_the_input_counts_if_the_input_is_longer_than_it_says() -> None:
    assert planned(video(), start=8, end=100).limit == 92


def test_a_start_past_the_input_is_refused_with_the_duration() -> None:
    raised = fault(video(), start=12)
    assert raised.kind == "start_out_of_range"
    assert raised.message == "start is at 12 s, but the input is only 10.00 s long."


def test_an_unknown_duration_leaves_the_length_open() -> None:
    assert planned(video(duration=None), start=3).length is None
    assert planned(video(duration=None), start=3, end=5).length == 2


def test_the_default_track_is_kept_otherwise_the_first() -> None:
    first, second = track(1), track(2, default=True)
    chosen = planned(video(audio=(first, second))).audio
    assert chosen is not None and chosen.stream == 2
    chosen = planned(video(audio=(first, track(2)))).audio
    assert chosen is not None and chosen.stream == 1


@pytest.mark.parametrize(("channels", "kept"), [(1, 1), (2, 2), (6, 2)])
def test_more_than_two_channels_become_two(channels: int, kept: int) -> None:
    sound = planned(video(audio=(track(1, channels=channels, sample_rate=96_000),))).audio
    assert sound is not None and (sound.channels, sound.sample_rate) == (kept, 48_000)


@pytest.mark.parametrize(
    ("rate", "made"), [(7_350, 8_000), (22_254, 24_000), (11_127, 12_000), (37_800, 44_100), (48_001, 48_000)]
)
def test_a_sample_rate_that_aac_lacks_becomes_the_next_one(rate: int, made: int) -> None:
    sound = planned(video(audio=(track(1, sample_rate=rate),))).audio
    assert sound is not None and sound.sample_rate == made


@pytest.mark.parametrize(
    ("layout", "channels", "ambisonic"),
    [("ambisonic 1", 4, 4), ("ambisonic 2", 9, 9), ("ambisonic 1+stereo", 6, 4), ("7.1", 8, 0), ("16 channels", 16, 0)],
)
def test_ambisonic_channels_are_counted(layout: str, channels: int, ambisonic: int) -> None:
    sound = planned(video(audio=(track(1, channels=channels, layout=layout),))).audio
    assert sound is not None and (sound.channels, sound.ambisonic) == (2, ambisonic)


def test_sound_in_a_codec_that_is_not_supported_is_named() -> None:
    raised = fault(video(audio=()).model_copy(update={"unsupported_audio": "AC-4"}))
    assert (raised.kind, raised.message) == (
        "input_codec_unsupported",
        "The sound is in AC-4, a codec that is not supported.",
    )


def test_a_start_after_the_picture_is_refused_though_there_is_sound() -> None:
    raised = fault(video(end=2.0), start=5)
    assert (raised.kind, raised.message) == (
        "start_out_of_range",
        "start is at 5 s, but the input's picture ends at 2.00 s.",
    )


def test_a_cut_begins_with_the_frame_that_is_shown_then() -> None:
    made = plan(VideoOptions(start=5, end=8), video(end=10.0), tone_maps=True, content=CutContent(shown=1.0, seek=0.5))
    assert made.cut is not None
    assert (made.cut.seek, made.cut.shown, made.cut.start) == pytest.approx((0.499, 0.501, 4.501))
    assert (made.limit, made.picture_end) == (3, 3)


def test_joined_files_are_decoded_from_the_beginning() -> None:
    joined = video().model_copy(update={"joined": True})
    made = plan(VideoOptions(start=5), joined, tone_maps=True, content=CutContent(shown=1.0, seek=0.5))
    assert made.cut == Cut(0, 5, 5)


@pytest.mark.parametrize(
    ("options", "background"),
    [
        ({}, "#FFFFFF"),
        ({"background": "#102030"}, "#102030"),
        ({"format": "webm"}, None),
        ({"format": "mov"}, None),
        ({"format": "webm", "background": "#102030"}, "#102030"),
    ],
)
def test_transparency_is_kept_where_the_format_can(options: dict[str, Any], background: str | None) -> None:
    alpha = planned(video(alpha=True, codec="vp9"), **options).alpha
    assert alpha is not None and (alpha.background, alpha.decoder) == (background, "libvpx-vp9")


def test_an_image_is_not_a_video() -> None:
    image = MediaInfo(
        kind="image", format="png", content_type="image/png", filesize=1, width=1, height=1, image=ImageInfo()
    )
    raised = fault(image)
    assert raised.kind == "input_kind_mismatch" and "an image (png)" in raised.message


def test_audio_is_not_a_video() -> None:
    sound = MediaInfo(kind="audio", format="mp3", content_type="audio/mpeg", filesize=1, audio=(track(0),))
    assert fault(sound).kind == "input_kind_mismatch"


@pytest.mark.parametrize(
    ("stream", "conversion", "matrix"),
    [
        ({}, "keep", "bt709"),
        ({"matrix": "smpte170m"}, "keep", "smpte170m"),
        ({"matrix": None, "coded_width": 640, "coded_height": 480}, "keep", "smpte170m"),
        ({"matrix": None, "coded_width": 720, "coded_height": 576}, "keep", "bt470bg"),
        ({"matrix": None}, "keep", "bt709"),
        ({"rgb": True, "pix_fmt": "gbrp", "matrix": "gbr"}, "from_rgb", "bt709"),
        ({"matrix": "bt2020nc", "primaries": "bt2020", "transfer": "bt2020-10"}, "wide_gamut", "bt709"),
        ({"matrix": "bt2020nc", "primaries": "bt2020", "transfer": "smpte2084"}, "tone_map", "bt709"),
        ({"matrix": "bt2020nc", "primaries": "bt2020", "transfer": "arib-std-b67"}, "tone_map", "bt709"),
    ],
)
def test_colours_are_converted_only_where_needed(stream: dict[str, Any], conversion: str, matrix: str) -> None:
    colour = planned(video(**stream)).colour
    assert (colour.conversion, colour.target.matrix, colour.target.range) == (conversion, matrix, "tv")


def test_hdr_keeps_its_tags_where_ffmpeg_cannot_tone_map() -> None:
    hdr = video(matrix="bt2020nc", primaries="bt2020", transfer="smpte2084")
    colour = planned(hdr, tone_maps=False).colour
    assert (colour.conversion, colour.target.transfer) == ("keep", "smpte2084")


def test_an_output_of_another_size_is_our_failure() -> None:
    made = planned(video(), width=640)
    with pytest.raises(OutputMismatch):
        check_output(video(display=(640, 362)), made, damaged=False)


def test_an_output_that_is_far_too_short_means_a_truncated_input_if_something_was_damaged() -> None:
    with pytest.raises(MediaFault) as fault:
        check_output(video(duration=6.0), planned(video()), damaged=True)
    assert fault.value.kind == "input_truncated"


def test_an_output_that_is_shorter_than_the_header_said_passes_if_everything_was_decoded() -> None:
    check_output(video(duration=6.0), planned(video()), damaged=False)


def test_an_output_that_is_longer_than_the_input_said_passes() -> None:
    check_output(video(duration=30.0), planned(video()), damaged=False)


def test_an_output_that_goes_on_after_the_end_that_was_asked_for_is_our_failure() -> None:
    with pytest.raises(OutputMismatch):
        check_output(video(duration=30.0), planned(video(), start=1, end=20), damaged=False)


def test_an_output_as_planned_passes() -> None:
    check_output(video(duration=10.04), planned(video()), damaged=False)
